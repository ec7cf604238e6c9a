"""Commands that the ledger takes, and events that the ledger publishes."""

from datetime import date, datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

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
    Slugs,
)
from shared.contracts.intake import Address

CardNumber = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40)]
Names = Annotated[tuple[Name, ...], Field(max_length=16)]


class RegisterBuilding(Command):
    """Enter a building and the grid that it belongs to, or move it to another grid."""

    wire: ClassVar[str] = "doorstep.building.register.v1"
    key: ClassVar[str] = "building.register"

    community: Slug
    building: BuildingNumber
    grid: Slug


class CloseBuilding(Command):
    """Nobody goes in or out from now on; whoever is inside is looked after."""

    wire: ClassVar[str] = "doorstep.building.close.v1"
    key: ClassVar[str] = "building.close"

    command_id: Identifier
    community: Slug
    building: BuildingNumber


class OpenBuilding(Command):
    """The building is open again."""

    wire: ClassVar[str] = "doorstep.building.open.v1"
    key: ClassVar[str] = "building.open"

    command_id: Identifier
    community: Slug
    building: BuildingNumber


class GrantAccess(Command):
    """Let the bearer of a token in. Only its SHA-256 is told; the token itself is shown once, to who asked for it."""

    wire: ClassVar[str] = "doorstep.access.grant.v1"
    key: ClassVar[str] = "access.grant"

    command_id: Identifier
    token_hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    name: Identifier
    role: Literal["operator", "coordinator", "grid_worker", "volunteer", "rider", "partner", "source"]
    community: Slug | None = None
    grids: Annotated[tuple[Slug, ...], Field(max_length=64)] = ()
    worker: Identifier | None = None
    expires: Moment | None = None


class RevokeAccess(Command):
    """Let the bearer of a token in no more."""

    wire: ClassVar[str] = "doorstep.access.revoke.v1"
    key: ClassVar[str] = "access.revoke"

    command_id: Identifier
    token_hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class FamilyContact(Contract, extra="forbid"):
    """Whom to call."""

    name: Name
    phone: Phone
    relation: Name


class Description(Command):
    """What can be said of somebody beside name and door. A field that is not named stays as it was."""

    phone: Phone | None = None
    other_phones: Annotated[tuple[Phone, ...], Field(max_length=4)] = ()
    """Further numbers of the same person."""
    birth_year: Annotated[int, Field(ge=1880, le=2100)] | None = None
    birth_month: Annotated[int, Field(ge=1, le=12)] | None = None
    """Of `birth_year`, where the day is not known."""
    lives_alone: bool = False
    language: Slug | None = None
    needs: Needs = ()
    contacts: Annotated[tuple[FamilyContact, ...], Field(max_length=8)] = ()
    id_number: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=32)] | None = None
    """Resident identity number, 18 characters (GB 11643). Two registrations with the same one are one person."""
    birthday: date | None = None
    """The one that the identity number tells, where both are given."""
    hobbies: Names = ()
    illnesses: Names = ()
    keys: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)] | None = None
    """Who holds a key to the door."""
    categories: Slugs = ()
    """Of `people.yaml`, such as `chronic_illness`."""
    lists: Slugs = ()
    """By which source lists somebody is known, of `people.yaml`; each asks for a category of its own."""
    gas_card: CardNumber | None = None
    heating_card: CardNumber | None = None
    note: Note | None = None


class RegisterPerson(Description):
    """Enter somebody who lives in the community, or change what is known of them; what is not named stays as it was."""

    wire: ClassVar[str] = "doorstep.person.register.v1"
    key: ClassVar[str] = "person.register"

    source: Slug
    source_id: Identifier
    community: Slug
    address: Address
    name: Name


class PersonDetails(Contract):
    """The personal part of a person's entry; sealed wherever it rests or travels between services."""

    address: Address
    name: str
    phone: str | None = None
    other_phones: tuple[str, ...] = ()
    birth_year: int | None = None
    birth_month: int | None = None
    """Where the day is not known."""
    contacts: tuple[FamilyContact, ...] = ()
    id_number: str | None = None
    birthday: date | None = None
    hobbies: tuple[str, ...] = ()
    illnesses: tuple[str, ...] = ()
    keys: str | None = None
    gas_card: str | None = None
    heating_card: str | None = None
    note: str | None = None


class RegistrationAnswer(Contract):
    """What the sender of a registration gets back."""

    status: Literal["accepted", "duplicate"]
    id: str


class BuildingRegistered(Event):
    """A building belongs to `grid`."""

    wire: ClassVar[str] = "doorstep.building.registered.v1"
    key: ClassVar[str] = "building.registered"

    building: str


class BuildingClosed(Event):
    """Nobody goes into it or out of it."""

    wire: ClassVar[str] = "doorstep.building.closed.v1"
    key: ClassVar[str] = "building.closed"

    building: str


class BuildingOpened(Event):
    """It is open again."""

    wire: ClassVar[str] = "doorstep.building.opened.v1"
    key: ClassVar[str] = "building.opened"

    building: str


class PersonKept(Contract):
    """What the register keeps of a person beside the facts: keyed hashes, days and flags, nothing in the clear."""

    sources: dict[str, str]
    """By the id that a source's own id stands for: the fingerprint of what that source said last."""
    fingerprint: str
    stairwell: str | None = None
    identities: dict[str, str]
    listed: dict[str, str]
    left_at: datetime | None = None
    died: bool = False
    died_on: str | None = None
    """The day, as YYYY-MM-DD; None: not told."""
    forget_at: datetime | None = None
    merged_into: str | None = None


class PersonRegistered(Event):
    """Somebody is on the books; in the clear only ids and flags."""

    wire: ClassVar[str] = "doorstep.person.registered.v1"
    key: ClassVar[str] = "person.registered"

    person_id: str
    building: str
    household: str
    lookups: tuple[str, ...] = ()
    """Blind indexes (keyed hashes) of door with name and of phone, to recognise the person without opening anything."""
    lives_alone: bool = False
    first_line: bool = False
    language: str | None = None
    needs: tuple[str, ...] = ()
    sealed: str
    """`PersonDetails`, sealed."""
    categories: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    here: bool = True
    """False: moved away, died, or known under another id."""
    kept: PersonKept | None = None
    """For the register itself, should it have to be rebuilt; None in events of before."""


class PersonUpdated(PersonRegistered):
    """What is known of somebody changed; all facts as they are now."""

    wire: ClassVar[str] = "doorstep.person.updated.v1"
    key: ClassVar[str] = "person.updated"


class AccessGranted(Event):
    """The bearer of a token may come in."""

    wire: ClassVar[str] = "doorstep.access.granted.v1"
    key: ClassVar[str] = "access.granted"

    token_hash: str
    name: str
    role: str
    grids: tuple[str, ...] = ()
    worker: str | None = None
    expires: datetime | None = None


class AccessRevoked(Event):
    """The bearer of a token may come in no more."""

    wire: ClassVar[str] = "doorstep.access.revoked.v1"
    key: ClassVar[str] = "access.revoked"

    token_hash: str


COMMANDS = (RegisterBuilding, CloseBuilding, OpenBuilding, RegisterPerson, GrantAccess, RevokeAccess)
EVENTS = (
    BuildingRegistered,
    BuildingClosed,
    BuildingOpened,
    PersonRegistered,
    PersonUpdated,
    AccessGranted,
    AccessRevoked,
)
