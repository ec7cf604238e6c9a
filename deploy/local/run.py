"""`make run`: the whole system on this machine until Ctrl-C."""

import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from deploy.local.missing import missing_modules

if TYPE_CHECKING:
    from deploy.local.stack import LocalStack

LOAD_DEMONSTRATION = (sys.executable, "-m", "deploy.demo.load")
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def say(line: str) -> None:
    """Tell whoever watches, at once."""
    print(f"  {line}", flush=True)


def run(stack: "LocalStack", load: Sequence[str] | None = LOAD_DEMONSTRATION) -> int:
    """Start, load, stay until a signal asks to stop, stop; returns the exit code: 1 when it could not be started."""
    wake, asked = threading.Event(), threading.Event()
    failed: list[Exception] = []

    def bring_up() -> None:
        try:
            stack.start()
            if load is not None:
                stack.load(load)
        except (RuntimeError, OSError) as error:
            if not asked.is_set():
                failed.append(error)
                wake.set()
        else:
            if not asked.is_set():
                _say_ready(stack)

    def ask(_number: int, _frame: FrameType | None) -> None:
        asked.set()
        wake.set()

    for number in _STOP_SIGNALS:
        signal.signal(number, ask)
    # In a thread of its own: so a signal never falls between starting a program and taking note of it.
    starting = threading.Thread(target=bring_up, name="start")
    starting.start()
    # Again and again: a signal that the system hands to another thread does not end this one's wait.
    while not wake.wait(1.0):
        pass
    if failed:
        print(f"\nDoorstep could not be started.\n{failed[0]}\n", file=sys.stderr, flush=True)
    else:
        say("Stopping: gateway, services, then RabbitMQ and MongoDB …")
    stack.stop()
    starting.join()
    # The start may have gone one step further before it noticed.
    stack.stop()
    say("Nothing is left running." if failed else "Stopped. The data stay; `make run` starts with them again.")
    return 1 if failed else 0


def _say_ready(stack: "LocalStack") -> None:
    print(
        f"\nDoorstep is ready.\n"
        f"  Address         {stack.url}/\n"
        f"  Access          {stack.access_file} (tokens, broker addresses)\n"
        f"  Logs            {stack.data_dir / 'logs'}\n"
        f"  Stop            Ctrl-C, or: kill {os.getpid()}\n",
        flush=True,
    )


def main() -> int:
    """Read the settings from the environment and run; returns the exit code."""
    missing = missing_modules()
    if missing:
        print(f"Python packages are missing: {', '.join(missing)}. Install them: make setup", file=sys.stderr)
        return 1
    # Only now: these import what may have been missing.
    from deploy.local.checks import CheckError, port_from
    from deploy.local.stack import LocalStack

    folder = Path(os.environ.get("DOORSTEP_DATA_DIR") or ".doorstep")
    try:
        stack = LocalStack(folder, port_from(os.environ), report=say)
    except CheckError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Doorstep is starting, with its data in {stack.data_dir}", flush=True)
    return run(stack)


if __name__ == "__main__":
    sys.exit(main())
