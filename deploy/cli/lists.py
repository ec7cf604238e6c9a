"""`doorstep import` and `doorstep export`: whole lists of people."""

import errno
import os
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import httpx
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from deploy.cli.client import Answer, Client, refused
from deploy.cli.session import Session
from deploy.cli.trouble import Trouble

PEOPLE = "/api/ledger/people"
IMPORTS = "/api/ledger/imports"
_PATIENCE = 600.0
"""Seconds that a service may take to read a large file."""
_LOOK_AGAIN = 0.3
_COUNTS = ("new", "changed", "same", "wrong")
_OWNER_ONLY = 0o600

Text = str | None


def take_in(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="import.file", show_default=False)],
    community: Annotated[Text, typer.Option(help="import.community", show_default=False)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="import.dry_run")] = False,
    skip_wrong: Annotated[bool, typer.Option("--skip-wrong", help="import.skip_wrong")] = False,
    source: Annotated[Text, typer.Option(help="import.source", show_default=False)] = None,
    in_list: Annotated[Text, typer.Option("--list", help="import.list", show_default=False)] = None,
    category: Annotated[Text, typer.Option(help="import.category", show_default=False)] = None,
    mapping: Annotated[Text, typer.Option(help="import.mapping", show_default=False)] = None,
) -> None:
    """Send a list of people, watch it being entered, and show what was wrong; exit code 1 when it is refused."""
    asked = {"community": community, "source": source, "list": in_list, "category": category, "mapping": mapping}
    params = {name: value for name, value in asked.items() if value is not None}
    params |= {name: "true" for name, wanted in (("dry_run", dry_run), ("skip_wrong", skip_wrong)) if wanted}
    with session.client(timeout=_PATIENCE) as client:
        answer = client.call("POST", f"{PEOPLE}:import", params=params, content=content_of(file) or b"\n")
        if not answer.good:
            told_by_row(session, answer, file, mend="import.refused")
        found = answer.body if dry_run else _watched(session, client, str(answer.body["id"]))
    if session.json:
        session.write_json(found)
        return
    _show_wrong(session, found["problems"])
    counts = {name: found[name] for name in _COUNTS}
    session.tell("import.would" if dry_run else "import.done", "bold", rows=found["rows"], **counts)
    for left in ("columns_unknown", "sheets_unread"):
        if names := found.get(left):
            session.tell(f"import.{left}", "yellow", names=", ".join(names))


def give_out(
    session: Session,
    purpose: Annotated[str, typer.Option(help="export.purpose")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="export.out")],
    community: Annotated[Text, typer.Option(help="export.community", show_default=False)] = None,
    category: Annotated[Text, typer.Option(help="export.category", show_default=False)] = None,
    in_list: Annotated[Text, typer.Option("--list", help="export.list", show_default=False)] = None,
) -> None:
    """Write all who are here into a file that only its owner may read; the opening is noted, with the purpose."""
    form = out.suffix.lower().removeprefix(".")
    kind = form if form in ("xlsx", "html") else "csv"
    asked = {"purpose": purpose, "community": community, "category": category, "list": in_list}
    params = {name: value for name, value in asked.items() if value is not None}
    with session.client(timeout=_PATIENCE) as client:
        try:
            size = _downloaded(client, f"{PEOPLE}.{kind}", params, out.resolve())
        except OSError as error:
            raise Trouble("trouble.unreadable", path=out, reason=error.strerror) from None
    if session.json:
        session.write_json({"file": str(out), "bytes": size})
    session.tell("export.done", "bold", path=out, bytes=size)


def _downloaded(client: Client, path: str, params: Mapping[str, str], out: Path) -> int:
    """Put an answer where a file may be already, which stays until the answer is whole; how many bytes."""
    if out.exists() and not out.is_file():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    with TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        part = Path(folder) / out.name
        part.touch(_OWNER_ONLY)
        with part.open("wb") as file:
            size = client.download(path, file, params=params)
        part.replace(out)
    return size


def content_of(file: Path) -> bytes:
    """What is in a file.

    Raises:
        Trouble: it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise Trouble("trouble.unreadable", path=file, reason=error.strerror) from None


def _watched(session: Session, client: Client, import_id: str) -> Mapping[str, Any]:
    """The import, once it is through."""
    parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*parts, console=session.err, disable=session.json) as progress:
        bar = progress.add_task(session.say("import.entering"), total=None)
        while True:
            found = client.read("GET", f"{IMPORTS}/{import_id}")
            progress.update(bar, total=max(found["rows"] - found["wrong"], 0), completed=found["entered"])
            if found["state"] != "under_way":
                return found
            time.sleep(_LOOK_AGAIN)


def told_by_row(session: Session, answer: Answer, file: Path, *, mend: str) -> None:
    """Show which rows were wrong.

    Raises:
        Exit: always; `Trouble` when it was not for its rows.
    """
    rows = [_row(one) for one in answer.problems if one["field"][:1].isdigit()]
    if answer.status != httpx.codes.UNPROCESSABLE_ENTITY or not rows:
        raise refused(answer, f"import {file.name}")
    if session.json:
        session.write_json({"status": "refused", "problems": rows})
    _show_wrong(session, rows)
    session.warn(mend, "red")
    raise typer.Exit(1)


def _row(problem: Mapping[str, str]) -> dict[str, Any]:
    number, _, column = problem["field"].partition(".")
    return {"row": int(number), "column": column, "code": problem["code"]}


def _show_wrong(session: Session, problems: list[dict[str, Any]]) -> None:
    if session.json or not problems:
        return
    table = Table(*(session.say(f"import.{name}") for name in ("row", "column", "why")))
    for one in problems:
        column = ".".join(filter(None, (one.get("sheet"), one["column"])))
        table.add_row(str(one["row"]), column, session.say.or_else(f"wrong.{one['code']}", one["code"]))
    session.out.print(table)
