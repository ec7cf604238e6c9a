"""What every message between the services has in common.

A message is a CloudEvent 1.0 in binary mode over AMQP 0-9-1: its attributes travel as `ce-` headers, its data is the
bare JSON body. `Command` and `Event` are the two families; each class writes out its own wire name.
"""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

COMMANDS_EXCHANGE = "doorstep.commands"
EVENTS_EXCHANGE = "doorstep.events"
NOTIFICATIONS_EXCHANGE = "doorstep.notifications"
NOTIFICATIONS_LOG = "doorstep.notifications.log"

UNKNOWN = "_"
"""Stands in a routing key where community, grid or worker is not known."""

BODY_LIMIT = 64 * 1024
"""The largest body, in bytes, of a command or an HTTP request."""
EVENT_LIMIT = 4 * BODY_LIMIT
"""The same of an event: it says what a command said, sealed, which is longer, and what was known before."""

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
"""A name that can stand in a routing key: lower-case letters, digits, `_` and `-`, at most 32 characters."""

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}$")]
"""An id given by us or by another system: 1 to 128 printable characters without spaces."""

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
Note = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)]
Phone = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^\+?[0-9][0-9 ()-]{2,23}$")]
BuildingNumber = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^\s.#*/]{1,16}$")]
YEARS = range(2000, 2200)
"""Of which anybody tells."""
Moment = Annotated[
    AwareDatetime, Field(ge=datetime(YEARS.start, 1, 1, tzinfo=UTC), lt=datetime(YEARS.stop, 1, 1, tzinfo=UTC))
]
"""A time with its zone: the database cannot hold every time."""
Day = Annotated[date, Field(ge=date(YEARS.start, 1, 1), lt=date(YEARS.stop, 1, 1))]
Slugs = Annotated[tuple[Slug, ...], Field(max_length=16)]
Needs = Slugs


class Contract(BaseModel):
    """Data that crosses a border: immutable, strictly typed, finite numbers only."""

    model_config = ConfigDict(
        frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True, ser_json_inf_nan="null"
    )


class Command(Contract):
    """Something that somebody wants done. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")

    wire: ClassVar[str]
    """The CloudEvents type, such as `doorstep.request.submit.v1`."""
    key: ClassVar[str]
    """The routing key on `doorstep.commands`, such as `request.submit`."""


class Event(Contract):
    """Something that happened. Fields that a newer publisher added are passed over."""

    model_config = ConfigDict(extra="ignore")

    wire: ClassVar[str]
    key: ClassVar[str]
    """The first two words of the routing key on `doorstep.events`; community and grid follow."""
    exchange: ClassVar[str] = EVENTS_EXCHANGE

    community: str | None = None
    """The community it concerns; None where that is not known."""
    grid: str | None = None
    """The grid it concerns; None where that is not known."""

    def routing_key(self) -> str:
        """`request.created.<community>.<grid>`, with `_` where one is unknown."""
        return f"{self.key}.{self.community or UNKNOWN}.{self.grid or UNKNOWN}"


@dataclass(frozen=True, slots=True)
class Meta:
    """The CloudEvents attributes of one message, without its data."""

    id: str
    type: str
    source: str
    """The publishing service, such as `intake`; on the wire `/doorstep/intake`."""
    time: datetime
    subject: str
    """The id of the request (or person, worker, grid) that the message is about."""
    sequence: int = 0
    """Position of the event in the history of the aggregate that raised it, from 1; 0 for a command."""
    cause: str = ""
    """The id of the message or command that made this happen."""
    actor: str = ""
    """Whose command set this off, through however many messages: name of the token, or of the account at the broker.

    Empty: the clock, or somebody who did not say who he is.
    """
    traceparent: str = ""

    def named(self, identity: str | None) -> "Meta":
        """The same under another id, such as the command's own, by which its effects are known; None: as it is."""
        return replace(self, id=identity or self.id)


def to_milliseconds(moment: datetime) -> datetime:
    """A moment as documents keep it, so that what is told again is known again."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


class Problem(Contract):
    """One reason why something was refused."""

    field: str
    """Dotted path of the field, or `` for the whole."""
    code: str
    """Stable and machine-readable, such as `unknown_kind`."""
    message: str
    """For a person, in English; other languages come from the catalogue by code."""


class Refused(Contract):
    """The answer to a command that was not carried out; nothing was changed."""

    status: Literal["refused"] = "refused"
    problems: tuple[Problem, ...]
