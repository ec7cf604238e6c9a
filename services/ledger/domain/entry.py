"""An entry: something that happened, chained to the one before so that no change goes unseen."""

import hashlib
import json
from datetime import datetime

from pydantic import BaseModel, ConfigDict

BEGINNING = "0" * 64
"""Stands for the hash before the first entry of a community."""


class Fact(BaseModel):
    """What is to be entered."""

    model_config = ConfigDict(frozen=True)

    id: str
    """Of the event; an event is entered once."""
    type: str
    """Class name of the event, such as `RequestCreated`."""
    wire: str
    at: datetime
    community: str
    grid: str | None
    request_id: str | None
    source: str
    cause: str
    actor: str = ""
    """Whose command set it off; empty: the clock, somebody unknown, or an entry of before."""
    data: str
    """The event's body as it came: JSON, personal data sealed."""
    about: str | None = None
    """Register and id of the document that it is about, such as `people/<id>`, to find it by; None: none.

    It follows from `data`, so it is not chained; an entry of before gets it when it is looked for.
    """
    turn: int | None = None
    """Its place in the history of that document, from 1; None: an entry of before, or about none."""


class Link(BaseModel):
    """A place in the chain of a community."""

    model_config = ConfigDict(frozen=True)

    sequence: int = 0
    hash: str = BEGINNING


def chain(fact: Fact, before: Link) -> Link:
    """The link that holds `fact` and comes after `before`.

    The hash is SHA-256 over the previous hash and the entry as JSON with sorted keys (FIPS 180-4).
    """
    sequence = before.sequence + 1
    content = {
        "id": fact.id,
        "type": fact.type,
        "wire": fact.wire,
        "at": fact.at.isoformat(timespec="milliseconds"),
        "community": fact.community,
        "grid": fact.grid,
        "request_id": fact.request_id,
        "source": fact.source,
        "cause": fact.cause,
        "data": fact.data,
        "sequence": sequence,
        # Entries of before were chained without these.
        **({"actor": fact.actor} if fact.actor else {}),
        **({} if fact.turn is None else {"turn": fact.turn}),
    }
    text = before.hash + json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Link(sequence=sequence, hash=hashlib.sha256(text.encode()).hexdigest())
