"""A task: one need on its way to a pair of hands and to the door."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from pydantic import BaseModel

from services.dispatch.domain.ladder import CHOSEN, Roster, whom
from services.dispatch.domain.matching import able, nearest
from shared.contracts.catalogue import Ladder, Minutes
from shared.contracts.dispatch import (
    DeliveryAssigned,
    DeliveryCancelled,
    DeliveryCompleted,
    DeliveryEscalated,
    DeliveryEvent,
    DeliveryFailed,
    DeliveryHandedOver,
    DeliveryOffered,
    DeliveryReleased,
    DeliveryReopened,
    DeliveryStarted,
    ReleaseReason,
    TaskState,
)
from shared.contracts.envelope import Event
from shared.contracts.intake import RequestFacts
from shared.contracts.refusal import refusal

MOVES: dict[TaskState, dict[str, TaskState]] = {
    "created": {"offer": "offered", "cancel": "cancelled", "complete": "completed"},
    "offered": {"accept": "assigned", "release": "created", "cancel": "cancelled", "complete": "completed"},
    "assigned": {
        "start": "under_way",
        "complete": "completed",
        "fail": "failed",
        "release": "created",
        "cancel": "cancelled",
    },
    "under_way": {
        "hand_over": "under_way",
        "complete": "completed",
        "fail": "failed",
        "release": "created",
        "cancel": "cancelled",
    },
    "completed": {"reopen": "created"},
    "failed": {"reopen": "created"},
    "cancelled": {},
}
"""Every move that there is: state, verb, state after. `complete` from created and offered is late news of somebody who
had it before."""

OPEN: frozenset[TaskState] = frozenset({"created", "offered", "assigned", "under_way"})
TAKEN: frozenset[TaskState] = frozenset({"assigned", "under_way"})
_WAITED_LONGER = 1
"""What priority gains each time a task comes back."""
_HIGHEST = 100
_BELOW_FIRST_LINE = 59
"""However long others wait, the first line, which begins at 60, stands above them."""

_NOBODY_ASKED: dict[str, Any] = {"asked": [], "why": [], "waits": False}
ROUND_PATIENCE = timedelta(minutes=1)
"""How long a task waits for a round before the next step is taken without it."""

E = TypeVar("E", bound=DeliveryEvent)
Decision = tuple["Task", Sequence[Event]]


class Task(BaseModel):
    """The state of a task.

    `facts` is None where its request was cancelled before it was known here.
    """

    task_id: str
    request_id: str
    facts: RequestFacts | None = None
    told: int = 0
    """Place in its request's history of the event that `facts` come from."""
    state: TaskState = "created"
    open: bool = True
    worker: str | None = None
    """Offered to or held by; None while offered to a pool."""
    role: str | None = None
    """Of whom is asked, while offered."""
    asked: list[str] = []
    """Who may claim it, while offered to several."""
    waits: bool = False
    """For the next round, which chooses whom to ask."""
    why: list[str] = []
    """Why whoever is asked was chosen."""
    slot: str | None = None
    """Which of the places under his cap the holder has it in; no two tasks rest in one place."""
    step: int = -1
    """Place on the offer ladder, from 0."""
    due_at: datetime | None = None
    """When an offer or a lease runs out."""
    priority: int = 0
    declined: list[str] = []
    """Who said no, or let it lie, since the ladder began."""
    holders: list[str] = []
    """Everybody who ever had it; late news from them counts."""
    created_at: datetime | None = None
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class Situation:
    """What a decision rests on, beside the task."""

    now: datetime
    ladder: Ladder
    roster: Roster
    minute: timedelta = timedelta(minutes=1)
    """How long a catalogue minute lasts; shorter in demonstrations."""

    def after(self, minutes: Minutes, facts: RequestFacts) -> datetime:
        """The moment that many minutes from now."""
        return self.now + minutes.of(facts.urgency) * self.minute


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts on a task: the worker, and whether somebody who leads speaks for him."""

    worker: str
    leads: bool = False
    at: datetime | None = None
    """The device's own time."""
    slot: str | None = None
    """A place under his cap that is free; None: he has no cap."""
    full: bool = False
    """He has a cap, and no place is free."""
    aids: tuple[str, ...] = ()
    """What makes up for what he lacks."""


