"""Commands about the residents' council (居民议事厅), which the ledger takes: each topic becomes a case.

A topic has an owner from the first moment, and is answered within the days that `cases.yaml` says for its kind, counted
from the meeting.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from shared.contracts.cases import CaseState
from shared.contracts.envelope import BuildingNumber, Command, Contract, Identifier, Moment, Name, Note, Slug

TOPICS = 50
"""Of one meeting."""


class CouncilTopic(Contract, extra="forbid"):
    """What somebody raised."""

    topic_id: Slug
    """Within its meeting."""
    title: Name
    text: Note = ""
    owner: Identifier
    """The worker who answers for it."""
    parties: Annotated[tuple[Slug, ...], Field(max_length=16)] = ()
    building: BuildingNumber | None = None
    urgent: bool = False


class RecordCouncil(Command):
    """What was raised in one meeting. `council_id` and `topic_id` make it safe to send again, with more topics, too."""

    wire: ClassVar[str] = "doorstep.council.record.v1"
    key: ClassVar[str] = "council.record"

    council_id: Slug
    community: Slug
    held: Moment | None = None
    """When the council met; None: now."""
    topics: Annotated[tuple[CouncilTopic, ...], Field(min_length=1, max_length=TOPICS)]


class TopicAnswer(Contract):
    """The case that a topic is."""

    topic_id: str
    case_id: str
    status: Literal["accepted", "duplicate"]
    state: CaseState


class CouncilAnswer(Contract):
    """What the sender gets back: the topics in the order in which they were told."""

    status: Literal["accepted", "duplicate"]
    council_id: str
    topics: tuple[TopicAnswer, ...]


COMMANDS = (RecordCouncil,)
EVENTS = ()
