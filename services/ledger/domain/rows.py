"""The rows of a committee's list: what a cell means, and what is wrong with a row."""

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from pydantic import ValidationError

from services.ledger.domain.cells import (
    BETWEEN,
    NO_DIGIT,
    Wrong,
    born,
    day,
    digits_lost,
    for_each,
    numbers,
    plain,
    several,
)
from services.ledger.domain.headings import Columns, Words
from services.ledger.domain.imports import AS_IT_IS, CONTACT, MANY, TEXTS

GIVEN_UP_AFTER = 1000
"""Empty rows in a row, after which nothing more is expected."""
_LONGEST = 100
"""Characters of a door in one cell: what is longer is not searched for one."""
_ADDRESS = re.compile(
    r".*?(?P<building>[0-9A-Za-z]+)(?:号楼|栋|幢|楼|-)(?:(?P<unit>[0-9A-Za-z]+)(?:单元|门|-))?(?P<room>[0-9A-Za-z]+)(?:室|号)?"
)
_AFTER_NUMBER = {"building": "号楼栋幢座", "unit": "单元门", "room": "室号房"}
_NUMBERS = ("id_number", "phone", "contact_phone", "gas_card", "heating_card", "card")


def cells_of(row: Sequence[Any], at: Columns, name: str) -> list[Any]:
    """What stands in the columns of a field."""
    return [row[place] if place < len(row) else None for place in at.fields.get(name, ())]


def cell_of(row: Sequence[Any], at: Columns, name: str) -> Any:
    """What stands in the first of them."""
    return next(iter(cells_of(row, at, name)), None)


def texts_of(row: Sequence[Any], at: Columns) -> dict[str, str]:
    """What a row says, by field: what stands in all the columns of it together.

    Raises:
        Wrong: `digits_lost`.
    """
    found: dict[str, str] = {}
    for name, places in at.fields.items():
        cells = [row[place] for place in places if place < len(row)]
        if name in _NUMBERS and any(map(digits_lost, cells)):
            raise Wrong(name, "digits_lost")
        texts = [text for cell in cells if (text := plain(cell))]
        if texts:
            found[name] = texts[0] if len(texts) == 1 else BETWEEN.join(dict.fromkeys(texts))
    return found


def fields_of(row: Sequence[Any], at: Columns, known: Words, buildings: Container[str] = ()) -> dict[str, Any]:
    """What a row says, as fields of a registration.

    Raises:
        Wrong: a cell says nothing that can be.
    """
    texts = texts_of(row, at)
    if "name" not in texts:
        raise Wrong("name", "required")
    told: dict[str, Any] = {name: texts[name] for name in AS_IT_IS if name in texts}
    told["address"] = address_of(texts, buildings)
    if "phone" in texts:
        told["phone"], *others = numbers(texts["phone"])
        told |= {"other_phones": others} if others else {}
    told |= born(day(cell_of(row, at, "birthday")))
    year = born(day(texts.get("birth_year")))
    if "birthday" in year:
        raise Wrong("birth_year", "bad_date")
    told |= year
    if "language" in texts:
        told["language"] = known.languages.get(texts["language"].casefold(), texts["language"])
    if (alone := texts.get("lives_alone")) is not None:
        told["lives_alone"] = _yes(alone, known)
    for name in MANY:
        if name in texts and (found := _many(texts[name], name, known)):
            told[name] = found
    if contacts := _contacts(row, at, known):
        told["contacts"] = contacts
    return told


def _contacts(row: Sequence[Any], at: Columns, known: Words) -> list[dict[str, str]]:
    """Whom to call: of each name the number that stands with it, in one column each or in one cell."""
    columns = [[plain(cell) for cell in cells_of(row, at, name)] for name in CONTACT]
    if len({len(texts) for texts in columns if texts}) > 1:
        columns = [[BETWEEN.join(filter(None, texts))] for texts in columns]
    found: list[dict[str, str]] = []
    for name, phone, relation in zip_longest(*columns, fillvalue=""):
        if name and not phone and name.casefold() not in known.no:
            raise Wrong("contact_phone", "required")
        phones = numbers(phone) if phone else []
        names, relations = (for_each(text or known.relation, len(phones)) for text in (name, relation))
        found += [
            {"name": name, "phone": phone, "relation": relation}
            for name, phone, relation in zip(names, phones, relations, strict=True)
        ]
    return found


