"""Messages in, and times that come: who is looked after, and how it went."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from services.ledger import keeping
from services.ledger.domain import follow_ups as rules
from services.ledger.domain.follow_ups import FollowUp, Plan, Record, hears
from services.ledger.domain.moments import happened
from services.ledger.domain.people import registered
from services.ledger.domain.presence import existing
from services.ledger.house import Ledger
from services.ledger.people.portraits import opened, resident_of
from services.ledger.rounds.guests import as_requested
from services.ledger.rounds.guests import context_of as guest_context
from shared.consumer import Router
from shared.contracts.envelope import Meta
from shared.contracts.follow_ups import (
    EndPlan,
    FollowUpAnswer,
    FollowUpSaid,
    NeedTold,
    PlanFollowUps,
    RecordFollowUp,
    WhyNot,
)
from shared.contracts.intake import Address, Resident, SubmitRequest
from shared.contracts.ledger import FamilyContact
from shared.contracts.refusal import refusal
from shared.identity import derived_id
from shared.sealing import Sealer

router: Router[Ledger] = Router("ledger")

DUE_AT_ONCE = 200
"""Plans and follow-ups dealt with in one round."""
SOURCE = "follow-up"
"""Of requests that come of a follow-up."""


@router.command(PlanFollowUps)
async def look_after(house: Ledger, command: PlanFollowUps, meta: Meta) -> FollowUpAnswer:
    """Look after somebody who is here."""
    person = registered(await house.store.register.current(command.person_id))
    if not person.living and await house.store.plans.get(command.plan_id) is None:
        raise refusal("person_id", "gone", "this person moved away, died or was erased", status=409)
    return await plan(house, command, meta)


async def plan(house: Ledger, command: PlanFollowUps, meta: Meta) -> FollowUpAnswer:
    """Look after somebody; of who has gone meanwhile, the plan ends when its time comes."""
    person = registered(await house.store.register.current(command.person_id))
    if command.kind not in house.kinds.kinds:
        raise refusal("kind", "unknown_kind", f"no kind of help is called {command.kind}")
    told = Plan(
        plan_id=command.plan_id,
        community=person.facts.community,
        grid=person.facts.grid,
        building=person.facts.building,
        person_id=command.person_id,
        kind=command.kind,
        begins=command.begins,
        rule=command.rule,
        zone=command.zone,
        days=command.days,
        hears=hears(person.facts.needs),
    )
    now = house.runtime.clock()
    outcome = await house.store.plans.update(
        command.plan_id, lambda known: rules.plan(known, told, now), meta, new=True
    )
    return FollowUpAnswer(status="accepted" if outcome.changed else "duplicate", id=command.plan_id, state="planned")


@router.command(EndPlan)
async def end(house: Ledger, command: EndPlan, meta: Meta) -> FollowUpAnswer:
    """Look after somebody no more."""
    outcome = await house.store.plans.update(command.plan_id, rules.end, meta.named(command.command_id))
    return FollowUpAnswer(status="accepted" if outcome.changed else "duplicate", id=command.plan_id, state="ended")


@router.command(RecordFollowUp)
async def record(house: Ledger, command: RecordFollowUp, meta: Meta) -> FollowUpAnswer:
    """How it went; what was asked for travels sealed, and becomes a request."""
    if command.need is not None and command.need.kind not in house.kinds.kinds:
        raise refusal("need.kind", "unknown_kind", f"no kind of help is called {command.need.kind}")
    known = await house.store.follow_ups.get(command.follow_up_id)
    if command.outcome in ("refused", "excused") and not command.note:
        raise refusal("note", "required", "say why, so that nobody has to ask them again")
    sealed = await _need(house, known, command.need) if known is not None and command.need is not None else None
    said = await _said(house, known, command) if known is not None else None
    now = house.runtime.clock()
    happened(command.at, now, house.cases.gate.ahead)
    outcome = await house.store.follow_ups.update(
        command.follow_up_id,
        lambda known: rules.record(
            known,
            command.outcome,
            house.rules,
            now,
            worker=command.worker,
            at=command.at,
            temperature=command.temperature,
            sealed=sealed,
            said=said,
        ),
        meta.named(command.command_id),
    )
    state = outcome.state.state if outcome.state else "due"
    return FollowUpAnswer(status="accepted" if outcome.changed else "duplicate", id=command.follow_up_id, state=state)


async def fall_due(house: Ledger) -> int:
    """Begin the follow-ups whose time has come; how many plans these were.

    The follow-up is made before its plan goes on: after a crash between, it is made again under the same id.
    """
    now = house.runtime.clock()
    due = await house.store.due_plans(now, DUE_AT_ONCE)

    async def one(known: Plan) -> None:
        if known.next_at is None:
            return
        at, name = known.next_at, derived_id("follow-up", known.plan_id, known.next_at.isoformat())
        cause = Meta(f"due:{name}", "", "ledger", now, known.person_id)
        person = await house.store.register.current(known.person_id)
        if person is None or not person.living:
            await house.store.plans.update(known.plan_id, rules.end, cause)
            return
        # Where they live by now, and whether they can be called by now.
        facts = person.facts
        told = FollowUp(
            follow_up_id=name,
            plan_id=known.plan_id,
            community=facts.community,
            grid=facts.grid,
            building=facts.building,
            person_id=known.person_id,
            kind=known.kind,
            at=at,
            hears=hears(facts.needs),
        )
        await begin(house, told)
        plan = await house.store.plans.update(known.plan_id, lambda known: rules.go_on(known, at), cause)
        # Whoever ended it in between has seen what was due before this began.
        if plan.state is not None and plan.state.ended:
            await _excuse(house, [name], "ended", Meta(f"ended:{name}", "", "ledger", now, known.person_id))

    await asyncio.gather(*(one(known) for known in due))
    return len(due)


async def begin(house: Ledger, told: FollowUp) -> None:
    """It is time to look after somebody. Safe to repeat."""
    now = house.runtime.clock()
    await house.store.follow_ups.update(
        told.follow_up_id,
        lambda known: rules.fall_due(known, told, house.rules, now),
        Meta(f"due:{told.follow_up_id}", "", "ledger", now, told.person_id),
        new=True,
    )


async def lapse(house: Ledger) -> int:
    """Deal with tries whose time came or ran out; how many there were."""
    now = house.runtime.clock()
    due = await house.store.due_follow_ups(now, DUE_AT_ONCE)
    cause = Meta(f"tries:{now.isoformat()}", "", "ledger", now, "")
    await asyncio.gather(
        *(house.store.follow_ups.update(one, lambda known: rules.lapse(known, house.rules, now), cause) for one in due)
    )
    return len(due)


async def let_be(house: Ledger, person: Sequence[str], meta: Meta, plans: Collection[str] | None = None) -> None:
    """Nobody looks after them any more, by these plans (they are observed no more) or by any (they have gone).

    Safe to repeat.

    Args:
        house: the service.
        person: all ids of somebody.
        meta: why.
        plans: ids of plans; None: all.
    """
    store = house.store
    going_on = await store.plans_of(person)
    await asyncio.gather(
        *(store.plans.update(one.plan_id, rules.end, meta) for one in going_on if plans is None or one.plan_id in plans)
    )
    # After the plans have ended nothing more falls due by them that stays so.
    # Whom a round misses, the round excuses: of a door, others may live behind it.
    due = [one for one in await store.due_of(person) if one.round_id is None]
    why: WhyNot = "gone" if plans is None else "released"
    await _excuse(house, [one.follow_up_id for one in due if plans is None or one.plan_id in plans], why, meta)


async def _excuse(house: Ledger, names: Sequence[str], why: WhyNot, meta: Meta) -> None:
    now, store = house.runtime.clock(), house.store.follow_ups
    await asyncio.gather(
        *(store.update(one, lambda known: rules.let_be(known, why, house.rules, now), meta) for one in names)
    )


async def whom(house: Ledger, known: FollowUp) -> dict[str, Any]:
    """Whom to call or to see, and whom of the family, in order; whoever shows it notes it."""
    address, resident, contacts = await _meant(house, known)
    return {**resident.model_dump(), "address": address.model_dump(), "call": [one.model_dump() for one in contacts]}


async def sealer_of(house: Ledger, known: FollowUp, *, make: bool = False) -> Sealer:
    """What opens what was said: the own key of the person, or of the presence of who lives elsewhere."""
    if known.presence:
        return await keeping.sealer_of(house, guest_context(known.person_id), make=make)
    return await house.store.keys.sealer(known.person_id) or house.runtime.sealer


def opened_record(one: Record, known: FollowUp, sealer: Sealer) -> FollowUpSaid:
    """What was measured and heard at one try; nothing, once it was erased."""
    said = None if one.sealed is None else sealer.left(one.sealed, context_of(known.follow_up_id))
    return FollowUpSaid() if said is None else FollowUpSaid.model_validate_json(said, extra="ignore")


async def records_of(house: Ledger, known: FollowUp) -> list[dict[str, Any]]:
    """How the tries went, with what was measured and heard; whoever shows it notes it."""
    sealer = await sealer_of(house, known)
    return [
        {**one.model_dump(exclude={"sealed"}), **opened_record(one, known, sealer).model_dump()}
        for one in known.records
    ]


def context_of(follow_up_id: str) -> str:
    """What the seal of what was said belongs to."""
    return f"follow-up-said:{follow_up_id}"


async def _meant(house: Ledger, known: FollowUp) -> tuple[Address, Resident, Sequence[FamilyContact]]:
    """Where somebody is, who it is, and whom of the family to ask."""
    if known.presence:
        return *(await as_requested(house, existing(await house.store.presences.all.get(known.person_id)))), ()
    portrait = await opened(house, registered(await house.store.register.current(known.person_id)))
    return portrait.details.address, resident_of(portrait), portrait.details.contacts


async def _said(house: Ledger, known: FollowUp, command: RecordFollowUp) -> str | None:
    """What was measured and heard, sealed."""
    if command.temperature is None and not command.note:
        return None
    told = FollowUpSaid(temperature=command.temperature, note=command.note)
    return (await sealer_of(house, known, make=True)).seal(told.model_dump_json(), context_of(known.follow_up_id))


async def _need(house: Ledger, known: FollowUp, need: NeedTold) -> str:
    """What somebody asked for, as the request that it becomes, sealed."""
    address, resident, _ = await _meant(house, known)
    request = SubmitRequest(
        source=SOURCE,
        # Each try may find something else that is needed.
        source_id=f"{known.follow_up_id}/{known.tries}" if known.tries else known.follow_up_id,
        kind=need.kind,
        community=known.community or "",
        address=address,
        resident=resident,
        items=need.items,
        note=need.note,
        urgency=need.urgency,
        contactless=need.contactless,
    )
    return house.runtime.sealer.seal(request.model_dump_json(by_alias=True), f"follow-up:{known.follow_up_id}")
