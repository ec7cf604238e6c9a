"""`doorstep numbers` and `doorstep report`: what was needed and done, as a table, a file, a picture, or on paper."""

import csv
import io
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from deploy.cli.session import Session
from deploy.cli.speech import Speech
from deploy.cli.trouble import Trouble

NUMBERS = "/api/ledger/numbers"
REPORTS = "/api/ledger/day-reports"
_PICTURES = (".png", ".svg")
_REPORTS = (".pdf", ".xlsx")
_PATIENCE = 120.0
"""Seconds that a service may take to count a year."""

Text = str | None
Community = Annotated[Text, typer.Option(help="numbers.community", show_default=False)]
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="numbers.since", show_default=False)]
LastDay = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="numbers.until", show_default=False)]


def numbers(
    session: Session,
    since: Day = None,
    until: LastDay = None,
    by: Annotated[list[str] | None, typer.Option(metavar="NAME", help="numbers.by", show_default=False)] = None,
    community: Community = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="numbers.out", show_default=False)] = None,
) -> None:
    """Show the numbers of some days in groups; with a file, write them as CSV, or draw them."""
    form = out.suffix.lower() if out else ""
    # Told before anything is counted, not after.
    if out is not None and form not in (".csv", *_PICTURES):
        raise Trouble("numbers.unknown_form", path=out, known=", ".join((".csv", *_PICTURES)))
    if form in _PICTURES and find_spec("matplotlib") is None:
        raise Trouble("numbers.no_matplotlib")
    groups = by or ["grid"]
    params: dict[str, Any] = {"by": groups, **_days(since, until), **_place(community)}
    with session.client(timeout=_PATIENCE) as client:
        if session.json:
            session.write_json(client.read("GET", NUMBERS, params=params))
        if out is not None or not session.json:
            table = io.BytesIO()
            say = _speech(session, form)
            client.download(f"{NUMBERS}.csv", table, params={**params, "lang": say.language})
            _tell(session, say, table.getvalue(), out, len(groups))


def report(
    session: Session,
    out: Annotated[Path, typer.Option(metavar="FILE", help="report.out")],
    day: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="report.day", show_default=False)] = None,
    community: Community = None,
) -> None:
    """Write the report of a day for the street office: sheets to print, or a spreadsheet."""
    form = out.suffix.lower()
    if form not in _REPORTS:
        raise Trouble("numbers.unknown_form", path=out, known=", ".join(_REPORTS))
    # Where the community is, another day may have begun.
    which = "today" if day is None else f"{day:%Y-%m-%d}"
    content = io.BytesIO()
    with session.client(timeout=_PATIENCE) as client:
        client.download(f"{REPORTS}/{which}{form}", content, params={"lang": session.say.language, **_place(community)})
    _write(out, content.getvalue())
    _told(session, out)


def _tell(session: Session, say: Speech, table: bytes, out: Path | None, groups: int) -> None:
    head, *rows = csv.reader(io.StringIO(table.decode("utf-8-sig")))
    if out is None:
        shown = Table(*head[:groups])
        for name in head[groups:]:
            # Chinese has no blanks at which a heading could be broken.
            shown.add_column(name, justify="right", overflow="fold")
        for row in rows:
            shown.add_row(*row, style="bold" if row is rows[-1] else None)
        session.out.print(shown)
        return
    if (form := out.suffix.lower()) in _PICTURES:
        from deploy.cli.number_pictures import draw

        table = draw(form.removeprefix("."), say, head, rows[:-1], groups)
    _write(out, table)
    _told(session, out)


def _speech(session: Session, form: str) -> Speech:
    """A picture is in English where the machine has no font for Chinese."""
    if form not in _PICTURES or session.say.language != "zh":
        return session.say
    from deploy.cli.pictures import chinese_font

    if chinese_font() is None:
        session.warn("simulate.no_font")
        return Speech("en")
    return session.say


def _days(since: datetime | None, until: datetime | None) -> dict[str, str]:
    days = {"since": since, "until": until}
    return {name: f"{day:%Y-%m-%d}" for name, day in days.items() if day is not None}


def _place(community: Text) -> dict[str, str]:
    return {} if community is None else {"community": community}


def _write(out: Path, content: bytes) -> None:
    try:
        out.write_bytes(content)
    except OSError as error:
        raise Trouble("simulate.unwritable", path=out, reason=error.strerror or error) from None


def _told(session: Session, out: Path) -> None:
    if session.json:
        session.write_json({"file": str(out)})
    session.tell("numbers.written", "bold", path=out)
