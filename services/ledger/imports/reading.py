"""A list of people into registrations, row by row, with what is wrong where."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import chain, islice

from pydantic import ValidationError

from services.ledger.domain.cells import Wrong, plain
from services.ledger.domain.headings import HEADER_WITHIN, Columns, Words, columns
from services.ledger.domain.imports import TOLD, RowProblem
from services.ledger.domain.people import PeopleCatalogue, checked
from services.ledger.domain.rows import GIVEN_UP_AFTER, Seen, fields_of, marks_of, wrong_fields
from services.ledger.files.spreadsheets import Row, sheets
from shared.contracts.ledger import RegisterPerson
from shared.contracts.refusal import Refusal, refusal
from shared.sealing import Lookup

CHUNK = 500
"""Rows entered together."""


@dataclass(frozen=True, slots=True)
class Table:
    """A list: its columns, and its rows by their numbers, but for sums and empty ones."""

    sheet: str | None
    """Where the file has several."""
    at: Columns
    rows: Iterator[tuple[int, Row]]

    def place(self, number: int) -> str:
        """Where a row of it stands: `5`, or `5.1号楼` in that sheet."""
        return f"{number}.{self.sheet}" if self.sheet else str(number)


def tables(content: bytes, words: Words, unread: list[str] | None = None) -> Iterator[Table]:
    """The sheets of a file that have a header, one after the other; `unread` is told of others that say something.

    Raises:
        Refusal: the file as a whole cannot be read, or no row at the top of any sheet is a header.
    """
    found = False
    for name, sheet in sheets(content):
        top = list(islice(sheet, HEADER_WITHIN))
        at = columns(top, words)
        if at is not None:
            found = True
            yield Table(name, at, _filled(enumerate(chain(top[at.rows :], sheet), at.rows + 1), words))
        elif unread is not None and name and any(plain(cell) for row in top for cell in row):
            unread.append(name)
    if not found:
        raise refusal("file", "no_header", "no row at the top names its columns: 姓名, and at least one more")


def _filled(rows: Iterator[tuple[int, Row]], words: Words) -> Iterator[tuple[int, Row]]:
    """Rows that tell of somebody, until nothing more is expected."""
    empty = 0
    for number, row in rows:
        empty = 0 if any(cell not in ("", None) for cell in row) else empty + 1
        if empty >= GIVEN_UP_AFTER:
            return
        if not empty and not words.sums_up(row):
            yield number, row


@dataclass(slots=True)
class Reading:
    """How a file is read, and what came of it so far.

    Args:
        buildings: those that are known in the community.
        lists: source lists that everybody in the file is on.
        categories: of everybody in the file.
    """

    community: str
    source: str
    words: Words
    people: PeopleCatalogue
    buildings: Mapping[str, object]
    today: date
    lookup: Lookup
    lists: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    rows: int = 0
    wrong: int = 0
    problems: list[RowProblem] = field(default_factory=list[RowProblem])
    unknown: tuple[str, ...] = ()
    """Headings of columns that are not entered."""
    unread: list[str] = field(default_factory=list[str])
    """Sheets without a header."""

    def chunks(self, content: bytes) -> Iterator[list[RegisterPerson]]:
        """The good rows of a file, some at a time; the wrong ones are counted and told in `problems`.

        Raises:
            Refusal: the file as a whole cannot be read.
        """
        good = self._good(content)
        while some := list(islice(good, CHUNK)):
            yield some

    def _good(self, content: bytes) -> Iterator[RegisterPerson]:
        seen = Seen()
        for table in tables(content, self.words, self.unread):
            self.unknown = (*dict.fromkeys((*self.unknown, *table.at.unknown)),)
            for number, row in table.rows:
                self.rows += 1
                command = self._read(number, row, table, seen)
                if command is not None:
                    yield command

    def _read(self, number: int, row: Sequence[object], table: Table, seen: Seen) -> RegisterPerson | None:
        try:
            told = fields_of(row, table.at, self.words, self.buildings)
            marks = marks_of(told)
            told["lists"] = (*dict.fromkeys((*told.get("lists", ()), *self.lists)),)
            told["categories"] = (*dict.fromkeys((*told.get("categories", ()), *self.categories)),)
            name = self.lookup.blind("imported", self.community, marks[0])
            given = {**told, "source": self.source, "source_id": name, "community": self.community}
            command = RegisterPerson.model_validate(given, strict=False)
            checked(command, self.people, self.today)
            if command.address.building not in self.buildings:
                raise Wrong("building", "unknown_building")
            if seen.twice(marks, command.id_number):
                raise Wrong("id_number" if command.id_number else "name", "duplicate_in_file")
        except Wrong as wrong:
            self._tell(number, table, [(wrong.field, wrong.code)])
            return None
        except ValidationError as error:
            self._tell(number, table, list(wrong_fields(error)))
            return None
        except Refusal as refused:
            self._tell(number, table, [(one.field, one.code) for one in refused.problems])
            return None
        return command

    def _tell(self, number: int, table: Table, found: Sequence[tuple[str, str]]) -> None:
        self.wrong += 1
        for name, code in found:
            if len(self.problems) < TOLD:
                titles = table.at.titles
                title = titles.get(name) or titles.get(_TOLD_IN.get(name, name), name)
                self.problems.append(RowProblem(row=number, column=title, code=code, sheet=table.sheet))


_TOLD_IN = {**dict.fromkeys(("building", "unit", "room"), "address"), "birth_year": "birthday"}
