"""Sheets of rounds, compared with what the entries of rosters, lists and strangers say, and put right from them."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from pydantic import ValidationError

from services.ledger.domain import sheets_retold as rules
from services.ledger.domain.rebuilding import Told
from services.ledger.domain.registers import SHEETS
from services.ledger.domain.rounds import Round
from services.ledger.domain.sheets import Met, Sheet, met_at
from services.ledger.domain.sheets_retold import ToldSheet
from services.ledger.house import Ledger
from services.ledger.rebuilding.comparing import CARDS, UNREADABLE, Looked
from services.ledger.rebuilding.store import Registers
from services.ledger.rounds.handlers import close_sheet, look_again
from shared.contracts.envelope import Meta
from shared.contracts.registers import RecordRestored
from shared.contracts.rounds import (
    RosterExtended,
    RosterFrozen,
    RoundRecorded,
    StrangerAdded,
    StrangerRecorded,
)
from shared.documents import Document, Occupied

MOST = 1_000
"""Sheets of a page, nearly: what all lists of the round say of them is in memory at once."""
_LAST = "\U0010ffff"
"""After every building."""


@dataclass(slots=True)
class _Told:
    """What is told of the sheets of some buildings."""

    sheets: dict[str, ToldSheet] = field(default_factory=dict[str, ToldSheet])
    """By id."""
    entered: set[str] = field(default_factory=set[str])
    """The events that say so."""


async def compared(registers: Registers, after: str, limit: int) -> tuple[list[Looked], str | None]:
    """The sheets of the next buildings of one round, whether stored or only entered; and how far that is.

    Nobody stands on a roster twice, so a list says enough of whom it is about to find their sheets. Each page reads all
    lists of its round: what is not of its sheets is passed over.
    """
    round_id, _, building = after.rpartition("/")
    told, here = await _frozen(registers, round_id, building, limit) if round_id else (_Told(), [])
    if not here:
        following = await _round_after(registers, round_id)
        if following is None:
            return [], None
        round_id = following
        told, here = await _frozen(registers, round_id, "", limit)
    if not here:
        return [], f"{round_id}/{_LAST}"
    of_round = await registers.told_of("rounds", round_id)
    # A replica of the version before told no rosters.
    whole = {one.frozen.building for one in told.sheets.values()} if "told" in of_round else set[str]()
    untold = await registers.rounds.sheets_in(round_id, [one for one in here if one not in whole])
    looked = await _beside_entries(registers, round_id, of_round, told, whole) if whole else []
    return [*looked, *(Looked(name, "equal") for name in untold)], f"{round_id}/{here[-1]}"


async def _beside_entries(
    registers: Registers, round_id: str, of_round: Told, told: _Told, buildings: Collection[str]
) -> list[Looked]:
    """The sheets of some buildings of which the roster is told."""
    await _add_records(registers, round_id, told)
    # Entries are read before documents: what happens between the two is in the documents alone.
    known = await registers.rounds.all.get(round_id)
    holders = await registers.rounds.cards.holders(card for sheet in told.sheets.values() for card in _cards(sheet))
    stored = {one["_id"]: one for one in await registers.rounds.whole_sheets(round_id, buildings)}
    closed = _closed(of_round, known)
    looked = [
        _look(registers, name, told.sheets.get(name), stored.get(name), holders, closed=closed)
        for name in sorted(told.sheets.keys() | stored.keys())
    ]
    if all(one.verdict == "equal" for one in looked):
        return looked
    if await _is_under_way(registers, known, round_id, buildings, told):
        return [one if one.verdict == "equal" else Looked(one.record, "under_way") for one in looked]
    return looked


def _closed(of_round: Told, known: Round | None) -> bool | None:
    """Whether the sheets of a round are closed; None: some are."""
    if of_round.get("state") in ("closed", "settled"):
        return True
    return None if known is not None and known.state not in ("planned", "opening", "open") else False


async def _round_after(registers: Registers, round_id: str) -> str | None:
    entered, _ = await registers.entered("rounds", round_id, 1)
    stored, _ = await registers.stored("rounds", round_id, 1)
    return min(entered.keys() | stored.keys(), default=None)


async def _frozen(registers: Registers, round_id: str, after: str, limit: int) -> tuple[_Told, list[str]]:
    """What rosters tell of the next buildings; and in which of these anybody is said to stand, or stands."""
    stored = await registers.rounds.buildings_on_sheets(round_id, after, limit)
    ends = stored[-1:] if len(stored) == limit else []
    told, buildings = _Told(), list[str]()
    async with aclosing(registers.entered_of_round("rosters", round_id, after)) as entries:
        async for entry_id, event in entries:
            told.entered.add(entry_id)
            if not isinstance(event, RosterFrozen | RosterExtended):
                continue
            if event.building not in buildings[-1:]:
                if len(told.sheets) >= MOST or len(buildings) == limit:
                    ends += buildings[-1:]
                    break
                buildings.append(event.building)
            told.sheets |= {one.frozen.sheet_id: one for one in rules.frozen(event)}
    end = min(ends, default=None)
    here = sorted(one for one in {*stored, *buildings} if end is None or one <= end)
    told.sheets = {name: one for name, one in told.sheets.items() if one.frozen.building in here}
    return told, here


async def _add_records(registers: Registers, round_id: str, told: _Told) -> None:
    """Note what lists say of those on these sheets, and what was known of them while they were strangers."""
    sheet_of = {member.member_id: one for one in told.sheets.values() for member in one.frozen.members}
    async with aclosing(registers.entered_of_round("reports", round_id)) as lists:
        async for entry_id, event in lists:
            told.entered.add(entry_id)
            if isinstance(event, RoundRecorded):
                rules.recorded(sheet_of, event)
    met, added, untold = defaultdict[str, list[Met]](list), dict[str, str](), set[str]()
    async with aclosing(registers.entered_of_round("strangers", round_id)) as news:
        async for entry_id, event in news:
            told.entered.add(entry_id)
            match event:
                case StrangerRecorded():
                    met[event.stranger_id] += map(met_at, event.records)
                    if not event.records:
                        untold.add(event.stranger_id)
                case StrangerAdded():
                    added[event.stranger_id] = event.member_id
                case _:
                    pass
    for stranger, name in added.items():
        if name in sheet_of:
            sheet_of[name].met.setdefault(name, []).extend(met[stranger])
            if stranger in untold:
                sheet_of[name].untold.add(name)


def _look(
    registers: Registers,
    name: str,
    told: ToldSheet | None,
    stored: Document | None,
    holders: Mapping[str, str],
    *,
    closed: bool | None,
) -> Looked:
    if told is None:
        return Looked(name, "unfounded", document=stored)
    if stored is None:
        return Looked(name, "missing", told=_made(told, None, closed=closed is True))
    try:
        sheet = registers.rounds.sheets.state(stored)
        fields = rules.differing(sheet, told, closed=closed)
    except ValidationError:
        sheet, fields = None, UNREADABLE
    if any(holders.get(card) != name for card, name in _cards(told).items()):
        fields = (*fields, CARDS)
    if not fields:
        return Looked(name, "equal")
    # One that is still open is closed by the rule, so that those who are missing are named and looked for.
    stays_closed = closed is not False and sheet is not None and sheet.closed
    return Looked(name, "differing", fields, stored, told=_made(told, sheet, closed=stays_closed))


def _made(told: ToldSheet, stored: Sheet | None, *, closed: bool) -> Told:
    """What a sheet is made of; nothing where what was told is not enough."""
    made = told.made(stored, closed=closed)
    return {} if made is None else dict(made)


def _cards(told: ToldSheet) -> dict[str, str]:
    """The cards of those on a sheet, with their round."""
    return {
        f"{told.frozen.round_id}/{one.card}": name
        for name, met in told.met.items()
        for one in met
        if one.card is not None
    }


async def _is_under_way(
    registers: Registers, known: Round | None, round_id: str, buildings: Collection[str], told: _Told
) -> bool:
    """Whether anything that changes these sheets is not entered yet, or is not on them."""
    if known is not None and known.state in ("planned", "opening"):
        return True
    async with aclosing(registers.rounds.histories(round_id, buildings)) as documents:
        async for one in documents:
            if one["state"].get("due_at") is not None or not told.entered.issuperset(e["id"] for e in one["history"]):
                return True
    return False


async def put_right(house: Ledger, found: Sequence[Looked], who: str) -> set[str]:
    """Make of sheets that are missing or differ what was told of them; which of them that was possible for."""
    wrong = [one for one in found if one.verdict in ("missing", "differing") and one.told]
    done = await asyncio.gather(*(_put_right(house, one, _cause(house, one.told["round_id"], who)) for one in wrong))
    right = [one for one, written in zip(wrong, done, strict=True) if written]
    buildings = {(one.told["round_id"], one.told["building"]) for one in right}
    await asyncio.gather(*(house.store.rounds.tallies.add_up_anew(*of) for of in buildings))
    for round_id in {name for name, _ in buildings}:
        those = [one.record for one in right if one.told["round_id"] == round_id]
        await _catch_up(house, round_id, those, _cause(house, round_id, who))
    return {one.record for one in right}


def _cause(house: Ledger, round_id: str, who: str) -> Meta:
    return Meta(house.runtime.new_id(), "", who, house.runtime.clock(), round_id, actor=who)


async def _catch_up(house: Ledger, round_id: str, sheets: Sequence[str], cause: Meta) -> None:
    """Do with these sheets what was done with the others of their round."""
    known = await house.store.rounds.all.get(round_id)
    # It is past them, or may be.
    if known is not None and known.state in ("closing", "closed", "settled"):
        close = cause.named(f"{cause.id}:close")
        await asyncio.gather(*(close_sheet(house, known.facts, one, close) for one in sheets))
        if known.state != "closing":
            await look_again(house, round_id, cause)


async def _put_right(house: Ledger, one: Looked, cause: Meta) -> bool:
    store, told = house.store.rounds, Sheet.model_validate(one.told)
    event = RecordRestored(
        community=told.community,
        grid=told.grid,
        collection=SHEETS,
        record=one.record,
        fields=one.fields,
        reader=cause.actor,
    )
    version, history = (0, []) if one.document is None else (one.document["v"], one.document["history"])
    try:
        if not await store.sheets.restore(one.record, version, told, history, [event], cause):
            return False
    except Occupied:
        return False
    await asyncio.gather(
        *(
            store.cards.give(f"{told.round_id}/{met.card}", member.member_id)
            for member in told.members
            for met in member.met
            if met.card is not None
        )
    )
    return True
