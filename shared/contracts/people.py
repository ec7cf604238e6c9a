"""What happens to somebody on the books: commands that the ledger takes, and events that it publishes."""

from datetime import date
from typing import Annotated, ClassVar

from pydantic import StringConstraints

from shared.contracts.envelope import Command, Event, Identifier, Name
from shared.contracts.intake import Address
from shared.contracts.ledger import Description


class MovePerson(Command):
    """Somebody lives behind another door from now on, moved away (`here` false), or came back."""

    wire: ClassVar[str] = "doorstep.person.move.v1"
    key: ClassVar[str] = "person.move"

    command_id: Identifier
    person_id: Identifier
    address: Address | None = None
    """The new door; None: the one that is known."""
    here: bool = True


class CorrectPerson(Description):
    """What is known of somebody was wrong: each field that is named is from now on what is said here, also nothing."""

    wire: ClassVar[str] = "doorstep.person.correct.v1"
    key: ClassVar[str] = "person.correct"

    command_id: Identifier
    person_id: Identifier
    name: Name | None = None
    """None: the one that is known."""


class RecordDeath(Command):
    """Somebody died; or (`revoked`) did not: it was told of the wrong person."""

    wire: ClassVar[str] = "doorstep.person.record-death.v1"
    key: ClassVar[str] = "person.record-death"

    command_id: Identifier
    person_id: Identifier
    died: date | None = None
    revoked: bool = False


class MergePeople(Command):
    """Two on the books are one: `other` is known as `person_id` from now on."""

    wire: ClassVar[str] = "doorstep.person.merge.v1"
    key: ClassVar[str] = "person.merge"

    command_id: Identifier
    person_id: Identifier
    other: Identifier


class UnmergePeople(Command):
    """They are two after all."""

    wire: ClassVar[str] = "doorstep.person.unmerge.v1"
    key: ClassVar[str] = "person.unmerge"

    command_id: Identifier
    person_id: Identifier
    other: Identifier


class ErasePerson(Command):
    """Forget somebody: the key to all that was sealed about this person is destroyed, for ever."""

    wire: ClassVar[str] = "doorstep.person.erase.v1"
    key: ClassVar[str] = "person.erase"

    command_id: Identifier
    person_id: Identifier
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    """Stays in the clear when all else is gone: it names nobody."""


class PersonMerged(Event):
    """`other` is known as `person_id`."""

    wire: ClassVar[str] = "doorstep.person.merged.v1"
    key: ClassVar[str] = "person.merged"

    person_id: str
    other: str


class PersonUnmerged(Event):
    """`other` is somebody else than `person_id` again."""

    wire: ClassVar[str] = "doorstep.person.unmerged.v1"
    key: ClassVar[str] = "person.unmerged"

    person_id: str
    other: str


class PersonErased(Event):
    """Nothing personal is known of somebody any more; whoever keeps a copy forgets it."""

    wire: ClassVar[str] = "doorstep.person.erased.v1"
    key: ClassVar[str] = "person.erased"

    person_id: str
    lookups: tuple[str, ...] = ()
    """The blind indexes by which this person was recognised."""
    reason: str | None = None
    """As it was told; None: the time for which somebody who left is remembered was over."""


COMMANDS = (MovePerson, CorrectPerson, RecordDeath, MergePeople, UnmergePeople, ErasePerson)
EVENTS = (PersonMerged, PersonUnmerged, PersonErased)
