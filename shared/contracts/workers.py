"""Commands about who helps, which dispatch takes, and events about who helps, which dispatch publishes."""

from datetime import date, datetime
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, StringConstraints

from shared.contracts.envelope import BuildingNumber, Command, Contract, Event, Identifier, Moment, Name, Phone, Slug

WorkerRole = Literal["grid_worker", "volunteer", "rider", "partner", "coordinator"]
Sex = Literal["f", "m"]
Standing = Literal["waiting", "approved", "rejected"]
TimeOfDay = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
"""Local wall time, such as `09:30`."""


def _a_moment(text: str) -> str:
    datetime.fromisoformat(text)
    return text


LocalMinute = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}$"), AfterValidator(_a_moment)
]
"""A moment in local wall time, such as `2026-11-23T08:00`. A text: a date type would be stored as a moment in UTC."""


def _a_day(text: str) -> str:
    date.fromisoformat(text)
    return text


LocalDay = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"), AfterValidator(_a_day)]
"""A day of the local calendar, such as `2026-11-23`. A text, as `LocalMinute` is."""
ShiftMinutes = Annotated[int, Field(ge=1, le=1440)]


class Break(Contract, extra="forbid"):
    """Part of a shift in which nobody is asked."""

    begins: TimeOfDay
    minutes: ShiftMinutes


class Shift(Contract, extra="forbid"):
    """When somebody is on duty, in local wall time, so that a clock change moves nothing."""

    begins: LocalMinute
    """The first time."""
    minutes: ShiftMinutes
    rule: Annotated[str, StringConstraints(max_length=200)] | None = None
    """When it comes again: a rule of RFC 5545 such as `FREQ=WEEKLY;BYDAY=MO,WE`; None: once only."""
    zone: Annotated[str, StringConstraints(max_length=40)] = "Asia/Shanghai"
    """A name of the IANA time zone database."""
    days: Literal["all", "workdays"] = "all"
    """`workdays`: only on official working days in China, which a Saturday before a long holiday can be."""
    breaks: Annotated[tuple[Break, ...], Field(max_length=4)] = ()


class Abilities(Contract, extra="forbid"):
    """What somebody can do, what he agreed to, and when. Codes are those of the catalogue `abilities.yaml`."""

    skills: Annotated[tuple[Slug, ...], Field(max_length=32)] = ()
    """What he knows, has at hand or may do: `lifting`, `gas_card_reader`, `driving_licence`, …"""
    languages: Annotated[tuple[Slug, ...], Field(max_length=16)] = ("zh",)
    sex: Sex | None = None
    """Told only to be asked where a resident wishes for a woman or a man; never leaves dispatch."""
    kinds: Annotated[tuple[Slug, ...], Field(max_length=64)] = ()
    """Kinds of help that he agreed to be asked for; empty: all."""
    cap: Annotated[int, Field(ge=1, le=50)] | None = None
    """How many tasks he can have at once; None: as many as come."""
    shifts: Annotated[tuple[Shift, ...], Field(max_length=16)] = ()
    """When he may be asked; empty: always."""


class RegisterWorker(Abilities, Command):
    """Enter somebody who helps, or change what is known of them. Who was waiting for approval is approved by it."""

    wire: ClassVar[str] = "doorstep.worker.register.v1"
    key: ClassVar[str] = "worker.register"

    worker_id: Identifier
    community: Slug
    role: WorkerRole
    grids: Annotated[tuple[Slug, ...], Field(max_length=64)] = ()
    """Grids that a grid worker answers for, or in which a volunteer helps."""
    buildings: Annotated[tuple[BuildingNumber, ...], Field(max_length=64)] = ()
    name: Name
    phone: Phone | None = None


class SignUpVolunteer(Abilities, Command):
    """Somebody offers to help; nobody asks him for anything before a coordinator has approved."""

    wire: ClassVar[str] = "doorstep.worker.sign-up.v1"
    key: ClassVar[str] = "worker.sign-up"

    worker_id: Identifier
    community: Slug
    grids: Annotated[tuple[Slug, ...], Field(max_length=64)] = ()
    name: Name
    phone: Phone


class ApproveWorker(Command):
    """A coordinator's word on somebody who signed up."""

    wire: ClassVar[str] = "doorstep.worker.approve.v1"
    key: ClassVar[str] = "worker.approve"

    worker_id: Identifier
    command_id: Identifier
    approved: bool = True


class ReportAbsence(Command):
    """Somebody is away from now on: he is asked for nothing, and all his grids go to another, open work included."""

    wire: ClassVar[str] = "doorstep.worker.report-absence.v1"
    key: ClassVar[str] = "worker.report-absence"

    worker_id: Identifier
    command_id: Identifier
    until: Moment | None = None
    """When he is back by himself; None: when he says so. A time that has passed: he is back now."""
    cover: Identifier | None = None
    """Who covers his grids meanwhile; None: the ladder passes him over."""


class CoverGrid(Command):
    """Hand a whole grid to another worker, open work included; to its own worker: hand it back."""

    wire: ClassVar[str] = "doorstep.grid.cover.v1"
    key: ClassVar[str] = "grid.cover"

    command_id: Identifier
    community: Slug
    grid: Slug
    worker: Identifier
    until: Moment | None = None
    """When it goes back by itself."""


class WorkerRegistered(Event):
    """Somebody helps, or what is known of them changed."""

    wire: ClassVar[str] = "doorstep.worker.registered.v1"
    key: ClassVar[str] = "worker.registered"

    worker_id: str
    role: str
    grids: tuple[str, ...] = ()
    buildings: tuple[str, ...] = ()
    sealed: str
    """`WorkerDetails`, sealed."""


class WorkerDetails(Contract):
    """The personal part of a worker's entry."""

    name: str
    phone: str | None = None


class WorkerSignedUp(Event):
    """Somebody offers to help and waits for approval."""

    wire: ClassVar[str] = "doorstep.worker.signed-up.v1"
    key: ClassVar[str] = "worker.signed-up"

    worker_id: str
    role: str
    sealed: str
    """`WorkerDetails`, sealed."""


class WorkerAbsent(Event):
    """Somebody is away; whoever covers has his grids."""

    wire: ClassVar[str] = "doorstep.worker.absent.v1"
    key: ClassVar[str] = "worker.absent"

    worker_id: str
    grids: tuple[str, ...] = ()
    cover: str | None = None
    until: datetime | None = None


class WorkerReturned(Event):
    """Somebody is back; his grids are his again."""

    wire: ClassVar[str] = "doorstep.worker.returned.v1"
    key: ClassVar[str] = "worker.returned"

    worker_id: str
    grids: tuple[str, ...] = ()


class WorkerExcluded(Event):
    """Somebody is not asked any more for anything behind one door."""

    wire: ClassVar[str] = "doorstep.worker.excluded.v1"
    key: ClassVar[str] = "worker.excluded"

    worker: str
    household: str
    request_id: str
    task_id: str


class GridCovered(Event):
    """From now on `worker` answers for the grid instead of `instead_of`."""

    wire: ClassVar[str] = "doorstep.grid.covered.v1"
    key: ClassVar[str] = "grid.covered"

    worker: str
    instead_of: str


COMMANDS = (RegisterWorker, SignUpVolunteer, ApproveWorker, ReportAbsence, CoverGrid)
EVENTS = (
    WorkerRegistered,
    WorkerSignedUp,
    WorkerAbsent,
    WorkerReturned,
    WorkerExcluded,
    GridCovered,
)
