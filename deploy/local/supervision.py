"""Keeps one program running: when it ends, it is started again."""

import threading
import time
from collections.abc import Callable
from typing import Protocol

from deploy.engines import EngineError

QUICK_END = 10.0
"""Seconds: who ends sooner after a start is given time before the next."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 15.0
_ROUND = 30.0
"""Seconds between two looks at the size of the log."""


class Runnable(Protocol):
    """What can be kept running: an engine, a service, the gateway."""

    @property
    def pid(self) -> int:
        """Process id of what runs, or ran last."""
        ...

    def start(self) -> object:
        """Start it unless it runs; wait until it does what it is for, as far as that can be seen.

        Raises:
            EngineError: it does not start.
        """
        ...

    def stop(self) -> None:
        """End it; also what start() is still waiting for in another thread."""
        ...

    def wait_end(self, seconds: float) -> int | None:
        """The exit code once it has ended, None when it still runs after so many seconds."""
        ...

    def bound_log(self) -> None:
        """Cut the log when it has grown too long."""
        ...


class Supervisor:
    """One program, and the thread that starts it again: at once, or after a growing pause if it ends soon each time."""

    def __init__(self, name: str, program: Runnable, report: Callable[[str], None]) -> None:
        """`report` is told in a line of every unexpected end."""
        self.name = name
        self.program = program
        self.quick_ends = 0
        """How often in a row it ended soon after its start."""
        self._report = report
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the program and keep it running.

        Raises:
            EngineError: it did not start.
        """
        self._stopping.clear()
        self.quick_ends = 0
        self.program.start()
        self._thread = threading.Thread(target=self._keep_running, name=f"keep-{self.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the program and do not start it again."""
        self._stopping.set()
        self.program.stop()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
            # It may have been started once more before the thread noticed.
            self.program.stop()

    def _keep_running(self) -> None:
        started = time.monotonic()
        while not self._stopping.is_set():
            code = self.program.wait_end(_ROUND)
            self.program.bound_log()
            if code is None or self._stopping.is_set():
                continue
            self.quick_ends = self.quick_ends + 1 if time.monotonic() - started < QUICK_END else 0
            self._start_again(_why(code))
            started = time.monotonic()

    def _start_again(self, why: str) -> None:
        while not self._stopping.wait(self._pause()):
            try:
                self.program.start()
            except EngineError as error:
                self.quick_ends += 1
                self._report(f"{self.name} cannot be started again; next try in {self._pause():.0f} s. {error}")
            else:
                self._report(f"{self.name} {why}; started again as process {self.program.pid}")
                return

    def _pause(self) -> float:
        """Seconds: none after the first end, so that one crash is healed at once."""
        if self.quick_ends < 2:
            return 0.0
        return float(min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (self.quick_ends - 2)))


def _why(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
