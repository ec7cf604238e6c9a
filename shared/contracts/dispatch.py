"""Commands that dispatch takes, and events that dispatch publishes."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field

from shared.contracts.envelope import BuildingNumber, Command, Contract, Event, Identifier, Name, Note, Phone, Slug

TaskState = Literal["created", "offered", "assigned", "under_way", "completed", "failed", "cancelled"]
WorkerRole = Literal["grid_worker", "volunteer", "rider", "partner", "coordinator"]
DeclineReason = Literal["busy", "off_duty", "not_able", "conflict", "other"]
FailReason = Literal["nobody_home", "refused", "goods_missing", "wrong_address", "not_possible", "other"]
ReleaseReason = Literal["declined", "offer_lapsed", "lease_lapsed", "covered", "amended", "given_back"]


class TaskCommand(Command):
    """Something a worker does with a task. `command_id` makes it safe to send again."""

    task_id: Identifier
    command_id: Identifier
    worker: Identifier | None = None
    """Who does it; over HTTP the token's own worker unless a coordinator acts for somebody."""
    at: AwareDatetime | None = None
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
    """Set out."""

    wire: ClassVar[str] = "doorstep.task.start.v1"
    key: ClassVar[str] = "task.start"


class HandOverTask(TaskCommand):
    """Pass a task under way to another worker."""

    wire: ClassVar[str] = "doorstep.task.hand-over.v1"
    key: ClassVar[str] = "task.hand-over"

    to: Identifier
    goods: Literal["intact", "damaged", "missing"] = "intact"


class CompleteTask(TaskCommand):
    """Done at the door."""

    wire: ClassVar[str] = "doorstep.task.complete.v1"
    key: ClassVar[str] = "task.complete"

    note: Note = ""


class FailTask(TaskCommand):
    """It could not be done."""

    wire: ClassVar[str] = "doorstep.task.fail.v1"
    key: ClassVar[str] = "task.fail"

    reason: FailReason = "other"
    note: Note = ""


class ReopenTask(TaskCommand):
    """The resident says it is not done."""

    wire: ClassVar[str] = "doorstep.task.reopen.v1"
    key: ClassVar[str] = "task.reopen"

    note: Note = ""


class RegisterWorker(Command):
    """Enter somebody who helps, or change what is known of them."""

    wire: ClassVar[str] = "doorstep.worker.register.v1"
    key: ClassVar[str] = "worker.register"

    worker_id: Identifier
    community: Slug
    role: WorkerRole
    grids: Annotated[tuple[Slug, ...], Field(max_length=64)] = ()
    """Grids that a grid worker answers for, or in which a volunteer helps."""
    buildings: Annotated[tuple[BuildingNumber, ...], Field(max_length=64)] = ()
    name: Name
    phone: Phone | None = None


class CoverGrid(Command):
    """Hand a whole grid to another worker, open work included; to its own worker: hand it back."""

    wire: ClassVar[str] = "doorstep.grid.cover.v1"
    key: ClassVar[str] = "grid.cover"

    command_id: Identifier
    community: Slug
    grid: Slug
    worker: Identifier


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


class DeliveryAssigned(DeliveryEvent):
    """Somebody said yes; until `until` nobody else is asked."""

    wire: ClassVar[str] = "doorstep.delivery.assigned.v1"
    key: ClassVar[str] = "delivery.assigned"

    until: datetime


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
    """`previous` passed it to `worker`."""

    wire: ClassVar[str] = "doorstep.delivery.handed-over.v1"
    key: ClassVar[str] = "delivery.handed-over"

    previous: str
    goods: str


class DeliveryCompleted(DeliveryEvent):
    """Done at the door."""

    wire: ClassVar[str] = "doorstep.delivery.completed.v1"
    key: ClassVar[str] = "delivery.completed"

    contactless: bool = False


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


class WorkerRegistered(Event):
    """Somebody helps, or what is known of them changed."""

    wire: ClassVar[str] = "doorstep.worker.registered.v1"
    key: ClassVar[str] = "worker.registered"

    worker_id: str
    role: str
    grids: tuple[str, ...] = ()
    buildings: tuple[str, ...] = ()
    sealed: str
    """`WorkerDetails`, sealed."""


class WorkerDetails(Contract):
    """The personal part of a worker's entry."""

    name: str
    phone: str | None = None


class GridCovered(Event):
    """From now on `worker` answers for the grid instead of `instead_of`."""

    wire: ClassVar[str] = "doorstep.grid.covered.v1"
    key: ClassVar[str] = "grid.covered"

    worker: str
    instead_of: str


COMMANDS = (
    ClaimTask,
    AcceptTask,
    DeclineTask,
    StartTask,
    HandOverTask,
    CompleteTask,
    FailTask,
    ReopenTask,
    RegisterWorker,
    CoverGrid,
)
EVENTS = (
    DeliveryOffered,
    DeliveryAssigned,
    DeliveryReleased,
    DeliveryStarted,
    DeliveryHandedOver,
    DeliveryCompleted,
    DeliveryFailed,
    DeliveryReopened,
    DeliveryCancelled,
    DeliveryEscalated,
    WorkerRegistered,
    GridCovered,
)
