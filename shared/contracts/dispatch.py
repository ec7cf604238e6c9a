"""Commands that dispatch takes, and events that dispatch publishes."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from shared.contracts.envelope import Command, Contract, Event, Identifier, Moment, Note, Slug

TaskState = Literal["created", "offered", "assigned", "under_way", "completed", "failed", "cancelled"]
DeclineReason = Literal["busy", "off_duty", "not_able", "conflict", "other"]
Goods = Literal["intact", "damaged", "missing"]
Told = Literal["door", "phone", "message"]
"""How the resident was told: in person, by a call, in writing."""
PauseReason = Literal["waiting_for_resident", "waiting_for_shop", "waiting_for_parts", "other"]
FailReason = Literal["nobody_home", "refused", "goods_missing", "wrong_address", "not_possible", "other"]
ReleaseReason = Literal["declined", "offer_lapsed", "lease_lapsed", "covered", "amended", "given_back"]


class TaskCommand(Command):
    """Something a worker does with a task. `command_id` makes it safe to send again."""

    task_id: Identifier
    command_id: Identifier
    worker: Identifier | None = None
    """Who does it; over HTTP the token's own worker unless a coordinator acts for somebody."""
    at: Moment | None = None
    """The device's own time."""


class ClaimTask(TaskCommand):
    """Take a task that is offered to several."""

    wire: ClassVar[str] = "doorstep.task.claim.v1"
    key: ClassVar[str] = "task.claim"


class AcceptTask(TaskCommand):
    """Say yes to an offer."""

    wire: ClassVar[str] = "doorstep.task.accept.v1"
    key: ClassVar[str] = "task.accept"


class DeclineTask(TaskCommand):
    """Say no to an offer, or give back a task already taken."""

    wire: ClassVar[str] = "doorstep.task.decline.v1"
    key: ClassVar[str] = "task.decline"

    reason: DeclineReason = "other"


class StartTask(TaskCommand):
    """Set out; where the goods wait at a point, with them."""

    wire: ClassVar[str] = "doorstep.task.start.v1"
    key: ClassVar[str] = "task.start"

    goods: Goods = "intact"
    """As they were found at the point."""


class PauseTask(TaskCommand):
    """It goes on later; what is left of the time is kept."""

    wire: ClassVar[str] = "doorstep.task.pause.v1"
    key: ClassVar[str] = "task.pause"

    reason: PauseReason
    minutes: Annotated[int, Field(ge=1, le=1440)] = 30
    """How long at most."""


class BuyGoods(TaskCommand):
    """The shopping is done; the photo of the receipt goes the way of all photos."""

    wire: ClassVar[str] = "doorstep.task.buy.v1"
    key: ClassVar[str] = "task.buy"

    amount: Annotated[int, Field(ge=0, le=10_000_000)]
    """What was paid, in fen."""
    missing: Annotated[tuple[Annotated[int, Field(ge=1, le=200)], ...], Field(max_length=200)] = ()
    """Numbers of the items on the list, from 1, that could not be had."""


class ArriveTask(TaskCommand):
    """At the door."""

    wire: ClassVar[str] = "doorstep.task.arrive.v1"
    key: ClassVar[str] = "task.arrive"


class HandOverTask(TaskCommand):
    """Pass a task under way to another worker, or leave its goods at a point, with somebody who minds it or nobody."""

    wire: ClassVar[str] = "doorstep.task.hand-over.v1"
    key: ClassVar[str] = "task.hand-over"

    to: Identifier | None = None
    point: Slug | None = None
    """A place of `places.yaml` where the resident can collect it."""
    goods: Goods = "intact"
    told: Told | None = None


class CompleteTask(TaskCommand):
    """Done at the door, or collected at the point."""

    wire: ClassVar[str] = "doorstep.task.complete.v1"
    key: ClassVar[str] = "task.complete"

    note: Note = ""
    goods: Goods = "intact"
    code: Annotated[str, StringConstraints(pattern=r"^[0-9]{4}$")] | None = None
    """Four digits that the resident told."""
    called_back: bool = False
    """The resident was called afterwards and said that it is so."""
    told: Told | None = None


class FailTask(TaskCommand):
    """It could not be done."""

    wire: ClassVar[str] = "doorstep.task.fail.v1"
    key: ClassVar[str] = "task.fail"

    reason: FailReason = "other"
    note: Note = ""


class ReturnGoods(TaskCommand):
    """What was to be brought goes back: to the shop, the sender, the point."""

    wire: ClassVar[str] = "doorstep.task.return-goods.v1"
    key: ClassVar[str] = "task.return-goods"

    point: Slug | None = None
    goods: Goods = "intact"


