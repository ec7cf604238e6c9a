"""Lists of people as committees keep them, for tests. Everybody is invented."""

import csv
import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

from openpyxl import Workbook
from stdnum.cn import ric

HEADER = ("姓名", "身份证号", "联系电话", "楼号", "单元", "房号")


def number_of(birthday: str, order: int) -> str:
    """An identity number that fits together; whose it would be is left to chance."""
    body = f"110101{birthday.replace('-', '')}{order:03d}"
    return body + ric.calc_check_digit(body + "0")


def somebody(order: int, **changes: str) -> list[str]:
    """A row below `HEADER`."""
    row = {
        "name": f"王{chr(0x4E00 + order)}",
        "id_number": number_of(f"{1956 + order // 1000}-05-01", order % 1000),
        "phone": f"100{order:08d}",
        "building": "2",
        "unit": "1",
        "room": f"{order % 20 + 1}01",
        **changes,
    }
    return list(row.values())


def as_csv(*rows: Sequence[Any], encoding: str = "utf-8", delimiter: str = ",") -> bytes:
    """Rows as a file."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    return out.getvalue().encode(encoding)


def as_xlsx(*rows: Sequence[Any], merged: Sequence[str] = (), left: Mapping[str, str] | None = None) -> bytes:
    """Rows as a spreadsheet, with some cells merged, and others in which somebody left something."""
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(list(row))
    for cells in merged:
        sheet.merge_cells(cells)
    for cell, text in (left or {}).items():
        sheet[cell] = text
    return _saved(book)


def as_workbook(sheets: Mapping[str, Sequence[Sequence[Any]]], hidden: str = "") -> bytes:
    """Several sheets by their names, one of which one does not see, and a chart."""
    book = Workbook()
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
        if name == hidden:
            sheet.sheet_state = "hidden"
    book.create_chartsheet("图")
    del book["Sheet"]
    return _saved(book)


def _saved(book: Workbook) -> bytes:
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def with_macros(content: bytes) -> bytes:
    """The same spreadsheet, with something in it that would run."""
    out = io.BytesIO(content)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("xl/vbaProject.bin", b"")
    return out.getvalue()
