"""Commands about cases, which the ledger takes, and events about them, which the ledger publishes.

A case is something that somebody answers for until it has its end: what was promised, by whom, until when, and what
those who raised it were told. Title and texts are personal; they rest and travel sealed.
"""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints, model_validator

from shared.contracts.envelope import BuildingNumber, Command, Contract, Event, Identifier, Moment, Name, Note, Slug

CaseState = Literal["open", "closed"]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


class OpenCase(Command):
    """Somebody answers for this from now on. `case_id` makes it safe to send again; so do `source` and `source_id`."""

    wire: ClassVar[str] = "doorstep.case.open.v1"
    key: ClassVar[str] = "case.open"

    case_id: Identifier
    community: Slug
    grid: Slug | None = None
    building: BuildingNumber | None = None
    kind: Slug
    """Of `cases.yaml`."""
    title: Name
    text: Note = ""
    person_id: Identifier | None = None
    owner: Identifier
    """The worker who answers for it."""
    parties: Annotated[tuple[Slug, ...], Field(max_length=16)] = ()
    """Who else takes part, such as `property`, `developer`, `builder`, `committee`: the workers of their tokens."""
    source: Slug | None = None
    source_id: Identifier | None = None
    """Of the topic, where it came from; opened twice, it is one case, for ever."""
    urgent: bool = False

    @model_validator(mode="after")
    def _both_or_none(self) -> "OpenCase":
        if (self.source is None) != (self.source_id is None):
            raise ValueError("source and source_id belong together")
        return self


class CaseCommand(Command):
    """Something that is done with a case. `command_id` makes it safe to send again."""

    case_id: Identifier
    command_id: Identifier
    worker: Identifier | None = None
    """Who does it; over HTTP whoever the token belongs to."""


class AssignCase(CaseCommand):
    """Somebody else answers for it."""

    wire: ClassVar[str] = "doorstep.case.assign.v1"
    key: ClassVar[str] = "case.assign"

    owner: Identifier


class AddStep(CaseCommand):
    """What is to be done next, or was promised."""

    wire: ClassVar[str] = "doorstep.case.add-step.v1"
    key: ClassVar[str] = "case.add-step"

    step_id: Identifier
    who: Identifier | None = None
    """The worker or party who does it; None: whoever answers for the case."""
    due: Moment | None = None
    """None: within the days that `cases.yaml` says for the kind."""
    text: Words


class DoneStep(CaseCommand):
    """It was done."""

    wire: ClassVar[str] = "doorstep.case.done-step.v1"
    key: ClassVar[str] = "case.done-step"

    step_id: Identifier


class AnswerCase(CaseCommand):
    """What those who raised it are told."""

    wire: ClassVar[str] = "doorstep.case.answer.v1"
    key: ClassVar[str] = "case.answer"

    text: Words


class CloseCase(CaseCommand):
    """It has its end, which is an answer given before or the outcome told now."""

    wire: ClassVar[str] = "doorstep.case.close.v1"
    key: ClassVar[str] = "case.close"

    outcome: Note = ""
    drop_steps: bool = False
    """Steps that are still open are dropped; without it they stand in the way."""


class ReopenCase(CaseCommand):
    """It had no end after all; everything said before stands."""

    wire: ClassVar[str] = "doorstep.case.reopen.v1"
    key: ClassVar[str] = "case.reopen"

    reason: Words


class CaseAnswer(Contract):
    """What the sender of a command about a case gets back."""

    status: Literal["accepted", "duplicate"]
    case_id: str
    """Of the case as it is known: where the same topic was opened before under another id, that one."""
    state: CaseState


class CaseDetails(Contract):
    """What a case is about; sealed wherever it rests."""

    title: str
    text: str = ""


class CaseWords(Contract):
    """What was said about a case."""

    what: Literal["answer", "outcome", "reason"]
    at: datetime
    by: str
    sealed: str


class CaseEvent(Event):
    """What every event of a case says."""

    case_id: str
    kind: str
    building: str | None = None
    person_id: str | None = None
    worker: str
    """Who answers for it."""
    asked: tuple[str, ...] = ()
    """The parties that take part."""
    urgency: str = "normal"
    priority: int = 0


class CaseOpened(CaseEvent):
    """Somebody answers for something from now on."""

    wire: ClassVar[str] = "doorstep.case.opened.v1"
    key: ClassVar[str] = "case.opened"

    source: str | None = None
    topic: str | None = None
    """The source and its id."""
    opened_at: datetime | None = None
    sealed: str | None = None
    """`CaseDetails`, sealed."""
    fingerprint: str | None = None
    """Keyed hash of what was told."""


class CaseAssigned(CaseEvent):
    """`worker` answers for it now."""

    wire: ClassVar[str] = "doorstep.case.assigned.v1"
    key: ClassVar[str] = "case.assigned"

    previous: str


class CaseStepAdded(CaseEvent):
    """Something is to be done, or was promised."""

    wire: ClassVar[str] = "doorstep.case.step-added.v1"
    key: ClassVar[str] = "case.step-added"

    step_id: str
    who: str
    due: datetime
    sealed: str | None = None
    """What is to be done, sealed."""
    fingerprint: str | None = None
    """Keyed hash of what was told."""


class CaseStepDone(CaseEvent):
    """It was done."""

    wire: ClassVar[str] = "doorstep.case.step-done.v1"
    key: ClassVar[str] = "case.step-done"

    step_id: str
    who: str
    late: bool = False
    done_at: datetime | None = None


class CaseStepLate(CaseEvent):
    """Its time is over and nobody said that it was done; told once."""

    wire: ClassVar[str] = "doorstep.case.step-late.v1"
    key: ClassVar[str] = "case.step-late"

    step_id: str
    who: str
    due: datetime


class CaseAnswered(CaseEvent):
    """Those who raised it were told something."""

    wire: ClassVar[str] = "doorstep.case.answered.v1"
    key: ClassVar[str] = "case.answered"

    said: CaseWords | None = None


class CaseClosed(CaseEvent):
    """It has its end."""

    wire: ClassVar[str] = "doorstep.case.closed.v1"
    key: ClassVar[str] = "case.closed"

    dropped: tuple[str, ...] = ()
    """Steps that were never done."""
    closed_at: datetime | None = None
    said: CaseWords | None = None
    """The outcome, where one was told."""


class CaseReopened(CaseEvent):
    """It had no end after all."""

    wire: ClassVar[str] = "doorstep.case.reopened.v1"
    key: ClassVar[str] = "case.reopened"

    said: CaseWords | None = None


COMMANDS = (OpenCase, AssignCase, AddStep, DoneStep, AnswerCase, CloseCase, ReopenCase)
EVENTS = (
    CaseOpened,
    CaseAssigned,
    CaseStepAdded,
    CaseStepDone,
    CaseStepLate,
    CaseAnswered,
    CaseClosed,
    CaseReopened,
)
