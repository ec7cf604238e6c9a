"""Registers, compared with what their entries say, and put right from them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from services.ledger.domain import people as people_rules
from services.ledger.domain.rebuilding import Told, Verdict, differing, restored, told_by
from services.ledger.domain.register import Person
from services.ledger.domain.registers import REGISTERS, about
from services.ledger.house import Ledger
from services.ledger.people.portraits import portrait_of, sealer_of
from services.ledger.rebuilding.store import Registers, event_of
from shared.contracts.envelope import Event, Meta
from shared.contracts.ledger import PersonRegistered
from shared.contracts.refusal import Refusal
from shared.contracts.registers import RecordRestored
from shared.documents import Document, Occupied
from shared.outbox import Record
from shared.sealing import Sealer

UNREADABLE = ("state",)
"""Named where a document is so wrong that it cannot be read."""
HISTORY = "history"
"""Named where a document lacks events that were entered of it."""
CARDS = "cards"
"""Named where a card that was handed out is known as another's, or as nobody's."""


@dataclass(frozen=True, slots=True)
class Looked:
    """One document, beside what was entered of it."""

    record: str
    verdict: Verdict
    fields: tuple[str, ...] = ()
    document: Document | None = None
    entries: Sequence[tuple[Document, Event]] = ()
    told: Told = field(default_factory=dict[str, Any])
    """Of a register by itself; of a sheet, what it is made of."""


async def compared(registers: Registers, name: str, after: str, limit: int) -> tuple[list[Looked], str | None]:
    """The first documents after an id, whether stored or only entered; and the last of them, if there are more.

    Entries are read before documents: what happens between the two is in the document alone, and it is seen that its
    entry has not come yet.
    """
    entered, more_entered = await registers.entered(name, after, limit)
    stored, more_stored = await registers.stored(name, after, limit)
    ends = [max(found) for found, more in ((entered, more_entered), (stored, more_stored)) if more]
    end = min(ends, default=None)
    records = sorted(one for one in entered.keys() | stored.keys() if end is None or one <= end)
    looked = [_look(registers, name, one, entered.get(one, ()), stored.get(one)) for one in records]
    return [one async for one in _with_cards(registers, looked)], end


async def _with_cards(registers: Registers, looked: Sequence[Looked]) -> AsyncIterator[Looked]:
    """The same; it differs, too, where a stranger's card is known as another's. Who is on the roster has it there."""
    holders = await registers.rounds.cards.holders(card for one in looked for card in _cards(one.record, one.told))
    for one in looked:
        wrong = any(holders.get(card) != name for card, name in _cards(one.record, one.told).items())
        if one.verdict in ("equal", "differing") and wrong:
            yield replace(one, verdict="differing", fields=(*one.fields, CARDS))
        else:
            yield one


def _cards(record: str, told: Told) -> dict[str, str]:
    """The cards of a stranger, with their round, and his name in this."""
    if told.get("added", True):
        return {}
    place = f"{told['round_id']}/"
    return {f"{place}{one.card}": record.removeprefix(place) for one in told.get("met", ()) if one.card is not None}


def _look(registers: Registers, name: str, record: str, entries: Sequence[Document], stored: Document | None) -> Looked:
    register = REGISTERS[name]
    events = _events(f"{name}/{record}", entries)
    entered, history = {one["_id"] for one, _ in events}, set(_history(stored))
    if history - entered:
        return Looked(record, "under_way")
    if not events:
        return Looked(record, "equal" if register.silent else "unfounded")
    told = told_by(register, [event for _, event in events])
    if stored is None:
        return Looked(record, "missing", (), None, events, told)
    try:
        fields = differing(register, registers.all[name].state(stored), told)
    except ValidationError:
        fields = UNREADABLE
    if entered - history:
        fields = (*fields, HISTORY)
    return Looked(record, "differing" if fields else "equal", fields, stored, events, told)


def _events(subject: str, entries: Sequence[Document]) -> list[tuple[Document, Event]]:
    """Entries with their events. One that somebody moved here from elsewhere is passed over: its body says so."""
    read = ((one, event_of(one)) for one in entries)
    return [(one, event) for one, event in read if event is not None and about(event) == subject]


def _history(stored: Document | None) -> list[str]:
    return [] if stored is None else [one["id"] for one in stored["history"]]


async def put_right(house: Ledger, registers: Registers, name: str, found: Sequence[Looked], who: str) -> set[str]:
    """Make of documents that are missing or differ what was entered of them; which of them that was possible for."""
    wrong = [one for one in found if one.verdict in ("missing", "differing")]
    done = await asyncio.gather(*(_put_right(house, registers, name, one, who) for one in wrong))
    return {one.record for one, written in zip(wrong, done, strict=True) if written}


async def _put_right(house: Ledger, registers: Registers, name: str, one: Looked, who: str) -> bool:
    aggregates, now = registers.all[name], house.runtime.clock()
    readable = one.document is not None and UNREADABLE[0] not in one.fields
    known = aggregates.state(one.document) if one.document is not None and readable else None
    state = restored(REGISTERS[name], known, one.told, now)
    if state is None or (HISTORY in one.fields and one.document is not None and one.document["unsent"]):
        return False
    if isinstance(state, Person) and known is None:
        state = await _as_found(house, state)
    _, last = one.entries[-1]
    event = RecordRestored(
        community=last.community,
        grid=last.grid,
        collection=name,
        record=one.record,
        fields=one.fields,
        reader=who,
    )
    cause = Meta(house.runtime.new_id(), "", who, now, one.record, actor=who)
    version = one.document["v"] if one.document is not None else 0
    history = _completed(one, aggregates.subject(state))
    try:
        if not await aggregates.restore(one.record, version, state, history, [event], cause):
            return False
    except Occupied:
        return False
    await asyncio.gather(*(registers.rounds.cards.give(*given) for given in _cards(one.record, one.told).items()))
    return True


def _completed(one: Looked, subject: str) -> list[Document]:
    """The history with all that was entered; what is known of an event already stays, such as when it was sent."""
    known = {} if one.document is None else {record["id"]: record for record in one.document["history"]}
    return [
        {**(known.get(entry["_id"]) or _record(entry, event, subject)), "n": number}
        for number, (entry, event) in enumerate(one.entries, start=1)
    ]


def _record(entry: Document, event: Event, subject: str) -> Document:
    actor = entry.get("actor", "")
    meta = Meta(entry["_id"], entry["wire"], "ledger", entry["at"], subject, 0, entry["cause"], actor)
    return Record(0, meta, event.exchange, event.routing_key(), entry["data"], sent=entry["at"]).document()


async def _as_found(house: Ledger, person: Person) -> Person:
    """Somebody put back: recognised again, and on the floor that the sealed door tells; not whoever was erased."""
    if person.erased:
        return person
    if person.merged_into is None:
        aliases = [*person.told_by(), *person.marks()]
        claim = house.store.register.claim
        await asyncio.gather(*(claim(one, person.facts.person_id, person.identities) for one in aliases))
    sealer = await sealer_of(house, person)
    absorbed = {
        name: one.model_copy(update={"floor": _floor(one.before, sealer)}) for name, one in person.absorbed.items()
    }
    return person.model_copy(update={"floor": _floor(person.facts, sealer), "absorbed": absorbed})


def _floor(facts: PersonRegistered, sealer: Sealer) -> int | None:
    try:
        door = portrait_of(Person(facts=facts, fingerprint=""), sealer).details.address
    except Refusal:
        return None
    return people_rules.floor_of(door.room)