class CheckTask(TaskCommand):
    """A second look, by somebody else than the doer: done as it should be, or not."""

    wire: ClassVar[str] = "doorstep.task.check.v1"
    key: ClassVar[str] = "task.check"

    confirmed: bool
    note: Note = ""


class ReopenTask(TaskCommand):
    """The resident says it is not done."""

    wire: ClassVar[str] = "doorstep.task.reopen.v1"
    key: ClassVar[str] = "task.reopen"

    note: Note = ""


class ExcludeWorker(TaskCommand):
    """Never this worker again behind the door of this task; `worker` is he. What he has there is given to another."""

    wire: ClassVar[str] = "doorstep.task.exclude.v1"
    key: ClassVar[str] = "task.exclude"

    reason: Note = ""


class TaskAnswer(Contract):
    """What the sender of a task command gets back."""

    status: Literal["accepted", "duplicate"]
    task_id: str
    state: TaskState
    worker: str | None


class DeliveryEvent(Event):
    """What every event in the life of a task says."""

    task_id: str
    request_id: str
    kind: str
    building: str
    urgency: str
    priority: int
    first_line: bool = False
    worker: str | None = None
    """Whom it concerns: offered to, assigned to, released from, done by."""
    at: datetime | None = None
    """The device's own time, where a device said one."""


class DeliveryOffered(DeliveryEvent):
    """Somebody is asked: one worker, or everybody of a role and grid where `worker` is None."""

    wire: ClassVar[str] = "doorstep.delivery.offered.v1"
    key: ClassVar[str] = "delivery.offered"

    step: int
    role: str
    until: datetime
    asked: tuple[str, ...] = ()
    """Who may claim it, where several are asked."""
    why: tuple[str, ...] = ()
    """Why he was chosen, where a round chose: codes such as `same_stairwell`, and numbers such as `metres:120`."""


class DeliveryAssigned(DeliveryEvent):
    """Somebody said yes; until `until` nobody else is asked."""

    wire: ClassVar[str] = "doorstep.delivery.assigned.v1"
    key: ClassVar[str] = "delivery.assigned"

    until: datetime
    asked: tuple[str, ...] = ()
    """Who was asked beside him, and need not think about it any more."""
    aids: tuple[str, ...] = ()
    """What makes up for what he lacks, such as `phrase_sheet` for a language."""


class DeliveryReleased(DeliveryEvent):
    """An offer or assignment ended without the work being done; `worker` no longer has it."""

    wire: ClassVar[str] = "doorstep.delivery.released.v1"
    key: ClassVar[str] = "delivery.released"

    reason: ReleaseReason


class DeliveryStarted(DeliveryEvent):
    """Somebody is on the way."""

    wire: ClassVar[str] = "doorstep.delivery.started.v1"
    key: ClassVar[str] = "delivery.started"

    until: datetime


class DeliveryHandedOver(DeliveryEvent):
    """`previous` passed it to `worker`, or left it at `point`."""

    wire: ClassVar[str] = "doorstep.delivery.handed-over.v1"
    key: ClassVar[str] = "delivery.handed-over"

    previous: str
    goods: str
    point: str | None = None
    """Where it is now, if at a point."""
    origin: str | None = None
    """The point from which it was taken."""
    leg: int = 1
    told: str | None = None
    until: datetime | None = None


class DeliveryCompleted(DeliveryEvent):
    """Done at the door."""

    wire: ClassVar[str] = "doorstep.delivery.completed.v1"
    key: ClassVar[str] = "delivery.completed"

    contactless: bool = False
    goods: str = "intact"
    point: str | None = None
    """Where it was handed out, if not at the door: a point, or `gate` of a closed building."""
    told: str | None = None
    proof: tuple[str, ...] = ()
    """What shows that it was done: `note`, `photo`, `code`, `call_back`."""
    check: bool = False
    """Somebody else shall take a second look."""


class DeliveryPaused(DeliveryEvent):
    """It goes on at `until` at the latest."""

    wire: ClassVar[str] = "doorstep.delivery.paused.v1"
    key: ClassVar[str] = "delivery.paused"

    reason: str
    until: datetime


class DeliveryResumed(DeliveryEvent):
    """It goes on; nobody else is asked until `until`."""

    wire: ClassVar[str] = "doorstep.delivery.resumed.v1"
    key: ClassVar[str] = "delivery.resumed"

    until: datetime


class DeliveryPostponed(DeliveryEvent):
    """Nobody is asked at night for what can wait until morning."""

    wire: ClassVar[str] = "doorstep.delivery.postponed.v1"
    key: ClassVar[str] = "delivery.postponed"

    until: datetime


