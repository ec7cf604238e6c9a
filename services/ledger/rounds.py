"""Messages in: rounds are opened and closed, and how it went with each on the roster is recorded."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product

from services.ledger import guests, keeping
from services.ledger.domain import follow_ups, reports, rounds, sheets, strangers
from services.ledger.domain.follow_ups import FollowUp
from services.ledger.domain.needs import one_of_them
from services.ledger.domain.people import registered
from services.ledger.domain.presence import existing
from services.ledger.domain.reports import Line, Report
from services.ledger.domain.rounds import Round
from services.ledger.domain.sheets import Entrance, Member, Met, RoundFacts, Sheet
from services.ledger.domain.strangers import Stranger
from services.ledger.guests import as_requested
from services.ledger.house import Ledger, cause_of, start_of_day
from services.ledger.portraits import opened, resident_of
from shared.consumer import Router
from shared.contracts.envelope import Meta, Problem, to_milliseconds
from shared.contracts.intake import Address
from shared.contracts.refusal import Refusal, refusal
from shared.contracts.rounds import AddToRound, CloseRound, Of, OpenRound, RecordRound, RoundAnswer, RoundRecord
from shared.identity import derived_id
from shared.sealing import Sealer

router: Router[Ledger] = Router("ledger")

APPLIED_WITHIN = timedelta(minutes=1)
"""A list that is not on the sheets by then is applied again."""
AHEAD = timedelta(minutes=10)
"""A device's clock may be ahead by so much."""


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


@router.command(OpenRound)
async def open_round(house: Ledger, command: OpenRound, meta: Meta) -> RoundAnswer:
    """Work through a roster."""
    if command.kind not in house.kinds.kinds:
        raise refusal("kind", "unknown_kind", f"no kind of help is called {command.kind}")
    opens = None if command.opens is None else to_milliseconds(command.opens)
    told = command.model_copy(update={"opens": opens, "closes": to_milliseconds(command.closes)})
    now = house.runtime.clock()
    outcome = await house.store.rounds.all.update(
        told.round_id, lambda known: rounds.open_round(known, told, now), meta, new=True
    )
    return _answer(told.round_id, outcome.state, changed=outcome.changed)


@router.command(CloseRound)
async def close_round(house: Ledger, command: CloseRound, meta: Meta) -> RoundAnswer:
    """Look for those missing now."""
    now = house.runtime.clock()
    outcome = await house.store.rounds.all.update(
        command.round_id, lambda known: rounds.close(known, now, early=True), cause_of(command.command_id, meta)
    )
    return _answer(command.round_id, outcome.state, changed=outcome.changed)


@router.command(RecordRound)
async def record(house: Ledger, command: RecordRound, meta: Meta) -> RoundAnswer:
    """How it went with these; who is not on the roster is kept beside it."""
    known = await _open(house, command.round_id)
    cause = cause_of(command.command_id, meta)
    return await keep(house, known, await understood(house, known, command.records), cause)


@router.command(AddToRound)
async def add(house: Ledger, command: AddToRound, meta: Meta) -> RoundAnswer:
    """Put somebody on the roster, with what was recorded of him beside it."""
    known, cause = await _open(house, command.round_id), cause_of(command.command_id, meta)
    told, (entrance, member) = known.told, await _newcomer(house, known.told, command)
    member_id = member.member_id
    (sheet,) = sheets.cut(known.facts, [(entrance, member)], late=True)
    stands = await house.store.rounds.sheet_of(told.round_id, member_id)
    # On a sheet that was made here before, a crash may have left something to be done.
    if stands not in (None, sheet.sheet_id):
        return _answer(told.round_id, known, changed=False)
    await put_sheet(house, sheet, cause)
    store = house.store.rounds.strangers
    beside = await asyncio.gather(
        *(
            store.update(_stranger(told.round_id, name), strangers.add, cause)
            for name in await _beside_as(house, told.of, member)
        )
    )
    met = [(member_id, met) for one in beside if one.state is not None for met in one.state.met]
    added = await _on_sheet(house, known.facts, sheet.sheet_id, met, cause)
    await house.store.rounds.tally([added or sheet])
    if known.state in ("closed", "settled"):
        await close_sheet(house, known.facts, sheet.sheet_id, cause_of(f"{command.command_id}:close", meta))
        if (await house.store.rounds.counts(told.round_id)).missing:
            await house.store.rounds.all.update(told.round_id, rounds.unsettle, cause)
        await settle(house, told.round_id, cause)
    return _answer(told.round_id, known, changed=stands is None)


