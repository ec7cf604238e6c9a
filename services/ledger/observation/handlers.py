"""Messages in, and days that end: who stays at home, is looked after every day, and is released."""

import asyncio
from collections.abc import Sequence

from services.ledger.cases import handlers as cases
from services.ledger.domain import observation as rules
from services.ledger.domain.observation import Observation, OnList
from services.ledger.domain.people import registered
from services.ledger.follow_ups import handlers as follow_ups
from services.ledger.house import Ledger
from shared.consumer import Router
from shared.contracts.cases import OpenCase
from shared.contracts.envelope import Meta
from shared.contracts.follow_ups import PlanFollowUps
from shared.contracts.observation import (
    ObservationAnswer,
    ObservationEvent,
    ObservationStarted,
    PersonReleased,
    ReleaseObservation,
    StartObservation,
)
from shared.contracts.refusal import refusal
from shared.documents import Occupied
from shared.identity import derived_id

router: Router[Ledger] = Router("ledger")

DUE_AT_ONCE = 200
"""Observations ended in one round."""


@router.command(StartObservation)
async def start(house: Ledger, command: StartObservation, meta: Meta) -> ObservationAnswer:
    """Somebody stays at home; who does already is put on the other list, too."""
    told, store = await _told(house, command), house.store.observations
    (entry,) = told.entries
    if (before := await store.told(command.observation_id)) is not None:
        rules.repeated(before, entry)
        return _answer(before, changed=False)
    person = await house.store.register.ids_of(command.person_id)
    # The index holds each id once; who is known under several is looked for first.
    current = await store.of_person(person) if len(person) > 1 else None
    if current is None:
        try:
            outcome = await store.all.update(
                command.observation_id, lambda known: rules.start(known, told), meta, new=True
            )
            return _answer(outcome.state or told, changed=outcome.changed)
        except Occupied:
            current = await store.of_person(person)
    if current is None:
        raise refusal("person_id", "released", "they were released a moment ago; send it again", status=409)
    outcome = await store.all.update(
        current.observation_id, lambda known: rules.put_on(known, entry), meta.named(command.observation_id)
    )
    return _answer(outcome.state or told, changed=outcome.changed)


@router.command(ReleaseObservation)
async def release(house: Ledger, command: ReleaseObservation, meta: Meta) -> ObservationAnswer:
    """They need not stay at home any more. The id is any under which they were told."""
    now, store = house.runtime.clock(), house.store.observations
    known = await store.told(command.observation_id)
    outcome = await store.all.update(
        known.observation_id if known else command.observation_id,
        lambda current: rules.release(current, command.on, command.reason, now),
        meta.named(command.command_id),
    )
    if outcome.state is None:
        raise refusal("observation_id", "unknown_observation", "there is no observation of this id", status=404)
    return _answer(outcome.state, changed=outcome.changed)


async def look_after(house: Ledger, event: ObservationStarted, meta: Meta) -> None:
    """From now on somebody looks after them at the hours of the rounds, and has a case to answer for, if one was asked.

    News of the release may have come before this; so it is looked up before and after.
    """
    if await _released(house, event.observation_id):
        return
    if event.case is not None:
        await _open_case(house, event, meta)
    plans = [
        PlanFollowUps(
            plan_id=_plan_id(event.observation_id, time),
            person_id=event.person_id,
            kind=house.observation.kind,
            begins=f"{event.starts}T{time}",
            zone=house.observation.zone,
        )
        for time in event.rounds
    ]
    await asyncio.gather(*(follow_ups.plan(house, plan, meta) for plan in plans))
    if await _released(house, event.observation_id):
        await _end_plans(house, event, event.rounds, meta)


async def let_go(house: Ledger, event: PersonReleased, meta: Meta) -> None:
    """Nobody looks after them at those hours any more, nor for what is due of them."""
    known = await house.store.observations.all.get(event.observation_id)
    if known is not None:
        await _end_plans(house, event, known.rounds, meta)


async def leave(house: Ledger, person: Sequence[str], meta: Meta) -> None:
    """Somebody, of whom these are all ids, is observed no more, and nobody looks after them by any plan."""
    now, store = house.runtime.clock(), house.store.observations
    going_on = await store.all_of_person(person)
    await asyncio.gather(
        *(store.all.update(each.observation_id, lambda one: rules.leave(one, now), meta) for each in going_on)
    )
    await follow_ups.let_be(house, person, meta)


async def lapse(house: Ledger) -> int:
    """Release those whose last day is over; how many these were."""
    now = house.runtime.clock()
    due = await house.store.observations.due(now, DUE_AT_ONCE)
    cause = Meta(f"last day:{now.isoformat()}", "", "ledger", now, "")
    await asyncio.gather(
        *(house.store.observations.all.update(one, lambda known: rules.lapse(known, now), cause) for one in due)
    )
    return len(due)


async def _told(house: Ledger, command: StartObservation) -> Observation:
    catalogue = house.observation
    if command.category not in catalogue.categories:
        raise refusal("category", "unknown_category", f"no category is called {command.category}")
    if command.case is not None and command.case not in house.cases.kinds:
        raise refusal("case", "unknown_kind", f"no kind of case is called {command.case}")
    await cases.registered_worker(house, command.owner)
    person = registered(await house.store.register.current(command.person_id))
    version, facts = catalogue.version(command.starts), person.facts
    last = rules.last_day(command.starts, version.days)
    entry = OnList(
        observation_id=command.observation_id,
        listing=command.listing,
        category=command.category,
        starts=command.starts,
        last_day=last,
        fingerprint=house.runtime.lookup.blind("observation", command.model_dump_json()),
    )
    return Observation(
        observation_id=command.observation_id,
        person_id=command.person_id,
        under=command.person_id,
        community=facts.community or "",
        grid=facts.grid,
        building=facts.building,
        household=facts.household,
        owner=command.owner,
        entries=[entry],
        rounds=list(version.rounds),
        case=command.case,
        zone=catalogue.zone,
        starts=command.starts,
        last_day=last,
    )


async def _open_case(house: Ledger, event: ObservationStarted, meta: Meta) -> None:
    label = house.observation.categories.get(event.category)
    await cases.put_case(
        house,
        OpenCase(
            case_id=case_id(event.observation_id),
            community=event.community or "",
            grid=event.grid,
            building=event.building,
            kind=event.case or "",
            title=label.zh if label else event.category,
            person_id=event.person_id,
            owner=event.worker,
            source="observation",
            source_id=event.observation_id,
        ),
        meta,
    )


async def _released(house: Ledger, observation_id: str) -> bool:
    known = await house.store.observations.all.get(observation_id)
    return known is not None and known.state == "released"


async def _end_plans(house: Ledger, event: ObservationEvent, rounds: Sequence[str], meta: Meta) -> None:
    """End those that there are: what was not planned yet never will be."""
    plans = {_plan_id(event.observation_id, time) for time in rounds}
    await follow_ups.let_be(house, [event.person_id], meta, plans)


def case_id(observation_id: str) -> str:
    """The case that was opened with an observation."""
    return derived_id("case", "observation", observation_id)


def _plan_id(observation_id: str, time: str) -> str:
    return derived_id("plan", "observation", observation_id, time)


def _answer(known: Observation, *, changed: bool) -> ObservationAnswer:
    return ObservationAnswer(
        status="accepted" if changed else "duplicate",
        observation_id=known.observation_id,
        state=known.state,
        last_day=known.last_day,
    )
