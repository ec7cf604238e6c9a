"""The data folder: one run at a time, and the ports that it had."""

import contextlib
import fcntl
import json
import os
import time
from pathlib import Path

from deploy.engines.ports import free_port, is_free
from deploy.local.checks import CheckError
from deploy.local.secrets import write_private

_LEFTOVER_SECONDS = 45.0
_LOOK_AGAIN = 0.2


class FolderLock:
    """Two locks: one of this process, and one that its children inherit and hold until the last of them has ended."""

    def __init__(self, folder: Path, leftover_seconds: float = _LEFTOVER_SECONDS) -> None:
        """Take both; the children of a run that was killed are given `leftover_seconds` to end.

        Raises:
            CheckError: another run is alive on this folder, or what it has left does not end.
        """
        self._run = _opened(folder / "run.lock")
        self.children = _opened(folder / "children.lock")
        try:
            if not _taken(self._run):
                raise CheckError(
                    f"Doorstep is already running on {folder}. Use that one, or stop it (Ctrl-C where it runs),"
                    " or start a second one with DOORSTEP_DATA_DIR and DOORSTEP_HTTP_PORT set"
                )
            deadline = time.monotonic() + leftover_seconds
            while not _taken(self.children):
                if time.monotonic() > deadline:
                    raise CheckError(
                        f"Programs of an earlier run on {folder} are still there: {_holders(folder / 'children.lock')}."
                        " End them (kill <number>), then start again"
                    )
                time.sleep(_LOOK_AGAIN)  # the lock tells nobody when it becomes free
        except CheckError:
            self.release()
            raise

    def release(self) -> None:
        """Let others have the folder, once our children have ended."""
        for descriptor in (self.children, self._run):
            os.close(descriptor)


class Ports:
    """Ports by name, the same at every start as long as they are free, kept in `ports.json`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ports.json"
        self._known: dict[str, int] = {}
        if self._path.exists():
            self._known = json.loads(self._path.read_text())

    def port(self, name: str) -> int:
        """The port of this name: that of the last start, or a free one when another program has taken it meanwhile.

        Raises:
            PortError: none is free.
        """
        port = self._known.get(name)
        if port is None or not is_free(port):
            port = self._known[name] = free_port()
            write_private(self._path, json.dumps(self._known, indent=2) + "\n")
        return port


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _holders(path: Path) -> str:
    """Numbers and names of the processes that have this file open, as far as we may see them."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile, or is not ours
            if any(descriptor.resolve() == path for descriptor in (process / "fd").iterdir()):
                found.append(f"{process.name} ({(process / 'comm').read_text().strip()})")
    return ", ".join(sorted(found)) or "of another user"


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
