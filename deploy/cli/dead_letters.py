"""`doorstep dead-letters`: what could not be handled, and what becomes of it."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Annotated, Any

import typer
from rich.table import Table

from deploy.cli.client import SERVICES, Client
from deploy.cli.session import Session
from deploy.cli.trouble import Trouble

Service = Annotated[str | None, typer.Option(metavar="|".join(SERVICES), help="option.service", show_default=False)]
Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="dead.ids", show_default=False)]
Letter = Mapping[str, Any]


def list_all(
    session: Session,
    service: Service = None,
    limit: Annotated[int, typer.Option(min=1, help="dead.limit")] = 50,
) -> None:
    """Dead letters, newest first in each service, without their bodies."""
    with session.client() as client:
        found = {name: list(islice(_letters(client, [name]), limit + 1)) for name in asked(service)}
    more = any(len(letters) > limit for letters in found.values())
    shown = [{"service": name, **letter} for letters in found.values() for name, letter in letters[:limit]]
    if session.json:
        session.write_json(shown)
    elif shown:
        session.out.print(_table(session, shown))
        if more:
            session.tell("dead.more", "yellow", limit=limit)
    else:
        session.tell("dead.none", "green")


def show(
    session: Session,
    dead_id: Annotated[str, typer.Argument(metavar="ID", help="dead.id", show_default=False)],
    service: Service = None,
) -> None:
    """One dead letter with its body opened, which the server notes."""
    with session.client() as client:
        where = _found(client, [dead_id], service)[dead_id]
        letter = client.read("GET", f"/api/{where}/dead-letters/{dead_id}")
    if session.json:
        session.write_json({"service": where, **letter})
        return
    table = Table(show_header=False, box=None)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    table.add_row(session.say("dead.field.service"), where)
    for name in ("id", "at", "reason", "message", "handler", "tries", "type", "queue", "message_id", "correlation_id"):
        table.add_row(session.say(f"dead.field.{name}"), str(letter.get(name) or "–"))
    for problem in letter["problems"]:
        table.add_row(session.say("dead.field.problem"), f"{problem['field']}: {problem['message']}")
    session.out.print(table)
    session.tell("dead.body", "dim")
    session.out.print(letter["body"], soft_wrap=True)


def replay(
    session: Session,
    dead_ids: Ids = None,
    everything: Annotated[bool, typer.Option("--all", help="dead.all")] = False,
    service: Service = None,
) -> None:
    """Put dead letters back into the queues that they came from."""
    if bool(dead_ids) == everything:
        raise Trouble("dead.which")
    with session.client() as client:
        if everything:
            # All ids first: what fails again comes back, and is not to be sent round and round.
            places = {letter["id"]: name for name, letter in _letters(client, asked(service))}
        else:
            places = _found(client, dead_ids or (), service)
        for dead_id, name in places.items():
            client.read("POST", f"/api/{name}/dead-letters/{dead_id}:replay")
            session.tell("dead.replayed", id=dead_id, service=name)
    if session.json:
        session.write_json({"replayed": len(places)})
    session.tell("dead.replayed_all", "green", count=len(places))


def drop(
    session: Session,
    dead_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="dead.ids", show_default=False)],
    service: Service = None,
) -> None:
    """Forget dead letters for good."""
    with session.client() as client:
        places = _found(client, dead_ids, service)
        for dead_id, name in places.items():
            client.read("DELETE", f"/api/{name}/dead-letters/{dead_id}")
            session.tell("dead.dropped", id=dead_id, service=name)
    if session.json:
        session.write_json({"dropped": len(places)})


def asked(service: str | None) -> tuple[str, ...]:
    """The service that was named, or all.

    Raises:
        Trouble: there is no such service.
    """
    if service is None:
        return SERVICES
    if service not in SERVICES:
        raise Trouble("trouble.no_service", service=service, services=", ".join(SERVICES))
    return (service,)


def _letters(client: Client, services: Iterable[str]) -> Iterator[tuple[str, Letter]]:
    for name in services:
        for letter in client.pages(f"/api/{name}/dead-letters"):
            yield name, letter


def _found(client: Client, dead_ids: Iterable[str], service: str | None) -> dict[str, str]:
    """Where each is; looked for in the lists, which open nothing.

    Raises:
        Trouble: one is nowhere.
    """
    missing, places = dict.fromkeys(dead_ids), dict[str, str]()
    letters = _letters(client, asked(service))
    while missing and (found := next(letters, None)) is not None:
        name, letter = found
        if letter["id"] in missing:
            del missing[letter["id"]]
            places[letter["id"]] = name
    if missing:
        raise Trouble("dead.unknown", ids=", ".join(missing))
    return places


def _table(session: Session, letters: Iterable[Letter]) -> Table:
    table = Table(title=session.say("dead.title"), title_justify="left")
    for name in ("id", "at", "service", "reason", "type"):
        table.add_column(session.say(f"dead.field.{name}"), no_wrap=name == "id")
    table.add_column(session.say("dead.field.message"), overflow="fold")
    for one in letters:
        at = datetime.fromisoformat(one["at"]).astimezone()
        table.add_row(
            one["id"], f"{at:%m-%d %H:%M:%S}", one["service"], one["reason"], one["type"] or "–", one["message"]
        )
    return table
