"""The header of a committee's list: which column says what."""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from services.ledger.domain.cells import BETWEEN, plain
from services.ledger.domain.imports import CONTACT, MANY, Imports, Spelled
from services.ledger.domain.people import PeopleCatalogue

HEADER_WITHIN = 20
"""Rows at the top among which the header is looked for: titles stand above it."""
_LONGEST = 100
"""Characters of a heading: what is longer is none."""
_MARKS = re.compile(r"[\s*＊:：]|\(.*?\)|\[.*?\]")
_OF_A_CONTACT = {"name": "contact_name", "phone": "contact_phone", **{name: name for name in CONTACT}}
"""What a heading means below one that is over what is told of a contact."""
_SEVERAL_COLUMNS = ("phone", "keys", "note", *MANY, *CONTACT)
"""What may stand in several columns."""


@dataclass(slots=True)
class Words:
    """What stands in cells, ready to be looked up."""

    headers: Mapping[str, str]
    passed_over: frozenset[str]
    totals: frozenset[str]
    contacts: frozenset[str]
    yes: frozenset[str] = frozenset()
    no: frozenset[str] = frozenset()
    categories: Mapping[str, str] = field(default_factory=dict[str, str])
    lists: Mapping[str, str] = field(default_factory=dict[str, str])
    languages: Mapping[str, str] = field(default_factory=dict[str, str])
    needs: Mapping[str, str] = field(default_factory=dict[str, str])
    relation: str = ""

    def sums_up(self, row: Sequence[Any]) -> bool:
        """Whether a row is no person, but what the others add up to."""
        return next((header(cell) for cell in row if cell not in ("", None)), "") in self.totals


def words(imports: Imports, people: PeopleCatalogue, mapping: str) -> Words:
    """The words of a mapping; categories and lists by code and label, languages and needs as they are spelled."""

    def by_label(entries: Mapping[str, Any]) -> dict[str, str]:
        return {
            plain(name).casefold(): code for code, one in entries.items() for name in (code, one.label.zh, one.label.en)
        }

    def spelled(entries: Spelled) -> dict[str, str]:
        return {plain(name).casefold(): code for code, names in entries.items() for name in (code, *names)}

    return replace(
        headings(imports, imports.mappings[mapping]),
        yes=frozenset(plain(one).casefold() for one in imports.affirmed),
        no=frozenset(plain(one).casefold() for one in imports.denied),
        categories=by_label(people.categories),
        lists=by_label(people.lists),
        languages=spelled(imports.languages),
        needs=spelled(imports.needs),
        relation=imports.relation,
    )


def read_by(imports: Imports, mapping: str) -> str:
    """All words by which a file is read: with others, the same file says something else."""
    others = imports.model_dump(mode="json", exclude={"mappings", "records", "printed"})
    return json.dumps([imports.mappings[mapping], others])


def headings(imports: Imports, named: Mapping[Any, Sequence[str]]) -> Words:
    """What stands above columns, by the field that they tell."""
    return Words(
        headers={header(name): field for field, names in named.items() for name in names},
        passed_over=frozenset(map(header, imports.passed_over)),
        totals=frozenset(map(header, imports.totals)),
        contacts=frozenset(map(header, imports.contacts)),
    )


def header(text: Any) -> str:
    """A column's heading as it is compared."""
    return _MARKS.sub("", unicodedata.normalize("NFKC", str(text)[:_LONGEST])).casefold()


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column says what."""

    fields: Mapping[str, Sequence[int]]
    """By field: where it stands; in several places only what may have several values."""
    titles: Mapping[str, str]
    """By field: what stands above it."""
    rows: int
    """How many rows at the top hold no people."""
    unknown: tuple[str, ...] = ()
    """Headings of columns that are not entered: nobody knows them, or another column says the same already."""


def columns(top: Sequence[Sequence[Any]], known: Words) -> Columns | None:
    """The header among the first rows: where a name stands and something else; None if there is none.

    A heading over several columns may have its parts in the row below.
    """
    above: Sequence[Any] = ()
    for number, row in enumerate(top):
        over = _contacts_over(above, len(row), known)
        # In a title, a value stands beside such a word.
        headings = [
            _heading(cell, one if over.count(one) > 1 else "", known) for cell, one in zip(row, over, strict=True)
        ]
        found = {name for name, _ in headings if name is not None}
        if "name" not in found or len(found) < 2:
            above = row
            continue
        below = top[number + 1] if number + 1 < len(top) else ()
        depth = number + 1
        if _is_second_row(below, headings, known):
            depth += 1
            over = _contacts_over(row, len(below), known)
            headings += [(None, "")] * (len(below) - len(row))
            for place, cell in enumerate(below):
                if plain(cell):
                    headings[place] = _heading(cell, over[place], known)
        return _columns(headings, depth, known)
    return None


def _contacts_over(row: Sequence[Any], width: int, known: Words) -> list[str]:
    """By column: the heading of this row that is over it, if that is one over whom to call."""
    title, found = "", list[str]()
    for place in range(width):
        if text := plain(row[place]) if place < len(row) else "":
            title = text if header(text) in known.contacts else ""
        found.append(title)
    return found


def _heading(cell: Any, contact: str, known: Words) -> tuple[str | None, str]:
    """The field that a heading means, below one that is over whom to call if there is one; and how it is shown."""
    name, title = known.headers.get(header(cell)), plain(cell)
    return (_OF_A_CONTACT.get(name or ""), f"{contact} {title}") if contact and title else (name, title)


def _is_second_row(below: Sequence[Any], headings: Sequence[tuple[str | None, str]], known: Words) -> bool:
    """Whether a row only goes on with the header: nobody has a name in it, and it has headings."""
    place = next(place for place, (name, _) in enumerate(headings) if name == "name")
    return len(below) > place and not plain(below[place]) and any(header(cell) in known.headers for cell in below)


def _columns(headings: Sequence[tuple[str | None, str]], depth: int, known: Words) -> Columns:
    fields: dict[str, list[int]] = {}
    named, before = {name for name, _ in headings}, None
    for place, (name, _) in enumerate(headings):
        part = _OF_A_CONTACT.get(name or "", name)
        if before in CONTACT and name in fields and part not in named:
            name = part  # The number beside a contact's name, where there is one of the person's own.
        if name is not None and (name in _SEVERAL_COLUMNS or name not in fields):
            fields.setdefault(name, []).append(place)
        before = name
    if "contact_phone" not in fields:
        fields = {name: places for name, places in fields.items() if name not in CONTACT}
    read = {place for places in fields.values() for place in places}
    unknown = tuple(
        title
        for place, (_, title) in enumerate(headings)
        if place not in read and title and header(title) not in known.passed_over
    )
    titles = {name: BETWEEN.join(headings[place][1] for place in places) for name, places in fields.items()}
    return Columns(fields, titles, depth, unknown)
