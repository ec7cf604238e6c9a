"""Messages in: requests that need hands, and what workers say."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.dispatch.domain import roster, task
from services.dispatch.domain.roster import COORDINATORS, Worker
from services.dispatch.domain.task import Actor, Roster, Situation, Task
from services.dispatch.store import Store
from shared.aggregates import Outcome
from shared.consumer import Router
from shared.contracts.catalogue import Kinds
from shared.contracts.dispatch import (
    AcceptTask,
    ClaimTask,
    CompleteTask,
    CoverGrid,
    DeclineTask,
    FailTask,
    GridCovered,
    HandOverTask,
    RegisterWorker,
    ReopenTask,
    StartTask,
    TaskAnswer,
    TaskCommand,
    WorkerDetails,
    WorkerRegistered,
)
from shared.contracts.envelope import Event, Meta
from shared.contracts.intake import RequestAmended, RequestCancelled, RequestCreated, RequestFacts
from shared.contracts.ledger import RegistrationAnswer
from shared.contracts.refusal import refusal
from shared.identity import derived_id
from shared.runtime import Runtime

router: Router["Dispatch"] = Router("dispatch")

Rule = Callable[[Task | None, Actor, Situation], tuple[Task, Sequence[Event]]]
DUE_AT_ONCE = 200
"""Due dates dealt with in one round."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """The service, as its handlers know it."""

    runtime: Runtime
    store: Store
    kinds: Kinds

    async def situation(self, facts: RequestFacts, *, asks: bool = True) -> Situation:
        """What a decision about a request there rests on; `asks`: it may ask somebody else."""
        return Situation(
            now=self.runtime.clock(),
            ladder=self.kinds.ladder_of(facts.kind),
            roster=await self.store.roster(facts) if asks else Roster(),
            minute=timedelta(minutes=1) / self.runtime.settings.time_scale,
        )


@router.event(RequestCreated)
async def open_task(house: Dispatch, event: RequestCreated, meta: Meta) -> None:
    """A need: offer it."""
    situation, task_id = await house.situation(event), task_id_of(event.request_id)
    await house.store.tasks.update(
        task_id, lambda known: task.open_task(known, task_id, facts_of(event), meta.sequence, situation), meta, new=True
    )


@router.event(RequestAmended)
async def amend(house: Dispatch, event: RequestAmended, meta: Meta) -> None:
    """The need changed."""
    situation, task_id = await house.situation(event), task_id_of(event.request_id)
    await house.store.tasks.update(
        task_id, lambda known: task.amend(known, task_id, facts_of(event), meta.sequence, situation), meta
    )


@router.event(RequestCancelled)
async def cancel(house: Dispatch, event: RequestCancelled, meta: Meta) -> None:
    """The need is gone."""
    task_id = task_id_of(event.request_id)
    await house.store.tasks.update(task_id, lambda known: task.cancel(known, task_id, event.request_id), meta)


@router.command(AcceptTask)
@router.command(ClaimTask)
async def accept(house: Dispatch, command: AcceptTask, meta: Meta, leads: bool = False) -> TaskAnswer:
    """A worker says yes."""
    return await _act(house, command, meta, leads, task.accept)


@router.command(DeclineTask)
async def decline(house: Dispatch, command: DeclineTask, meta: Meta, leads: bool = False) -> TaskAnswer:
    """A worker says no."""
    return await _act(house, command, meta, leads, task.decline, asks=True)


@router.command(StartTask)
async def start(house: Dispatch, command: StartTask, meta: Meta, leads: bool = False) -> TaskAnswer:
    """A worker sets out."""
    return await _act(house, command, meta, leads, task.start)


@router.command(HandOverTask)
async def hand_over(house: Dispatch, command: HandOverTask, meta: Meta, leads: bool = False) -> TaskAnswer:
    """A worker passes it on."""
    if await house.store.workers.get(command.to) is None:
        raise refusal("to", "unknown_worker", f"nobody is registered as {command.to}")
    return await _act(
        house,
        command,
        meta,
        leads,
        lambda known, actor, now: task.hand_over(known, actor, command.to, command.goods, now),
    )


@router.command(CompleteTask)
async def complete(house: Dispatch, command: CompleteTask, meta: Meta, leads: bool = False) -> TaskAnswer:
    """Done at the door."""
    return await _act(house, command, meta, leads, lambda known, actor, _: task.complete(known, actor))


@router.command(FailTask)
async def fail(house: Dispatch, command: FailTask, meta: Meta, leads: bool = False) -> TaskAnswer:
    """It could not be done."""
    return await _act(house, command, meta, leads, lambda known, actor, _: task.fail(known, actor, command.reason))


@router.command(ReopenTask)
async def reopen(house: Dispatch, command: ReopenTask, meta: Meta, leads: bool = False) -> TaskAnswer:
    """It was not done after all."""
    return await _act(house, command, meta, leads, task.reopen, asks=True)


@router.command(RegisterWorker)
async def register_worker(house: Dispatch, command: RegisterWorker, meta: Meta) -> RegistrationAnswer:
    """Somebody helps."""
    runtime, worker_id = house.runtime, command.worker_id
    details = WorkerDetails(name=command.name, phone=command.phone)
    told = Worker(
        worker_id=worker_id,
        community=command.community,
        role=command.role,
        grids=list(command.grids),
        buildings=list(command.buildings),
        fingerprint=runtime.lookup.blind("worker", command.model_dump_json()),
        sealed=runtime.sealer.seal(details.model_dump_json(), f"worker:{worker_id}"),
    )
    outcome = await house.store.workers.update(worker_id, lambda known: roster.register(known, told), meta)
    return RegistrationAnswer(status="accepted" if outcome.changed else "duplicate", id=worker_id)


@router.event(WorkerRegistered)
async def answer_for_grids(house: Dispatch, event: WorkerRegistered, meta: Meta) -> None:
    """A grid worker answers for grids, a coordinator for the whole community."""
    grids = {"grid_worker": event.grids, "coordinator": (COORDINATORS,)}.get(event.role, ())
    community = event.community or ""
    for name in grids:
        await house.store.grids.update(
            f"{community}/{name}",
            lambda known, name=name: roster.answer_for(known, community, name, event.worker_id, meta.time),  # type: ignore[misc]
            meta,
        )


@router.command(CoverGrid)
async def cover_grid(house: Dispatch, command: CoverGrid, meta: Meta) -> RegistrationAnswer:
    """Hand a grid to another, or back."""
    if await house.store.workers.get(command.worker) is None:
        raise refusal("worker", "unknown_worker", f"nobody is registered as {command.worker}")
    grid_id = f"{command.community}/{command.grid}"
    outcome = await house.store.grids.update(
        grid_id, lambda known: roster.cover(known, command.worker), _cause(command.command_id, meta)
    )
    return RegistrationAnswer(status="accepted" if outcome.changed else "duplicate", id=grid_id)


@router.event(GridCovered)
async def move_open_work(house: Dispatch, event: GridCovered, meta: Meta) -> None:
    """The grid's open work goes to whoever covers, in the order of the list."""
    held = await house.store.held(event.community or "", event.grid or "", event.instead_of)
    await asyncio.gather(*(_update(house, task_id, known, event.instead_of, meta) for task_id, known in held))