def open_task(task: Task | None, task_id: str, facts: RequestFacts, told: int, situation: Situation) -> Decision | None:
    """A request became known: offer it at once; None if it is known already."""
    if task is not None and task.facts is not None:
        return None
    opened = (task or Task(task_id=task_id, request_id=facts.request_id)).model_copy(
        update={"facts": facts, "told": told, "priority": facts.priority, "created_at": situation.now}
    )
    if opened.withdrawn:
        return _moved(opened, "cancel"), [_event(DeliveryCancelled, opened)]
    first = len(situation.ladder.steps) - 1 if facts.needs_review else 0
    return _offer(opened, first, situation)


def accept(task: Task | None, actor: Actor, situation: Situation) -> Decision:
    """Say yes to an offer, or claim what is offered to several. Whoever comes second is told who has it."""
    task, facts = _known(task)
    if task.state in TAKEN:
        raise refusal("task_id", "taken", f"{task.worker} has this task", status=409)
    _allow(task, "accept")
    if not _is_asked(task, actor.worker) and not actor.leads:
        raise refusal("worker", "not_offered", f"this task is not offered to {actor.worker}", status=409)
    if actor.full and not actor.leads:
        raise refusal("worker", "cap_reached", f"{actor.worker} has as many tasks as he can have", status=409)
    until = situation.after(situation.ladder.start_within, facts)
    holders = [*task.holders, actor.worker]
    assigned = _moved(task, "accept", worker=actor.worker, due_at=until, holders=holders, slot=actor.slot)
    others = tuple(one for one in task.asked if one != actor.worker)
    return assigned, [
        _event(DeliveryAssigned, assigned, until=until, at=actor.at, asked=others, aids=actor.aids),
    ]


def decline(task: Task | None, actor: Actor, situation: Situation) -> Decision:
    """Say no to an offer, or give back what one has; the next on the ladder is asked.

    Where several are asked, one who says no leaves it to the others; the last of them passes it on.
    """
    task, _ = _known(task)
    _allow(task, "release")
    if task.state == "offered" and task.worker is None and set(task.asked) != {actor.worker}:
        left = [one for one in task.asked if one != actor.worker]
        return task.model_copy(update={"asked": left, "declined": [*task.declined, actor.worker]}), []
    if task.worker is not None or not task.asked:
        _holds(task, actor)
    reason: ReleaseReason = "declined" if task.state == "offered" else "given_back"
    return _release(task, reason, situation, declined=actor.worker, at=actor.at)


def start(task: Task | None, actor: Actor, situation: Situation) -> Decision:
    """Set out."""
    task, facts = _known(task)
    _allow(task, "start")
    _holds(task, actor)
    until = situation.after(situation.ladder.finish_within, facts)
    started = _moved(task, "start", due_at=until)
    return started, [_event(DeliveryStarted, started, until=until, at=actor.at)]


def hand_over(
    task: Task | None, actor: Actor, to: str, goods: str, situation: Situation, slot: str | None = None
) -> Decision:
    """Pass a task under way to another worker; the goods are in his hands, so his cap does not keep them from him."""
    task, facts = _known(task)
    _allow(task, "hand_over")
    _holds(task, actor)
    until = situation.after(situation.ladder.finish_within, facts)
    passed = _moved(task, "hand_over", worker=to, due_at=until, holders=[*task.holders, to], slot=slot)
    return passed, [_event(DeliveryHandedOver, passed, previous=task.worker, goods=goods, at=actor.at)]


def complete(task: Task | None, actor: Actor) -> Decision:
    """Done at the door. News that comes late, after a lease ran out and before another took it, still counts."""
    task, facts = _known(task)
    _allow(task, "complete")
    if task.state in TAKEN or actor.worker not in task.holders:
        _holds(task, actor)
    done = _moved(task, "complete", worker=actor.worker, due_at=None)
    return done, [_event(DeliveryCompleted, done, contactless=facts.contactless, at=actor.at)]


