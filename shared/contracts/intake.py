"""Commands that intake takes, and events that intake publishes."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints, model_validator

from shared.contracts.envelope import (
    BuildingNumber,
    Command,
    Contract,
    Event,
    Identifier,
    Moment,
    Name,
    Needs,
    Note,
    Phone,
    Slug,
)

Urgency = Literal["normal", "soon", "urgent"]
RequestState = Literal["created", "offered", "assigned", "under_way", "completed", "failed", "cancelled", "merged"]
SubmitStatus = Literal["accepted", "duplicate", "merged", "needs_review"]
AddressPart = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=16)]


class Address(Contract, extra="forbid"):
    """A door in a community. Unit and room are personal: they rest and travel sealed."""

    building: BuildingNumber
    unit: AddressPart | None = None
    room: AddressPart | None = None


class Resident(Contract, extra="forbid"):
    """Whom the request is for."""

    name: Name | None = None
    phone: Phone | None = None
    language: Slug | None = None
    needs: Needs = ()
    """What a visitor must know: `deaf`, `blind`, `wheelchair`, …"""


class OnBehalfOf(Contract, extra="forbid"):
    """Who asks, when that is somebody other than the resident."""

    relation: Name
    name: Name | None = None
    phone: Phone | None = None


class Item(Contract, extra="forbid"):
    """One line of a shopping list."""

    name: Name
    quantity: Annotated[Decimal, Field(gt=0, le=10_000, strict=False)] = Decimal(1)
    unit: Annotated[str, StringConstraints(strip_whitespace=True, max_length=16)] | None = None


class Window(Contract, extra="forbid"):
    """When the door may be knocked at."""

    opens: Moment = Field(alias="from")
    closes: Moment = Field(alias="until")

    @model_validator(mode="after")
    def _opens_before_it_closes(self) -> "Window":
        if self.closes <= self.opens:
            raise ValueError("until must be later than from")
        return self


class RequestDetails(Contract, extra="forbid"):
    """The personal part of a request; sealed wherever it rests or travels between services.

    Whoever opens a seal passes over fields that a newer version put in.
    """

    address: Address
    resident: Resident = Resident()
    on_behalf_of: OnBehalfOf | None = None
    items: Annotated[tuple[Item, ...], Field(max_length=50)] = ()
    note: Note = ""


class SubmitRequest(RequestDetails, Command):
    """A need, as any system sends it. `source` and `source_id` together are the idempotency key, for ever."""

    wire: ClassVar[str] = "doorstep.request.submit.v1"
    key: ClassVar[str] = "request.submit"

    source: Slug
    source_id: Identifier
    kind: Slug
    community: Slug
    urgency: Urgency | None = None
    """None: as the catalogue says for this kind."""
    window: Window | None = None
    contactless: bool = False


class AmendRequest(Command):
    """Changes to a request that is not yet closed; what is None stays as it was."""

    wire: ClassVar[str] = "doorstep.request.amend.v1"
    key: ClassVar[str] = "request.amend"

    request_id: Identifier
    command_id: Identifier
    address: Address | None = None
    items: Annotated[tuple[Item, ...], Field(max_length=50)] | None = None
    note: Note | None = None
    urgency: Urgency | None = None
    window: Window | None = None


class CancelRequest(Command):
    """The need is gone."""

    wire: ClassVar[str] = "doorstep.request.cancel.v1"
    key: ClassVar[str] = "request.cancel"

    request_id: Identifier
    command_id: Identifier | None = None
    """Makes it safe to send again; without it, a second cancellation is a duplicate all the same."""
    reason: Note = ""


class RequestAnswer(Contract):
    """What the sender of a request gets back, over HTTP and over AMQP alike."""

    request_id: str
    status: SubmitStatus
    tracking_code: str


class RequestFacts(Event):
    """What the services know of a request in the clear: ids, place, kind, urgency, flags."""

    request_id: str
    kind: str
    building: str
    stairwell: str
    """Opaque id of building and unit: equal for neighbours of one stairwell."""
    household: str
    """Opaque id of the door."""
    person: str | None = None
    """Id of the registered person, where one was recognised."""
    urgency: Urgency
    priority: int
    """0 to 100; higher is answered first."""
    first_line: bool = False
    """An old person living alone: stands on top of every list."""
    needs: tuple[str, ...] = ()
    language: str | None = None
    opens: datetime | None = None
    closes: datetime | None = None
    contactless: bool = False
    needs_review: tuple[str, ...] = ()
    """Codes of what a coordinator must look at, such as `unknown_building`; empty for most."""
    sealed: str
    """`RequestDetails`, sealed."""


class RequestCreated(RequestFacts):
    """A new need is on the books."""

    wire: ClassVar[str] = "doorstep.request.created.v1"
    key: ClassVar[str] = "request.created"

    source: str


class RequestAmended(RequestFacts):
    """The need changed; all facts as they are now."""

    wire: ClassVar[str] = "doorstep.request.amended.v1"
    key: ClassVar[str] = "request.amended"


class RequestCancelled(Event):
    """The need is gone; whoever is on the way may turn back."""

    wire: ClassVar[str] = "doorstep.request.cancelled.v1"
    key: ClassVar[str] = "request.cancelled"

    request_id: str


COMMANDS = (SubmitRequest, AmendRequest, CancelRequest)
EVENTS = (RequestCreated, RequestAmended, RequestCancelled)
