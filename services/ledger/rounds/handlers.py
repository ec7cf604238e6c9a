"""Messages in: rounds are opened and closed, and how it went with each on the roster is recorded."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import product

from services.ledger.domain import follow_ups, reports, rosters, rounds, sheets, strangers
from services.ledger.domain.follow_ups import FollowUp
from services.ledger.domain.needs import one_of_them
from services.ledger.domain.people import registered
from services.ledger.domain.presence import existing
from services.ledger.domain.reports import Line, Report
from services.ledger.domain.rounds import Round
from services.ledger.domain.sheets import Entrance, Member, Met, RoundFacts, Sheet
from services.ledger.domain.strangers import Stranger
from services.ledger.house import Ledger
from services.ledger.people.portraits import opened, resident_of
from services.ledger.rounds import guests, walks
from services.ledger.rounds.guests import as_requested
from services.ledger.rounds.lines import RecordLine, understood
from shared.aggregates import Outcome
from shared.consumer import Router
from shared.contracts.envelope import Meta, Problem, to_milliseconds
from shared.contracts.intake import Address
from shared.contracts.refusal import Refusal, refusal
from shared.contracts.rounds import AddToRound, CloseRound, Of, OpenRound, RecordRound, RoundAnswer
from shared.identity import derived_id

router: Router[Ledger] = Router("ledger")

APPLIED_WITHIN = timedelta(minutes=1)
"""A list that is not on the sheets by then is applied again."""


@router.command(OpenRound)
async def open_round(house: Ledger, command: OpenRound, meta: Meta) -> RoundAnswer:
    """Work through a roster."""
    if command.kind not in house.kinds.kinds:
        raise refusal("kind", "unknown_kind", f"no kind of help is called {command.kind}")
    house.categories.know(command.roster.categories, command.roster.lists, ("roster.categories", "roster.lists"))
    if (after := command.roster.after) is not None:
        rounds.can_follow(await house.store.rounds.all.get(after), command)
    rounds.knows_buildings(command, await house.store.grids_of(command.community))
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
        command.round_id, lambda known: rounds.close(known, now, early=True), meta.named(command.command_id)
    )
    return _answer(command.round_id, outcome.state, changed=outcome.changed)


@router.command(RecordRound)
async def record(house: Ledger, command: RecordRound, meta: Meta) -> RoundAnswer:
    """How it went with these; who is not on the roster is kept beside it."""
    known = await _open(house, command.round_id)
    cause = meta.named(command.command_id)
    return await keep(house, known, await understood(house, known, command.records), cause)


@router.command(AddToRound)
async def add(house: Ledger, command: AddToRound, meta: Meta) -> RoundAnswer:
    """Put somebody on the roster, with what was recorded of him beside it."""
    known, cause = await _open(house, command.round_id), meta.named(command.command_id)
    told, (entrance, member) = known.told, await _newcomer(house, known.told, command)
    member_id = member.member_id
    (sheet,) = sheets.cut(known.facts, [(entrance, member)], late=True)
    # Under whichever id: of two who are one, one may stand there already.
    ids = await house.store.register.ids_of(member_id) if told.of == "person" else (member_id,)
    stands = await house.store.rounds.sheets_of(told.round_id, ids)
    # On a sheet that was made here before, a crash may have left something to be done.
    if stands.keys() - {member_id} or stands.get(member_id, sheet.sheet_id) != sheet.sheet_id:
        return _answer(told.round_id, known, changed=False)
    await put_sheet(house, sheet, cause)
    roster_id = f"{told.round_id}/{sheet.building}"
    await house.store.rounds.rosters.update(
        roster_id, lambda one: rosters.extend(one, known.facts, sheet), cause, new=True
    )
    store, names = house.store.rounds.strangers, await _beside_as(house, told.of, member)
    beside = await asyncio.gather(
        *(
            store.update(_stranger(told.round_id, name), lambda one: strangers.add(one, known.facts, member_id), cause)
            for name in names
        )
    )
    # Of several who share a telephone, it is the first who was put on the roster.
    his = [one.state for one in beside if one.state is not None and one.state.member_id in (None, member_id)]
    met = [(member_id, met) for one in his for met in one.met]
    cards = [one.card for _, one in met if one.card is not None]
    await house.store.rounds.cards.pass_on(told.round_id, cards, names, member_id)
    added = await _on_sheet(house, known.facts, sheet.sheet_id, met, cause)
    await house.store.rounds.tallies.add_up([added or sheet])
    # It may have begun to close meanwhile, and be past this sheet.
    known = await _open(house, told.round_id)
    if known.state != "open":
        await close_sheet(house, known.facts, sheet.sheet_id, meta.named(f"{command.command_id}:close"))
        await look_again(house, told.round_id, cause)
    elif told.walks:
        await walks.send(house, known.facts, sheet.sheet_id, 1, cause)
    return _answer(told.round_id, known, changed=not stands)


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
    await _on_their_sheets(house, known.facts, [one.state for one in kept if one.state is not None], cause)
    outcome = await house.store.rounds.reports.update(
        told.report_id, lambda one: reports.keep(one, told, known.facts), cause, new=True
    )
    if outcome.state is not None and outcome.state.due_at is not None:
        await apply(house, known.facts, told, cause)
    changed = outcome.changed or any(one.changed for one in kept)
    return _answer(told.round_id, known, changed=changed, strangers=len(beside))


async def apply(house: Ledger, facts: RoundFacts, told: Report, cause: Meta) -> None:
    """Put what a list says on the sheets. Safe to repeat."""
    await _on_sheets(house, facts, told.by_sheet(), cause)
    # Of another name than what was kept by the same cause, which is not done twice.
    await house.store.rounds.reports.update(told.report_id, reports.applied, cause.named(f"{cause.id}:applied"))


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
    counts = await house.store.rounds.tallies.counts(round_id)
    await house.store.rounds.all.update(round_id, lambda known: rounds.settle(known, counts), cause)


async def look_again(house: Ledger, round_id: str, cause: Meta) -> None:
    """The same, where somebody may have been added, too: a round that was settled is so no more while he is missing."""
    if (await house.store.rounds.tallies.counts(round_id)).missing:
        await house.store.rounds.all.update(round_id, rounds.unsettle, cause)
    await settle(house, round_id, cause)


async def _on_sheets(
    house: Ledger, facts: RoundFacts, told: Mapping[str, Sequence[tuple[str, Met]]], cause: Meta
) -> None:
    """Record on some sheets, by their ids."""
    found = await asyncio.gather(*(_on_sheet(house, facts, sheet_id, met, cause) for sheet_id, met in told.items()))
    there = [sheet for sheet in found if sheet is not None]
    await house.store.rounds.tallies.add_up(there)
    if any(sheet.closed for sheet in there):
        await settle(house, facts.round_id, cause)


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


async def _on_their_sheets(house: Ledger, facts: RoundFacts, known: Sequence[Stranger], cause: Meta) -> None:
    """What was told of somebody as of a stranger, though he is on the roster by now, is his."""
    added = {one.member_id: one.met for one in known if one.member_id is not None}
    if added:
        places = await house.store.rounds.sheets_of(facts.round_id, added.keys())
        by_sheet = {place: [(name, met) for met in added[name]] for name, place in places.items()}
        await _on_sheets(house, facts, by_sheet, cause)


async def _beside(house: Ledger, facts: RoundFacts, line: RecordLine, cause: Meta) -> Outcome[Stranger]:
    told = Stranger(
        stranger_id=_stranger(facts.round_id, _name(house, line)),
        round_id=facts.round_id,
        person_id=line.member_id if facts.of == "person" else None,
        met=(line.met,),
        sealed=line.sealed,
        at=line.met.at,
    )
    return await house.store.rounds.strangers.update(
        told.stranger_id, lambda known: strangers.record(known, facts, told), cause, new=True
    )


async def hand_out(house: Ledger, round_id: str, report_id: str, lines: Sequence[RecordLine]) -> None:
    """Give each card to whom it was handed.

    Raises:
        Refusal: one of them is another's; none of the list is given that was not before.
    """
    cards, first = house.store.rounds.cards, dict[str, str]()
    given = [(number, one.record.card, _name(house, one)) for number, one in enumerate(lines) if one.record.card]
    for _, card, name in given:
        first.setdefault(card, name)
    have = await asyncio.gather(*(cards.hand_out(round_id, card, name, report_id) for card, name in first.items()))
    holders = dict(zip(first, have, strict=True))
    wrong = [
        Problem(field=f"records.{number}.card", code="given", message="another has this card; look at its number")
        for number, card, name in given
        if holders[card] != name
    ]
    if wrong:
        await cards.take_back(report_id)
        raise Refusal(*wrong, status=409)


async def _open(house: Ledger, round_id: str) -> Round:
    known = await house.store.rounds.all.get(round_id)
    if known is None:
        raise refusal("round_id", "unknown_round", "there is no round of this id", status=404)
    if known.state in ("planned", "opening"):
        raise refusal("round_id", "not_open_yet", f"the round is {known.state}; send it again later", status=409)
    return known


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


def _answer(round_id: str, known: Round | None, *, changed: bool, strangers: int = 0) -> RoundAnswer:
    state = known.state if known else "planned"
    return RoundAnswer(status="accepted" if changed else "duplicate", id=round_id, state=state, strangers=strangers)