async def lapse(house: Dispatch) -> int:
    """Deal with offers and leases that ran out; how many there were."""
    now = house.runtime.clock()
    due = await house.store.due(now, DUE_AT_ONCE)

    async def one(task_id: str, known: Task) -> None:
        if known.facts is None or known.due_at is None:
            return
        situation = await house.situation(known.facts)
        cause = Meta(f"due:{task_id}:{known.due_at.isoformat()}", "", "dispatch", now, known.request_id)
        await house.store.tasks.update(task_id, lambda current: task.lapse(current, situation), cause)

    await asyncio.gather(*(one(task_id, known) for task_id, known in due))
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


async def _act(
    house: Dispatch, command: TaskCommand, meta: Meta, leads: bool, rule: Rule, *, asks: bool = False
) -> TaskAnswer:
    """Let a worker make one move on one task."""
    if command.worker is None:
        raise refusal("worker", "required", "say which worker does it")
    known = await house.store.tasks.glance(command.task_id)
    if known is None or known.facts is None:
        raise refusal("task_id", "unknown_task", "there is no task of this id", status=404)
    situation = await house.situation(known.facts, asks=asks)
    actor = Actor(command.worker, leads, command.at)
    outcome = await house.store.tasks.update(
        command.task_id,
        lambda current: rule(current, actor, situation),
        _cause(f"{command.worker}:{command.command_id}", meta),
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


async def _update(house: Dispatch, task_id: str, known: Task, instead_of: str, meta: Meta) -> None:
    if known.facts is None:
        return
    situation = await house.situation(known.facts)
    await house.store.tasks.update(task_id, lambda current: task.cover(current, instead_of, situation), meta)


def _cause(command_id: str, meta: Meta) -> Meta:
    return Meta(command_id, meta.type, meta.source, meta.time, meta.subject, traceparent=meta.traceparent)
