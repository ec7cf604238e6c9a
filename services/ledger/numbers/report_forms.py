"""The day report as a file: sheets to print (PDF), or to go on with (XLSX)."""

import io
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

from openpyxl import Workbook
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter
from reportlab.graphics.charts.barcharts import HorizontalBarChart
from reportlab.graphics.charts.legends import Legend
from reportlab.graphics.shapes import Drawing
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.platypus import KeepTogether, Paragraph, SimpleDocTemplate, Spacer
from reportlab.platypus import Table as PrintedTable

from services.ledger.domain.day_reports import Cell, Table
from services.ledger.domain.export import defused
from services.ledger.files.workbooks import mark

_FONT = "STSong-Light"
"""One of the fonts for Chinese that every PDF reader knows, so that none is brought along."""
pdfmetrics.registerFont(UnicodeCIDFont(_FONT))

_MARGIN = 14 * mm
_WIDTH = landscape(A4)[0] - 2 * _MARGIN
_HEAD, _SUM, _LINE = HexColor(0xDDE8F0), HexColor(0xF2F5F8), HexColor(0xB8C4CF)
_BARS = (HexColor(0x9DB8CF), HexColor(0x2F6690))
_TITLE = ParagraphStyle("title", fontName=_FONT, fontSize=20, leading=26, alignment=1)
_BELOW = ParagraphStyle("below", fontName=_FONT, fontSize=10, leading=14, alignment=1, spaceAfter=4 * mm)
_SECTION = ParagraphStyle("section", fontName=_FONT, fontSize=13, leading=20, spaceBefore=4 * mm, spaceAfter=1 * mm)
_CELL = ParagraphStyle("cell", fontName=_FONT, fontSize=8.5, leading=11, wordWrap="CJK")
_NUMBER = ParagraphStyle("number", parent=_CELL, alignment=2)
_COLUMN = ParagraphStyle("column", parent=_CELL, fontSize=7.5, leading=9.5, alignment=1)
_FIRST = 3
"""So many times as wide as the others is the first column."""
_MOST_BARS = 12
_NAMES, _AXIS = 130, 24
"""Points beside the bars for what they are called, and below them for the axis."""


def as_pdf(title: str, below: str, tables: Sequence[Table]) -> bytes:
    """Sheets of A4, wide, with bars beside the numbers."""
    parts: list[Any] = [Paragraph(escape(title), _TITLE), Paragraph(escape(below), _BELOW)]
    for table in tables:
        parts.append(KeepTogether([Paragraph(escape(table.heading), _SECTION), _printed(table)]))
        if table.drawn and len(table.rows) > 1:
            parts += [Spacer(0, 2 * mm), _bars(table)]
    file = io.BytesIO()
    paper = SimpleDocTemplate(
        file,
        pagesize=landscape(A4),
        title=title,
        leftMargin=_MARGIN,
        rightMargin=_MARGIN,
        topMargin=_MARGIN,
        bottomMargin=_MARGIN,
    )
    paper.build(parts, onFirstPage=_numbered, onLaterPages=_numbered)
    return file.getvalue()


def as_spreadsheet(title: str, below: str, tables: Sequence[Table]) -> bytes:
    """A sheet for each section."""
    book = Workbook()
    first = book.worksheets[0]
    for number, table in enumerate(tables):
        sheet = book.create_sheet(table.heading)
        if number == 0:
            sheet.append([title])
            sheet.append([below])
            sheet["A1"].font = Font(bold=True, size=16)
        if table.columns:
            sheet.append(list(table.columns))
            mark(sheet[sheet.max_row])
            sheet.freeze_panes = f"B{sheet.max_row + 1}"
        for row in table.rows:
            sheet.append([defused(cell) if isinstance(cell, str) else cell for cell in row])
        if table.sums_up:
            mark(sheet[sheet.max_row])
        for column in range(1, sheet.max_column + 1):
            sheet.column_dimensions[get_column_letter(column)].width = 28 if column == 1 else 13
    book.remove(first)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _printed(table: Table) -> PrintedTable:
    head = [[Paragraph(escape(text), _COLUMN) for text in table.columns]] if table.columns else []
    body = [[_cell(cell, first=place == 0) for place, cell in enumerate(row)] for row in table.rows]
    others = len(table.columns or table.rows[0]) - 1
    share = _WIDTH / (_FIRST + others) if table.columns else _WIDTH / 6
    printed = PrintedTable(
        [*head, *body], colWidths=[_FIRST * share, *[share] * others], repeatRows=len(head), hAlign="LEFT"
    )
    look: list[tuple[Any, ...]] = [("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE), ("VALIGN", (0, 0), (-1, -1), "MIDDLE")]
    if head:
        look.append(("BACKGROUND", (0, 0), (-1, 0), _HEAD))
    if table.sums_up:
        look.append(("BACKGROUND", (0, -1), (-1, -1), _SUM))
    printed.setStyle(look)
    return printed


def _cell(cell: Cell, *, first: bool) -> Paragraph:
    return Paragraph(escape("–" if cell is None else str(cell)), _CELL if first else _NUMBER)


def _bars(table: Table) -> Drawing:
    """What was needed, and what was done: the most first."""
    rows = sorted(table.rows[: -1 if table.sums_up else None], key=lambda row: -_number(row[1]))[:_MOST_BARS]
    width, height = int(_WIDTH), int((14 + len(rows) * 8) * mm)
    drawing = Drawing(width, height)
    chart = HorizontalBarChart()
    chart.x, chart.y, chart.width, chart.height = _NAMES, _AXIS, width - 2 * _NAMES, height - _AXIS
    # Both axes begin below, so whatever comes first comes last.
    chart.data = [[_number(row[place]) for row in reversed(rows)] for place in (2, 1)]
    chart.categoryAxis.categoryNames = [str(row[0]) for row in reversed(rows)]
    chart.categoryAxis.labels.fontName = chart.valueAxis.labels.fontName = _FONT
    chart.categoryAxis.labels.fontSize = chart.valueAxis.labels.fontSize = 8
    chart.valueAxis.valueMin = 0
    chart.valueAxis.labelTextFormat = "%d"
    chart.bars.strokeColor = None
    for place, color in enumerate(reversed(_BARS)):
        chart.bars[place].fillColor = color
    legend = Legend()
    legend.x, legend.y, legend.alignment = width - _NAMES + _AXIS, height // 2, "right"
    legend.fontName, legend.fontSize = _FONT, 8
    legend.colorNamePairs = [(color, table.columns[place + 1]) for place, color in enumerate(_BARS)]
    drawing.add(chart)
    drawing.add(legend)
    return drawing


def _number(cell: Cell) -> float:
    return float(cell) if isinstance(cell, int | float) else 0.0


def _numbered(canvas: Any, document: Any) -> None:
    canvas.setFont(_FONT, 8)
    canvas.drawRightString(landscape(A4)[0] - _MARGIN, 8 * mm, str(document.page))
