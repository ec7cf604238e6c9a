"""What any service publishes about its queues."""

from datetime import datetime
from typing import ClassVar

from shared.contracts.envelope import Event


class QueueRebuilt(Event):
    """A queue was gone, or took nothing any more, and was made anew; what was in it is lost.

    Every service sends what it has raised since `since`, as far as it is of `types`, into that queue again.
    """

    wire: ClassVar[str] = "doorstep.queue.rebuilt.v1"
    key: ClassVar[str] = "queue.rebuilt"

    queue: str
    since: datetime
    types: tuple[str, ...] = ()
    """Wire types that the queue takes; empty for a queue of commands, which their senders repeat until answered."""


EVENTS = (QueueRebuilt,)
