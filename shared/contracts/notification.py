"""Commands that notification takes, events that it publishes, and what staff read on their streams."""

from datetime import datetime
from typing import ClassVar, Literal

from shared.contracts.envelope import NOTIFICATIONS_EXCHANGE, UNKNOWN, Command, Contract, Event, Identifier


class AcknowledgeNotification(Command):
    """A member of staff has read it."""

    wire: ClassVar[str] = "doorstep.notification.acknowledge.v1"
    key: ClassVar[str] = "notification.acknowledge"

    notification_id: Identifier
    command_id: Identifier
    worker: Identifier | None = None


class StaffNotification(Event):
    """One line on the staff's stream: which event, about what, for whom; no personal data."""

    wire: ClassVar[str] = "doorstep.notification.staff.v1"
    key: ClassVar[str] = "notification.staff"
    exchange: ClassVar[str] = NOTIFICATIONS_EXCHANGE

    id: str
    event: str
    """The event's class name, such as `DeliveryOffered`."""
    event_id: str
    at: datetime
    request_id: str | None
    task_id: str | None = None
    duty_id: str | None = None
    role: str
    """Whom it is for: `grid_worker`, `volunteer`, `coordinator`, …"""
    worker: str | None
    asked: tuple[str, ...] = ()
    """Further workers whom it is for by name, wherever they help."""
    kind: str | None = None
    building: str | None = None
    urgency: str | None = None
    priority: int = 0
    first_line: bool = False
    text: dict[str, str]
    """What a person reads, by language (`zh`, `en`)."""

    def routing_key(self) -> str:
        """`<role>.<community>.<grid>.<worker>`, with `_` where one is unknown."""
        return ".".join((self.role, self.community or UNKNOWN, self.grid or UNKNOWN, self.worker or UNKNOWN))


class NotificationAnswer(Contract):
    """What the sender of an acknowledgement gets back."""

    status: Literal["accepted", "duplicate"]
    notification_id: str


class NotificationAcknowledged(Event):
    """Somebody read a notification that waited to be read."""

    wire: ClassVar[str] = "doorstep.notification.acknowledged.v1"
    key: ClassVar[str] = "notification.acknowledged"

    notification_id: str
    request_id: str | None = None
    worker: str | None = None


COMMANDS = (AcknowledgeNotification,)
EVENTS = (NotificationAcknowledged,)
