"""What a cell of a list means: text, days however they are written, several numbers in one."""

import re
import unicodedata
from datetime import date, datetime, timedelta
from typing import Any

_SERIAL_ZERO = date(1899, 12, 30)
_LAST_SERIAL = 60_000
"""The serial number of a day in 2064; what is larger is no serial."""
_DIGITS_KEPT = 10**15
_ROUNDED = re.compile(r"\d(\.\d+)?[Ee]\+\d+")
"""As a spreadsheet shows it, and writes it into a CSV."""
_NUMBER_AS_TEXT = re.compile(r"(\d+)\.0+")
_DAY = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:[ T]0?0:00(?::00(?:\.0+)?)?)?")
_COMPACT_DAY = re.compile(r"(\d{4})(\d{2})(\d{2})")
_MONTH = re.compile(r"(\d{4})(?:[-/.年](\d{1,2})月?|(\d{2}))")
_YEAR = re.compile(r"(\d{4})年?(?:\.1)?")
"""With `.1`, a spreadsheet made a number of January or of October: that it is one of them is not said."""
NO_DIGIT = re.compile(r"\D+")
_SEVERAL_WORDS = re.compile(r"[、,，;；/|\s]+")
_SEVERAL = re.compile(r"[、,，;；/|\n]+|(?<=[^\x00-\x7f])\s+(?=[^\x00-\x7f])")
BETWEEN = "、"
"""Between several things in one cell, as it is written."""
_BETWEEN_PHONES = re.compile(r"[、,，;；/|\n]+")
_BESIDE_PHONE = re.compile(r"\([^()\d]*\)")
"""Whose it is, or where."""
_AREA = re.compile(r"\((\+?\d+)\)\s*")
_SHORTEST_PHONE = 7
_MONTHS = 12


def plain(value: Any) -> str:
    """A cell as text: half width, without blanks around, a number without the point that a spreadsheet gave it."""
    if isinstance(value, str):
        text = value if value.isascii() else unicodedata.normalize("NFKC", value)
        text = text.strip().lstrip("'")
        if text.isprintable():
            return found[1] if text.endswith("0") and (found := _NUMBER_AS_TEXT.fullmatch(text)) else text
        return "".join(one for one in text if one.isprintable() or one == "\n").strip()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value).strip()


def digits_lost(value: Any) -> bool:
    """Whether a spreadsheet made a number of what is none, and has only its first 15 digits, or fewer, still."""
    if isinstance(value, str):
        return _ROUNDED.fullmatch(value.strip()) is not None
    return isinstance(value, int | float) and abs(value) >= _DIGITS_KEPT


class Wrong(Exception):
    """A cell that says nothing that can be."""

    def __init__(self, field: str, code: str) -> None:
        self.field = field
        self.code = code
        super().__init__(f"{field}: {code}")


def day(value: Any) -> date | tuple[int, int] | int | None:
    """The day that a cell tells, in any of the ways in which days are written; or year and month, or the year alone.

    Raises:
        Wrong: `bad_date` for what is none, `impossible_birthday` for a day that there is not.
    """
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    text = plain(value).replace(" 00:00:00", "")
    if not text:
        return None
    if found := _DAY.fullmatch(text) or _COMPACT_DAY.fullmatch(text):
        try:
            return date(int(found[1]), int(found[2]), int(found[3]))
        except ValueError:
            raise Wrong("birthday", "impossible_birthday") from None
    if (found := _YEAR.fullmatch(text)) and 1880 <= int(found[1]) <= 2100:
        return int(found[1])
    if (found := _MONTH.fullmatch(text)) and 1880 <= int(found[1]) <= 2100:
        if not 1 <= (month := int(found[2] or found[3])) <= _MONTHS:
            raise Wrong("birthday", "impossible_birthday")
        return int(found[1]), month
    if text.isdigit() and 1 <= int(text) <= _LAST_SERIAL:
        return _SERIAL_ZERO + timedelta(days=int(text))
    raise Wrong("birthday", "bad_date")


def born(cell: date | tuple[int, int] | int | None) -> dict[str, Any]:
    """What a cell with a day, a month or a year says, as fields of a registration."""
    match cell:
        case None:
            return {}
        case int():
            return {"birth_year": cell}
        case (year, month):
            return {"birth_year": year, "birth_month": month}
        case _:
            return {"birthday": cell}


def numbers(text: str) -> list[str]:
    """The numbers in one cell. A blank is between two of them only where either side is a whole number by itself.

    What stands in brackets beside one is left out; an area in brackets before it, `(0432)`, becomes `0432-`.
    """
    found: list[str] = []
    bare = _AREA.sub(r"\1-", _BESIDE_PHONE.sub("", text))
    for one in filter(None, map(str.strip, _BETWEEN_PHONES.split(bare))):
        parts = one.split()
        whole = all(len(NO_DIGIT.sub("", part)) >= _SHORTEST_PHONE for part in parts)
        found += parts if whole else [one]
    return list(dict.fromkeys(found)) or [text]


def several(cell: str) -> list[str]:
    """The things in one cell. A blank is between two of them in Chinese; in other languages, between words."""
    return [one for text in _SEVERAL.split(cell) if (one := text.strip())]


def for_each(text: str, count: int) -> list[str]:
    """What a cell says of each of so many: one part of each, or all of it of all where it has not as many."""
    for mark in (BETWEEN, _SEVERAL_WORDS):
        parts = [one.strip() for one in re.split(mark, text) if one.strip()]
        if len(parts) == count:
            return parts
    return [text] * count