async def _newcomer(house: Ledger, told: OpenRound, command: AddToRound) -> tuple[Entrance, Member]:
    """Who is to be put on the roster, and behind which entrance."""
    one_of_them(command.presence_id, command.person_id)
    if command.presence_id is not None:
        if not told.present:
            raise refusal("presence_id", "not_allowed", "this round is not for those who live elsewhere", status=409)
        return guests.member(await guests.on_roster(house, command.presence_id, told.community))
    facts = registered(await house.store.register.current(command.person_id or ""), told.community).facts
    member_id = facts.person_id if told.of == "person" else facts.household
    entrance = Entrance(grid=facts.grid, building=facts.building, stairwell=None)
    return entrance, Member(member_id=member_id, person_id=facts.person_id, hears=follow_ups.hears(facts.needs))


async def keep(house: Ledger, known: Round, lines: Sequence[RecordLine], cause: Meta) -> RoundAnswer:
    """Keep a list that was understood, and put it on the sheets."""
    beside = [line for line in lines if line.sheet_id is None]
    told = _report(house, known.facts.round_id, lines)
    await hand_out(house, known.facts.round_id, told.report_id, lines)
    kept = await asyncio.gather(*(_beside(house, known.facts, line, cause) for line in beside))
    outcome = await house.store.rounds.reports.update(
        told.report_id, lambda one: reports.keep(one, told, known.facts), cause, new=True
    )
    if outcome.state is not None and outcome.state.due_at is not None:
        await apply(house, known.facts, told, cause)
    changed = outcome.changed or any(kept)
    return _answer(told.round_id, known, changed=changed, strangers=len(beside))


async def apply(house: Ledger, facts: RoundFacts, told: Report, cause: Meta) -> None:
    """Put what a list says on the sheets. Safe to repeat."""
    sheets = await asyncio.gather(
        *(_on_sheet(house, facts, sheet_id, met, cause) for sheet_id, met in told.by_sheet().items())
    )
    there = [sheet for sheet in sheets if sheet is not None]
    await house.store.rounds.tally(there)
    if any(sheet.closed for sheet in there):
        await settle(house, told.round_id, cause)
    await house.store.rounds.reports.update(told.report_id, reports.applied, cause)


async def put_sheet(house: Ledger, sheet: Sheet, cause: Meta) -> None:
    """Keep a sheet, unless it is there."""
    await house.store.rounds.sheets.update(
        sheet.sheet_id, lambda known: None if known else (sheet, []), cause, new=True
    )


async def close_sheet(house: Ledger, facts: RoundFacts, sheet_id: str, cause: Meta) -> None:
    """Name those missing on one sheet, and have them looked for. Safe to repeat."""
    outcome = await house.store.rounds.sheets.update(sheet_id, lambda known: sheets.close(known, facts), cause)
    sheet = outcome.state
    if sheet is not None:
        await asyncio.gather(
            *(_seek(house, _sought(house, sheet, one, facts), cause) for one in sheet.members if one.state == "missing")
        )


async def settle(house: Ledger, round_id: str, cause: Meta) -> None:
    """Say that nobody is missing any more, if that is so."""
    counts = await house.store.rounds.counts(round_id)
    await house.store.rounds.all.update(round_id, lambda known: rounds.settle(known, counts), cause)


async def _on_sheet(
    house: Ledger, facts: RoundFacts, sheet_id: str, told: Sequence[tuple[str, Met]], cause: Meta
) -> Sheet | None:
    """Record on one sheet; whoever is found is sought no more."""
    outcome = await house.store.rounds.sheets.update(sheet_id, lambda known: sheets.record(known, told), cause)
    sheet, names = outcome.state, {name for name, _ in told}
    if sheet is not None and sheet.closed:
        found = [one for one in sheet.members if one.member_id in names]
        await asyncio.gather(*(_found(house, _sought(house, sheet, one, facts), one, cause) for one in found))
    return sheet


async def _seek(house: Ledger, sought: FollowUp, cause: Meta) -> None:
    now = house.runtime.clock()
    await house.store.follow_ups.update(
        sought.follow_up_id, lambda known: follow_ups.fall_due(known, sought, house.rules, now), cause, new=True
    )


async def _found(house: Ledger, sought: FollowUp, member: Member, cause: Meta) -> None:
    if member.state != "missing":
        state = member.state
        await house.store.follow_ups.update(
            sought.follow_up_id, lambda known: follow_ups.found(known, sought, state), cause
        )


async def _beside(house: Ledger, facts: RoundFacts, line: RecordLine, cause: Meta) -> bool:
    told = Stranger(
        stranger_id=_stranger(facts.round_id, _name(house, line)),
        round_id=facts.round_id,
        person_id=line.member_id if facts.of == "person" else None,
        met=(line.met,),
        sealed=line.sealed,
        at=line.met.at,
    )
    outcome = await house.store.rounds.strangers.update(
        told.stranger_id, lambda known: strangers.record(known, facts, told), cause, new=True
    )
    return outcome.changed


