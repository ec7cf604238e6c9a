"""An entry: something that happened, chained to the one before so that no change goes unseen."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.contracts.envelope import Moment

BEGINNING = "0" * 64
"""Stands for the hash before the first entry of a community."""
ShortText = Annotated[str | None, Field(max_length=128)]


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


NOT_SHOWN = frozenset(
    {"sealed", "lookups", "fingerprint", "household", "stairwell", "sources", "identities", "token_hash"}
)
"""Fields of events that hold a sealed text or a hash, wherever in a body they stand."""


def shown(value: Any) -> Any:
    """An event's body, or a part of it, without what is sealed or hashed."""
    if isinstance(value, dict):
        parts = cast("dict[str, Any]", value)
        # What was heard at a follow-up is sealed; what was said of a case is an object with a sealed text in it.
        hidden = NOT_SHOWN | {one for one in ("said",) if isinstance(parts.get(one), str)}
        return {one: shown(part) for one, part in parts.items() if one not in hidden}
    if isinstance(value, list):
        return [shown(one) for one in cast("Sequence[Any]", value)]
    return value


class Sought(BaseModel):
    """Which entries are asked for."""

    community: ShortText = None
    type: ShortText = None
    request_id: ShortText = None
    record: Annotated[str | None, Field(max_length=160)] = None
    """Openings of it alone, such as `person:<id>`."""
    actor: ShortText = None
    since: Moment | None = None
    until: Moment | None = None
    """The first moment after those that are asked for."""


def first_id(moment: datetime) -> str:
    """What no id of an event made before that moment reaches, and every later one does (UUIDv7, RFC 9562)."""
    digits = f"{int(moment.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}"


class Link(BaseModel):
    """A place in the chain of a community."""

    model_config = ConfigDict(frozen=True)

    sequence: int = 0
    hash: str = BEGINNING


def stored_link(document: Mapping[str, Any]) -> Link | None:
    """Where a document says that it stands in a chain; None: somebody made it unreadable."""
    try:
        return Link.model_validate({name: document.get(name) for name in Link.model_fields}, strict=True)
    except ValidationError:
        return None


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