def fail(task: Task | None, actor: Actor, reason: str) -> Decision:
    """It could not be done."""
    task, _ = _known(task)
    _allow(task, "fail")
    _holds(task, actor)
    failed = _moved(task, "fail", due_at=None)
    return failed, [_event(DeliveryFailed, failed, reason=reason, at=actor.at)]


def reopen(task: Task | None, actor: Actor, situation: Situation) -> Decision:
    """It was not done after all: the same task, the same history, the ladder from its beginning."""
    task, _ = _known(task)
    _allow(task, "reopen")
    reopened = _moved(task, "reopen", declined=[], step=-1, priority=_higher(task, _WAITED_LONGER))
    offered, events = _offer(reopened, 0, situation)
    return offered, [_event(DeliveryReopened, reopened, at=actor.at), *events]


def cancel(task: Task | None, task_id: str, request_id: str) -> Decision | None:
    """The need is gone; None if that makes no difference any more."""
    if task is None or task.facts is None:
        return Task(task_id=task_id, request_id=request_id, withdrawn=True), []
    if "cancel" not in MOVES[task.state]:
        return None
    cancelled = _moved(task, "cancel", due_at=None, withdrawn=True)
    return cancelled, [_event(DeliveryCancelled, cancelled)]


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
    moved = (task.facts.grid, task.facts.building) != (facts.grid, facts.building)
    bonus = task.priority - task.facts.priority
    amended = task.model_copy(update={"facts": facts, "told": told, "priority": facts.priority})
    amended = amended.model_copy(update={"priority": _higher(amended, bonus)})
    if task.state == "under_way" or not moved:
        return amended, []
    if task.state == "created":
        return _offer(amended, 0, situation)
    return _release(amended, "amended", situation, step=0)


def lapse(task: Task | None, situation: Situation) -> Decision | None:
    """An offer or a lease ran out: somebody else is asked, a little higher on the list; None if it did not."""
    if task is None or task.due_at is None or task.due_at > situation.now or not task.open:
        return None
    if task.state == "offered" and task.step >= len(situation.ladder.steps) - 1:
        return _escalate_again(task, situation)
    if task.state == "created":
        return _offer(task, task.step + 1, situation)
    reason: ReleaseReason = "offer_lapsed" if task.state == "offered" else "lease_lapsed"
    return _release(task, reason, situation, declined=task.worker)


def choose(
    task: Task | None, best: Sequence[str], role: str, why: Sequence[str], situation: Situation
) -> Decision | None:
    """A round chose somebody: ask him, and as many of the next best as the step says.

    None if it does not wait for that any more. `best` begins with whoever fits best; `role` is his.
    """
    if task is None or not task.waits:
        return None
    step, facts = situation.ladder.steps[task.step], _facts(task)
    until = situation.after(step.minutes, facts)
    several = list(best[: step.at_once.of(facts.urgency)])
    asked: dict[str, Any] = {"worker": several[0]} if len(several) == 1 else {"worker": None, "asked": several}
    offered = _moved(task, "offer", role=role, due_at=until, why=list(why), **asked)
    told = _event(
        DeliveryOffered, offered, step=task.step, role=role, until=until, asked=tuple(offered.asked), why=tuple(why)
    )
    return offered, [told]


def pass_over(task: Task | None, situation: Situation) -> Decision | None:
    """A round found nobody: the next step is taken; None if it does not wait for that any more."""
    return None if task is None or not task.waits else _offer(task, task.step + 1, situation)


def cover(task: Task | None, instead_of: str, situation: Situation) -> Decision | None:
    """The grid went from `instead_of` to another: what the first has not set out with is asked of the other.

    Late news, when the first answers for it again, moves nothing.
    """
    if instead_of == situation.roster.responsible:
        return None
    if task is None or task.worker != instead_of or task.state not in ("offered", "assigned"):
        return None
    return _release(task, "covered", situation, step=0)


def leave(task: Task | None, worker: str, situation: Situation) -> Decision | None:
    """Whoever is asked or has said yes goes away, or is not wanted: another is asked; None if it is not with him."""
    if task is None or task.worker != worker or task.state not in ("offered", "assigned"):
        return None
    return _release(task, "given_back", situation, declined=worker, step=0)


