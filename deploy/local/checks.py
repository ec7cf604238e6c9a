"""What must be true before anything is started; each refusal says what to do."""

import os
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

from deploy.engines.mongo import mongod
from deploy.engines.ports import LOOPBACK, is_free
from deploy.engines.rabbit import scripts

NEEDED_BYTES = 1024**3
"""Free space to start with: the engines take about half of it before the first request."""


class CheckError(RuntimeError):
    """The system cannot be started here; the message says why and what to do."""


def port_from(environment: Mapping[str, str]) -> int:
    """The gateway's port from DOORSTEP_HTTP_PORT, 8080 when not set.

    Raises:
        CheckError: it is not a port.
    """
    text = environment.get("DOORSTEP_HTTP_PORT", "8080")
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65_536:
        raise CheckError(f"DOORSTEP_HTTP_PORT is {text!r}, but a port is a number from 1 to 65535")
    return int(text)


def check_programs() -> None:
    """RabbitMQ, MongoDB and Caddy are installed, and localhost has an address.

    Raises:
        EngineError: RabbitMQ or MongoDB is missing.
        CheckError: something else is missing.
    """
    scripts()
    mongod()
    caddy()
    try:
        address = socket.gethostbyname("localhost")
    except OSError:
        address = "unknown"
    if address != LOOPBACK:
        raise CheckError(
            f"The name localhost stands for {address} here; RabbitMQ needs it to be {LOOPBACK}:"
            f" add the line `{LOOPBACK} localhost` to /etc/hosts"
        )


def caddy() -> str:
    """The gateway's program.

    Raises:
        CheckError: it is missing.
    """
    program = shutil.which("caddy", path=f"{os.environ.get('PATH', '')}:/usr/bin:/usr/local/bin")
    if program is None:
        raise CheckError("Caddy is not installed: sudo apt-get install caddy")
    return program


def check_port(port: int) -> None:
    """The gateway could listen on this port.

    Raises:
        CheckError: it could not.
    """
    if not is_free(port):
        why = "needs root" if port < 1024 and os.geteuid() != 0 else "is taken by another program"
        raise CheckError(
            f"Port {port} on {LOOPBACK} {why}. Free it, or choose another: DOORSTEP_HTTP_PORT=8081 make run"
        )


def prepare_folder(folder: Path, needed_bytes: int = NEEDED_BYTES) -> None:
    """Make the data folder (mode 700), and see that there is room.

    Raises:
        CheckError: it cannot be made or written, or the disk is full.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise CheckError(
            f"The data folder {folder} cannot be used ({error.strerror}). Choose another: DOORSTEP_DATA_DIR=… make run"
        ) from error
    if free < needed_bytes:
        raise CheckError(
            f"The disk under {folder} is nearly full: {free // 1024**2} MiB are free, {needed_bytes // 1024**2} MiB are"
            " needed. Make room, or choose a folder on another disk: DOORSTEP_DATA_DIR=… make run"
        )
