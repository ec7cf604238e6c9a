"""Messages in: requests that need hands, and what workers say."""

import asyncio
import hmac
from collections.abc import Callable, Sequence
from dataclasses import replace

from services.dispatch import observed
from services.dispatch.domain import doing, matching, offering, proving, roster
from services.dispatch.domain.proving import Evidence
from services.dispatch.domain.task import Actor, Situation, Task
from services.dispatch.duties import handlers as duties
from services.dispatch.house import Dispatch, apply_to_each
from services.dispatch.workers import handlers as workers
from shared.aggregates import Outcome
from shared.consumer import Router
from shared.contracts.dispatch import (
    AcceptTask,
    ArriveTask,
    BuyGoods,
    CheckTask,
    ClaimTask,
    CompleteTask,
    DeclineTask,
    FailTask,
    HandOverTask,
    PauseTask,
    ReopenTask,
    ReturnGoods,
    StartTask,
    TaskAnswer,
    TaskCommand,
)
from shared.contracts.envelope import Event, Meta
from shared.contracts.intake import RequestAmended, RequestCancelled, RequestCreated, RequestFacts
from shared.contracts.ledger import BuildingClosed, BuildingOpened
from shared.contracts.people import PersonErased
from shared.contracts.refusal import refusal
from shared.documents import Occupied
from shared.identity import derived_id

router: Router[Dispatch] = Router("dispatch")
router.include(workers.router)
router.include(duties.router)
router.include(observed.router)

Rule = Callable[[Task | None, Actor, Situation], tuple[Task, Sequence[Event]] | None]
DUE_AT_ONCE = 200
"""Offers and leases dealt with in one round."""
MOST_WRONG_CODES = 5
"""After so many only somebody who leads can say that it is done."""
_CLAIM_TRIES = 50
"""How often a claim looks for another free place under the worker's cap, when each was taken meanwhile."""


@router.event(RequestCreated)
async def open_task(house: Dispatch, event: RequestCreated, meta: Meta) -> None:
    """A need: offer it."""
    situation, task_id = await house.situation(event), task_id_of(event.request_id)
    await house.store.tasks.update(
        task_id,
        lambda known: offering.open_task(known, task_id, facts_of(event), meta.sequence, situation),
        meta,
        new=True,
    )


@router.event(RequestAmended)
async def amend(house: Dispatch, event: RequestAmended, meta: Meta) -> None:
    """The need changed."""
    situation, task_id = await house.situation(event), task_id_of(event.request_id)
    await house.store.tasks.update(
        task_id, lambda known: offering.amend(known, task_id, facts_of(event), meta.sequence, situation), meta
    )


@router.event(PersonErased)
async def forget_person(house: Dispatch, event: PersonErased, _: Meta) -> None:
    """Nobody is to know any more for whom tasks were, and where."""
    await house.store.tasks.throw_away({"state.facts.person": event.person_id})


@router.event(RequestCancelled)
async def cancel(house: Dispatch, event: RequestCancelled, meta: Meta) -> None:
    """The need is gone."""
    task_id = task_id_of(event.request_id)
    await house.store.tasks.update(task_id, lambda known: offering.cancel(known, task_id, event.request_id), meta)


@router.command(AcceptTask)
@router.command(ClaimTask)
async def accept(house: Dispatch, command: AcceptTask, meta: Meta, leads: bool = False) -> TaskAnswer:
    """A worker says yes. The write itself is refused where a place under his cap was taken meanwhile."""
    return await _take(house, command, meta, leads, doing.accept)


@router.command(DeclineTask)
async def decline(house: Dispatch, command: DeclineTask, meta: Meta, leads: bool = False) -> TaskAnswer:
    """A worker says no."""
    return await _act(house, command, meta, leads, doing.decline, asks=True)


@router.command(StartTask)
async def start(house: Dispatch, command: StartTask, meta: Meta, leads: bool = False) -> TaskAnswer:
    """A worker sets out, which says yes, too, where he was out of reach when he was asked."""
    return await _take(
        house, command, meta, leads, lambda known, actor, now: doing.start(known, actor, now, command.goods)
    )


@router.command(PauseTask)
async def pause(house: Dispatch, command: PauseTask, meta: Meta, leads: bool = False) -> TaskAnswer:
    """It goes on later."""
    reason, minutes = command.reason, command.minutes
    return await _act(
        house, command, meta, leads, lambda known, actor, now: doing.pause(known, actor, reason, minutes, now)
    )


