"""`doorstep token`: who may come in."""

import re
import secrets
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Annotated
from uuid import uuid4

import httpx
import typer

from deploy.cli.client import Answer, refused
from deploy.cli.session import Session
from deploy.cli.trouble import Trouble

ACCESS = "/api/ledger/access"
_HASH = re.compile(r"[0-9a-f]{64}")


def new(
    session: Session,
    role: Annotated[str, typer.Option(help="token.role", metavar="ROLE")],
    name: Annotated[str, typer.Option(help="token.name")],
    community: Annotated[str | None, typer.Option(help="token.community", show_default=False)] = None,
    grids: Annotated[list[str] | None, typer.Option(help="token.grids", show_default=False)] = None,
    worker: Annotated[str | None, typer.Option(help="token.worker", show_default=False)] = None,
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="token.days", show_default=False)] = None,
) -> None:
    """Make a token of 256 random bits, have its hash entered, and show it, this once."""
    token = f"ds_{secrets.token_urlsafe(32)}"
    expires = datetime.now(UTC) + timedelta(days=days) if days else None
    command = {
        "command_id": str(uuid4()),
        "token_hash": _hash_of(token),
        "name": name,
        "role": role,
        "community": community,
        "grids": [grid for one in grids or () for grid in one.split(",") if grid],
        "worker": worker,
        "expires": expires.isoformat() if expires else None,
    }
    with session.client() as client:
        answer = client.call("POST", ACCESS, json=command)
    _check(answer, f"token new --name {name}")
    if session.json:
        session.write_json({"token": token, **command})
        return
    session.tell("token.made", "bold green", name=name, role=role)
    session.out.print(f"  {token}")
    session.tell("token.once", hash=command["token_hash"])
    if expires:
        session.tell("token.until", until=f"{expires.astimezone():%Y-%m-%d %H:%M}")


def revoke(
    session: Session,
    token: Annotated[str, typer.Argument(metavar="HASH_OR_TOKEN", help="token.which", show_default=False)],
) -> None:
    """Let the bearer of a token in no more."""
    if not _HASH.fullmatch(token) and not token.startswith("ds_"):
        raise Trouble("token.no_token")
    token_hash = token if _HASH.fullmatch(token) else _hash_of(token)
    with session.client() as client:
        answer = client.call("POST", f"{ACCESS}/{token_hash}/revoke", json={"command_id": str(uuid4())})
    if answer.status == httpx.codes.NOT_FOUND:
        raise Trouble("token.unknown", hash=token_hash)
    _check(answer, "token revoke")
    if session.json:
        session.write_json({"token_hash": token_hash, "status": answer.body["status"]})
    session.tell("token.revoked" if answer.body["status"] == "accepted" else "token.was_revoked", hash=token_hash)


def _hash_of(token: str) -> str:
    """What the services keep of a token. Nothing slower is needed for 256 random bits."""
    return sha256(token.encode()).hexdigest()


def _check(answer: Answer, what: str) -> None:
    if not answer.good:
        raise refused(answer, what)
