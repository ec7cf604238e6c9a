"""How the demonstration gets into a system that runs on this machine: addresses, tokens, broker users."""

import os
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError


class NotRunning(Exception):
    """No system of ours answers; the message says where it was looked for."""


class Access(BaseModel):
    """What the local run writes to `access.json`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    http: str
    """Origin of the gateway, such as `http://127.0.0.1:8080`."""
    tokens: dict[str, str]
    """A token for each of `operator`, `coordinator`, `source`, `grid_worker`, `volunteer`."""
    amqp: dict[str, str]
    """A broker address for each of `source`, `staff`."""


def data_folder() -> Path:
    """Where the local run keeps its data."""
    return Path(os.environ.get("DOORSTEP_DATA_DIR", ".doorstep"))


def read_access(folder: Path) -> Access:
    """Read `access.json`; raises NotRunning when it is missing or not whole."""
    path = folder / "access.json"
    try:
        return Access.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise NotRunning(f"There is no {path}: start the system first (make run).") from None
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, problem["loc"])) or "the whole" for problem in error.errors())
        raise NotRunning(f"{path} cannot be read: {fields}.") from error


def operator_amqp(folder: Path, access: Access) -> str:
    """The broker's address for the user `operator`: the same broker as the source's, with the operator's password."""
    path = folder / "secrets" / "rabbit-operator"
    try:
        password = path.read_text().strip()
    except FileNotFoundError:
        raise NotRunning(f"There is no {path}: the operator's password for the broker is not known.") from None
    return with_user(access.amqp["source"], "operator", password)


def with_user(url: str, user: str, password: str) -> str:
    """The same AMQP address for another user."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{place}"))


async def answers(access: Access, *, seconds: float = 2.0) -> bool:
    """True when the services say that they are ready, asked once."""
    services = ("intake", "dispatch", "notification", "ledger")
    async with httpx.AsyncClient(base_url=access.http, timeout=seconds, trust_env=False) as client:
        try:
            replies = [await client.get(f"/api/{service}/readyz") for service in services]
        except httpx.TransportError:
            return False
    return all(reply.status_code == httpx.codes.OK for reply in replies)
