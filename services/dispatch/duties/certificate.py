"""The certificate of a volunteer's hours: one sheet to print, in Chinese and English."""

from collections.abc import Iterator
from datetime import datetime
from html import escape
from pathlib import Path
from string import Template
from zoneinfo import ZoneInfo

from services.dispatch.domain.duties import Hours, Row
from shared.catalogue import CatalogueError
from shared.contracts.catalogue import Kinds
from shared.contracts.duties import ZONE

_ZONE = ZoneInfo(ZONE)
WORDS = frozenset({"name", "worker", "from", "until", "rows", "hours", "minutes", "tasks", "made"})


def load(path: Path) -> Template:
    """The sheet with its words; operators edit it.

    Raises:
        CatalogueError: it is missing, or a `$word` in it is none that can be filled in, or one is not there.
    """
    try:
        sheet = Template(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CatalogueError(f"{path}: missing") from None
    if not sheet.is_valid() or set(sheet.get_identifiers()) != WORDS:
        known = ", ".join(f"${word}" for word in sorted(WORDS))
        raise CatalogueError(f"{path}: these stand in it, each at least once, and no other $: {known}")
    return sheet


def write(
    sheet: Template,
    kinds: Kinds,
    *,
    name: str,
    worker: str,
    hours: Hours,
    tasks: int,
    since: datetime,
    until: datetime,
    now: datetime,
) -> str:
    """The sheet, filled in. The total is the sum of what stands in its rows."""
    whole, rest = divmod(hours.minutes, 60)
    texts = {
        "name": name,
        "worker": worker,
        "from": _day(since),
        "until": _day(until),
        "hours": f"{whole}:{rest:02}",
        "minutes": str(hours.minutes),
        "tasks": str(tasks),
        "made": _day(now),
    }
    rows = "\n".join(_row(row, kinds) for row in hours.rows)
    return sheet.substitute({word: escape(text) for word, text in texts.items()}, rows=rows)


def _row(row: Row, kinds: Kinds) -> str:
    return "<tr>" + "".join(_cells(row, kinds)) + "</tr>"


def _cells(row: Row, kinds: Kinds) -> Iterator[str]:
    known, attended = kinds.kinds.get(row.duty.kind), row.attended
    label = f"{known.label.zh} {known.label.en}" if known else row.duty.kind
    span = f"{attended.begins.astimezone(_ZONE):%H:%M}–{attended.ends.astimezone(_ZONE):%H:%M}"
    for text in (_day(attended.begins), span, label, row.duty.place):
        yield f"<td>{escape(text)}</td>"
    yield f'<td class="number">{attended.minutes}</td>'


def _day(at: datetime) -> str:
    return f"{at.astimezone(_ZONE):%Y-%m-%d}"
