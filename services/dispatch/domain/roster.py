"""Who helps, and who answers for which grid."""

from collections.abc import Collection, Sequence
from datetime import datetime

from pydantic import BaseModel

from shared.contracts.envelope import Event
from shared.contracts.intake import RequestFacts
from shared.contracts.refusal import refusal
from shared.contracts.workers import (
    Abilities,
    GridCovered,
    Standing,
    WorkerAbsent,
    WorkerExcluded,
    WorkerRegistered,
    WorkerReturned,
    WorkerSignedUp,
)

COORDINATORS = "_"
"""Stands for a grid where a community's coordinator is kept."""


class Worker(Abilities):
    """Somebody who helps."""

    worker_id: str
    community: str
    role: str
    grids: tuple[str, ...] = ()
    buildings: tuple[str, ...] = ()
    fingerprint: str
    """Keyed hash of all that was said, to tell a repetition from a change."""
    sealed: str
    standing: Standing = "approved"
    away: bool = False
    away_until: datetime | None = None
    """None: until he says that he is back."""

    def is_away(self, now: datetime) -> bool:
        """Whether he is absent just now."""
        return self.away and (self.away_until is None or now < self.away_until)

    def slots(self) -> tuple[str, ...]:
        """The places under his cap, each for one task; none where he has no cap."""
        return tuple(f"{self.worker_id}/{number}" for number in range(1, (self.cap or 0) + 1))

    def free_slot(self, taken: Collection[str | None]) -> str | None:
        """A place under his cap that is not among the taken; None: there is none."""
        return next((slot for slot in self.slots() if slot not in taken), None)


class Grid(BaseModel):
    """Who answers for a grid: its own worker, and whoever covers for him."""

    community: str
    grid: str
    own: str | None = None
    since: datetime | None = None
    worker: str | None = None
    until: datetime | None = None
    """When it goes back to its own worker by itself."""


class Door(BaseModel):
    """Whom one household does not want again, and who of it is observed."""

    household: str
    never: list[str] = []
    observed: dict[str, str] = {}
    """By observation: the person who stays at home."""
    released: list[str] = []
    """Observations that are over; news of their beginning may come after that."""


class Gate(BaseModel):
    """Whether a building is closed, as far as was heard."""

    community: str
    building: str
    closed: bool = False
    told: int = 0
    """Place in the building's history of the news that this is from."""


Decision = tuple[Worker, Sequence[Event]]


def register(worker: Worker | None, told: Worker) -> Decision | None:
    """Enter somebody, or change what is known; None if nothing changes. Who is away stays away."""
    if worker is not None and worker.fingerprint == told.fingerprint and worker.standing == "approved":
        return None
    if worker is not None:
        told = told.model_copy(update={"away": worker.away, "away_until": worker.away_until})
    return told, [_registered(told)]


def sign_up(worker: Worker | None, told: Worker) -> Decision | None:
    """Somebody offers to help; None if he said so before.

    Raises:
        Refusal: somebody else has that id, or he is registered already.
    """
    waiting = told.model_copy(update={"standing": "waiting"})
    if worker is None or (worker.standing == "waiting" and worker.fingerprint != told.fingerprint):
        event = WorkerSignedUp(
            community=told.community,
            grid=told.grids[0] if len(told.grids) == 1 else None,
            worker_id=told.worker_id,
            role=told.role,
            sealed=told.sealed,
        )
        return waiting, [event]
    if worker.fingerprint == told.fingerprint:
        return None
    raise refusal("worker_id", "known_worker", "somebody is entered under this id; ask a coordinator", status=409)


def approve(worker: Worker | None, approved: bool) -> Decision | None:
    """A coordinator's word; None if it changes nothing.

    Raises:
        Refusal: nobody signed up under this id.
    """
    worker = known(worker)
    standing: Standing = "approved" if approved else "rejected"
    if worker.standing == standing:
        return None
    after = worker.model_copy(update={"standing": standing})
    return after, [_registered(after)] if approved else []


