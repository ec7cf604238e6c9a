"""Lists of people as files, and as pages to print: row by row, however many."""

import asyncio
import csv
import io
import tempfile
from collections.abc import AsyncIterator
from html import escape
from typing import IO, Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter

from services.ledger.domain import export as rules
from services.ledger.imports import Importing
from services.ledger.portraits import portrait_of
from shared.documents import Document

SPREADSHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MARK = "\ufeff"
"""Tells spreadsheets that it is UTF-8."""
_PIECE = 64 * 1024
_IN_MEMORY = 4 * 1024 * 1024
_WIDE = 16
_TOP = """<!doctype html>
<html lang="zh">
<meta charset="utf-8">
<title>居民名单 List of residents</title>
<style>
  @page { size: A4 landscape; margin: 12mm; }
  body { font: 12px/1.4 system-ui, "Noto Sans CJK SC", sans-serif; color: #1d2b3a; }
  table { border-collapse: collapse; width: 100%; }
  thead { display: table-header-group; }
  tfoot { display: table-row-group; }
  th, td { border: 1px solid #98a4b3; padding: .2rem .4rem; text-align: left; overflow-wrap: anywhere; }
  th { background: #dde8f0; print-color-adjust: exact; }
  td:first-child { min-width: 1.2rem; }
  tr { break-inside: avoid; }
</style>
<table>
<thead>"""


async def as_csv(importing: Importing, query: Document) -> AsyncIterator[bytes]:
    """The lines of a CSV in UTF-8, some at a time."""
    names, count = rules.fields(importing.catalogue), 0
    yield (MARK + _line([rules.headings(importing.catalogue, names)])).encode()
    async for rows in _rows(importing, query, names):
        count += len(rows)
        yield _line(_defused(rows)).encode()
    yield _line([rules.totals(names, importing.catalogue, count)]).encode()


async def as_spreadsheet(importing: Importing, query: Document) -> AsyncIterator[bytes]:
    """A spreadsheet, in pieces; while it is written, it rests in a file that nobody else can open."""
    names, count = rules.fields(importing.catalogue), 0
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    for place in range(len(names)):
        sheet.column_dimensions[get_column_letter(place + 1)].width = _WIDE
    sheet.freeze_panes = "A2"
    sheet.append(_styled(sheet, rules.headings(importing.catalogue, names)))
    async for rows in _rows(importing, query, names):
        count += len(rows)
        await asyncio.to_thread(lambda rows=rows: [sheet.append(row) for row in _defused(rows)])  # type: ignore[misc]
    sheet.append(_styled(sheet, rules.totals(names, importing.catalogue, count)))
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
        await asyncio.to_thread(book.save, file)
        file.seek(0)
        while piece := await asyncio.to_thread(_read, file):
            yield piece


async def as_page(importing: Importing, query: Document) -> AsyncIterator[bytes]:
    """A page to print, some rows at a time: the heading stands on every sheet, and a box to tick in every row."""
    names, count = list(importing.catalogue.printed), 0
    yield _TOP.encode() + _printed("th", rules.headings(importing.catalogue, names)) + b"</thead><tbody>"
    async for rows in _rows(importing, query, names):
        count += len(rows)
        yield b"".join(_printed("td", row) for row in rows)
    yield (
        b"</tbody><tfoot>"
        + _printed("th", rules.totals(names, importing.catalogue, count))
        + b"</tfoot></table></html>"
    )


async def _rows(importing: Importing, query: Document, names: list[str]) -> AsyncIterator[list[list[str]]]:
    house = importing.house
    async for some in house.store.register.walk(query):
        yield [
            rules.row(portrait_of(person, sealer), names, importing.catalogue, house.categories)
            for person, sealer in some
        ]


def _defused(rows: list[list[str]]) -> list[list[str]]:
    return [[rules.defused(text) for text in row] for row in rows]


def _line(rows: list[list[str]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()


def _printed(tag: str, texts: list[str]) -> bytes:
    cells = "".join(f"<{tag}>{escape(text)}</{tag}>" for text in ["", *texts])
    return f"<tr>{cells}</tr>\n".encode()


def _styled(sheet: Any, texts: list[str]) -> list[Any]:
    cells = [WriteOnlyCell(sheet, value=text) for text in texts]
    for cell in cells:
        cell.font = Font(bold=True)
        cell.fill = PatternFill("solid", start_color="DDE8F0")
        cell.alignment = Alignment(horizontal="center")
    return cells


def _read(file: IO[bytes]) -> bytes:
    return file.read(_PIECE)
