"""Commands about follow-ups, which the ledger takes, and events about them, which the ledger publishes.

A plan says when somebody is looked after: called, visited, measured. Each time that comes is one follow-up, with one
end.
"""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from shared.contracts.envelope import Command, Contract, Event, Identifier, Moment, Note, Slug
from shared.contracts.intake import Item, Urgency
from shared.contracts.workers import LocalMinute

How = Literal["call", "visit", "family", "coordinator"]
FollowUpState = Literal["due", "reached", "refused", "excused", "missed"]
Outcome = Literal["reached", "not_reached", "refused", "excused"]
WhyNot = Literal["gone", "released", "ended"]
"""Why what was due is due no more: they are not here, are observed no more, or the plan was ended."""
Celsius = Annotated[float, Field(ge=30, le=45)]


class PlanFollowUps(Command):
    """Look after somebody from now on, at these times. `plan_id` makes it safe to send again."""

    wire: ClassVar[str] = "doorstep.follow-up.plan.v1"
    key: ClassVar[str] = "follow-up.plan"

    plan_id: Identifier
    person_id: Identifier
    kind: Slug
    """Of `kinds.yaml`, such as `care_call` or `temperature`."""
    begins: LocalMinute
    """The first time."""
    rule: Annotated[str, StringConstraints(max_length=200)] = "FREQ=DAILY"
    """When it comes again: a rule of RFC 5545 such as `FREQ=DAILY;INTERVAL=3`."""
    zone: Annotated[str, StringConstraints(max_length=40)] = "Asia/Shanghai"
    days: Literal["all", "workdays"] = "all"
    """`workdays`: not on days off, by the official calendar of China."""


class EndPlan(Command):
    """Look after somebody no more."""

    wire: ClassVar[str] = "doorstep.follow-up.end.v1"
    key: ClassVar[str] = "follow-up.end"

    plan_id: Identifier
    command_id: Identifier


class NeedTold(Contract, extra="forbid"):
    """What somebody asked for when he was called or visited; it becomes a request."""

    kind: Slug
    items: Annotated[tuple[Item, ...], Field(max_length=200)] = ()
    note: Note = ""
    urgency: Urgency | None = None
    contactless: bool = True


class RecordFollowUp(Command):
    """How it went."""

    wire: ClassVar[str] = "doorstep.follow-up.record.v1"
    key: ClassVar[str] = "follow-up.record"

    follow_up_id: Identifier
    command_id: Identifier
    outcome: Outcome
    worker: Identifier | None = None
    at: Moment | None = None
    """The device's own time."""
    temperature: Celsius | None = None
    need: NeedTold | None = None
    note: Note = ""


class FollowUpSaid(Contract):
    """What was measured and heard; it travels and rests sealed."""

    temperature: float | None = None
    note: str = ""


class FollowUpAnswer(Contract):
    """What the sender of such a command gets back."""

    status: Literal["accepted", "duplicate"]
    id: str
    state: str


class FollowUpEvent(Event):
    """What every event of a follow-up says."""

    follow_up_id: str
    plan_id: str
    person_id: str
    kind: str
    building: str


class FollowUpsPlanned(Event):
    """Somebody is looked after from now on."""

    wire: ClassVar[str] = "doorstep.follow-up.planned.v1"
    key: ClassVar[str] = "follow-up.planned"

    plan_id: str
    person_id: str
    kind: str
    rule: str
    begins: str
    days: str = "all"
    zone: str | None = None
    building: str | None = None
    hears: bool | None = None
    """Can be called."""


class FollowUpsEnded(Event):
    """Somebody is looked after no more by this plan."""

    wire: ClassVar[str] = "doorstep.follow-up.ended.v1"
    key: ClassVar[str] = "follow-up.ended"

    plan_id: str
    person_id: str
    kind: str


class FollowUpDue(FollowUpEvent):
    """It is time: once for the first try, and again for each that follows."""

    wire: ClassVar[str] = "doorstep.follow-up.due.v1"
    key: ClassVar[str] = "follow-up.due"

    how: How
    tries: int
    """How many there were before."""
    until: datetime
    request: str | None = None
    """The kind of help that this try is, where it is one; the request is made by itself."""
    at: datetime | None = None
    """When the follow-up was due first."""
    step: int | None = None
    """Which of the tries it is."""
    hears: bool | None = None
    """Can be called."""
    round_id: str | None = None
    """Sought because this round did not reach them."""
    member_id: str | None = None
    """The name on its roster."""
    presence: bool = False
    """`person_id` is that of a presence: somebody who lives elsewhere."""

    @property
    def role(self) -> str:
        """Who is asked."""
        return "coordinator" if self.how == "coordinator" else "grid_worker"


class FollowUpRecorded(FollowUpEvent):
    """How it went."""

    wire: ClassVar[str] = "doorstep.follow-up.recorded.v1"
    key: ClassVar[str] = "follow-up.recorded"

    outcome: Outcome
    how: How
    worker: str | None = None
    at: datetime | None = None
    alarm: bool = False
    """A temperature that somebody must look at."""
    sealed: str | None = None
    """`SubmitRequest` of what was asked for, sealed; None: nothing was."""
    said: str | None = None
    """`FollowUpSaid`, sealed under the person's own key; None: there was nothing to say."""
    why: WhyNot | None = None
    """Nobody tried, as nobody is to be looked after any more; None: somebody told how it went."""


class FollowUpMissed(FollowUpEvent):
    """Nobody reached them, whatever was tried."""

    wire: ClassVar[str] = "doorstep.follow-up.missed.v1"
    key: ClassVar[str] = "follow-up.missed"

    tries: int


COMMANDS = (PlanFollowUps, EndPlan, RecordFollowUp)
EVENTS = (FollowUpsPlanned, FollowUpsEnded, FollowUpDue, FollowUpRecorded, FollowUpMissed)
