"""Messages in: who helps, who is away, who covers, whom a household does not want."""

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence

from services.dispatch.domain import offering, roster, shifts
from services.dispatch.domain.roster import COORDINATORS, Grid, Worker
from services.dispatch.duties import handlers as duties
from services.dispatch.house import Dispatch, apply_to_each
from shared.aggregates import Outcome
from shared.consumer import Router
from shared.contracts.dispatch import ExcludeWorker, TaskAnswer
from shared.contracts.envelope import Event, Meta, Problem
from shared.contracts.ledger import RegistrationAnswer
from shared.contracts.refusal import Refusal, refusal
from shared.contracts.workers import (
    Abilities,
    ApproveWorker,
    CoverGrid,
    GridCovered,
    RegisterWorker,
    ReportAbsence,
    SignUpVolunteer,
    WorkerAbsent,
    WorkerDetails,
    WorkerExcluded,
    WorkerRegistered,
    WorkerReturned,
)

router: Router[Dispatch] = Router("dispatch")

DUE_AT_ONCE = 200
"""Absences and covers ended in one round."""


@router.command(RegisterWorker)
async def register_worker(house: Dispatch, command: RegisterWorker, meta: Meta) -> RegistrationAnswer:
    """Somebody helps."""
    told = _worker(house, command, command.role, command.buildings)
    outcome = await house.store.workers.update(told.worker_id, lambda known: roster.register(known, told), meta)
    return _registered(outcome)


@router.command(SignUpVolunteer)
async def sign_up(house: Dispatch, command: SignUpVolunteer, meta: Meta) -> RegistrationAnswer:
    """Somebody offers to help."""
    told = _worker(house, command, "volunteer")
    outcome = await house.store.workers.update(told.worker_id, lambda known: roster.sign_up(known, told), meta)
    return _registered(outcome)


@router.command(ApproveWorker)
async def approve(house: Dispatch, command: ApproveWorker, meta: Meta) -> RegistrationAnswer:
    """A coordinator's word on somebody who signed up."""
    outcome = await house.store.workers.update(
        command.worker_id, lambda known: roster.approve(known, command.approved), meta.named(command.command_id)
    )
    return _registered(outcome)


@router.command(ReportAbsence)
async def be_absent(house: Dispatch, command: ReportAbsence, meta: Meta) -> RegistrationAnswer:
    """Somebody is away, or back."""
    if command.cover is not None and await house.store.workers.get(command.cover) is None:
        raise refusal("cover", "unknown_worker", f"nobody is registered as {command.cover}")
    now = house.runtime.clock()
    outcome = await house.store.workers.update(
        command.worker_id,
        lambda known: roster.absent(known, command.until, command.cover, now),
        meta.named(command.command_id),
    )
    return _registered(outcome)


@router.event(WorkerAbsent)
async def stand_in(house: Dispatch, event: WorkerAbsent, meta: Meta) -> None:
    """The grids that he answers for go to whoever covers; what else he has not set out with goes to the next.

    His places on duties until he is back are free for others.
    """
    worker = await house.store.workers.get(event.worker_id)
    if worker is None or not worker.away:
        return
    if event.cover is not None:
        cover = event.cover
        await _each_grid(house, event, lambda grid: roster.stand_in(grid, event.worker_id, cover, event.until), meta)
    held = await house.store.held(event.worker_id)
    covered = event.grids if event.cover is not None else ()
    others = [(task_id, one) for task_id, one in held if one.facts is not None and one.facts.grid not in covered]
    await apply_to_each(house, others, lambda known, now: offering.leave(known, event.worker_id, now), meta)
    await duties.leave(house, event.worker_id, event.until, meta)


@router.event(WorkerReturned)
async def come_back(house: Dispatch, event: WorkerReturned, meta: Meta) -> None:
    """The grids that are his own are his again."""
    worker = await house.store.workers.get(event.worker_id)
    if worker is not None and not worker.away:
        await _each_grid(house, event, lambda grid: roster.take_back(grid, event.worker_id), meta)


@router.command(ExcludeWorker)
async def exclude(house: Dispatch, command: ExcludeWorker, meta: Meta) -> TaskAnswer:
    """A door does not want somebody again."""
    if command.worker is None:
        raise refusal("worker", "required", "say which worker is not wanted")
    known = await house.store.tasks.get(command.task_id)
    if known is None or known.facts is None:
        raise refusal("task_id", "unknown_task", "there is no task of this id", status=404)
    worker, facts = command.worker, known.facts
    outcome = await house.store.doors.update(
        facts.household,
        lambda door: roster.exclude(door, facts, worker, command.task_id),
        meta.named(command.command_id),
    )
    return TaskAnswer(
        status="accepted" if outcome.changed else "duplicate",
        task_id=command.task_id,
        state=known.state,
        worker=known.worker,
    )