@router.command(BuyGoods)
async def buy(house: Dispatch, command: BuyGoods, meta: Meta, leads: bool = False) -> TaskAnswer:
    """The shopping is done."""
    return await _act(
        house, command, meta, leads, lambda known, actor, _: doing.buy(known, actor, command.amount, command.missing)
    )


@router.command(ArriveTask)
async def arrive(house: Dispatch, command: ArriveTask, meta: Meta, leads: bool = False) -> TaskAnswer:
    """At the door."""
    return await _act(house, command, meta, leads, lambda known, actor, _: doing.arrive(known, actor))


@router.command(HandOverTask)
async def hand_over(house: Dispatch, command: HandOverTask, meta: Meta, leads: bool = False) -> TaskAnswer:
    """A worker passes it on, or leaves it at a point."""
    slot = None
    if command.to is None and command.point is None:
        raise refusal("to", "required", "say to whom, or at which point it is left")
    if command.to is not None:
        to = await house.store.workers.get(command.to)
        if to is None:
            raise refusal("to", "unknown_worker", f"nobody is registered as {command.to}")
        slot = (await house.store.free_slots([to])).get(to.worker_id)

    def pass_on(slot: str | None) -> Rule:
        return lambda known, actor, now: doing.hand_over(
            known,
            actor,
            now,
            to=command.to,
            point=command.point,
            goods=command.goods,
            told=command.told,
            slot=slot,
        )

    try:
        return await _act(house, command, meta, leads, pass_on(slot))
    except Occupied:
        return await _act(house, command, meta, leads, pass_on(None))


@router.command(CompleteTask)
async def complete(house: Dispatch, command: CompleteTask, meta: Meta, leads: bool = False) -> TaskAnswer:
    """Done at the door. A wrong code is counted, so that nobody tries them all."""
    if command.code is not None:
        await _compare(house, command.task_id, command.code, meta)
    evidence = Evidence(
        note=command.note,
        goods=command.goods,
        code=command.code is not None,
        called_back=command.called_back,
        told=command.told,
    )
    return await _act(
        house, command, meta, leads, lambda known, actor, now: doing.complete(known, actor, now, evidence)
    )


@router.command(FailTask)
async def fail(house: Dispatch, command: FailTask, meta: Meta, leads: bool = False) -> TaskAnswer:
    """It could not be done."""
    reason, note = command.reason, command.note
    return await _act(
        house, command, meta, leads, lambda known, actor, now: doing.fail(known, actor, now, reason, note)
    )


@router.command(ReturnGoods)
async def return_goods(house: Dispatch, command: ReturnGoods, meta: Meta, leads: bool = False) -> TaskAnswer:
    """What was to be brought went back."""
    point, goods = command.point, command.goods
    return await _act(
        house, command, meta, leads, lambda known, actor, _: doing.return_goods(known, actor, point, goods)
    )


@router.command(CheckTask)
async def check(house: Dispatch, command: CheckTask, meta: Meta, leads: bool = False) -> TaskAnswer:
    """Somebody else takes a second look."""
    confirmed = command.confirmed
    return await _act(
        house,
        command,
        meta,
        leads,
        lambda known, actor, now: doing.check(known, actor, now, confirmed=confirmed),
        asks=not confirmed,
    )


@router.command(ReopenTask)
async def reopen(house: Dispatch, command: ReopenTask, meta: Meta, leads: bool = False) -> TaskAnswer:
    """It was not done after all."""
    return await _act(house, command, meta, leads, doing.reopen, asks=True)


@router.event(BuildingClosed, BuildingOpened)
async def replan(house: Dispatch, event: BuildingClosed | BuildingOpened, meta: Meta) -> None:
    """A building was closed or opened: what is open there goes to the gate, or to the door again."""
    community, closed = event.community or "", isinstance(event, BuildingClosed)
    await house.store.gates.update(
        f"{community}/{event.building}",
        lambda known: roster.close(known, community, event.building, meta.sequence, closed=closed),
        meta,
        new=True,
    )
    await apply_to_each(house, await house.store.behind(community, event.building), offering.replan, meta)