def address_of(texts: Mapping[str, str], buildings: Container[str] = ()) -> dict[str, str]:
    """The door that cells tell, in columns of their own or in one; a building's number as it stands among these.

    Raises:
        Wrong: no building can be read.
    """
    parts = {name: _number(texts[name], name) for name in ("building", "unit", "room") if name in texts}
    if (building := texts.get("building")) is not None and building in buildings:
        parts["building"] = building
    whole = texts.get("address", "").replace(" ", "")
    if "building" not in parts and len(whole) <= _LONGEST and (found := _ADDRESS.fullmatch(whole)):
        parts = {name: value for name, value in found.groupdict().items() if value} | parts
    if "building" not in parts:
        raise Wrong("building" if "address" not in texts else "address", "required")
    return parts


def _number(text: str, name: str) -> str:
    """`3` for 3号楼, `2` for 2单元, `502` for 502室."""
    return text.rstrip(_AFTER_NUMBER[name]) or text


def _yes(text: str, known: Words) -> bool:
    word = text.casefold()
    if word in known.yes:
        return True
    if word in known.no:
        return False
    raise Wrong("lives_alone", "neither_yes_nor_no")


def _many(cell: str, name: str, known: Words) -> list[str]:
    """The things in one cell: texts as they are, others parted at blanks too, where no label of theirs has a blank.

    A word for no is none of them.
    """
    things = [one for one in several(cell) if one.casefold() not in known.no]
    if name in TEXTS:
        return things
    codes = {"categories": known.categories, "lists": known.lists, "needs": known.needs}[name]
    words = [word for one in things for word in ([one] if one.casefold() in codes else one.split())]
    found = [codes.get(word.casefold(), word) for word in words]
    if name != "needs" and not {*found} <= {*codes.values()}:
        raise Wrong(name, {"categories": "unknown_category", "lists": "unknown_list"}[name])
    return found


def wrong_fields(error: ValidationError) -> Iterable[tuple[str, str]]:
    """Field and code of what a contract finds wrong."""
    for one in error.errors(include_url=False, include_input=False, include_context=False):
        place = [part for part in one["loc"] if isinstance(part, str)]
        name = place[-1] if place and place[0] == "address" else place[0] if place else "name"
        if place and place[0] == "contacts":
            name = f"contact_{place[-1]}"
        if name == "other_phones":
            name = "phone"
        yield name, {"string_too_long": "too_long", "too_long": "too_many"}.get(one["type"], "bad_format")


@dataclass(slots=True)
class Seen:
    """What a file has told so far, to notice that it tells of somebody twice."""

    marks: dict[str, str | None] = field(default_factory=dict[str, str | None])
    """By mark: the identity number of whoever had it first."""

    def twice(self, marks: Sequence[str], number: str | None) -> bool:
        """Whether somebody of this number, or of this name with this phone or door, stood in a row before."""
        found = False
        for mark in marks:
            if mark in self.marks:
                first = self.marks[mark]
                found = found or first is None or number is None or first == number
            else:
                self.marks[mark] = number
        return found


def marks_of(told: Mapping[str, Any]) -> list[str]:
    """By what a row is known within its file; the first of them names it."""
    name, address, phone = told["name"], told["address"], told.get("phone")
    marks = [f"id\x1f{told['id_number'].upper()}"] if "id_number" in told else []
    if phone:
        marks.append(f"phone\x1f{NO_DIGIT.sub('', phone)[-11:]}\x1f{name}")
    if "room" in address or not marks:
        marks.append(f"door\x1f{address['building']}\x1f{address.get('unit')}\x1f{address.get('room')}\x1f{name}")
    return marks
