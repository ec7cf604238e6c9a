"""Spreadsheets as they are written. Whoever writes one loads this when somebody asks: it takes 25 MiB of memory."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet._writer import ALL_TEMP_FILES

_WIDE = 16


@contextmanager
def begun(headings: Sequence[str]) -> Iterator[tuple[Workbook, Any]]:
    """A book, and its one sheet, which is written from the top, row by row, below these headings.

    Until the book is saved, the sheet rests in a file; if it never is, nothing is left of it either.
    """
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    for place in range(len(headings)):
        sheet.column_dimensions[get_column_letter(place + 1)].width = _WIDE
    sheet.freeze_panes = "A2"
    sheet.append(standing_out(sheet, headings))
    try:
        yield book, sheet
    finally:
        if sheet._writer.out in ALL_TEMP_FILES:
            if not sheet.closed:
                sheet.close()
            sheet._writer.cleanup()


def standing_out(sheet: Any, texts: Sequence[str]) -> list[Any]:
    """A row of such a sheet that is no row of the list."""
    cells = [WriteOnlyCell(sheet, value=text) for text in texts]
    mark(cells)
    return cells


def mark(cells: Iterable[Any]) -> None:
    """Have these stand out: headings, and sums."""
    for cell in cells:
        cell.font = Font(bold=True)
        cell.fill = PatternFill("solid", start_color="DDE8F0")
        cell.alignment = Alignment(horizontal="center", wrap_text=True)
