"""Who is asked: a task comes in, climbs its ladder, goes from one to another, and is not needed any more."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from services.dispatch.domain.ladder import CHOSEN, whom
from services.dispatch.domain.matching import able, nearest
from services.dispatch.domain.task import Decision, Situation, Task, event, higher, known, moved
from shared.contracts.dispatch import (
    DeliveryAtRisk,
    DeliveryCancelled,
    DeliveryEscalated,
    DeliveryFlagged,
    DeliveryOffered,
    DeliveryPostponed,
    DeliveryReleased,
    DeliveryReplanned,
    DeliveryResumed,
    ReleaseReason,
)
from shared.contracts.intake import RequestFacts

WAITED_LONGER = 1
"""What priority gains each time a task comes back."""
_SHUT_IN = 20
"""What it gains when its building is closed."""
ROUND_PATIENCE = timedelta(minutes=1)
"""How long a task waits for a round before the next step is taken without it."""


def open_task(task: Task | None, task_id: str, facts: RequestFacts, told: int, situation: Situation) -> Decision | None:
    """A request became known: offer it at once; None if it is known already."""
    if task is not None and task.facts is not None:
        return None
    opened = (task or Task(task_id=task_id, request_id=facts.request_id)).model_copy(
        update={"facts": facts, "told": told, "priority": facts.priority, "created_at": situation.now}
    )
    if opened.withdrawn:
        return moved(opened, "cancel"), [event(DeliveryCancelled, opened)]
    if situation.closed:
        opened = _pinned(opened)
    first = len(situation.ladder.steps) - 1 if facts.needs_review else 0
    return offer(opened, first, situation)


def cancel(task: Task | None, task_id: str, request_id: str) -> Decision | None:
    """The need is gone; None if that makes no difference any more."""
    if task is None or task.facts is None:
        return Task(task_id=task_id, request_id=request_id, withdrawn=True), []
    if not task.open:
        return None
    cancelled = moved(task, "cancel", due_at=None, withdrawn=True)
    return cancelled, [event(DeliveryCancelled, cancelled)]


def amend(task: Task | None, task_id: str, facts: RequestFacts, told: int, situation: Situation) -> Decision | None:
    """The need changed. If the place did, whoever answers for the new place is asked.

    News older than what is known changes nothing; news of a request not yet known tells all that there is to know.
    """
    if task is None or task.facts is None:
        return open_task(task, task_id, facts, told, situation)
    if told <= task.told:
        return None
    if not task.open:
        # Nobody is asked, but should it be opened again, it is so.
        return task.model_copy(update={"facts": facts, "told": told}), []
    elsewhere = (task.facts.grid, task.facts.building) != (facts.grid, facts.building)
    bonus = task.priority - task.facts.priority
    amended = task.model_copy(update={"facts": facts, "told": told, "priority": facts.priority})
    amended = amended.model_copy(update={"priority": higher(amended, bonus)})
    if elsewhere:
        amended = amended.model_copy(update={"gate": situation.closed, "apart": situation.roster.apart})
    if task.state == "under_way":
        # What was bought by the old list is in his hands: somebody must decide.
        late = [event(DeliveryFlagged, amended, reason="amended_after_purchase")] if task.bought else []
        return amended, late
    if not elsewhere:
        return amended, []
    if task.state == "created":
        return offer(amended, 0, situation)
    return release(amended, "amended", situation, step=0)


def lapse(task: Task | None, situation: Situation) -> Decision | None:
    """An offer, a lease or a pause ran out; None if it did not.

    After a pause it goes on with what was left of its time. Else somebody else is asked, a little higher on the list.
    """
    if task is None or task.due_at is None or task.due_at > situation.now or not task.open:
        return None
    if task.paused is not None:
        return _resume(task, situation)
    if task.state == "offered" and task.step >= len(situation.ladder.steps) - 1:
        return _escalate_again(task, situation)
    if task.state == "created":
        return offer(task, task.step + 1, situation)
    if task.point is not None and task.state == "under_way":
        return release(task, "lease_lapsed", situation, step=0)
    reason: ReleaseReason = "offer_lapsed" if task.state == "offered" else "lease_lapsed"
    return release(task, reason, situation, declined=task.worker)


def warn(task: Task | None, now: datetime) -> Decision | None:
    """It will soon be late; None if that is not so (any more)."""
    if task is None or task.warn_at is None or task.warn_at > now or task.due_at is None:
        return None
    return task.model_copy(update={"warn_at": None}), [event(DeliveryAtRisk, task, until=task.due_at)]


def choose(
    task: Task | None, best: Sequence[str], role: str, why: Sequence[str], situation: Situation
) -> Decision | None:
    """A round chose somebody: ask him, and as many of the next best as the step says.

    None if it does not wait for that any more. `best` begins with whoever fits best; `role` is his.
    """
    if task is None or not task.waits:
        return None
    step, facts = situation.ladder.steps[task.step], known(task)[1]
    until = situation.after(step.minutes, facts)
    several = list(best[: step.at_once.of(facts.urgency)])
    asked: dict[str, Any] = {"worker": several[0]} if len(several) == 1 else {"worker": None, "asked": several}
    offered = moved(task, "offer", role=role, due_at=until, why=list(why), **asked)
    told = event(
        DeliveryOffered, offered, step=task.step, role=role, until=until, asked=tuple(offered.asked), why=tuple(why)
    )
    return offered, [told]


def pass_over(task: Task | None, situation: Situation) -> Decision | None:
    """A round found nobody: the next step is taken; None if it does not wait for that any more."""
    return None if task is None or not task.waits else offer(task, task.step + 1, situation)


def cover(task: Task | None, instead_of: str, situation: Situation) -> Decision | None:
    """The grid went from `instead_of` to another: what the first has not set out with is asked of the other.

    Late news, when the first answers for it again, moves nothing.
    """
    if instead_of == situation.roster.responsible:
        return None
    if task is None or task.worker != instead_of or task.state not in ("offered", "assigned"):
        return None
    return release(task, "covered", situation, step=0)


def leave(task: Task | None, worker: str, situation: Situation) -> Decision | None:
    """Whoever is asked or has said yes goes away, or is not wanted: another is asked; None if it is not with him."""
    if task is None or task.worker != worker or task.state not in ("offered", "assigned"):
        return None
    return release(task, "given_back", situation, declined=worker, step=0)


def replan(task: Task | None, situation: Situation) -> Decision | None:
    """The building was closed or opened; None if that is known.

    What is brought is handed over at the gate; where somebody must go in, a coordinator decides. Those inside stand
    higher on every list.
    """
    if task is None or not task.open or task.facts is None or task.gate == situation.closed:
        return None
    if not situation.closed:
        opened = task.model_copy(update={"gate": False})
        return opened, [event(DeliveryReplanned, opened, gate=False)]
    shut = _pinned(task)
    told = event(DeliveryReplanned, shut, gate=True)
    if not situation.enters or shut.state == "under_way":
        return shut, [told]
    last = len(situation.ladder.steps) - 1
    if shut.state == "created":
        decided, events = offer(shut, last, situation)
    else:
        decided, events = release(shut, "amended", situation, step=last)
    return decided, [told, *events]


def release(
    task: Task,
    reason: ReleaseReason,
    situation: Situation,
    *,
    declined: str | None = None,
    step: int | None = None,
    at: datetime | None = None,
) -> Decision:
    """Take it from whoever is asked or has it, and ask the next."""
    ahead = task.step + 1 if task.state == "offered" else 0
    no = [*task.declined, *([declined] if declined and declined not in task.declined else [])]
    released = moved(task, "release", declined=no, priority=higher(task, WAITED_LONGER), due_at=None)
    told = event(DeliveryReleased, released, reason=reason, at=at)
    offered, events = offer(released, ahead if step is None else step, situation)
    return offered, [told, *events]


def offer(task: Task, step: int, situation: Situation) -> Decision:
    """Ask those of the first step from `step` on that somebody is able at; the ladder's end is a coordinator.

    Where somebody must go into a closed building, it is the coordinator at once.
    """
    facts, steps, roster = known(task)[1], situation.ladder.steps, situation.roster
    if task.gate != situation.closed:
        # The news of the building came while this task was on its way here.
        task = task.model_copy(update={"gate": situation.closed})
    if task.apart != roster.apart:
        task = task.model_copy(update={"apart": roster.apart})
    if situation.rests_until is not None and task.state == "created":
        update = {"step": step - 1, "worker": None, "role": None, "due_at": situation.rests_until, "waits": False}
        resting = task.model_copy(update=update)
        return resting, [event(DeliveryPostponed, resting, until=situation.rests_until)]
    candidates = able(roster.workers, roster.need, situation.now, task.declined)
    first = len(steps) - 1 if task.gate and situation.enters else step
    number, asked = whom(steps, first, roster, candidates, facts)
    if asked.role == CHOSEN:
        due = situation.now + ROUND_PATIENCE
        return task.model_copy(update={"waits": True, "step": number, "worker": None, "role": None, "due_at": due}), []
    until = situation.after(steps[number].minutes, facts)
    offered = moved(
        task,
        "offer",
        step=number,
        role=asked.role,
        worker=asked.worker,
        asked=list(asked.several),
        due_at=until,
    )
    told = event(DeliveryOffered, offered, step=number, role=asked.role, until=until, asked=asked.several)
    if asked.role != "coordinator":
        return offered, [told]
    return offered, [_escalation(offered, situation, someone=bool(candidates.speakers or candidates.others)), told]


def _escalation(task: Task, situation: Situation, *, someone: bool) -> DeliveryEscalated:
    """Tell a coordinator why, and where nobody is able, who lacks least."""
    roster = situation.roster
    if known(task)[1].needs_review:
        return event(DeliveryEscalated, task, reason="needs_review")
    if task.gate and situation.enters:
        return event(DeliveryEscalated, task, reason="building_closed")
    if someone or not roster.workers:
        return event(DeliveryEscalated, task, reason="nobody_else")
    who, missing = nearest(roster.workers, roster.need, situation.now, task.declined) or (None, ())
    return event(DeliveryEscalated, task, reason="nobody_able", nearest=who, lacks=missing)


def _escalate_again(task: Task, situation: Situation) -> Decision:
    until = situation.after(situation.ladder.steps[-1].minutes, known(task)[1])
    asked = task.model_copy(update={"due_at": until, "priority": higher(task, WAITED_LONGER)})
    return asked, [event(DeliveryEscalated, asked, reason="no_answer")]


def _resume(task: Task, situation: Situation) -> Decision:
    until = situation.now + timedelta(seconds=task.paused.left if task.paused else 0)
    update = {"paused": None, "due_at": until, "warn_at": situation.warning(until)}
    resumed = task.model_copy(update=update)
    return resumed, [event(DeliveryResumed, resumed, until=until)]


def _pinned(task: Task) -> Task:
    return task.model_copy(update={"gate": True, "priority": higher(task, _SHUT_IN)})
