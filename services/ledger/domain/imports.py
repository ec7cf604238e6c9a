"""Lists that committees keep: which column says what, what a cell means, and what is wrong with a row."""

import json
import re
import unicodedata
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from services.ledger.domain.cells import BETWEEN, NO_DIGIT, born, day, digits_lost, for_each, numbers, several
from services.ledger.domain.cells import Wrong as Wrong
from services.ledger.domain.cells import plain as plain
from services.ledger.domain.people import PeopleCatalogue
from shared.contracts.catalogue import Entry
from shared.contracts.envelope import Slug
from shared.contracts.rounds import Ending

HEADER_WITHIN = 20
"""Rows at the top among which the header is looked for: titles stand above it."""
GIVEN_UP_AFTER = 1000
"""Empty rows in a row, after which nothing more is expected."""
TOLD = 1000
"""Mistakes of one file that are kept and told one by one; the others are counted."""
_LONGEST = 100
"""Characters of a heading, and of a door in one cell: what is longer is none, and is not searched for one."""
_MARKS = re.compile(r"[\s*＊:：]|\(.*?\)|\[.*?\]")
_ADDRESS = re.compile(
    r".*?(?P<building>[0-9A-Za-z]+)(?:号楼|栋|幢|楼|-)(?:(?P<unit>[0-9A-Za-z]+)(?:单元|门|-))?(?P<room>[0-9A-Za-z]+)(?:室|号)?"
)
_AFTER_NUMBER = {"building": "号楼栋幢座", "unit": "单元门", "room": "室号房"}
_TEXTS = ("illnesses", "hobbies")
_MANY_FIELDS = (*_TEXTS, "needs", "lists", "categories")
_NUMBERS = ("id_number", "phone", "contact_phone", "gas_card", "heating_card", "card")
_CONTACT = ("contact_name", "contact_phone", "contact_relation")
_OF_A_CONTACT = {"name": "contact_name", "phone": "contact_phone", **{name: name for name in _CONTACT}}
"""What a heading means below one that is over what is told of a contact."""
_SEVERAL_COLUMNS = ("phone", "keys", "note", *_MANY_FIELDS, *_CONTACT)
"""What may stand in several columns."""


RecordField = Literal["name", "phone", "building", "unit", "room", "address", "at", "point", "outcome", "card", "note"]


Spelled = dict[Slug, Annotated[tuple[str, ...], Field(min_length=1)]]


class RecordLists(Entry):
    """Lists of a round."""

    columns: dict[RecordField, tuple[str, ...]]
    outcomes: dict[Ending, tuple[str, ...]]


class Imports(Entry):
    """The catalogue `imports.yaml`."""

    records: RecordLists
    mappings: dict[Slug, dict[str, tuple[str, ...]]]
    passed_over: tuple[str, ...]
    affirmed: tuple[str, ...]
    denied: tuple[str, ...]
    totals: tuple[str, ...]
    languages: Spelled = Field(default_factory=dict[Slug, tuple[str, ...]])
    needs: Spelled = Field(default_factory=dict[Slug, tuple[str, ...]])
    """By code: how it is written; the first is what goes out. A code without one is written as it is."""
    relation: str
    contacts: tuple[str, ...] = ()
    """What stands over the columns of whom to call."""
    printed: tuple[str, ...]
    """Columns of a list on paper, in this order."""

    @model_validator(mode="after")
    def _fields_exist(self) -> "Imports":
        for name, one in self.mappings.items():
            if unknown := one.keys() - FIELDS:
                raise ValueError(f"mapping {name} names {', '.join(sorted(unknown))}, which nothing is entered as")
            if "name" not in one:
                raise ValueError(f"mapping {name} has no column for name")
        if unknown := set(self.printed) - self.mappings.get("usual", {}).keys():
            raise ValueError(f"printed names {', '.join(sorted(unknown))}, for which the usual mapping has no column")
        return self


_AS_IT_IS = ("name", "id_number", "keys", "gas_card", "heating_card", "note")
_PLACE = ("building", "unit", "room", "address")
_READ = ("phone", "birthday", "birth_year", "lives_alone", "language")
FIELDS = frozenset((*_AS_IT_IS, *_PLACE, *_READ, *_CONTACT, *_MANY_FIELDS))


class RowProblem(BaseModel):
    """What is wrong with one row; never what stands in it."""

    row: int
    """As the file counts them, from 1."""
    column: str
    """What stands above it; the field's name where there is no such column."""
    code: str
    sheet: str | None = None
    """Where the file has several."""


class Import(BaseModel):
    """One file on its way into the register."""

    import_id: str
    community: str
    rows: int
    chunks: int
    done: int = 0
    """Chunks that are entered."""
    entered: int = 0
    """Rows that are entered: `new`, `changed` and `same`."""
    new: int = 0
    changed: int = 0
    same: int = 0
    wrong: int = 0
    problems: list[RowProblem] = []
    """The first of what was wrong."""
    open: bool = True
    by: str = ""


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
        if before in _CONTACT and name in fields and part not in named:
            name = part  # The number beside a contact's name, where there is one of the person's own.
        if name is not None and (name in _SEVERAL_COLUMNS or name not in fields):
            fields.setdefault(name, []).append(place)
        before = name
    if "contact_phone" not in fields:
        fields = {name: places for name, places in fields.items() if name not in _CONTACT}
    read = {place for places in fields.values() for place in places}
    unknown = tuple(
        title
        for place, (_, title) in enumerate(headings)
        if place not in read and title and header(title) not in known.passed_over
    )
    titles = {name: BETWEEN.join(headings[place][1] for place in places) for name, places in fields.items()}
    return Columns(fields, titles, depth, unknown)


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
    told: dict[str, Any] = {name: texts[name] for name in _AS_IT_IS if name in texts}
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
    for name in _MANY_FIELDS:
        if name in texts and (found := _many(texts[name], name, known)):
            told[name] = found
    if contacts := _contacts(row, at, known):
        told["contacts"] = contacts
    return told


def _contacts(row: Sequence[Any], at: Columns, known: Words) -> list[dict[str, str]]:
    """Whom to call: of each name the number that stands with it, in one column each or in one cell."""
    columns = [[plain(cell) for cell in cells_of(row, at, name)] for name in _CONTACT]
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
    if name in _TEXTS:
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


def go_on(
    known: Import | None, first: int, chunks: int, counts: Mapping[str, int]
) -> tuple[Import, Sequence[Any]] | None:
    """So many chunks from the first on are entered; None if that was known."""
    if known is None or known.done > first:
        return None
    kinds = ("new", "changed", "same", "wrong")
    update: dict[str, Any] = {name: getattr(known, name) + counts.get(name, 0) for name in kinds}
    entered, done = known.entered + sum(counts.get(name, 0) for name in kinds[:3]), first + chunks
    return known.model_copy(update={**update, "entered": entered, "done": done, "open": done < known.chunks}), ()
