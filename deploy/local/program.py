"""A service or the gateway as a child process with a log of bounded size."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.engines import EngineError
from deploy.engines.child import Child

_LOG_LIMIT = 10 * 1024 * 1024
"""Bytes; one older log of at most this size and what was added in half a minute is kept beside it."""


class Program:
    """What is started by a command and is told by its environment what to do."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        log: Path,
        stop_patience: float,
        keep_open: Sequence[int] = (),
    ) -> None:
        """`stop_patience`: seconds that it may take to finish what it has begun before it is killed."""
        self.name = name
        self.log = log
        self._command = command
        self._environment = environment
        self._folder = folder
        self._stop_patience = stop_patience
        self._keep_open = keep_open
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        """Process id of what runs, or ran last.

        Raises:
            EngineError: it was not started.
        """
        return self.child.pid

    @property
    def child(self) -> Child:
        """The process itself.

        Raises:
            EngineError: it was not started.
        """
        if self._child is None:
            raise EngineError(f"{self.name} was not started")
        return self._child

    def start(self) -> None:
        """Start it unless it runs.

        Raises:
            EngineError: the program is missing.
        """
        if self._child is not None and self._child.running:
            return
        try:
            self._child = Child(
                self._command,
                environment=self._environment,
                output=self.log,
                folder=self._folder,
                keep_open=self._keep_open,
            )
        except OSError as error:
            raise EngineError(f"{self.name} cannot be started: {error}") from error

    def stop(self) -> None:
        """Ask it to finish and end; insist when it takes too long."""
        if self._child is not None:
            self._child.stop(self._stop_patience)

    def wait_end(self, seconds: float) -> int | None:
        """The exit code once it has ended, None when it still runs after so many seconds."""
        return self.child.wait(seconds)

    def bound_log(self) -> None:
        """Move a long log aside. The program goes on writing to the same file, which it has open for appending."""
        if self.log.stat().st_size > _LOG_LIMIT:
            shutil.copyfile(self.log, self.log.with_suffix(".log.1"))
            with self.log.open("r+b") as log:
                log.truncate()
