"""Commands about duties, which dispatch takes, and events about duties, which dispatch publishes.

A duty is a place where people stand for some hours, such as a gate; a task is brought to a door.
"""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from shared.contracts.envelope import BuildingNumber, Command, Contract, Event, Identifier, Moment, Name, Slug

DutyState = Literal["open", "cancelled", "attested"]
MOST_PLACES = 50
ZONE = "Asia/Shanghai"
"""In whose wall time people read when a duty is; moments in messages have a zone of their own."""


class PostDuty(Command):
    """Look for volunteers who stand somewhere for some hours. `duty_id` makes it safe to send again."""

    wire: ClassVar[str] = "doorstep.duty.post.v1"
    key: ClassVar[str] = "duty.post"

    duty_id: Identifier
    community: Slug
    kind: Slug
    place: Name
    """Where they meet, such as the south gate; everybody can read it."""
    building: BuildingNumber | None = None
    grid: Slug | None = None
    begins: Moment
    ends: Moment
    """Both on a quarter of an hour, at most twelve hours apart."""
    places: Annotated[int, Field(ge=1, le=MOST_PLACES)] = 1
    """How many are needed."""
    skills: Annotated[tuple[Slug, ...], Field(max_length=32)] = ()
    """What each of them must have, besides what the kind asks for."""


class DutyCommand(Command):
    """Something that is done with a duty. `command_id` makes it safe to send again."""

    duty_id: Identifier
    command_id: Identifier


class BookingCommand(DutyCommand):
    """Something that is done with one place under a duty."""

    worker: Identifier | None = None
    """Whose it is; over HTTP the token's own worker unless a coordinator acts for somebody."""


class BookDuty(BookingCommand):
    """Take one of the places."""

    wire: ClassVar[str] = "doorstep.duty.book.v1"
    key: ClassVar[str] = "duty.book"


class WithdrawFromDuty(BookingCommand):
    """Give a place back."""

    wire: ClassVar[str] = "doorstep.duty.withdraw.v1"
    key: ClassVar[str] = "duty.withdraw"


class CancelDuty(DutyCommand):
    """Nobody is needed there any more."""

    wire: ClassVar[str] = "doorstep.duty.cancel.v1"
    key: ClassVar[str] = "duty.cancel"


class Attendance(Contract, extra="forbid"):
    """From when till when somebody was there."""

    worker: Identifier
    begins: Moment
    ends: Moment


class AttestDuty(DutyCommand):
    """A coordinator's word on who was there; whoever is booked and not named was not. Said again, it replaces."""

    wire: ClassVar[str] = "doorstep.duty.attest.v1"
    key: ClassVar[str] = "duty.attest"

    attended: Annotated[tuple[Attendance, ...], Field(max_length=MOST_PLACES)]


class DutyAnswer(Contract):
    """What the sender of a duty command gets back."""

    status: Literal["accepted", "duplicate"]
    duty_id: str
    state: DutyState
    left: int
    """Places that nobody has taken."""


class DutyEvent(Event):
    """What every event in the life of a duty says."""

    duty_id: str
    kind: str
    place: str
    building: str | None = None
    begins: datetime
    ends: datetime


class DutyPosted(DutyEvent):
    """Volunteers are looked for."""

    wire: ClassVar[str] = "doorstep.duty.posted.v1"
    key: ClassVar[str] = "duty.posted"

    places: int
    skills: tuple[str, ...] = ()


class DutyBooked(DutyEvent):
    """Somebody took a place."""

    wire: ClassVar[str] = "doorstep.duty.booked.v1"
    key: ClassVar[str] = "duty.booked"

    worker: str
    left: int


class DutyWithdrawn(DutyEvent):
    """Somebody gave his place back."""

    wire: ClassVar[str] = "doorstep.duty.withdrawn.v1"
    key: ClassVar[str] = "duty.withdrawn"

    worker: str
    left: int


class DutyCancelled(DutyEvent):
    """Nobody is needed there any more."""

    wire: ClassVar[str] = "doorstep.duty.cancelled.v1"
    key: ClassVar[str] = "duty.cancelled"

    asked: tuple[str, ...] = ()
    """Who was booked, and hears of it by name."""


class Attended(Contract):
    """From when till when somebody was there, and how many minutes that counts."""

    worker: str
    begins: datetime
    ends: datetime
    minutes: int


class DutyAttested(DutyEvent):
    """A coordinator said who was there; the newest word counts."""

    wire: ClassVar[str] = "doorstep.duty.attested.v1"
    key: ClassVar[str] = "duty.attested"

    attended: tuple[Attended, ...]
    minutes: int
    """Of all together."""
    asked: tuple[str, ...] = ()
    """Who was booked, and hears of it by name."""


class DutyUnattested(DutyEvent):
    """A duty is over, and nobody has said yet who was there."""

    wire: ClassVar[str] = "doorstep.duty.unattested.v1"
    key: ClassVar[str] = "duty.unattested"

    booked: int


COMMANDS = (PostDuty, BookDuty, WithdrawFromDuty, CancelDuty, AttestDuty)
EVENTS = (DutyPosted, DutyBooked, DutyWithdrawn, DutyCancelled, DutyAttested, DutyUnattested)