@router.event(WorkerExcluded)
async def stay_away(house: Dispatch, event: WorkerExcluded, meta: Meta) -> None:
    """What he has behind that door and has not set out with goes to another."""
    held = await house.store.held(event.worker, household=event.household)
    await apply_to_each(house, held, lambda known, now: offering.leave(known, event.worker, now), meta)


@router.event(WorkerRegistered)
async def answer_for_grids(house: Dispatch, event: WorkerRegistered, meta: Meta) -> None:
    """A grid worker answers for grids, a coordinator for the whole community."""
    grids = {"grid_worker": event.grids, "coordinator": (COORDINATORS,)}.get(event.role, ())
    community = event.community or ""

    async def answer_for(name: str) -> None:
        await house.store.grids.update(
            f"{community}/{name}",
            lambda known: roster.answer_for(known, community, name, event.worker_id, meta.time),
            meta,
        )

    await asyncio.gather(*map(answer_for, grids))


@router.command(CoverGrid)
async def cover_grid(house: Dispatch, command: CoverGrid, meta: Meta) -> RegistrationAnswer:
    """Hand a grid to another, or back."""
    if await house.store.workers.get(command.worker) is None:
        raise refusal("worker", "unknown_worker", f"nobody is registered as {command.worker}")
    grid_id = f"{command.community}/{command.grid}"
    outcome = await house.store.grids.update(
        grid_id, lambda known: roster.cover(known, command.worker, command.until), meta.named(command.command_id)
    )
    return RegistrationAnswer(status="accepted" if outcome.changed else "duplicate", id=grid_id)


@router.event(GridCovered)
async def move_open_work(house: Dispatch, event: GridCovered, meta: Meta) -> None:
    """The grid's open work goes to whoever covers, in the order of the list."""
    held = await house.store.held(event.instead_of, community=event.community, grid=event.grid)
    await apply_to_each(house, held, lambda known, now: offering.cover(known, event.instead_of, now), meta)


async def end_absences(house: Dispatch) -> int:
    """End absences and covers whose time is over; how many these were."""
    now = house.runtime.clock()
    workers, grids = await asyncio.gather(
        house.store.returning(now, DUE_AT_ONCE), house.store.to_hand_back(now, DUE_AT_ONCE)
    )
    cause = Meta(f"over:{now.isoformat()}", "", "dispatch", now, "")
    ended = await asyncio.gather(
        *(house.store.workers.update(one, lambda known: roster.back_in_time(known, now), cause) for one in workers)
    )
    given_back = await asyncio.gather(
        *(house.store.grids.update(one, lambda known: roster.hand_back(known, now), cause) for one in grids)
    )
    return sum(one.changed for one in ended) + sum(one.changed for one in given_back)


async def _each_grid(
    house: Dispatch,
    event: WorkerAbsent | WorkerReturned,
    rule: Callable[[Grid | None], tuple[Grid, Sequence[Event]] | None],
    meta: Meta,
) -> None:
    """Apply a rule to each grid that the event names."""
    names = (f"{event.community}/{name}" for name in event.grids)
    await asyncio.gather(*(house.store.grids.update(name, rule, meta) for name in names))


def _worker(
    house: Dispatch, command: RegisterWorker | SignUpVolunteer, role: str, buildings: tuple[str, ...] = ()
) -> Worker:
    """What somebody tells, as it is kept; name and phone sealed.

    Raises:
        Refusal: a skill, language or kind that no catalogue has, or shifts that do not go together.
    """
    if problems := [*_unknown(house, command), *shifts.problems_of(command.shifts)]:
        raise Refusal(*problems)
    details = WorkerDetails(name=command.name, phone=command.phone)
    abilities = {name: getattr(command, name) for name in Abilities.model_fields}
    return Worker(
        **abilities,
        worker_id=command.worker_id,
        community=command.community,
        role=role,
        grids=command.grids,
        buildings=buildings,
        fingerprint=house.runtime.lookup.blind("worker", command.model_dump_json()),
        sealed=house.runtime.sealer.seal(details.model_dump_json(), f"worker:{command.worker_id}"),
    )


def _unknown(house: Dispatch, told: Abilities) -> Iterator[Problem]:
    catalogues: dict[str, Collection[str]] = {
        "skills": house.abilities.skills,
        "languages": house.abilities.languages,
        "kinds": house.kinds.kinds,
    }
    for field, catalogue in catalogues.items():
        for number, code in enumerate(getattr(told, field)):
            if code not in catalogue:
                message = f"{code} is not in the catalogue; known: {', '.join(catalogue)}"
                yield Problem(field=f"{field}.{number}", code=f"unknown_{field.removesuffix('s')}", message=message)


def _registered(outcome: Outcome[Worker]) -> RegistrationAnswer:
    worker = roster.known(outcome.state)
    return RegistrationAnswer(status="accepted" if outcome.changed else "duplicate", id=worker.worker_id)
