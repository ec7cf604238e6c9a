"""What a round looks at: tasks that wait with those who are able, and whoever helps with what he has to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.dispatch.domain.matching import Requirement, able
from services.dispatch.domain.places import Distances, Door
from services.dispatch.domain.roster import Worker
from services.dispatch.domain.task import Task
from services.dispatch.domain.walks import Hands, Waiting
from shared.contracts.intake import RequestFacts

_UNCAPPED = 20
"""Tasks that somebody without a cap can get in one round."""
_FOREIGN = 300.0
"""Metres that it is worth to have somebody come who speaks the resident's language."""


@dataclass(frozen=True, slots=True)
class Work:
    """What somebody has to do, and has done."""

    load: int = 0
    """Open tasks."""
    asked: float = 0.0
    """Of tasks that several are asked for, his share: one of three that are asked for one has a third."""
    done: int = 0
    building: str | None = None
    """Of one of his open tasks, or else of the last that he did."""


def waiting(
    task: Task, facts: RequestFacts, need: Requirement, helpers: Sequence[Worker], now: datetime, distances: Distances
) -> Waiting:
    """A task that waits, with whoever is able; who does not speak the resident's language is some way off."""
    candidates = able(helpers, need, now, task.declined)
    return Waiting(
        task_id=task.task_id,
        building=facts.building,
        stairwell=facts.stairwell,
        able={**dict.fromkeys(candidates.others, _FOREIGN), **dict.fromkeys(candidates.speakers, 0.0)},
        household=facts.household,
        shop=distances.shops.get(facts.kind),
        priority=task.priority,
        urgency=facts.urgency,
        waited=(now - (task.created_at or now)) / timedelta(minutes=1),
    )


def hands(worker: Worker, work: Work) -> Hands:
    """Somebody who helps: where his work is, or else the first building that he knows."""
    at = work.building or next(iter(worker.buildings), "")
    free = _UNCAPPED if worker.cap is None else max(0, worker.cap - work.load)
    return Hands(worker.worker_id, Door(at), free=free, load=work.load, week=work.done, asked=work.asked)
