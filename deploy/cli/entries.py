"""`doorstep entries`: what happened, and who opened what, and what for."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import islice
from typing import Annotated, Any

import typer
from rich.table import Table

from deploy.cli.session import Session

ENTRIES = "/api/ledger/entries"

Text = str | None
Moment = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"], help="entries.moment", show_default=False),
]


def entries(
    session: Session,
    record: Annotated[Text, typer.Option(metavar="NAME", help="entries.record", show_default=False)] = None,
    actor: Annotated[Text, typer.Option(metavar="NAME", help="entries.actor", show_default=False)] = None,
    kind: Annotated[Text, typer.Option("--type", metavar="NAME", help="entries.type", show_default=False)] = None,
    request: Annotated[Text, typer.Option(metavar="ID", help="entries.request", show_default=False)] = None,
    since: Moment = None,
    until: Moment = None,
    community: Annotated[Text, typer.Option(help="entries.community", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, help="entries.limit")] = 50,
) -> None:
    """List entries, the newest first; those of one request from its beginning."""
    asked = {"record": record, "actor": actor, "type": kind, "request_id": request, "community": community}
    params = {name: value for name, value in asked.items() if value is not None}
    # A time without a zone is that of this machine.
    params |= {name: at.astimezone().isoformat() for name, at in (("since", since), ("until", until)) if at is not None}
    with session.client() as client:
        found = list(islice(client.pages(ENTRIES, str(min(limit + 1, 500)), params), limit + 1))
    shown = found[:limit]
    if session.json:
        session.write_json(shown)
    elif not shown:
        session.tell("entries.none")
    else:
        session.out.print(_table(session, shown))
        if len(found) > limit:
            session.tell("entries.more", "yellow", limit=limit)


def _table(session: Session, entries: Iterable[Mapping[str, Any]]) -> Table:
    table = Table()
    for name in ("at", "type", "who", "what", "why"):
        table.add_column(session.say(f"entries.field.{name}"), overflow="fold")
    for one in entries:
        said = one["data"] or {}
        what = said.get("record") or one["about"] or one["request_id"] or "–"
        at = datetime.fromisoformat(one["at"]).astimezone()
        why = said.get("purpose") or said.get("reason") or ""
        table.add_row(f"{at:%Y-%m-%d %H:%M:%S}", one["type"], one["actor"] or "–", what, why)
    return table
