"""Lists as files, and as pages to print: row by row, however many."""

import asyncio
import csv
import io
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import IO, Literal

from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from services.ledger.domain import export as rules
from services.ledger.domain.people import Portrait
from services.ledger.domain.register import Person
from services.ledger.imports.importing import Importing
from services.ledger.people.portraits import portrait_of
from shared.contracts.refusal import Refusal
from shared.documents import Document
from shared.sealing import Sealer

Form = Literal["csv", "xlsx", "html"]
SPREADSHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MARK = "\ufeff"
"""Tells spreadsheets that it is UTF-8."""
_PIECE = 64 * 1024
_IN_MEMORY = 4 * 1024 * 1024
_TOP = """<!doctype html>
<html lang="zh">
<meta charset="utf-8">
<title>{title}</title>
<style>
  @page { size: A4 landscape; margin: 12mm; }
  body { font: 12px/1.4 system-ui, "Noto Sans CJK SC", sans-serif; color: #1d2b3a; }
  h1 { font-size: 1.4em; margin: 0 0 .5rem; }
  table { border-collapse: collapse; width: 100%; }
  thead { display: table-header-group; }
  tfoot { display: table-row-group; }
  th, td { border: 1px solid #98a4b3; padding: .2rem .4rem; text-align: left; overflow-wrap: anywhere; }
  th { background: #dde8f0; print-color-adjust: exact; }
  td:first-child { min-width: 1.2rem; }
  tr { break-inside: avoid; }
</style>
<h1>{title}</h1>
<table>
<thead>"""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a list is made of."""

    title: str
    headings: Sequence[str]
    rows: AsyncIterator[list[list[str]]]
    """Some at a time."""
    total: str
    """What stands before their number, below all of them."""

    def totals(self, count: int) -> list[str]:
        """The row below all others."""
        return [self.total, str(count), *[""] * (len(self.headings) - 2)]


def of_people(importing: Importing, query: Document, form: Form) -> Listing:
    """People as they come in; on paper, what fits there."""
    catalogue = importing.catalogue
    names = list(catalogue.printed) if form == "html" else rules.fields(catalogue)
    title, headings = "居民名单 List of residents", rules.headings(catalogue, names)
    return Listing(title, headings, _people(importing, query, names), catalogue.totals[0])


def sent(listing: Listing, form: Form, name: str) -> StreamingResponse:
    """A list as a file, or as a page to print."""
    write, kind = _FORMS[form]
    headers = {"content-disposition": f'attachment; filename="{name}.{form}"', "cache-control": "no-store"}
    return StreamingResponse(write(listing), media_type=kind, headers=headers)


async def _as_csv(listing: Listing) -> AsyncIterator[bytes]:
    """The lines of a CSV in UTF-8, some at a time."""
    count = 0
    yield (MARK + _line([listing.headings])).encode()
    async for rows in listing.rows:
        count += len(rows)
        yield _line(_defused(rows)).encode()
    yield _line([listing.totals(count)]).encode()


async def _as_spreadsheet(listing: Listing) -> AsyncIterator[bytes]:
    """A spreadsheet, in pieces; while it is written, it rests in a file that nobody else can open."""
    # What writes it takes memory and a moment to load, and on most days nobody asks.
    from services.ledger.files.workbooks import begun, standing_out

    count = 0
    with begun(listing.headings) as (book, sheet), tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
        async for rows in listing.rows:
            count += len(rows)
            # Whoever goes away meanwhile is let go when it is through: the book is tidied up then.
            await run_in_threadpool(lambda rows=rows: [sheet.append(row) for row in _defused(rows)])  # type: ignore[misc]
        sheet.append(standing_out(sheet, listing.totals(count)))
        await run_in_threadpool(book.save, file)
        file.seek(0)
        while piece := await asyncio.to_thread(_read, file):
            yield piece


async def _as_page(listing: Listing) -> AsyncIterator[bytes]:
    """A page to print, some rows at a time: the heading stands on every sheet, and a box to tick in every row."""
    count = 0
    yield _TOP.replace("{title}", escape(listing.title)).encode() + _printed("th", listing.headings)
    yield b"</thead><tbody>"
    async for rows in listing.rows:
        count += len(rows)
        yield b"".join(_printed("td", row) for row in rows)
    yield b"</tbody><tfoot>" + _printed("th", listing.totals(count)) + b"</tfoot></table></html>"


_FORMS = {
    "csv": (_as_csv, "text/csv; charset=utf-8"),
    "xlsx": (_as_spreadsheet, SPREADSHEET),
    "html": (_as_page, "text/html; charset=utf-8"),
}


async def _people(importing: Importing, query: Document, names: list[str]) -> AsyncIterator[list[list[str]]]:
    house = importing.house
    async for some in house.store.register.walk(query):
        portraits = [known for person, sealer in some if (known := _portrait(person, sealer)) is not None]
        yield [rules.row(known, names, importing.catalogue, house.categories) for known in portraits]


def _portrait(person: Person, sealer: Sealer) -> Portrait | None:
    try:
        return portrait_of(person, sealer)
    except Refusal:  # Erased at this very moment.
        return None


def _defused(rows: list[list[str]]) -> list[list[str]]:
    return [[rules.defused(text) for text in row] for row in rows]


def _line(rows: Sequence[Sequence[str]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()


def _printed(tag: str, texts: Sequence[str]) -> bytes:
    cells = "".join(f"<{tag}>{escape(text)}</{tag}>" for text in ["", *texts])
    return f"<tr>{cells}</tr>\n".encode()


def _read(file: IO[bytes]) -> bytes:
    return file.read(_PIECE)
