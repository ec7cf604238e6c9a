"""Commands about money between helpers and residents, which the ledger takes, and the event that it publishes.

Amounts are in fen. Each posting has two sides that are equal; what somebody owes is the sum over postings, never a
figure of its own.
"""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from shared.contracts.envelope import Command, Contract, Event, Identifier, Note, Slug

Amount = Annotated[int, Field(ge=1, le=10_000_000)]
What = Literal["advance", "receipt", "top_up", "change", "refund", "settlement", "handed_on"]


class RecordMoney(Command):
    """Money went from one to the other, or was spent for somebody. `posting_id` makes it safe to send again.

    `advance`, `settlement`: the resident gave it to the worker; `change`, `refund`: the worker gave it back; `receipt`,
    `top_up`: the worker spent it for the resident; `handed_on`: the worker gave it to another, `to`.

    What was typed wrongly is taken back by a posting that `corrects` it and says the same `what`, `worker`, `amount`
    and `to`; what is right is recorded as any other.
    """

    wire: ClassVar[str] = "doorstep.money.record.v1"
    key: ClassVar[str] = "money.record"

    posting_id: Identifier
    matter_id: Identifier
    """What it is about: mostly the id of a request."""
    community: Slug
    worker: Identifier
    person_id: Identifier | None = None
    """None: as is known of the matter."""
    what: What
    amount: Amount
    """In fen."""
    to: Identifier | None = None
    """With `handed_on`: the worker who got it."""
    note: Note = ""
    """Sealed."""
    corrects: Identifier | None = None
    """The posting of this matter that was wrong: both its sides are turned round."""


class MoneyAnswer(Contract):
    """What whoever records money gets back."""

    status: Literal["accepted", "duplicate"]
    matter_id: str
    owed: int
    """Fen that the resident owes the worker in this matter; below zero: the worker owes the resident."""
    open: bool


class MoneyRecorded(Event):
    """A posting was made."""

    wire: ClassVar[str] = "doorstep.money.recorded.v1"
    key: ClassVar[str] = "money.recorded"

    posting_id: str
    matter_id: str
    kind: str = "money"
    worker: str
    person_id: str | None = None
    what: str
    amount: int
    """In fen; below zero where it takes another posting back, so that amounts can be added up."""
    owed: int
    """As it is after this."""
    to: str | None = None
    """With `handed_on`: the worker who got it."""
    at: datetime | None = None
    sealed: str | None = None
    """A note, sealed."""
    corrects: str | None = None
    """The posting that it takes back."""


COMMANDS = (RecordMoney,)
EVENTS = (MoneyRecorded,)