async def hand_out(house: Ledger, round_id: str, report_id: str, lines: Sequence[RecordLine]) -> None:
    """Give each card to whom it was handed.

    Raises:
        Refusal: one of them is another's; none of the list is given that was not before.
    """
    store, given = house.store.rounds, [(number, line) for number, line in enumerate(lines) if line.record.card]
    have = await asyncio.gather(
        *(store.hand_out(round_id, line.record.card or "", _name(house, line), report_id) for _, line in given)
    )
    wrong = [
        Problem(field=f"records.{number}.card", code="given", message="another has this card; look at its number")
        for (number, line), member in zip(given, have, strict=True)
        if member != _name(house, line)
    ]
    if wrong:
        await store.take_back(report_id)
        raise Refusal(*wrong, status=409)


async def _open(house: Ledger, round_id: str) -> Round:
    known = await house.store.rounds.all.get(round_id)
    if known is None:
        raise refusal("round_id", "unknown_round", "there is no round of this id", status=404)
    if known.state in ("planned", "opening"):
        raise refusal("round_id", "not_open_yet", f"the round is {known.state}; send it again later", status=409)
    return known


async def understood(house: Ledger, known: Round, records: Sequence[RoundRecord]) -> list[RecordLine]:
    """Whom each record is about, and what it says.

    Raises:
        Refusal: one of them cannot be; all are named, and nothing is written.
    """
    told, latest = known.told, house.runtime.clock() + AHEAD
    # A round may be entered when its points have been at work since the morning.
    since = start_of_day(house, told.opens or known.created_at)
    present = await guests.meant(house, told, records)
    meant = await _all_meant(house, told, records, present)
    problems = [
        Problem(field=f"records.{number}.{field}", code=code, message=message)
        for number, (one, ids) in enumerate(zip(records, meant, strict=True))
        for field, code, message in _wrong(told, one, ids, since, latest)
    ]
    if problems:
        raise Refusal(*problems[:50])
    ids = [one[0] if one else None for one in meant]
    places = await house.store.rounds.sheets_of(told.round_id, {one for one in ids if one is not None})
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
        if one.name is not None and len(found) > 1:
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


def _report(house: Ledger, round_id: str, lines: Sequence[RecordLine]) -> Report:
    """A list is known by what it says, whoever sends it again."""
    said = house.runtime.lookup.blind("report", *(line.record.model_dump_json() for line in lines))
    return Report(
        report_id=f"{round_id}/{said}",
        round_id=round_id,
        lines=tuple(
            Line(sheet_id=line.sheet_id, member_id=line.member_id, met=line.met)
            for line in lines
            if line.sheet_id is not None and line.member_id is not None
        ),
        due_at=house.runtime.clock() + APPLIED_WITHIN,
    )


def _name(house: Ledger, line: RecordLine) -> str:
    """Of the member; of somebody who is not on the books, one made of what is told of him."""
    one = line.record
    return line.member_id or _strange(house, one.name, one.phone, one.address)


def _strange(house: Ledger, name: str | None, phone: str | None, address: Address | None) -> str:
    door = address.model_dump_json() if address else None
    return house.runtime.lookup.blind("stranger", name, phone, door)


async def _beside_as(house: Ledger, of: Of, member: Member) -> set[str]:
    """Under which names somebody may have been recorded while he was not on the roster."""
    if member.presence:
        guest = existing(await house.store.presences.all.get(member.person_id))
        address, told = await as_requested(house, guest)
    else:
        known = await opened(house, registered(await house.store.register.current(member.person_id)))
        address, told = known.details.address, resident_of(known)
    marks = product((told.name, None), (told.phone, None), (address, None))
    # A door alone is no person's mark.
    return {member.member_id, *(_strange(house, *mark) for mark in marks if any(mark[: 2 if of == "person" else 3]))}


def _sought(house: Ledger, sheet: Sheet, one: Member, facts: RoundFacts) -> FollowUp:
    return FollowUp(
        follow_up_id=derived_id("follow-up", sheet.round_id, one.member_id),
        plan_id=sheet.round_id,
        round_id=sheet.round_id,
        member_id=one.member_id,
        community=sheet.community,
        grid=sheet.grid,
        building=sheet.building,
        person_id=one.person_id,
        presence=one.presence,
        kind=facts.kind,
        at=house.runtime.clock(),
        hears=one.hears,
    )


def _stranger(round_id: str, member_id: str) -> str:
    return f"{round_id}/{member_id}"


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


def _answer(round_id: str, known: Round | None, *, changed: bool, strangers: int = 0) -> RoundAnswer:
    state = known.state if known else "planned"
    return RoundAnswer(status="accepted" if changed else "duplicate", id=round_id, state=state, strangers=strangers)
