"""`doorstep source` and `doorstep staff`: users of the broker for those outside."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import httpx
import typer

from deploy.cli.session import Session
from deploy.cli.trouble import Trouble
from deploy.engines.accounts import AccountError, Accounts, is_name
from deploy.engines.definitions import VHOST
from shared.settings import Secrets, SettingsError

Name = Annotated[str, typer.Argument(metavar="NAME", help="account.name", show_default=False)]
Renew = Annotated[bool, typer.Option("--renew", help="account.renew")]


def add_source(session: Session, name: Name, renew: Renew = False) -> None:
    """Let another system submit requests over AMQP; its password is shown, this once."""
    with _accounts(session) as accounts:
        password = _new(accounts, "source", name, renew)
        accounts.set_source(name, password)
    _show(session, f"source.{name}", password)


def add_staff(
    session: Session,
    name: Name,
    community: Annotated[str | None, typer.Option(help="account.community", show_default=False)] = None,
    grids: Annotated[list[str] | None, typer.Option("--grid", help="account.grid", show_default=False)] = None,
    renew: Renew = False,
) -> None:
    """Let a program of the staff hear notifications over AMQP; its password is shown, this once."""
    if grids and community is None:
        raise Trouble("account.grid_of_which")
    with _accounts(session) as accounts:
        password = _new(accounts, "staff", name, renew)
        accounts.set_staff(name, password, community, grids or ())
    _show(session, f"staff.{name}", password)


def list_sources(session: Session) -> None:
    """The systems that may submit requests over AMQP."""
    _list(session, "source")


def list_staff(session: Session) -> None:
    """The staff's programs."""
    _list(session, "staff")


def remove_source(session: Session, name: Name) -> None:
    """Let a system in no more, and cut it off."""
    _remove(session, "source", name)


def remove_staff(session: Session, name: Name) -> None:
    """Let a program of the staff in no more, and cut it off."""
    _remove(session, "staff", name)


def _list(session: Session, kind: str) -> None:
    with _accounts(session) as accounts:
        names = accounts.names(kind)
    if session.json:
        session.write_json({"names": names})
    for name in names:
        session.tell("account.one", name=name)


def _remove(session: Session, kind: str, name: str) -> None:
    with _accounts(session) as accounts:
        if name not in accounts.names(kind):
            raise Trouble("account.unknown", kind=kind, name=name)
        accounts.remove(f"{kind}.{name}")
    session.tell("account.removed", user=f"{kind}.{name}")
    if session.json:
        session.write_json({"removed": f"{kind}.{name}"})


def _new(accounts: Accounts, kind: str, name: str, renew: bool) -> str:
    if not is_name(name):
        raise Trouble("account.bad_name", name=name)
    if not renew and name in accounts.names(kind):
        raise Trouble("account.known", kind=kind, name=name)
    return secrets.token_hex(24)


def _show(session: Session, user: str, password: str) -> None:
    if session.json:
        session.write_json({"user": user, "password": password, "vhost": VHOST})
        return
    session.tell("account.made", "bold green", user=user)
    session.out.print(f"  amqp://{user}:{password}@HOST:5672/{VHOST}")
    session.tell("account.once")


@contextmanager
def _accounts(session: Session) -> Iterator[Accounts]:
    origin = os.environ.get("DOORSTEP_RABBIT_ADMIN")
    if not origin:
        raise Trouble("account.no_management")
    folder = Path(os.environ.get("DOORSTEP_SECRETS_DIR", session.place.folder / "secrets"))
    try:
        password = Secrets(folder).text("rabbit-operator")
        with Accounts.at(origin, password) as accounts:
            yield accounts
    except SettingsError as error:
        raise Trouble("account.refused", reason=error) from None
    except httpx.TransportError as error:
        raise Trouble("account.no_answer", origin=origin, reason=error) from None
    except AccountError as error:
        raise Trouble("account.refused", reason=error) from None
