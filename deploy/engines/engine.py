"""What the private engines have in common: a folder, a port, one child process."""

import shutil
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from deploy.engines.child import Child, last_lines
from deploy.engines.ports import free_port, is_free

_LOOK_AGAIN = 0.05
"""Seconds between two looks at whether an engine answers."""


class EngineError(RuntimeError):
    """An engine cannot be started, reached or used; the message says what to do."""


class Engine(ABC):
    """A private engine on loopback; the calls wait until what they promise is true and may come from any thread."""

    name: str
    """As a person calls it: RabbitMQ, MongoDB."""
    stop_patience: float = 30.0
    """Seconds a clean stop may take before the engine is killed."""

    def __init__(self, folder: Path, port: int | None = None, *, keep_open: Sequence[int] = ()) -> None:
        """Nothing starts yet. `folder`, made with mode 700, holds data, settings and logs.

        Without `port` a free one is taken, and kept for later starts. `keep_open` are file descriptors that the
        engine inherits, such as a lock on its folder.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder.resolve()
        self.port = free_port() if port is None else port
        self._keep_open = tuple(keep_open)
        self._child: Child | None = None
        self._starting = threading.Lock()

    @property
    @abstractmethod
    def log(self) -> Path:
        """The file in which the engine says why it does not start."""

    @property
    def _start_log(self) -> Path:
        """What it says before it opens its log."""
        return self.folder / "start.log"

    @abstractmethod
    def url(self, user: str, password: str | None = None) -> str:
        """The address for a client that logs in as `user`; our own password for that user unless one is given."""

    @abstractmethod
    def _spawn(self) -> Child: ...

    @abstractmethod
    def _answers(self) -> bool:
        """Whether the node behind the port is ours and serves clients."""

    @abstractmethod
    def _prepare(self) -> None:
        """What is left to do once it answers."""

    @abstractmethod
    def bound_log(self) -> None:
        """Cut the log when it has grown too long."""

    @property
    def pid(self) -> int:
        """Process id of the engine, the last one if it has ended.

        Raises:
            EngineError: it was not started.
        """
        return self._started().pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running

    def start(self, seconds: float = 60.0) -> Self:
        """Start it, on its data if there are any, and wait until it serves clients.

        Raises:
            EngineError: the port is taken, the program is missing, it ended or was not ready after so many seconds.
        """
        with self._starting:
            if self.running:
                return self
            if not is_free(self.port):
                raise EngineError(f"{self.name} cannot start: port {self.port} is taken by another program")
            try:
                self._child = self._spawn()
                self.wait_ready(seconds)
                self._prepare()
            except BaseException:
                # Also on Ctrl-C: nothing half started is left behind.
                self.stop()
                raise
            return self

    def wait_ready(self, seconds: float = 60.0) -> None:
        """Wait until it serves clients.

        Raises:
            EngineError: it ended, or does not serve after so many seconds.
        """
        child = self._started()
        deadline = time.monotonic() + seconds
        while not self._answers():
            code = child.wait(_LOOK_AGAIN)
            if code is not None:
                raise self._failure(f"ended with code {code} while starting")
            if time.monotonic() > deadline:
                raise self._failure(f"was not ready after {seconds:.0f} s")

    def wait_end(self, seconds: float | None = None) -> int | None:
        """The exit code once the process has ended, or None when it still runs after so many seconds."""
        return self._started().wait(seconds)

    def stop(self) -> None:
        """End it cleanly; its data stay. A start under way in another thread fails."""
        if self._child is not None:
            self._child.stop(self.stop_patience)

    def kill(self) -> None:
        """SIGKILL, as a crash would be; its data stay. A start under way in another thread fails."""
        if self._child is not None:
            self._child.kill()

    def restart(self, seconds: float = 60.0) -> None:
        """Stop it if it runs, and start it on the same data and port."""
        self.stop()
        self.start(seconds)

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        self._started().pause()

    def resume(self) -> None:
        """Let a frozen engine go on."""
        self._started().resume()

    def remove(self) -> None:
        """Kill it and delete its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _started(self) -> Child:
        if self._child is None:
            raise EngineError(f"{self.name} in {self.folder} was not started")
        return self._child

    def _failure(self, what: str) -> EngineError:
        latest = max((self.log, self._start_log), key=lambda log: log.stat().st_mtime if log.exists() else 0)
        lines = last_lines(latest) or "(it wrote nothing)"
        return EngineError(f"{self.name} {what}. The end of {latest}:\n{lines}")
