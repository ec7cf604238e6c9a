"""The offer ladder: who is asked at each step, of those who are able."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.dispatch.domain.matching import Able, Requirement
from services.dispatch.domain.roster import Worker
from shared.contracts.catalogue import Step
from shared.contracts.intake import RequestFacts

MOST_ASKED = 400
"""How many may be asked at once: their names travel in one event."""
CHOSEN = "chosen"
"""Stands for a role where a round will choose somebody."""
_ROLES = {"grid_pool": "volunteer", "neighbours": "volunteer", "riders": "rider", "partner": "partner"}


@dataclass(frozen=True, slots=True)
class Roster:
    """Who can be asked where the task is."""

    responsible: str | None = None
    """Answers for the grid now, cover included."""
    coordinator: str | None = None
    workers: Sequence[Worker] = ()
    """All who help in the community."""
    full: frozenset[str] = frozenset()
    """Those who have as many tasks as they can have, or stand somewhere on duty."""
    apart: bool = False
    """Somebody behind the door is observed."""
    need: Requirement = field(default_factory=lambda: Requirement(kind=""))


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom a step asks: one by name, or several of whom the first who claims has it, or whom a round will choose."""

    role: str
    worker: str | None = None
    several: tuple[str, ...] = ()


def whom(steps: Sequence[Step], first: int, roster: Roster, able: Able, facts: RequestFacts) -> tuple[int, Asked]:
    """The first step from `first` on that somebody is able at, and whom it asks; a coordinator's step always is one.

    Whoever lacks only the language is asked where no step finds one who speaks it. The ladder's end is a coordinator.
    """
    coordinator = Asked("coordinator", roster.coordinator)
    numbers = range(first, next((n for n in range(first, len(steps)) if steps[n].to == "coordinator"), len(steps)))
    for willing in (able.speakers, able.speakers | able.others):
        for number in numbers:
            if (asked := _of_step(steps[number], roster, willing - roster.full, facts)) is not None:
                return number, asked
    return min(numbers.stop, len(steps) - 1), coordinator


def _of_step(step: Step, roster: Roster, able: frozenset[str], facts: RequestFacts) -> Asked | None:
    if facts.grid is None:
        return None
    if step.to == CHOSEN:
        return Asked(CHOSEN) if able else None
    if step.to == "responsible":
        return Asked("grid_worker", roster.responsible) if roster.responsible in able else None
    several = sorted(one.worker_id for one in roster.workers if one.worker_id in able and _fits(one, step, facts))
    return Asked(_ROLES[step.to], several=tuple(several[:MOST_ASKED])) if several else None


def _fits(worker: Worker, step: Step, facts: RequestFacts) -> bool:
    """Whether a worker belongs to those whom a step means."""
    here = not worker.grids or facts.grid in worker.grids
    if step.to == "grid_pool":
        return worker.role == "volunteer" and here
    if step.to == "neighbours":
        return worker.role in ("volunteer", "grid_worker") and not here
    return worker.role == _ROLES[step.to]
