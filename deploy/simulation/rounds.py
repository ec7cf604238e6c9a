"""A round over what waits, with the greedy rule; it looks at what the rounds of the running service look at."""

from datetime import datetime, timedelta

from deploy.simulation.records import Records
from services.dispatch.domain.choosing import greedy
from services.dispatch.domain.matching import able
from services.dispatch.domain.places import Distances, Door
from services.dispatch.domain.roster import Worker
from services.dispatch.domain.task import Task
from services.dispatch.domain.walks import Choice, Hands, Round, Waiting
from shared.contracts.intake import RequestFacts

_UNCAPPED = 20
"""Tasks that somebody without a cap can get in one round."""
_FOREIGN = 300.0
"""Metres that it is worth to have somebody come who speaks the resident's language."""


def choices(records: Records, distances: Distances, now: datetime, *, urgent: bool) -> tuple[Choice, ...]:
    """Who is to be asked for each task that waits; what is urgent is chosen for by itself."""
    waits = [(task_id, one, one.facts) for task_id, one in records.waits.items() if one.facts is not None]
    part = [each for each in waits if (each[2].urgency == "urgent") == urgent]
    if not part:
        return ()
    full = records.full()
    hands = tuple(_hands(records, one) for one in records.helpers if one.worker_id not in full)
    return greedy(Round(tuple(_waiting(records, now, *each) for each in part), hands, distances)).choices


def _waiting(records: Records, now: datetime, task_id: str, task: Task, facts: RequestFacts) -> Waiting:
    candidates = able(records.helpers, records.need(facts), now, task.declined)
    return Waiting(
        task_id=task_id,
        building=facts.building,
        stairwell=facts.stairwell,
        able={**dict.fromkeys(candidates.others, _FOREIGN), **dict.fromkeys(candidates.speakers, 0.0)},
        household=facts.household,
        priority=task.priority,
        urgency=facts.urgency,
        waited=(now - (task.created_at or now)) / timedelta(minutes=1),
    )


def _hands(records: Records, worker: Worker) -> Hands:
    work = records.work_of(worker.worker_id)
    at = work.building or next(iter(worker.buildings), "")
    free = _UNCAPPED if worker.cap is None else max(0, worker.cap - work.load)
    return Hands(worker.worker_id, Door(at), free=free, load=work.load, week=work.done)
