"""Commands about rounds, which the ledger takes, and events about them, which the ledger publishes.

A round is one roster to be worked through by a time: who is tested, measured, visited, handed something. The roster is
frozen when the round opens; from then on everyone on it is in exactly one state.
"""

from collections import Counter
from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

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
from shared.contracts.intake import Address

Of = Literal["person", "household"]
RoundState = Literal["planned", "opening", "open", "closing", "closed", "settled"]
"""`closed` while somebody is missing, `settled` when nobody is any more."""
Ending = Literal["done", "elsewhere", "moved", "refused", "excused"]
"""How somebody on a roster is dealt with; until then they are missing."""
Point = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=32)]
"""Where somebody was met: a test point, a desk, a team."""
Card = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^\s/]{1,40}$")]
Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]
RECORDS = 200
"""Records in one command."""


class Roster(Contract, extra="forbid"):
    """Whom a round is for: those of the community for whom all of this is true."""

    grids: Annotated[tuple[Slug, ...], Field(max_length=64)] = ()
    buildings: Annotated[tuple[BuildingNumber, ...], Field(max_length=500)] = ()
    categories: Annotated[tuple[Slug, ...], Field(max_length=16)] = ()
    """At least one of these."""
    lists: Annotated[tuple[Slug, ...], Field(max_length=16)] = ()
    """Known by at least one of these source lists."""
    needs: Needs = ()
    """At least one of these."""
    lives_alone: bool | None = None
    first_line: bool | None = None
    after: Identifier | None = None
    """Those who are done in this other round of the same community, such as who said yes in a survey."""


class Team(Contract, extra="forbid"):
    """Some who go together, and the buildings that are theirs."""

    name: Point
    workers: Annotated[tuple[Identifier, ...], Field(max_length=32)] = ()
    buildings: Annotated[tuple[BuildingNumber, ...], Field(min_length=1, max_length=200)]


class OpenRound(Command):
    """Work through a roster. `round_id` makes it safe to send again."""

    wire: ClassVar[str] = "doorstep.round.open.v1"
    key: ClassVar[str] = "round.open"

    round_id: Identifier
    community: Slug
    kind: Slug
    """Of `kinds.yaml`, such as `testing`."""
    title: Title
    of: Of = "person"
    roster: Roster = Roster()
    present: bool = False
    """Of the roster's `buildings`, those too who are in them and live elsewhere."""
    opens: Moment | None = None
    """When the roster is frozen; at once, unless told."""
    closes: Moment
    """When those who are missing are looked for."""
    points: Annotated[tuple[Point, ...], Field(max_length=64)] = ()
    """Where it may be done; anywhere, unless told."""
    teams: Annotated[tuple[Team, ...], Field(max_length=64)] = ()
    """Who goes where; each building is one team's."""
    checklist: Annotated[tuple[Slug, ...], Field(max_length=32)] = ()
    """What belongs to doing it, such as `panes` and `sills`."""
    walks: bool = False
    """Whether somebody goes from door to door: each sheet of the roster becomes a request of this kind."""

    @model_validator(mode="after")
    def _opens_before_it_closes(self) -> "OpenRound":
        if self.opens is not None and self.closes <= self.opens:
            raise ValueError("closes must be later than opens")
        return self

    @field_validator("teams")
    @classmethod
    def _each_building_is_one_teams(cls, teams: tuple[Team, ...]) -> tuple[Team, ...]:
        names = [one.name for one in teams]
        buildings = [building for one in teams for building in one.buildings]
        for what, told in (("a team", names), ("building", buildings)):
            if twice := [name for name, times in Counter(told).items() if times > 1]:
                raise ValueError(f"named twice: {what} {', '.join(twice)}")
        return teams


class CloseRound(Command):
    """Look for those who are missing now, before its time."""

    wire: ClassVar[str] = "doorstep.round.close.v1"
    key: ClassVar[str] = "round.close"

    round_id: Identifier
    command_id: Identifier


class RoundRecord(Contract, extra="forbid"):
    """How it went with one person or household: told by id, or by what a list at a desk has of them."""

    member_id: Identifier | None = None
    """Of the person, or of the household."""
    phone: Phone | None = None
    name: Name | None = None
    address: Address | None = None
    """With `name`: the person of that name behind that door; alone: the household."""
    outcome: Ending = "done"
    at: Moment
    """When that was, by the clock of whoever was there."""
    point: Point | None = None
    worker: Identifier | None = None
    checked: Annotated[tuple[Slug, ...], Field(max_length=32)] = ()
    """What of the checklist was done."""
    card: Card | None = None
    """What was handed out, by its number; each is handed out once."""
    note: Note = ""

    @model_validator(mode="after")
    def _somebody(self) -> "RoundRecord":
        if not (self.member_id or self.phone or self.address):
            raise ValueError("tell who: member_id, phone, or address (with name, where the round is of persons)")
        return self


class RecordRound(Command):
    """How it went with these. The same command again, or the same record in another one, changes nothing."""

    wire: ClassVar[str] = "doorstep.round.record.v1"
    key: ClassVar[str] = "round.record"

    round_id: Identifier
    command_id: Identifier
    records: Annotated[tuple[RoundRecord, ...], Field(min_length=1, max_length=RECORDS)]


class AddToRound(Command):
    """Somebody belongs to it who was not on the roster when that was frozen."""

    wire: ClassVar[str] = "doorstep.round.add.v1"
    key: ClassVar[str] = "round.add"

    round_id: Identifier
    command_id: Identifier
    person_id: Identifier | None = None
    """The person, or one of the household: this, or `presence_id`."""
    presence_id: Identifier | None = None
    """Somebody who is there and lives elsewhere."""


