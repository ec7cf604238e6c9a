"""Messages in, and times that come: everybody of a category, a list, a building or a grid is looked after."""

import asyncio
from datetime import datetime

from services.ledger import needs
from services.ledger.domain import programmes as rules
from services.ledger.domain.follow_ups import FollowUp, hears
from services.ledger.domain.programmes import Programme
from services.ledger.domain.register import Building
from services.ledger.follow_ups import handlers as follow_ups
from services.ledger.house import Ledger
from services.ledger.people.store import among
from shared.consumer import Router
from shared.contracts.envelope import Meta
from shared.contracts.intake import Address, SubmitRequest
from shared.contracts.ledger import PersonRegistered
from shared.contracts.programmes import BeginProgramme, EndProgramme, ProgrammeAnswer
from shared.contracts.refusal import refusal
from shared.identity import derived_id

router: Router[Ledger] = Router("ledger")

AT_ONCE = 20
"""Programmes dealt with in one round."""
TOGETHER = 200
"""People of each of them."""


@router.command(BeginProgramme)
async def begin(house: Ledger, command: BeginProgramme, meta: Meta) -> ProgrammeAnswer:
    """Look after all of these."""
    if command.kind not in house.kinds.kinds:
        raise refusal("kind", "unknown_kind", f"no kind of help is called {command.kind}")
    told = command.everybody
    categories, lists = ([one] if one else [] for one in (told.category, told.listed))
    house.categories.know(categories, lists, ("everybody.category", "everybody.listed"))
    programme = Programme.model_validate(command.model_dump())
    now = house.runtime.clock()
    outcome = await house.store.programmes.all.update(
        command.programme_id, lambda known: rules.begin(known, programme, now), meta, new=True
    )
    return _answer(command.programme_id, outcome.state, changed=outcome.changed)


@router.command(EndProgramme)
async def end(house: Ledger, command: EndProgramme, meta: Meta) -> ProgrammeAnswer:
    """Look after them no more."""
    outcome = await house.store.programmes.all.update(command.programme_id, rules.end, meta.named(command.command_id))
    return _answer(command.programme_id, outcome.state, changed=outcome.changed)


async def fall_due(house: Ledger) -> int:
    """Begin follow-ups of the programmes whose time has come, some people at a time; how many programmes these were.

    A follow-up is made before the programme goes on: after a crash between, it is made again under the same id.
    """
    due = await house.store.programmes.due(house.runtime.clock(), AT_ONCE)
    await asyncio.gather(*(_some(house, known) for known in due))
    return len(due)


async def _some(house: Ledger, known: Programme) -> None:
    at, told = known.next_at, known.everybody
    if at is None:
        return
    if known.each == "building":
        await _buildings(house, known, at)
        return
    query = among(
        community=known.community,
        grids=[told.grid] if told.grid else [],
        building=told.building,
        category=told.category,
        in_list=told.listed,
    )
    people = await house.store.register.after(query, known.reached, TOGETHER)
    await asyncio.gather(*(follow_ups.begin(house, _follow_up(known, at, person.facts)) for person in people))
    await _go_on(house, known, at, people[-1].facts.person_id if len(people) == TOGETHER else None)


async def _buildings(house: Ledger, known: Programme, at: datetime) -> None:
    """Each of some buildings has its request."""
    if known.everybody.building is not None:
        one = await house.store.buildings.get(f"{known.community}/{known.everybody.building}")
        found = [] if one is None or known.everybody.grid not in (None, one.grid) else [one]
    else:
        after = f"{known.community}/{known.reached}"
        page = await house.store.buildings_page(known.community, [known.everybody.grid or ""], TOGETHER, after)
        found = [house.store.buildings.state(one) for one in page]
    await asyncio.gather(*(_raise_need(house, known, at, one) for one in found))
    await _go_on(house, known, at, found[-1].building if len(found) == TOGETHER else None)


async def _raise_need(house: Ledger, known: Programme, at: datetime, building: Building) -> None:
    need_id = derived_id("need", known.programme_id, at.isoformat(), building.building)
    request = SubmitRequest(
        source=needs.SOURCE,
        source_id=need_id,
        kind=known.kind,
        community=known.community,
        address=Address(building=building.building),
        note=known.note,
        contactless=True,
    )
    cause = Meta(f"due:{need_id}", "", "ledger", house.runtime.clock(), known.programme_id)
    await needs.raise_need(house, need_id, request, cause, grid=building.grid)


async def _go_on(house: Ledger, known: Programme, at: datetime, reached: str | None) -> None:
    await house.store.programmes.all.update(
        known.programme_id,
        lambda one: rules.go_on(one, at, reached),
        Meta("", "", "ledger", house.runtime.clock(), known.programme_id),
    )


def _follow_up(known: Programme, at: datetime, facts: PersonRegistered) -> FollowUp:
    return FollowUp(
        follow_up_id=derived_id("follow-up", known.programme_id, at.isoformat(), facts.person_id),
        plan_id=known.programme_id,
        community=facts.community,
        grid=facts.grid,
        building=facts.building,
        person_id=facts.person_id,
        kind=known.kind,
        at=at,
        hears=hears(facts.needs),
    )


def _answer(programme_id: str, known: Programme | None, *, changed: bool) -> ProgrammeAnswer:
    return ProgrammeAnswer(
        status="accepted" if changed else "duplicate",
        id=programme_id,
        state="ended" if known is not None and known.ended else "running",
    )
