"""What the lines of a round's list say: whom each is about, where he stands, and how it went."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.ledger import keeping
from services.ledger.domain.rounds import Round
from services.ledger.domain.sheets import Met, RoundFacts
from services.ledger.house import Ledger, start_of_day
from services.ledger.rounds import guests
from shared.contracts.envelope import Problem, to_milliseconds
from shared.contracts.refusal import Refusal
from shared.contracts.rounds import OpenRound, RoundRecord
from shared.sealing import Sealer


@dataclass(frozen=True, slots=True)
class RecordLine:
    """One record, whom it is about, and where he stands."""

    record: RoundRecord
    member_id: str | None
    """None: not on the books."""
    sheet_id: str | None
    """None: not on the roster."""
    met: Met
    sealed: str | None = None
    """The record as it came, of somebody who is not on the books."""


async def understood(house: Ledger, known: Round, records: Sequence[RoundRecord]) -> list[RecordLine]:
    """Whom each record is about, and what it says.

    Raises:
        Refusal: one of them cannot be; all are named, and nothing is written.
    """
    told, latest = known.told, house.runtime.clock() + timedelta(minutes=house.cases.gate.ahead)
    # A round may be entered when its points have been at work since the morning.
    since = start_of_day(house, told.opens or known.created_at)
    present = await guests.meant(house, told, records)
    candidates = await _all_meant(house, told, records, present)
    places = await house.store.rounds.sheets_of(told.round_id, {one for ids in candidates for one in ids})
    meant = await _told_apart(house, candidates, places)
    problems = [
        Problem(field=f"records.{number}.{field}", code=code, message=message)
        for number, (one, ids) in enumerate(zip(records, meant, strict=True))
        for field, code, message in _wrong(told, one, ids, since, latest)
    ]
    if problems:
        raise Refusal(*problems[:50])
    ids = [one[0] if one else None for one in meant]
    others = await _standing_as(house, told, {one for one in ids if one is not None} - places.keys())
    standing = [others.get(one or "", (one, places.get(one or ""))) for one in ids]
    sealed = [name for one, (name, _) in zip(records, standing, strict=True) if one.note or not name]
    sealing = await sealers(house, known.facts, sealed, make=True)
    return [
        RecordLine(
            one,
            name,
            sheet_id,
            _met(known, one, sealing(name)),
            None if name else sealing(None).seal(one.model_dump_json(), context_of(told.round_id)),
        )
        for one, (name, sheet_id) in zip(records, standing, strict=True)
    ]


async def _told_apart(house: Ledger, candidates: Sequence[list[str]], places: Mapping[str, str]) -> list[list[str]]:
    """Of several whom a record may mean, those on the roster, if any are; those who were found to be one are one."""
    counting = await house.store.register.counting({one for ids in candidates if len(ids) > 1 for one in ids})
    found = []
    for ids in candidates:
        if len(ids) > 1:
            here = [one for one in ids if one in places] or ids
            # Where somebody stands under two ids, it is the one that counts.
            last = sorted(here, key=lambda one: one not in counting)
            ids = [*{counting.get(one, one): one for one in last}.values()]
        found.append(ids)
    return found


async def _standing_as(house: Ledger, told: OpenRound, strange: set[str]) -> dict[str, tuple[str, str]]:
    """Of those who are not on the roster as they are known now: under which other id they stand on it, and where."""
    if told.of != "person" or not strange:
        return {}
    known_as = dict(zip(strange, await asyncio.gather(*map(house.store.register.ids_of, strange)), strict=True))
    places = await house.store.rounds.sheets_of(told.round_id, {one for ids in known_as.values() for one in ids})
    return {name: (other, places[other]) for name, ids in known_as.items() for other in ids if other in places}


def _wrong(
    told: OpenRound, one: RoundRecord, ids: list[str], since: datetime, latest: datetime
) -> list[tuple[str, str, str]]:
    found = []
    if len(ids) > 1:
        found.append(("phone", "ambiguous", f"{len(ids)} have this phone; tell name and address, or member_id"))
    if one.at > latest:
        found.append(("at", "in_the_future", "this has not happened yet; look at the clock of the device"))
    if one.outcome == "done" and one.at < since:
        found.append(("at", "before_the_round", "this was before the day of the round; is it another day's list?"))
    if one.outcome in ("refused", "excused") and not one.note:
        found.append(("note", "required", "say why, so that nobody has to ask them again"))
    if one.point is not None and told.points and one.point not in told.points:
        found.append(("point", "unknown_point", f"the points of this round: {', '.join(told.points)}"))
    if other := [name for name in one.checked if name not in told.checklist]:
        found.append(("checked", "unknown_check", f"not on the checklist: {', '.join(other)}"))
    return found


async def _all_meant(
    house: Ledger, told: OpenRound, records: Sequence[RoundRecord], present: Sequence[list[str]]
) -> list[list[str]]:
    """For each record, ids of those whom it may mean. Whoever is told by id need not be looked for."""
    looked_for = [
        _meant(house, told, one, here) for one, here in zip(records, present, strict=True) if one.member_id is None
    ]
    found = iter(await asyncio.gather(*looked_for))
    return [next(found) if one.member_id is None else [one.member_id] for one in records]


async def _meant(house: Ledger, told: OpenRound, one: RoundRecord, present: list[str]) -> list[str]:
    """Ids of those on the books whom a record may mean, and of those present.

    Who is there under this name is meant, though he may live elsewhere in the community and be on its books.
    """
    if present and one.name is not None:
        return present
    lookup, address, household = house.runtime.lookup, one.address, None
    if address is not None:
        household = lookup.household(told.community, address.building, address.unit, address.room)
        if told.of == "household":
            return [household]
    found = []
    if household is not None and one.name is not None:
        found = await house.store.found_by(lookup.resident(household, one.name))
    if not found and one.phone is not None:
        found = await house.store.found_by(lookup.phone(told.community, one.phone))
        # A telephone rings for whoever shares it: the list tells which of them was there.
        if one.name is not None and (told.of == "person" or len(found) > 1):
            name = one.name
            found = [each for each in found if lookup.resident(each.household, name) in each.lookups]
    return sorted({*present, *(each.person_id if told.of == "person" else each.household for each in found)})


def _met(known: Round, one: RoundRecord, sealer: Sealer) -> Met:
    left = tuple(name for name in known.told.checklist if name not in one.checked)
    return Met(
        outcome=one.outcome,
        at=to_milliseconds(one.at),
        point=one.point,
        worker=one.worker,
        unchecked=left if one.outcome == "done" else (),
        card=one.card,
        sealed=sealer.seal(one.note, context_of(known.told.round_id)) if one.note else None,
    )


async def sealers(
    house: Ledger, facts: RoundFacts, members: Sequence[str | None], *, make: bool = False
) -> keeping.Sealers:
    """What seals and opens what is noted of these: a person's own key; for households and strangers, the round's."""
    of_person = facts.of == "person"
    whom = {one if of_person else None for one in members}
    found = await keeping.sealers_of(house, context_of(facts.round_id), whom, make=make)
    return found if of_person else lambda _: found(None)


def context_of(round_id: str) -> str:
    """What is sealed in a round belongs to this, and the round's key to the same."""
    return f"round:{round_id}"
