"""Who helps, and who answers for which grid."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel

from shared.contracts.dispatch import GridCovered, WorkerRegistered
from shared.contracts.envelope import Event
from shared.contracts.refusal import refusal

COORDINATORS = "_"
"""Stands for a grid where a community's coordinator is kept."""


class Worker(BaseModel):
    """Somebody who helps."""

    worker_id: str
    community: str
    role: str
    grids: list[str]
    buildings: list[str]
    fingerprint: str
    """Keyed hash of all that was said, to tell a repetition from a change."""
    sealed: str


class Grid(BaseModel):
    """Who answers for a grid: its own worker, and whoever covers for him."""

    community: str
    grid: str
    own: str | None = None
    since: datetime | None = None
    worker: str | None = None


def register(worker: Worker | None, told: Worker) -> tuple[Worker, Sequence[Event]] | None:
    """Enter somebody, or change what is known; None if nothing changes."""
    if worker is not None and worker.fingerprint == told.fingerprint:
        return None
    return told, [
        WorkerRegistered(
            community=told.community,
            grid=told.grids[0] if len(told.grids) == 1 else None,
            worker_id=told.worker_id,
            role=told.role,
            grids=tuple(told.grids),
            buildings=tuple(told.buildings),
            sealed=told.sealed,
        )
    ]


def answer_for(
    grid: Grid | None, community: str, name: str, worker: str, since: datetime
) -> tuple[Grid, Sequence[Event]] | None:
    """From now on `worker` is the grid's own; None if something newer is known."""
    grid = grid or Grid(community=community, grid=name)
    if grid.since is not None and grid.since >= since:
        return None
    covered = grid.worker is not None and grid.worker != grid.own
    return grid.model_copy(update={"own": worker, "since": since, "worker": grid.worker if covered else worker}), []


def cover(grid: Grid | None, worker: str) -> tuple[Grid, Sequence[Event]] | None:
    """Hand the grid to another, or back to its own; None if that one has it.

    Raises:
        Refusal: nobody answers for such a grid.
    """
    if grid is None or grid.worker is None:
        raise refusal("grid", "unknown_grid", "nobody answers for a grid of this name", status=404)
    if grid.worker == worker:
        return None
    event = GridCovered(community=grid.community, grid=grid.grid, worker=worker, instead_of=grid.worker)
    return grid.model_copy(update={"worker": worker}), [event]