class Counts(Contract):
    """How many are in which state; all states together are the roster."""

    members: int = 0
    missing: int = 0
    done: int = 0
    elsewhere: int = 0
    moved: int = 0
    refused: int = 0
    excused: int = 0
    again: int = 0
    """Of those that are done: recorded more than once, with another time or place."""
    incomplete: int = 0
    """Of those that are done: something of the checklist was not."""


class RoundAnswer(Contract):
    """What the sender of such a command gets back."""

    status: Literal["accepted", "duplicate"]
    id: str
    state: RoundState
    strangers: int = 0
    """Records of somebody who is not on the roster; they are kept beside it."""


class RoundPlanned(Event):
    """A roster is to be worked through."""

    wire: ClassVar[str] = "doorstep.round.planned.v1"
    key: ClassVar[str] = "round.planned"

    round_id: str
    kind: str
    title: str
    told: OpenRound
    at: datetime
    """When that was said."""


class SheetFrozen(Contract):
    """Some who stand on a roster behind one entrance, in the order of their doors."""

    place: str
    """Its name within the building."""
    grid: str | None
    members: tuple[str, ...]
    persons: tuple[str, ...] = ()
    """Of a round of households: somebody of each, in the same order."""
    visited: tuple[str, ...] = ()
    """Those of the members who cannot be called."""
    present: tuple[str, ...] = ()
    """Those of the members who live elsewhere and are there."""


class RosterFrozen(Event):
    """Those of one building stand on the roster."""

    wire: ClassVar[str] = "doorstep.roster.frozen.v1"
    key: ClassVar[str] = "roster.frozen"

    round_id: str
    kind: str
    building: str
    sheets: tuple[SheetFrozen, ...]


class RosterExtended(Event):
    """Somebody was put on a roster that was frozen."""

    wire: ClassVar[str] = "doorstep.roster.extended.v1"
    key: ClassVar[str] = "roster.extended"

    round_id: str
    kind: str
    building: str
    sheet: SheetFrozen


class RoundOpened(Event):
    """The roster is frozen."""

    wire: ClassVar[str] = "doorstep.round.opened.v1"
    key: ClassVar[str] = "round.opened"

    round_id: str
    kind: str
    title: str
    of: Of
    members: int
    closes: datetime


class Encounter(Contract):
    """How it went once with somebody."""

    outcome: Ending
    at: datetime
    point: str | None = None
    worker: str | None = None
    unchecked: tuple[str, ...] = ()
    """What of the checklist was not done."""
    card: str | None = None
    sealed: str | None = None
    """What was noted."""


class Recorded(Encounter):
    """How it went with one on the roster."""

    member_id: str
    sheet: str | None = None
    """Building and place of the sheet on which he stands; None: an event of before."""


class RoundRecorded(Event):
    """A list came in: how it went with some on the roster."""

    wire: ClassVar[str] = "doorstep.round.recorded.v1"
    key: ClassVar[str] = "round.recorded"

    round_id: str
    kind: str
    report_id: str
    records: tuple[Recorded, ...]


class PersonMissing(Event):
    """The round is over, and nobody knows of this person or household."""

    wire: ClassVar[str] = "doorstep.person.missing.v1"
    key: ClassVar[str] = "person.missing"

    round_id: str
    kind: str
    title: str
    building: str
    member_id: str
    of: Of
    presence_id: str | None = None
    """Of somebody who lives elsewhere and is in the building."""


class StrangerRecorded(Event):
    """Somebody was recorded who is not on the roster."""

    wire: ClassVar[str] = "doorstep.round.stranger.v1"
    key: ClassVar[str] = "round.stranger"

    round_id: str
    kind: str
    stranger_id: str
    person_id: str | None = None
    """None: not on the books at all."""
    at: datetime
    point: str | None = None
    records: tuple[Encounter, ...] = ()
    """What was told now; none: an event of before."""
    sealed: str | None = None
    """`RoundRecord` as it came, of somebody who is not on the books."""


class StrangerAdded(Event):
    """Somebody who was recorded beside the roster stands on it now, with what was recorded of him."""

    wire: ClassVar[str] = "doorstep.round.stranger-added.v1"
    key: ClassVar[str] = "round.stranger-added"

    round_id: str
    kind: str
    stranger_id: str
    member_id: str


class RoundClosed(Event):
    """Its time is over; those missing are looked for from now on."""

    wire: ClassVar[str] = "doorstep.round.closed.v1"
    key: ClassVar[str] = "round.closed"

    round_id: str
    kind: str
    title: str
    counts: Counts


class RoundSettled(Event):
    """Nobody is missing any more."""

    wire: ClassVar[str] = "doorstep.round.settled.v1"
    key: ClassVar[str] = "round.settled"

    round_id: str
    kind: str
    title: str
    counts: Counts


class RoundUnsettled(Event):
    """Somebody was added after nobody was missing, and is missing."""

    wire: ClassVar[str] = "doorstep.round.unsettled.v1"
    key: ClassVar[str] = "round.unsettled"

    round_id: str
    kind: str
    title: str


COMMANDS = (OpenRound, CloseRound, RecordRound, AddToRound)
EVENTS = (
    RoundPlanned,
    RosterFrozen,
    RosterExtended,
    RoundOpened,
    RoundRecorded,
    PersonMissing,
    StrangerRecorded,
    StrangerAdded,
    RoundClosed,
    RoundSettled,
    RoundUnsettled,
)
