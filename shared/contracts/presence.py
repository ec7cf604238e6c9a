"""Commands about people who are in a building and do not live there, which the ledger takes, and the events."""

from datetime import datetime
from typing import ClassVar

from shared.contracts.envelope import (
    BuildingNumber,
    Command,
    Contract,
    Event,
    Identifier,
    Moment,
    Name,
    Note,
    Phone,
    Slug,
)
from shared.contracts.intake import AddressPart


class RegisterPresence(Command):
    """Somebody is here and does not live here: a workman, a visitor. `presence_id` makes it safe to send again."""

    wire: ClassVar[str] = "doorstep.presence.register.v1"
    key: ClassVar[str] = "presence.register"

    presence_id: Identifier
    community: Slug
    building: BuildingNumber
    unit: AddressPart | None = None
    room: AddressPart | None = None
    """Where they are now; personal, like all that follows."""
    name: Name
    phone: Phone | None = None
    home: Note = ""
    """Where they live."""
    at: Moment | None = None
    """Since when; None: now."""


class EndPresence(Command):
    """They are not here any more."""

    wire: ClassVar[str] = "doorstep.presence.end.v1"
    key: ClassVar[str] = "presence.end"

    presence_id: Identifier
    command_id: Identifier


class PresenceDetails(Contract):
    """Who is present, where, and where they live; sealed wherever it rests."""

    name: str
    unit: str | None = None
    room: str | None = None
    phone: str | None = None
    home: str = ""


class PresenceEvent(Event):
    """What every event of a presence says."""

    presence_id: str
    building: str


class PresenceRegistered(PresenceEvent):
    """Somebody is in a building who does not live there."""

    wire: ClassVar[str] = "doorstep.presence.registered.v1"
    key: ClassVar[str] = "presence.registered"

    since: datetime | None = None
    sealed: str | None = None
    """`PresenceDetails`, sealed."""
    fingerprint: str | None = None
    """Keyed hash of what was told."""
    stairwell: str | None = None
    """Opaque id of building and unit."""
    household: str | None = None
    """Opaque id of the door."""
    lookups: tuple[str, ...] | None = None
    """Keyed hashes by which a list means them; None: an older version does not say."""


class PresenceEnded(PresenceEvent):
    """They are not there any more."""

    wire: ClassVar[str] = "doorstep.presence.ended.v1"
    key: ClassVar[str] = "presence.ended"

    ended_at: datetime | None = None


COMMANDS = (RegisterPresence, EndPresence)
EVENTS = (PresenceRegistered, PresenceEnded)
