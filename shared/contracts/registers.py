"""What the ledger publishes when it puts a register right from its entries."""

from typing import ClassVar

from shared.contracts.envelope import Event


class RecordRestored(Event):
    """A document of a register was gone, or was not what its entries say; now it is."""

    wire: ClassVar[str] = "doorstep.record.restored.v1"
    key: ClassVar[str] = "record.restored"

    collection: str
    """Such as `people`."""
    record: str
    """The id of the document."""
    fields: tuple[str, ...] = ()
    """Names of the fields that differed; empty: the document was gone."""
    reader: str
    """Who asked for it."""


EVENTS = (RecordRestored,)
