"""Lists in pages: `{"items": […], "next": cursor or null}`."""

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from shared.contracts.refusal import refusal

DEFAULT_LIMIT = 50
MOST = 500
_TOO_LARGE = 2**63
"""For a whole number in the database."""


def encode_cursor(values: Sequence[Any]) -> str:
    """The place after one item, opaque to the reader."""
    return base64.urlsafe_b64encode(orjson.dumps(list(values))).decode().rstrip("=")


def decode_cursor(cursor: str | None, kinds: Sequence[type]) -> list[Any] | None:
    """The values that `encode_cursor` was given; None without a cursor.

    Raises:
        Refusal: it is not one of ours.
    """
    if cursor is None:
        return None
    try:
        values = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(values, list) or len(values) != len(kinds):
            raise ValueError("not a cursor of this list")
        return [_as(kind, value) for kind, value in zip(kinds, values, strict=True)]
    except (ValueError, TypeError, binascii.Error, OverflowError):
        raise refusal("after", "bad_cursor", "not a cursor of this list; leave it out to begin anew") from None


def page(
    items: Sequence[dict[str, Any]],
    limit: int,
    place: Callable[[dict[str, Any]], Sequence[Any]],
    show: Callable[[dict[str, Any]], Any],
) -> dict[str, Any]:
    """One page from `limit + 1` documents: the one too many says that there is more.

    Args:
        items: the documents found.
        limit: how many the page holds.
        place: sort values of a document, for the cursor.
        show: a document as the reader sees it.
    """
    shown = items[:limit]
    more = encode_cursor(place(shown[-1])) if len(items) > limit and shown else None
    return {"items": [show(item) for item in shown], "next": more}


def _as(kind: type, value: Any) -> Any:
    if kind is datetime and isinstance(value, str):
        # Some times of other zones are in no year of this one, and the database takes none of them.
        return datetime.fromisoformat(value).astimezone(UTC)
    if not isinstance(value, kind) or (isinstance(value, int) and value >= _TOO_LARGE):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value