async def lapse(house: Dispatch) -> int:
    """Deal with offers and leases that ran out; how many there were."""
    now = house.runtime.clock()
    due = await house.store.due(now, DUE_AT_ONCE)

    async def one(task_id: str, known: Task) -> None:
        if known.facts is None or known.due_at is None:
            return
        situation = await house.situation(known.facts)
        cause = Meta(f"due:{task_id}:{known.due_at.isoformat()}", "", "dispatch", now, known.request_id)
        await house.store.tasks.update(task_id, lambda current: offering.lapse(current, situation), cause)

    await asyncio.gather(*(one(task_id, known) for task_id, known in due))
    return len(due)


async def warn(house: Dispatch) -> int:
    """Tell of tasks that will soon be late; how many there were."""
    now = house.runtime.clock()
    due = await house.store.to_warn(now, DUE_AT_ONCE)

    async def one(task_id: str) -> None:
        cause = Meta(house.runtime.new_id(), "", "dispatch", now, task_id)
        await house.store.tasks.update(task_id, lambda current: offering.warn(current, now), cause)

    await asyncio.gather(*(one(task_id) for task_id in due))
    return len(due)


async def count_open(house: Dispatch) -> None:
    """Show whoever watches how many tasks are open, and how old the oldest is."""
    telemetry, now = house.runtime.telemetry, house.runtime.clock()
    for state, urgency, count, oldest in await house.store.open_by_state():
        telemetry.open.labels(state, urgency).set(count)
        telemetry.open_age.labels(state, urgency).set((now - oldest).total_seconds())


def task_id_of(request_id: str) -> str:
    """One request, one task."""
    return derived_id("task", request_id)


def facts_of(event: RequestFacts) -> RequestFacts:
    """The facts in an event about a request."""
    return RequestFacts.model_construct(**{name: getattr(event, name) for name in RequestFacts.model_fields})


async def _take(house: Dispatch, command: TaskCommand, meta: Meta, leads: bool, rule: Rule) -> TaskAnswer:
    """Let a worker make a move by which he gets the task."""
    for _ in range(_CLAIM_TRIES):
        try:
            return await _act(house, command, meta, leads, rule, takes=True)
        except Occupied:
            continue
    raise refusal("worker", "cap_reached", f"{command.worker} claims too much at once; try again", status=409)


async def _compare(house: Dispatch, task_id: str, code: str, meta: Meta) -> None:
    """Raises:
    Refusal: it is not the code of this request, or too many wrong ones were told.
    """
    known = await house.store.tasks.get(task_id)
    if known is None or not known.open:
        return  # Nothing is completed by it.
    if known.wrong_codes >= MOST_WRONG_CODES:
        raise refusal("code", "too_many_codes", "too many wrong codes; ask whoever leads to complete it", status=409)
    if not hmac.compare_digest(code, house.runtime.lookup.door_code(known.request_id)):
        await house.store.tasks.update(known.task_id, proving.count_wrong_code, meta)
        raise refusal("code", "wrong_code", "this is not the code that the resident was given", status=409)


async def _act(
    house: Dispatch,
    command: TaskCommand,
    meta: Meta,
    leads: bool,
    rule: Rule,
    *,
    asks: bool = False,
    takes: bool = False,
) -> TaskAnswer:
    """Let a worker make one move on one task. `asks`: somebody else may be asked; `takes`: he gets it."""
    if command.worker is None:
        raise refusal("worker", "required", "say which worker does it")
    known = await house.store.tasks.glance(command.task_id)
    if known is None or known.facts is None:
        raise refusal("task_id", "unknown_task", "there is no task of this id", status=404)
    situation = await house.situation(known.facts, asks=asks)
    actor = Actor(command.worker, leads, command.at)
    if takes and (worker := await house.store.workers.get(command.worker)) is not None:
        places = await house.store.free_slots([worker])
        slot = places.get(worker.worker_id)
        full = slot is None and bool(places)
        actor = replace(actor, slot=slot, full=full, aids=matching.aids(worker, situation.roster.need))
    outcome = await house.store.tasks.update(
        command.task_id,
        lambda current: rule(current, actor, situation),
        meta.named(f"{command.worker}:{command.command_id}"),
    )
    return answer(outcome)


def answer(outcome: Outcome[Task]) -> TaskAnswer:
    """What the sender is told."""
    if outcome.state is None:
        raise refusal("task_id", "unknown_task", "there is no task of this id", status=404)
    return TaskAnswer.model_construct(
        status="accepted" if outcome.changed else "duplicate",
        task_id=outcome.state.task_id,
        state=outcome.state.state,
        worker=outcome.state.worker,
    )
