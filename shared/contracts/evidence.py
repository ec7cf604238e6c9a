"""Commands about proof that is owed every day, which the ledger takes, and events about it, which it publishes."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from shared.contracts.envelope import Command, Contract, Event, Identifier, Slug
from shared.contracts.workers import LocalDay, TimeOfDay

Look = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
"""How a picture looks: the difference hash of 9 by 8 grey spots, as dispatch makes it of photos."""


class Picture(Contract, extra="forbid"):
    """One picture: where it is kept, if it is, and how it looks."""

    photo: Identifier | None = None
    look: Look


class OweEvidence(Command):
    """A partner owes a report with pictures of each of these places, every day. `owing_id`: safe to send again."""

    wire: ClassVar[str] = "doorstep.evidence.owe.v1"
    key: ClassVar[str] = "evidence.owe"

    owing_id: Identifier
    community: Slug
    partner: Slug
    """The worker of the partner's token."""
    kind: Slug = "disinfection"
    """Of `kinds.yaml`."""
    places: Annotated[tuple[Slug, ...], Field(min_length=1, max_length=100)]
    reminded: TimeOfDay
    """When whoever still owes is reminded, in local wall time."""
    named: TimeOfDay
    """When whoever still owes is named; later than that."""
    begins: LocalDay
    ends: LocalDay | None = None
    zone: Annotated[str, StringConstraints(max_length=40)] = "Asia/Shanghai"


class ForgiveEvidence(Command):
    """Nothing is owed any more from the next day on."""

    wire: ClassVar[str] = "doorstep.evidence.forgive.v1"
    key: ClassVar[str] = "evidence.forgive"

    owing_id: Identifier
    command_id: Identifier


class RecordEvidence(Command):
    """What was done at one place on one day. `report_id` makes it safe to send again."""

    wire: ClassVar[str] = "doorstep.evidence.record.v1"
    key: ClassVar[str] = "evidence.record"

    owing_id: Identifier
    report_id: Identifier
    place: Slug
    day: LocalDay
    pictures: Annotated[tuple[Picture, ...], Field(min_length=1, max_length=9)]
    worker: Identifier | None = None


class EvidenceAnswer(Contract):
    """What the sender of a command about evidence gets back."""

    status: Literal["accepted", "duplicate"]
    id: str
    same_as: str | None = None
    """Day and place of the same picture, such as `2022-11-23/compound-1`; None: it is a new one."""


class EvidenceEvent(Event):
    """What every event about evidence says."""

    owing_id: str
    kind: str
    worker: str
    """The partner who owes it."""


class EvidenceOwed(EvidenceEvent):
    """A partner owes something every day."""

    wire: ClassVar[str] = "doorstep.evidence.owed.v1"
    key: ClassVar[str] = "evidence.owed"

    places: tuple[str, ...]
    reminded: str | None = None
    named: str | None = None
    begins: str | None = None
    ends: str | None = None
    zone: str | None = None
    fingerprint: str | None = None
    """Keyed hash of what was told."""


class EvidenceForgiven(EvidenceEvent):
    """Nothing is owed any more."""

    wire: ClassVar[str] = "doorstep.evidence.forgiven.v1"
    key: ClassVar[str] = "evidence.forgiven"


class EvidenceDue(EvidenceEvent):
    """A day has come on which something is owed."""

    wire: ClassVar[str] = "doorstep.evidence.due.v1"
    key: ClassVar[str] = "evidence.due"

    day: str
    places: tuple[str, ...]
    reminds_at: datetime
    names_at: datetime


class EvidenceRecorded(EvidenceEvent):
    """One place was reported."""

    wire: ClassVar[str] = "doorstep.evidence.recorded.v1"
    key: ClassVar[str] = "evidence.recorded"

    day: str
    place: str
    pictures: int
    late: bool = False
    """After those who owed were named."""
    report_id: str | None = None
    """None, like what follows: an event of before."""
    at: datetime | None = None
    by: str | None = None
    shown: tuple[Picture, ...] = ()


class EvidenceDoubted(EvidenceEvent):
    """A report shows a picture that was shown before."""

    wire: ClassVar[str] = "doorstep.evidence.doubted.v1"
    key: ClassVar[str] = "evidence.doubted"

    day: str
    place: str
    same_as: str


class EvidenceReminded(EvidenceEvent):
    """Some places are still owed today."""

    wire: ClassVar[str] = "doorstep.evidence.reminded.v1"
    key: ClassVar[str] = "evidence.reminded"

    day: str
    places: tuple[str, ...]
    role: str = "partner"


class EvidenceNamed(EvidenceEvent):
    """Some places were not reported in time."""

    wire: ClassVar[str] = "doorstep.evidence.named.v1"
    key: ClassVar[str] = "evidence.named"

    day: str
    places: tuple[str, ...]


COMMANDS = (OweEvidence, ForgiveEvidence, RecordEvidence)
EVENTS = (
    EvidenceOwed,
    EvidenceForgiven,
    EvidenceDue,
    EvidenceRecorded,
    EvidenceDoubted,
    EvidenceReminded,
    EvidenceNamed,
)
