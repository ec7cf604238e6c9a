"""One child process, in a session of its own."""

import contextlib
import os
import select
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.engines.guard import guard


def last_lines(path: Path, count: int = 15) -> str:
    """The end of a log, at most `count` lines of 500 characters; empty when there is none."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 8_192))
            text = log.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(line[:500] for line in text.splitlines()[-count:])


def _has_ended(pid: int, seconds: float | None) -> bool:
    """Wait for the end of a child of ours; waiting with a time limit in the standard library looks again and again."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], seconds)[0])
    finally:
        os.close(process)


class Child:
    """A running program with its descendants, ended together; safe to use from several threads."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        output: Path | None,
        folder: Path,
        keep_open: Sequence[int] = (),
    ) -> None:
        """Start it in `folder`, with what it prints added to the file `output`, or printed where we print.

        `keep_open` are file descriptors that it inherits: a lock on one of them lasts until the last holder has ended.

        Raises:
            OSError: the program cannot be started.
        """
        with output.open("ab") if output is not None else contextlib.nullcontext() as log:
            self._process = subprocess.Popen(
                command,
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=None if log is None else subprocess.STDOUT,
                start_new_session=True,
                pass_fds=keep_open,
            )
        self.pid = self._process.pid
        self._ending = threading.Lock()
        self._ended = False
        guard.add(self.pid)

    @property
    def running(self) -> bool:
        return self.wait(0) is None

    def wait(self, seconds: float | None = None) -> int | None:
        """The exit code (negative: the signal that ended it), or None when it still runs after so many seconds."""
        if self._process.poll() is None and not _has_ended(self.pid, seconds):
            return None
        code = self._process.wait()
        with self._ending:
            if not self._ended:
                # What the program itself had started must not outlive it.
                self._signal_group(signal.SIGKILL)
                guard.drop(self.pid)
                self._ended = True
        return code

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program alone; nothing happens when it has ended."""
        self._process.send_signal(number)

    def stop(self, patience: float) -> int:
        """Ask it to end, insist after `patience` seconds; returns the exit code."""
        self.send(signal.SIGTERM)
        self._signal_group(signal.SIGCONT)
        code = self.wait(patience)
        return self.kill() if code is None else code

    def kill(self) -> int:
        """SIGKILL for it and its descendants; returns the exit code."""
        self._signal_group(signal.SIGKILL)
        code = self.wait()
        assert code is not None
        return code

    def pause(self) -> None:
        """Freeze it with its descendants; when this returns, not one of its threads runs any more."""
        self._signal_group(signal.SIGSTOP)
        # A stop reaches the threads one by one, those within a call of the kernel later than others.
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let it go on."""
        self._signal_group(signal.SIGCONT)

    def _signal_group(self, number: signal.Signals) -> None:
        if self._ended:
            return  # the number may belong to somebody else by now
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)