class DeliveryAtRisk(DeliveryEvent):
    """It will soon be late: whoever has it has until `until`."""

    wire: ClassVar[str] = "doorstep.delivery.at-risk.v1"
    key: ClassVar[str] = "delivery.at-risk"

    until: datetime


class DeliveryBought(DeliveryEvent):
    """The shopping is done."""

    wire: ClassVar[str] = "doorstep.delivery.bought.v1"
    key: ClassVar[str] = "delivery.bought"

    amount: int
    """In fen."""
    missing: tuple[int, ...] = ()


class DeliveryArrived(DeliveryEvent):
    """At the door."""

    wire: ClassVar[str] = "doorstep.delivery.arrived.v1"
    key: ClassVar[str] = "delivery.arrived"


class DeliveryPhotographed(DeliveryEvent):
    """A photo was taken as proof."""

    wire: ClassVar[str] = "doorstep.delivery.photographed.v1"
    key: ClassVar[str] = "delivery.photographed"

    photo: str
    same_as: str | None = None
    """The task that had this picture before, where one did."""


class DeliveryReturned(DeliveryEvent):
    """The goods went back."""

    wire: ClassVar[str] = "doorstep.delivery.returned.v1"
    key: ClassVar[str] = "delivery.returned"

    goods: str
    point: str | None = None


class DeliveryChecked(DeliveryEvent):
    """Somebody else took a second look; `worker` is whose work it was."""

    wire: ClassVar[str] = "doorstep.delivery.checked.v1"
    key: ClassVar[str] = "delivery.checked"

    confirmed: bool
    by: str


class DeliveryFlagged(DeliveryEvent):
    """Something about it is not as it should be, and a coordinator is told; whoever has it keeps it."""

    wire: ClassVar[str] = "doorstep.delivery.flagged.v1"
    key: ClassVar[str] = "delivery.flagged"

    reason: str
    """`goods_damaged`, `goods_missing`, `amended_after_purchase`, `same_photo`."""


class DeliveryReplanned(DeliveryEvent):
    """The building was closed or opened: hand over at the gate, or at the door again."""

    wire: ClassVar[str] = "doorstep.delivery.replanned.v1"
    key: ClassVar[str] = "delivery.replanned"

    gate: bool


class DeliveryApart(DeliveryEvent):
    """Somebody behind the door is observed, so nothing is handed over in person; or is no longer."""

    wire: ClassVar[str] = "doorstep.delivery.apart.v1"
    key: ClassVar[str] = "delivery.apart"

    apart: bool


class DeliveryFailed(DeliveryEvent):
    """It could not be done."""

    wire: ClassVar[str] = "doorstep.delivery.failed.v1"
    key: ClassVar[str] = "delivery.failed"

    reason: str


class DeliveryReopened(DeliveryEvent):
    """It was not done after all."""

    wire: ClassVar[str] = "doorstep.delivery.reopened.v1"
    key: ClassVar[str] = "delivery.reopened"


class DeliveryCancelled(DeliveryEvent):
    """The need is gone and nobody goes any more."""

    wire: ClassVar[str] = "doorstep.delivery.cancelled.v1"
    key: ClassVar[str] = "delivery.cancelled"


class DeliveryEscalated(DeliveryEvent):
    """Nobody did it in time: a coordinator is told."""

    wire: ClassVar[str] = "doorstep.delivery.escalated.v1"
    key: ClassVar[str] = "delivery.escalated"

    reason: str
    """`needs_review`, `nobody_able`, `nobody_else`, `no_answer`, `building_closed`."""
    nearest: str | None = None
    """Where nobody is able: the worker who lacks least."""
    lacks: tuple[str, ...] = ()
    """What he lacks, such as `skill:lifting` or `off_duty`."""


COMMANDS = (
    ClaimTask,
    AcceptTask,
    DeclineTask,
    StartTask,
    PauseTask,
    BuyGoods,
    ArriveTask,
    HandOverTask,
    CompleteTask,
    FailTask,
    ReturnGoods,
    CheckTask,
    ReopenTask,
    ExcludeWorker,
)
EVENTS = (
    DeliveryOffered,
    DeliveryAssigned,
    DeliveryReleased,
    DeliveryStarted,
    DeliveryHandedOver,
    DeliveryPaused,
    DeliveryResumed,
    DeliveryPostponed,
    DeliveryAtRisk,
    DeliveryBought,
    DeliveryArrived,
    DeliveryPhotographed,
    DeliveryReturned,
    DeliveryChecked,
    DeliveryReplanned,
    DeliveryApart,
    DeliveryFlagged,
    DeliveryCompleted,
    DeliveryFailed,
    DeliveryReopened,
    DeliveryCancelled,
    DeliveryEscalated,
)