def _release(
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
    released = _moved(task, "release", declined=no, priority=_higher(task, _WAITED_LONGER), due_at=None)
    event = _event(DeliveryReleased, released, reason=reason, at=at)
    offered, events = _offer(released, ahead if step is None else step, situation)
    return offered, [event, *events]


def _offer(task: Task, step: int, situation: Situation) -> Decision:
    """Ask those of the first step from `step` on that somebody is able at; the ladder's end is a coordinator."""
    facts, steps, roster = _facts(task), situation.ladder.steps, situation.roster
    candidates = able(roster.workers, roster.need, situation.now, task.declined)
    number, asked = whom(steps, step, roster, candidates, facts)
    if asked.role == CHOSEN:
        due = situation.now + ROUND_PATIENCE
        return task.model_copy(update={"waits": True, "step": number, "worker": None, "role": None, "due_at": due}), []
    until = situation.after(steps[number].minutes, facts)
    offered = _moved(
        task,
        "offer",
        step=number,
        role=asked.role,
        worker=asked.worker,
        asked=list(asked.several),
        due_at=until,
    )
    event = _event(DeliveryOffered, offered, step=number, role=asked.role, until=until, asked=asked.several)
    if asked.role != "coordinator":
        return offered, [event]
    return offered, [_escalation(offered, situation, someone=bool(candidates.speakers or candidates.others)), event]


def _escalation(task: Task, situation: Situation, *, someone: bool) -> DeliveryEscalated:
    """Tell a coordinator why, and where nobody is able, who lacks least."""
    roster = situation.roster
    if _facts(task).needs_review:
        return _event(DeliveryEscalated, task, reason="needs_review")
    if someone or not roster.workers:
        return _event(DeliveryEscalated, task, reason="nobody_else")
    who, missing = nearest(roster.workers, roster.need, situation.now, task.declined) or (None, ())
    return _event(DeliveryEscalated, task, reason="nobody_able", nearest=who, lacks=missing)


def _escalate_again(task: Task, situation: Situation) -> Decision:
    until = situation.after(situation.ladder.steps[-1].minutes, _facts(task))
    asked = task.model_copy(update={"due_at": until, "priority": _higher(task, _WAITED_LONGER)})
    return asked, [_event(DeliveryEscalated, asked, reason="no_answer")]


def _known(task: Task | None) -> tuple[Task, RequestFacts]:
    if task is None or task.facts is None:
        raise refusal("task_id", "unknown_task", "there is no task of this id", status=404)
    return task, task.facts


def _facts(task: Task) -> RequestFacts:
    return _known(task)[1]


def _is_asked(task: Task, worker: str) -> bool:
    """A version before kept no list of those who are asked, but only their role."""
    if task.worker is not None:
        return task.worker == worker
    return worker in task.asked if task.asked else task.role == "volunteer"


def _allow(task: Task, verb: str) -> None:
    if verb not in MOVES[task.state]:
        raise refusal("task_id", "wrong_state", f"the task is {task.state}; {verb} is not possible", status=409)


def _holds(task: Task, actor: Actor) -> None:
    if task.worker != actor.worker and not actor.leads:
        has = f"{task.worker} has this task" if task.state in TAKEN else f"it is not offered to {actor.worker}"
        raise refusal("worker", "not_yours", has, status=409)


def _higher(task: Task, by: int) -> int:
    return min(task.priority + by, _HIGHEST if _facts(task).first_line else _BELOW_FIRST_LINE)


def _moved(task: Task, verb: str, **changes: Any) -> Task:
    state = MOVES[task.state][verb]
    left = {} if state in TAKEN else {"slot": None}
    return task.model_copy(update={"state": state, "open": state in OPEN, **_NOBODY_ASKED, **left, **changes})


def _event(kind: type[E], task: Task, **more: Any) -> E:
    facts = _facts(task)
    return kind(
        community=facts.community,
        grid=facts.grid,
        task_id=task.task_id,
        request_id=task.request_id,
        kind=facts.kind,
        building=facts.building,
        urgency=facts.urgency,
        priority=task.priority,
        first_line=facts.first_line,
        worker=task.worker,
        **more,
    )
