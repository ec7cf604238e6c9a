"""Lists of a round that come as files."""

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import chain, islice
from zoneinfo import ZoneInfo

from services.ledger import rounds
from services.ledger.domain import record_lists as rules
from services.ledger.domain.imports import GIVEN_UP_AFTER, HEADER_WITHIN, Imports, Wrong, columns
from services.ledger.domain.rounds import Round
from services.ledger.house import Ledger
from services.ledger.spreadsheets import sheets
from shared.contracts.duties import ZONE
from shared.contracts.envelope import Meta, Problem
from shared.contracts.refusal import Refusal, refusal
from shared.contracts.rounds import RECORDS, RecordRound, RoundRecord
from shared.identity import derived_id

TOLD = 200
"""Mistakes of one file that are told; the others are not."""


@dataclass(slots=True)
class _Read:
    """Rows of a file, with their numbers as the file counts them."""

    rows: list[int] = field(default_factory=list[int])
    records: list[RoundRecord] = field(default_factory=list[RoundRecord])
    problems: list[Problem] = field(default_factory=list[Problem])


async def take_in(house: Ledger, imports: Imports, known: Round, content: bytes, day: date, meta: Meta) -> int:
    """Record what a file says; how many rows that is. The same file again changes nothing.

    Raises:
        Refusal: the file cannot be read, or a row is wrong; every such row is named, and nothing is recorded.
    """
    read = await asyncio.to_thread(_read, imports, content, day)
    if read.problems:
        raise Refusal(*read.problems[:TOLD])
    await _told_as_rows(rounds.understood(house, known, read.records), read.rows)
    for start in range(0, len(read.records), RECORDS):
        part = tuple(read.records[start : start + RECORDS])
        name = derived_id("record list", known.told.round_id, *(one.model_dump_json() for one in part))
        command = RecordRound(round_id=known.told.round_id, command_id=name, records=part)
        await _told_as_rows(rounds.record(house, command, meta), read.rows[start:])
    return len(read.records)


async def _told_as_rows(work: Awaitable[object], rows: Sequence[int]) -> None:
    """Do that; what is wrong is told by the rows of the file."""
    try:
        await work
    except Refusal as refused:
        found = []
        for one in refused.problems:
            _, number, name = one.field.split(".", 2)
            found.append(one.model_copy(update={"field": f"{rows[int(number)]}.{name}"}))
        raise Refusal(*found, status=refused.status) from None


def _read(imports: Imports, content: bytes, day: date) -> _Read:
    words, meaning, zone = rules.words(imports), rules.outcomes(imports), ZoneInfo(ZONE)
    for sheet in sheets(content):
        top = list(islice(sheet, HEADER_WITHIN))
        at = columns(top, words)
        if at is None:
            continue
        read = _Read()
        for number, row in _filled(enumerate(chain(top[at.rows :], sheet), at.rows + 1)):
            if words.sums_up(row):
                continue
            try:
                read.records.append(rules.record_of(row, at, meaning, day, zone))
                read.rows.append(number)
            except Wrong as wrong:
                title = at.titles.get(wrong.field, wrong.field)
                message = f"row {number}, {title}: {wrong.code}"
                read.problems.append(Problem(field=f"{number}.{title}", code=wrong.code, message=message))
        return read
    raise refusal("file", "no_header", "no row at the top names its columns: 姓名, and at least one more")


def _filled(rows: Iterator[tuple[int, Sequence[object]]]) -> Iterator[tuple[int, Sequence[object]]]:
    """Rows with something in them, until nothing more is expected."""
    empty = 0
    for number, row in rows:
        empty = 0 if any(cell not in ("", None) for cell in row) else empty + 1
        if empty >= GIVEN_UP_AFTER:
            return
        if not empty:
            yield number, row
