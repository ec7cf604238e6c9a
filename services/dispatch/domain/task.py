"""A task: one need on its way to a pair of hands and to the door. Its state, and every move that there is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from pydantic import BaseModel

from services.dispatch.domain.ladder import Roster
from shared.contracts.catalogue import Ladder, Minutes
from shared.contracts.dispatch import DeliveryEvent, TaskState
from shared.contracts.envelope import Event
from shared.contracts.intake import RequestFacts
from shared.contracts.refusal import refusal

MOVES: dict[TaskState, dict[str, TaskState]] = {
    "created": {"offer": "offered", "cancel": "cancelled", "complete": "completed"},
    "offered": {
        "accept": "assigned",
        "start": "under_way",
        "release": "created",
        "cancel": "cancelled",
        "complete": "completed",
    },
    "assigned": {
        "start": "under_way",
        "pause": "assigned",
        "buy": "assigned",
        "complete": "completed",
        "fail": "failed",
        "release": "created",
        "cancel": "cancelled",
    },
    "under_way": {
        "pause": "under_way",
        "buy": "under_way",
        "arrive": "under_way",
        "hand_over": "under_way",
        "complete": "completed",
        "fail": "failed",
        "release": "created",
        "cancel": "cancelled",
    },
    "completed": {"buy": "completed", "check": "completed", "reopen": "created"},
    "failed": {"return_goods": "failed", "reopen": "created"},
    "cancelled": {"return_goods": "cancelled"},
}
"""Every move that there is: state, verb, state after. From created and offered, `start` and `complete` are news of
somebody who was out of reach: they say yes, too, or come late from whoever had it before."""

OPEN: frozenset[TaskState] = frozenset({"created", "offered", "assigned", "under_way"})
TAKEN: frozenset[TaskState] = frozenset({"assigned", "under_way"})
_HIGHEST = 100
_BELOW_FIRST_LINE = 59
"""However long others wait, the first line, which begins at 60, stands above them."""

_OVER: dict[str, Any] = {"asked": [], "why": [], "waits": False, "paused": None, "warn_at": None}
"""What ends with any move."""

E = TypeVar("E", bound=DeliveryEvent)
Decision = tuple["Task", Sequence[Event]]


class Leg(BaseModel):
    """One hand-over: from whom and which point, to whom and which point, when, and as what state of the goods."""

    giver: str | None
    origin: str | None = None
    taker: str | None
    point: str | None = None
    at: datetime
    goods: str


class Photo(BaseModel):
    """A photo taken as proof; the picture itself rests elsewhere, sealed."""

    photo: str
    by: str
    at: datetime
    look: str
    """Perceptual hash: 16 hexadecimal digits."""
    same_as: str | None = None


class Pause(BaseModel):
    """Why it does not go on, and what was left of its time."""

    reason: str
    left: float
    """Seconds."""


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
    """Offered to or held by; None while offered to a pool, or while it lies at a point that nobody minds."""
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
    """When an offer, a lease or a pause runs out."""
    warn_at: datetime | None = None
    """When whoever has it is told that it will soon be late."""
    paused: Pause | None = None
    priority: int = 0
    declined: list[str] = []
    """Who said no, or let it lie, since the ladder began."""
    holders: list[str] = []
    """Everybody who ever had it; late news from them counts."""
    point: str | None = None
    """Where its goods lie."""
    legs: list[Leg] = []
    bought: bool = False
    photos: list[Photo] = []
    pictured: list[str] = []
    """How each photo looked that it ever had: it may have been opened again since."""
    looks: list[str] = []
    """Of all these, in parts by which alike ones are found."""
    wrong_codes: int = 0
    check: bool = False
    """Waits for a second look."""
    gate: bool = False
    """The building is closed: handed over at the gate."""
    apart: bool = False
    """Somebody behind the door is observed: nothing is handed over in person."""
    returned: bool = False
    created_at: datetime | None = None
    reopened_at: datetime | None = None
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class Situation:
    """What a decision rests on, beside the task."""

    now: datetime
    ladder: Ladder
    roster: Roster
    minute: timedelta = timedelta(minutes=1)
    """How long a catalogue minute lasts; shorter in demonstrations."""
    hurries: bool = False
    """It has the times of what is urgent, as a meal at meal time has."""
    rests_until: datetime | None = None
    """Nobody is asked before."""
    evening: datetime | None = None
    """What lies at a point is brought to the door from then on."""
    closed: bool = False
    """The building is."""
    enters: bool = False
    """Whoever does it must go in."""
    drawn: bool = False
    """Somebody else shall take a second look, should it be completed now."""

    def after(self, minutes: Minutes, facts: RequestFacts) -> datetime:
        """The moment that many minutes from now."""
        return self.now + minutes.of("urgent" if self.hurries else facts.urgency) * self.minute

    def warning(self, until: datetime) -> datetime | None:
        """When to warn of a lease that ends then."""
        share = self.ladder.warn_before
        return until - share * (until - self.now) if share else None


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


def known(task: Task | None) -> tuple[Task, RequestFacts]:
    """Raises:
    Refusal: there is no such task.
    """
    if task is None or task.facts is None:
        raise refusal("task_id", "unknown_task", "there is no task of this id", status=404)
    return task, task.facts


def is_asked(task: Task, worker: str) -> bool:
    """Whether it is offered to him. A version before kept no list of those who are asked, but only their role."""
    if task.worker is not None:
        return task.worker == worker
    return worker in task.asked if task.asked else task.role == "volunteer"


def allow(task: Task, verb: str) -> None:
    """Raises:
    Refusal: there is no such move from here.
    """
    if verb not in MOVES[task.state]:
        raise refusal("task_id", "wrong_state", f"the task is {task.state}; {verb} is not possible", status=409)


def held(task: Task, actor: Actor) -> None:
    """Raises:
    Refusal: another has it. What lies at a point that nobody minds is still with whoever had it before.
    """
    his = actor.worker in task.holders if task.point and task.worker is None else task.worker == actor.worker
    if not his and not actor.leads:
        has = f"{task.worker} has this task" if task.state in TAKEN else f"it is not offered to {actor.worker}"
        raise refusal("worker", "not_yours", has, status=409)


def had(task: Task, actor: Actor) -> None:
    """Raises:
    Refusal: he never had it, and does not lead.
    """
    if actor.worker not in task.holders and not actor.leads:
        raise refusal("worker", "not_yours", f"{actor.worker} never had it", status=409)


def higher(task: Task, by: int) -> int:
    """Its priority, raised."""
    return min(task.priority + by, _HIGHEST if known(task)[1].first_line else _BELOW_FIRST_LINE)


def moved(task: Task, verb: str, **changes: Any) -> Task:
    """The task after a move of the table."""
    state = MOVES[task.state][verb]
    left = {} if state in TAKEN else {"slot": None}
    return task.model_copy(update={"state": state, "open": state in OPEN, **_OVER, **left, **changes})


def event(kind: type[E], task: Task, **more: Any) -> E:
    """An event about the task as it is."""
    facts = known(task)[1]
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
