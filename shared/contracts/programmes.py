"""Commands about programmes, which the ledger takes, and events about them, which the ledger publishes.

A programme looks after everybody of a category, a list, a building or a grid: each time that it comes, whoever belongs
to them then has a follow-up of his own. Or it looks after buildings themselves: each time, each has a request, such as
for its floors to be disinfected.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import StringConstraints, model_validator

from shared.contracts.envelope import Command, Contract, Event, Identifier, Note, Slug
from shared.contracts.workers import LocalMinute

Each = Literal["person", "building"]


class Everybody(Contract, extra="forbid"):
    """Whom a programme is for: who is all of these."""

    category: Slug | None = None
    listed: Slug | None = None
    """On a list by source of `people.yaml`."""
    building: Annotated[str | None, StringConstraints(min_length=1, max_length=16)] = None
    grid: Slug | None = None

    @model_validator(mode="after")
    def _some(self) -> "Everybody":
        if not (self.category or self.listed or self.building or self.grid):
            raise ValueError("tell who: a category, a list, a building or a grid")
        return self


class BeginProgramme(Command):
    """Look after all of these from now on, at these times. `programme_id` makes it safe to send again."""

    wire: ClassVar[str] = "doorstep.programme.begin.v1"
    key: ClassVar[str] = "programme.begin"

    programme_id: Identifier
    community: Slug
    everybody: Everybody
    kind: Slug
    """Of `kinds.yaml`, such as `care_call` or `temperature`; for buildings, such as `disinfection` or `rubbish`."""
    each: Each = "person"
    """`building`: a request for the building, or for each of the grid, instead of a follow-up for each person."""
    note: Note = ""
    """Of these requests: what is to be done."""
    begins: LocalMinute
    """The first time."""
    rule: Annotated[str, StringConstraints(max_length=200)] = "FREQ=DAILY"
    """When it comes again: a rule of RFC 5545 such as `FREQ=DAILY;INTERVAL=3`."""
    zone: Annotated[str, StringConstraints(max_length=40)] = "Asia/Shanghai"
    days: Literal["all", "workdays"] = "all"
    """`workdays`: not on days off, by the official calendar of China."""


class EndProgramme(Command):
    """Look after them no more by this programme; what is due already goes on."""

    wire: ClassVar[str] = "doorstep.programme.end.v1"
    key: ClassVar[str] = "programme.end"

    programme_id: Identifier
    command_id: Identifier


class ProgrammeAnswer(Contract):
    """What the sender of such a command gets back."""

    status: Literal["accepted", "duplicate"]
    id: str
    state: Literal["running", "ended"]


class ProgrammeEvent(Event):
    """What every event of a programme says."""

    programme_id: str
    kind: str
    everybody: Everybody


class ProgrammeBegun(ProgrammeEvent):
    """All of these are looked after from now on."""

    wire: ClassVar[str] = "doorstep.programme.begun.v1"
    key: ClassVar[str] = "programme.begun"

    begins: str
    rule: str
    zone: str
    days: str
    each: Each = "person"
    note: str = ""


class ProgrammeEnded(ProgrammeEvent):
    """They are looked after no more by this programme."""

    wire: ClassVar[str] = "doorstep.programme.ended.v1"
    key: ClassVar[str] = "programme.ended"


COMMANDS = (BeginProgramme, EndProgramme)
EVENTS = (ProgrammeBegun, ProgrammeEnded)
