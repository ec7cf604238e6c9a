"""A MongoDB replica set and its users, made where missing."""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure

from deploy.engines.definitions import SERVICES
from deploy.engines.engine import EngineError

ADMIN = "admin"
_UNAUTHORIZED, _AUTHENTICATION_FAILED, _ALREADY_INITIALIZED = 13, 18, 23
_SECONDS = 20.0

Client = MongoClient[dict[str, Any]]


class ReplicaSet:
    """The set that a member on this machine belongs to.

    MongoDB lets nobody initiate a set with authorization, nor make its first user, but a client on the same machine.

    Args:
        host: where that member listens here.
        port: the same.
        name: of the set.
        members: every member's `host:port`, as the others and the clients reach it.
        passwords: of `admin` and of each service.
        before: what the administrator's password was before, one of which may still count.
    """

    def __init__(
        self,
        host: str,
        port: int,
        name: str,
        members: Sequence[str],
        passwords: Mapping[str, str],
        before: Sequence[str] = (),
    ) -> None:
        self.name = name
        self._host = host
        self._port = port
        self._members = tuple(members)
        self._passwords = passwords
        self._before = before

    def prepare(self) -> None:
        """Initiate the set, add members that it lacks, make the users, give them their passwords; safe to repeat.

        Raises:
            EngineError: the data were made with another administrator password.
        """
        try:
            self._follow()
        except OperationFailure as error:
            if error.code != _AUTHENTICATION_FAILED:
                raise
            if not self._renew():
                self._initiate()
        self._grow()
        with self._primary() as client:
            known = {user["user"] for user in client.admin.command("usersInfo")["users"]}
            for service in SERVICES:
                command = "updateUser" if service in known else "createUser"
                client.admin.command(
                    command, service, pwd=self._passwords[service], roles=_roles(service), mechanisms=["SCRAM-SHA-256"]
                )

    def member(self, user: str | None, seconds: float = 10.0, *, password: str | None = None) -> Client:
        """A client of the member here, whatever its state; `password`, where it is not the user's that we know."""
        return MongoClient(
            self._host,
            self._port,
            directConnection=True,
            serverSelectionTimeoutMS=seconds * 1_000,
            username=user,
            password=password or (self._passwords[user] if user else None),
            authSource=ADMIN,
        )

    def _primary(self, password: str | None = None) -> Client:
        return MongoClient(
            list(self._members),
            replicaSet=self.name,
            serverSelectionTimeoutMS=_SECONDS * 1_000,
            username=ADMIN,
            password=password or self._passwords[ADMIN],
            authSource=ADMIN,
        )

    def _renew(self) -> bool:
        """Give the administrator his new password, if one from before still counts; whether it did."""
        for password in self._before:
            try:
                with self.member(ADMIN, password=password) as client:
                    client.admin.command("usersInfo")
            except OperationFailure as error:
                if error.code != _AUTHENTICATION_FAILED:
                    raise
                continue
            with self._primary(password) as client:
                client.admin.command("updateUser", ADMIN, pwd=self._passwords[ADMIN])
            return True
        return False

    def _initiate(self) -> None:
        first = self._members[0]
        try:
            with self.member(user=None) as client:
                config = {"_id": self.name, "members": [{"_id": 0, "host": first}]}
                try:
                    client.admin.command("replSetInitiate", config)
                except OperationFailure as error:
                    if error.code != _ALREADY_INITIALIZED:
                        raise
            # Not by the member's name, which may lead elsewhere than to this machine.
            with self.member(user=None) as client:
                _wait_for_primary(client)
                client.admin.command("createUser", ADMIN, pwd=self._passwords[ADMIN], roles=["root"])
        except OperationFailure as error:
            if error.code != _UNAUTHORIZED:
                raise
            raise EngineError(
                "MongoDB's data were made with another administrator password: put back the secrets that belong to"
                " them, or move the data away to start empty"
            ) from error

    def _follow(self) -> None:
        """A set of one knows its member by address: after a start under another it has to be told."""
        with self.member(user=ADMIN) as client:
            config = client.admin.command("replSetGetConfig")["config"]
            if len(config["members"]) == len(self._members) == 1 and config["members"][0]["host"] != self._members[0]:
                config["members"][0]["host"] = self._members[0]
                config["version"] += 1
                client.admin.command("replSetReconfig", config, force=True)

    def _grow(self) -> None:
        if len(self._members) == 1:
            return
        with self._primary() as client:
            for member in self._members:
                config = client.admin.command("replSetGetConfig")["config"]
                if member in {one["host"] for one in config["members"]}:
                    continue
                number = max(one["_id"] for one in config["members"]) + 1
                config["members"].append({"_id": number, "host": member})
                config["version"] += 1
                client.admin.command("replSetReconfig", config)


def _wait_for_primary(client: Client) -> None:
    """Until the member here takes writes; the server itself waits for the change, at most a second at a time."""
    hello = client.admin.command("hello")
    for _ in range(int(_SECONDS)):
        if hello["isWritablePrimary"]:
            return
        hello = client.admin.command("hello", topologyVersion=hello["topologyVersion"], maxAwaitTimeMS=1_000)
    raise EngineError(f"MongoDB made no primary within {_SECONDS:.0f} s; see its log")


def database_of(service: str) -> str:
    """The database that a service owns."""
    return f"doorstep_{service}"


def _roles(service: str) -> list[dict[str, str]]:
    return [{"role": role, "db": database_of(service)} for role in ("readWrite", "dbAdmin")]
