"""Lists of a round that come as files."""

import asyncio
from collections.abc import Awaitable, Container, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar
from zoneinfo import ZoneInfo

from services.ledger.domain import record_lists as rules
from services.ledger.domain.cells import Wrong
from services.ledger.domain.headings import headings
from services.ledger.domain.imports import Imports
from services.ledger.domain.rounds import Round
from services.ledger.house import Ledger
from services.ledger.imports.reading import tables
from services.ledger.rounds import handlers as rounds
from services.ledger.rounds.lines import understood
from shared.contracts.duties import ZONE
from shared.contracts.envelope import Meta, Problem
from shared.contracts.refusal import Refusal, refusal
from shared.contracts.rounds import RECORDS, RoundRecord
from shared.identity import derived_id

T = TypeVar("T")
TOLD = 200
"""Mistakes of one file that are told; behind them it is not read on."""
MOST = 20_000
"""Records of one file: what a desk has of a day, and more."""


@dataclass(slots=True)
class _Read:
    """Rows of a file, with where they stand in it."""

    rows: list[str] = field(default_factory=list[str])
    records: list[RoundRecord] = field(default_factory=list[RoundRecord])
    problems: list[Problem] = field(default_factory=list[Problem])


async def take_in(
    house: Ledger, imports: Imports, known: Round, content: bytes, day: date, meta: Meta
) -> dict[str, int]:
    """Record what a file says; the same file again changes nothing.

    Returns:
        how many `rows` that is, and how many `strangers` are among them, who are not on the roster.

    Raises:
        Refusal: the file cannot be read, or a row is wrong; every such row is named, and nothing is recorded.
    """
    buildings = await house.store.grids_of(known.told.community)
    read = await asyncio.to_thread(_read, imports, buildings, content, day)
    if read.problems:
        raise Refusal(*read.problems)
    lines = await _told_as_rows(understood(house, known, read.records), read.rows)
    round_id = known.told.round_id
    whole = derived_id("record list", round_id, *(one.model_dump_json() for one in read.records))
    # All cards first, so that none of the file is recorded where one of them is another's.
    await _told_as_rows(rounds.hand_out(house, round_id, whole, lines), read.rows)
    for start in range(0, len(lines), RECORDS):
        end = start + RECORDS
        name = derived_id("record list", round_id, *(one.model_dump_json() for one in read.records[start:end]))
        cause = meta.named(name)
        await _told_as_rows(rounds.keep(house, known, lines[start:end], cause), read.rows[start:end])
    return {"rows": len(lines), "strangers": sum(line.sheet_id is None for line in lines)}


async def _told_as_rows(work: Awaitable[T], rows: Sequence[str]) -> T:
    """What comes of that; what is wrong is told by the rows of the file."""
    try:
        return await work
    except Refusal as refused:
        found = []
        for one in refused.problems:
            _, number, name = one.field.split(".", 2)
            found.append(one.model_copy(update={"field": f"{rows[int(number)]}.{name}"}))
        raise Refusal(*found, status=refused.status) from None


def _read(imports: Imports, buildings: Container[str], content: bytes, day: date) -> _Read:
    """What a file says, as far as it takes to know that it says it wrong.

    Raises:
        Refusal: the file as a whole cannot be read, or has more than so many records.
    """
    words, meaning, zone = headings(imports, imports.records.columns), rules.outcomes(imports), ZoneInfo(ZONE)
    read = _Read()
    for table in tables(content, words):
        for number, row in table.rows:
            where = table.place(number)
            try:
                if (record := rules.record_of(row, table.at, meaning, buildings, day, zone)) is not None:
                    read.records.append(record)
                    read.rows.append(where)
                if len(read.records) > MOST:
                    raise refusal("file", "too_large", f"more than {MOST} records; send it in parts", status=413)
            except Wrong as wrong:
                title = table.at.titles.get(wrong.field, wrong.field)
                message = f"row {where}, {title}: {wrong.code}"
                read.problems.append(Problem(field=f"{where}.{title}", code=wrong.code, message=message))
                if len(read.problems) == TOLD:
                    return read
    return read