def absent(worker: Worker | None, until: datetime | None, cover: str | None, now: datetime) -> Decision | None:
    """Somebody is away until then, or, when that has passed, back; None if he never was away.

    Raises:
        Refusal: nobody is registered under this id, or he would cover for himself.
    """
    worker = known(worker)
    if cover == worker.worker_id:
        raise refusal("cover", "not_allowed", "nobody covers for himself")
    if until is not None and until <= now:
        return _back(worker) if worker.away else None
    after = worker.model_copy(update={"away": True, "away_until": until})
    event = WorkerAbsent(
        community=worker.community, worker_id=worker.worker_id, grids=worker.grids, cover=cover, until=until
    )
    return after, [event]


def back_in_time(worker: Worker | None, now: datetime) -> Decision | None:
    """The time of an absence is over; None if it is not."""
    if worker is None or not worker.away or worker.is_away(now):
        return None
    return _back(worker)


def known(worker: Worker | None) -> Worker:
    """Raises:
    Refusal: nobody is registered under this id.
    """
    if worker is None:
        raise refusal("worker_id", "unknown_worker", "nobody is entered under this id", status=404)
    return worker


def answer_for(
    grid: Grid | None, community: str, name: str, worker: str, since: datetime
) -> tuple[Grid, Sequence[Event]] | None:
    """From now on `worker` is the grid's own; None if something newer is known."""
    grid = grid or Grid(community=community, grid=name)
    if grid.since is not None and grid.since >= since:
        return None
    covered = grid.worker is not None and grid.worker != grid.own
    return grid.model_copy(update={"own": worker, "since": since, "worker": grid.worker if covered else worker}), []


def cover(grid: Grid | None, worker: str, until: datetime | None = None) -> tuple[Grid, Sequence[Event]] | None:
    """Hand the grid to another, until then if an end is told, or back to its own; None if that one has it.

    Raises:
        Refusal: nobody answers for such a grid.
    """
    if grid is None or grid.worker is None:
        raise refusal("grid", "unknown_grid", "nobody answers for a grid of this name", status=404)
    until = None if worker == grid.own else until
    if grid.worker == worker:
        return None if grid.until == until else (grid.model_copy(update={"until": until}), [])
    event = GridCovered(community=grid.community, grid=grid.grid, worker=worker, instead_of=grid.worker)
    return grid.model_copy(update={"worker": worker, "until": until}), [event]


def stand_in(
    grid: Grid | None, absent: str, worker: str, until: datetime | None
) -> tuple[Grid, Sequence[Event]] | None:
    """Whoever answers for the grid is away: hand it to another; None if it is not his, as where he only helps."""
    return cover(grid, worker, until) if grid is not None and grid.worker == absent else None


def take_back(grid: Grid | None, own: str) -> tuple[Grid, Sequence[Event]] | None:
    """Its own worker is back; None if it is not his."""
    return cover(grid, own) if grid is not None and grid.own == own else None


def hand_back(grid: Grid | None, now: datetime) -> tuple[Grid, Sequence[Event]] | None:
    """The time of a cover is over; None if it is not."""
    if grid is None or grid.own is None or grid.until is None or now < grid.until:
        return None
    return cover(grid, grid.own)


def exclude(door: Door | None, facts: RequestFacts, worker: str, task_id: str) -> tuple[Door, Sequence[Event]] | None:
    """That household does not want that worker again; None if it is known."""
    door = door or Door(household=facts.household)
    if worker in door.never:
        return None
    event = WorkerExcluded(
        community=facts.community,
        grid=facts.grid,
        worker=worker,
        household=facts.household,
        request_id=facts.request_id,
        task_id=task_id,
    )
    return door.model_copy(update={"never": [*door.never, worker]}), [event]


def close(
    gate: Gate | None, community: str, building: str, told: int, *, closed: bool
) -> tuple[Gate, Sequence[Event]] | None:
    """A building was closed or opened; None if something newer is known."""
    if gate is not None and gate.told >= told:
        return None
    return Gate(community=community, building=building, closed=closed, told=told), []


def _back(worker: Worker) -> Decision:
    after = worker.model_copy(update={"away": False, "away_until": None})
    return after, [WorkerReturned(community=worker.community, worker_id=worker.worker_id, grids=worker.grids)]


def _registered(worker: Worker) -> WorkerRegistered:
    return WorkerRegistered(
        community=worker.community,
        grid=worker.grids[0] if len(worker.grids) == 1 else None,
        worker_id=worker.worker_id,
        role=worker.role,
        grids=worker.grids,
        buildings=worker.buildings,
        sealed=worker.sealed,
    )
