"""Names for things: ids derived from their cause, and new ones in order of time."""

import uuid

import uuid_utils

_NAMESPACE = uuid.UUID("7c2f6c3a-5a53-4d8c-9e0a-5f3f6d6f0c11")


def derived_id(*parts: str) -> str:
    """The same id for the same parts, for ever (UUIDv5, RFC 9562)."""
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join(parts)))


def new_id() -> str:
    """An id that no one has yet, ordered by time (UUIDv7, RFC 9562)."""
    return str(uuid_utils.uuid7())
