"""`doorstep rebuild`: whether the registers are what the ledger's entries say; put right, if asked."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from deploy.cli.client import Client
from deploy.cli.session import Session
from deploy.cli.trouble import Trouble

REGISTERS = "/api/ledger/registers"
VERDICTS = ("equal", "missing", "differing", "unfounded", "under_way")
MOST = 10_000
"""Differences of one register that are remembered by name."""
_LOOK_AGAIN = 3.0
"""Seconds between two looks while entries are under way."""
_PATIENCE = 120.0
"""Seconds that a page may take."""

Names = Annotated[list[str] | None, typer.Option("--register", help="rebuild.register", show_default=False)]


@dataclass(slots=True)
class Found:
    """What one register is beside its entries."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    items: list[Mapping[str, Any]] = field(default_factory=list)
    """Those that are not equal, at most `MOST`."""
    left: int = 0
    """How many of them are still not what the entries say."""

    def add(self, page: Mapping[str, Any]) -> None:
        """What one page says."""
        self.counts.update(page["counts"])
        self.items += page["items"][: MOST - len(self.items)]
        self.left += sum(not one["restored"] for one in page["items"])


def rebuild(
    session: Session,
    registers: Names = None,
    write: Annotated[bool, typer.Option("--write", help="rebuild.write")] = False,
    patience: Annotated[float, typer.Option(min=0, help="rebuild.patience")] = 15.0,
) -> None:
    """Compare every register with its entries, page by page; exit code 1 when anything is left that differs."""
    with session.client(timeout=_PATIENCE) as client, _progress(session) as progress:
        known = {one["name"]: one["documents"] for one in client.read("GET", REGISTERS)["items"]}
        for name in registers or ():
            if name not in known:
                raise Trouble("rebuild.unknown", name=name, known=", ".join(known))
        _name_older(session, client, progress)
        found: list[Found] = []
        for name in registers or known:
            bar = progress.add_task(session.say("rebuild.one", name=name), total=known[name])

            def shown(count: int, bar: Any = bar) -> None:
                progress.update(bar, completed=count)

            found.append(_settled(client, name, shown, patience, write=write))
    _report(session, found)
    if any(one.left for one in found):
        raise typer.Exit(1)


def _progress(session: Session) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=session.err, transient=True, disable=not session.err.is_terminal)


def _name_older(session: Session, client: Client, progress: Progress) -> None:
    """Entries that an older version made are found by what they are about only after this; then it is quick."""
    bar = progress.add_task(session.say("rebuild.naming"), total=None)
    for page in _pages(client, "POST", "/api/ledger/entries:name"):
        progress.advance(bar, page["named"])
    progress.remove_task(bar)


def _settled(client: Client, name: str, shown: Callable[[int], None], patience: float, *, write: bool) -> Found:
    """One register, looked at again while entries are under way and there is time."""
    deadline = time.monotonic() + patience
    found = _look(client, name, shown, write=write)
    while found.counts["under_way"] and time.monotonic() < deadline:
        time.sleep(_LOOK_AGAIN)
        again = _look(client, name, shown, write=write)
        put_right = [one for one in found.items if one["restored"]]
        again.items += put_right[: MOST - len(again.items)]
        found = again
    return found


def _look(client: Client, name: str, shown: Callable[[int], None], *, write: bool) -> Found:
    found = Found(name)
    for page in _pages(client, "POST" if write else "GET", f"{REGISTERS}/{name}/rebuilt"):
        found.add(page)
        shown(found.counts.total())
    return found


def _pages(client: Client, method: str, path: str) -> Iterator[Mapping[str, Any]]:
    after: str | None = None
    while True:
        page = client.read(method, path, params={"after": after} if after else {})
        yield page
        after = page["next"]
        if after is None:
            return


def _report(session: Session, found: list[Found]) -> None:
    left = sum(one.left for one in found)
    if session.json:
        differences = [{"register": one.name, **item} for one in found for item in one.items]
        counts = {one.name: {verdict: one.counts[verdict] for verdict in VERDICTS} for one in found}
        session.write_json({"agrees": not left, "left": left, "registers": counts, "differences": differences})
        return
    table = Table(title=session.say("rebuild.title"), title_justify="left")
    table.add_column(session.say("rebuild.name"))
    for verdict in VERDICTS:
        table.add_column(session.say(f"rebuild.{verdict}"), justify="right")
    for one in found:
        table.add_row(one.name, *(f"{one.counts[verdict]:,}" for verdict in VERDICTS))
    session.out.print(table)
    for one in found:
        for item in one.items:
            _tell(session, one.name, item)
        unlisted = one.counts.total() - one.counts["equal"] - len(one.items)
        if unlisted > 0:
            session.tell("rebuild.left_out", "red", count=unlisted)
    session.tell("rebuild.differs" if left else "rebuild.agrees", "bold red" if left else "bold green", count=left)


def _tell(session: Session, name: str, item: Mapping[str, Any]) -> None:
    words = session.say(f"rebuild.is_{item['verdict']}", fields=", ".join(item["fields"]))
    line = f"{name} {item['id']}: {words}"
    if item["restored"]:
        session.out.print(f"{line} ({session.say('rebuild.restored')})", style="yellow", soft_wrap=True)
    else:
        session.out.print(line, style="red", soft_wrap=True)
