"""What somebody needs that comes out of the ledger's own work, and becomes a request."""

from typing import ClassVar

from shared.contracts.envelope import Event


class NeedRaised(Event):
    """Somebody needs something: intake makes a request of it."""

    wire: ClassVar[str] = "doorstep.need.raised.v1"
    key: ClassVar[str] = "need.raised"

    need_id: str
    kind: str
    building: str
    person_id: str | None = None
    sealed: str
    """`SubmitRequest` of what is needed, sealed."""


EVENTS = (NeedRaised,)
