"""The command about what stands in a community and who answers for it, which the ledger takes, and its event."""

from typing import ClassVar

from shared.contracts.envelope import BuildingNumber, Command, Event, Identifier, Name, Note, Phone, Slug
from shared.contracts.workers import LocalDay


class RegisterFacility(Command):
    """Something stands here: a lift, a gate, a boiler room. Told again, all of it is as it is told now."""

    wire: ClassVar[str] = "doorstep.facility.register.v1"
    key: ClassVar[str] = "facility.register"

    facility_id: Identifier
    community: Slug
    kind: Slug
    """Of `facilities.yaml`, such as `lift`."""
    name: Name
    building: BuildingNumber | None = None
    """None: it belongs to no building."""
    where: Note = ""
    """Where it stands, as one says it."""
    partner: Identifier | None = None
    """Who repairs it."""
    phone: Phone | None = None
    """Of the office that answers for it; nobody's own."""
    until: LocalDay | None = None
    """The day on which it was taken away; None: it is there."""


class FacilityRegistered(Event):
    """Something stands here, or is not as it was; all that is known of it."""

    wire: ClassVar[str] = "doorstep.facility.registered.v1"
    key: ClassVar[str] = "facility.registered"

    facility_id: str
    kind: str
    name: str
    building: str | None = None
    where: str = ""
    partner: str | None = None
    phone: str | None = None
    until: str | None = None


COMMANDS = (RegisterFacility,)
EVENTS = (FacilityRegistered,)
