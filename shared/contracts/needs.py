"""What somebody needs that comes out of the ledger's own work, and becomes a request."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from shared.contracts.envelope import Command, Contract, Event, Identifier, Note, Slug
from shared.contracts.intake import Item, Urgency


class PinNeed(Command):
    """Somebody who lives or is in a building needs something; it becomes a request. `need_id`: safe to send again."""

    wire: ClassVar[str] = "doorstep.need.pin.v1"
    key: ClassVar[str] = "need.pin"

    need_id: Identifier
    presence_id: Identifier | None = None
    """Who needs it: this, or `person_id`."""
    person_id: Identifier | None = None
    kind: Slug
    """Of `kinds.yaml`."""
    text: Note = ""
    """Sealed; the note of the request."""
    items: Annotated[tuple[Item, ...], Field(max_length=50)] = ()
    urgency: Urgency | None = None


class NeedAnswer(Contract):
    """What whoever pins a need gets back."""

    status: Literal["accepted", "duplicate"]
    need_id: str
    request_id: str
    """Of the request that it becomes."""


class NeedRaised(Event):
    """Somebody needs something: intake makes a request of it."""

    wire: ClassVar[str] = "doorstep.need.raised.v1"
    key: ClassVar[str] = "need.raised"

    need_id: str
    kind: str
    building: str
    person_id: str | None = None
    presence_id: str | None = None
    sealed: str
    """`SubmitRequest` of what is needed, sealed."""


COMMANDS = (PinNeed,)
EVENTS = (NeedRaised,)
