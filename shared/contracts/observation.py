"""Commands about people observed at home, which the ledger takes, and events about them, which the ledger publishes.

Two lists are kept: those whom the city assigned, and those whom the community found. Somebody on both is one person.
"""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from shared.contracts.envelope import Command, Contract, Event, Identifier, Slug
from shared.contracts.workers import LocalDay, TimeOfDay

Listing = Literal["assigned_by_city", "found_by_community"]
ObservationState = Literal["observed", "released"]


class StartObservation(Command):
    """Somebody stays at home from this day on. `observation_id` makes it safe to send again.

    Who is observed already is put on the other list, too, and the answer names the observation that counts.
    """

    wire: ClassVar[str] = "doorstep.observation.start.v1"
    key: ClassVar[str] = "observation.start"

    observation_id: Identifier
    person_id: Identifier
    listing: Listing
    category: Slug
    """Of `observation.yaml`."""
    starts: LocalDay
    """The first day; the days in force then count."""
    owner: Identifier
    """The worker who answers for it."""
    case: Slug | None = None
    """A kind of `cases.yaml`: a case is opened with the same owner; None: there is nothing more to do for them."""


class ReleaseObservation(Command):
    """Somebody need not stay at home any more: at once, or from a day on."""

    wire: ClassVar[str] = "doorstep.observation.release.v1"
    key: ClassVar[str] = "observation.release"

    observation_id: Identifier
    command_id: Identifier
    on: LocalDay | None = None
    """From the beginning of this day on; None: at once."""
    reason: Slug
    """Such as `negative_test`."""


class ObservationAnswer(Contract):
    """What the sender of a command about an observation gets back."""

    status: Literal["accepted", "duplicate"]
    observation_id: str
    """Of the observation as it is known: where the person is observed already, that one."""
    state: ObservationState
    last_day: str


class ObservationEvent(Event):
    """What every event of an observation says."""

    observation_id: str
    person_id: str
    household: str
    building: str
    kind: str = "observation"
    worker: str
    """Who answers for it."""


class ObservationStarted(ObservationEvent):
    """Somebody stays at home."""

    wire: ClassVar[str] = "doorstep.observation.started.v1"
    key: ClassVar[str] = "observation.started"

    listing: str
    category: str
    starts: str
    last_day: str
    rounds: Annotated[tuple[TimeOfDay, ...], Field(max_length=24)] = ()
    """When somebody looks after them, every day."""
    case: str | None = None
    zone: str | None = None
    fingerprint: str | None = None
    """Keyed hash of what was told."""


class ObservationListed(ObservationEvent):
    """Who is observed is on another list, too, or in another category of one."""

    wire: ClassVar[str] = "doorstep.observation.listed.v1"
    key: ClassVar[str] = "observation.listed"

    listing: str
    category: str
    last_day: str
    told: str | None = None
    """The id under which it was told."""
    starts: str | None = None
    """The first day, by this list."""
    until: str | None = None
    """The last day, by this list."""
    fingerprint: str | None = None
    """Keyed hash of what was told."""


class ObservationShortened(ObservationEvent):
    """It ends earlier than it would have."""

    wire: ClassVar[str] = "doorstep.observation.shortened.v1"
    key: ClassVar[str] = "observation.shortened"

    last_day: str
    reason: str


class PersonReleased(ObservationEvent):
    """Somebody need not stay at home any more."""

    wire: ClassVar[str] = "doorstep.person.released.v1"
    key: ClassVar[str] = "person.released"

    reason: str
    """`last_day`, or what was said."""
    released_at: datetime | None = None


COMMANDS = (StartObservation, ReleaseObservation)
EVENTS = (ObservationStarted, ObservationListed, ObservationShortened, PersonReleased)
