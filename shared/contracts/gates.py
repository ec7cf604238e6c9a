"""Commands about agreements with outsiders and checks at a gate, which the ledger takes, and the events about them."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from shared.contracts.envelope import Command, Contract, Event, Identifier, Moment, Name, Note, Slug
from shared.contracts.follow_ups import Celsius
from shared.contracts.workers import LocalDay, TimeOfDay

NO_AGREEMENT = "no_agreement"


class Term(Contract, extra="forbid"):
    """Where, and when of every day, in local wall time."""

    place: Name
    """Such as the south gate; everybody can read it."""
    times: Annotated[tuple[TimeOfDay, ...], Field(min_length=1, max_length=24)]


class RecordAgreement(Command):
    """What an outsider agreed to; it belongs to a case. `agreement_id` makes it safe to send again."""

    wire: ClassVar[str] = "doorstep.agreement.record.v1"
    key: ClassVar[str] = "agreement.record"

    agreement_id: Identifier
    case_id: Identifier
    partner: Name
    """With whom; sealed."""
    terms: Annotated[tuple[Term, ...], Field(min_length=1, max_length=16)]
    begins: LocalDay
    """The first day on which it applies."""
    ends: LocalDay | None = None
    """The last; None: until it is ended."""
    zone: Annotated[str, StringConstraints(max_length=40)] = "Asia/Shanghai"


class EndAgreement(Command):
    """It applies no more, from this moment on."""

    wire: ClassVar[str] = "doorstep.agreement.end.v1"
    key: ClassVar[str] = "agreement.end"

    agreement_id: Identifier
    command_id: Identifier


class AgreementAnswer(Contract):
    """What the sender of a command about an agreement gets back."""

    status: Literal["accepted", "duplicate"]
    agreement_id: str


class RecordGateCheck(Command):
    """Somebody came through a gate and was looked at. `check_id` makes it safe to send again."""

    wire: ClassVar[str] = "doorstep.gate-check.record.v1"
    key: ClassVar[str] = "gate-check.record"

    check_id: Identifier
    community: Slug
    grid: Slug | None = None
    """The gate's."""
    gate: Name
    """As the terms of agreements name it."""
    at: Moment
    """The device's own time."""
    agreement_id: Identifier | None = None
    case_id: Identifier | None = None
    """Any agreement of this case will do."""
    temperature: Celsius | None = None
    pass_shown: bool
    text: Note = ""
    """Vehicle and person; sealed."""
    worker: Identifier | None = None


class GateCheckAnswer(Contract):
    """What whoever checks gets back."""

    status: Literal["accepted", "duplicate"]
    check_id: str
    applies: str
    """The agreed stop that it belongs to, in its wall time, such as `2022-11-24T07:00`; `no_agreement`: none."""
    case_id: str | None = None
    """The case that a fever opened."""


class AgreementEvent(Event):
    """What every event of an agreement says."""

    agreement_id: str
    case_id: str
    kind: str
    worker: str
    """Who answers for the case."""


class AgreementRecorded(AgreementEvent):
    """An outsider agreed to something."""

    wire: ClassVar[str] = "doorstep.agreement.recorded.v1"
    key: ClassVar[str] = "agreement.recorded"

    terms: tuple[Term, ...]
    begins: str
    ends: str | None = None
    zone: str | None = None
    sealed: str | None = None
    """With whom, sealed."""
    fingerprint: str | None = None
    """Keyed hash of what was told."""


class AgreementEnded(AgreementEvent):
    """It applies no more."""

    wire: ClassVar[str] = "doorstep.agreement.ended.v1"
    key: ClassVar[str] = "agreement.ended"

    ended_at: datetime | None = None


class GateChecked(Event):
    """Somebody came through a gate."""

    wire: ClassVar[str] = "doorstep.gate.checked.v1"
    key: ClassVar[str] = "gate.checked"

    check_id: str
    gate: str
    at: datetime
    worker: str
    pass_shown: bool
    alarm: bool = False
    """A temperature that somebody must look at."""
    agreement_id: str | None = None
    applies: str = NO_AGREEMENT
    case_id: str | None = None
    sealed: str | None = None
    """Vehicle and person, sealed."""
    fingerprint: str | None = None
    """Keyed hash of what was told."""


COMMANDS = (RecordAgreement, EndAgreement, RecordGateCheck)
EVENTS = (AgreementRecorded, AgreementEnded, GateChecked)
