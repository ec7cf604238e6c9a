"""What comes out of the ledger's own work and becomes a request."""

from collections.abc import Sequence

from pydantic import BaseModel

from shared.contracts.envelope import Event
from shared.contracts.needs import NeedRaised


class Need(BaseModel):
    """Something that somebody needs."""

    need_id: str
    told: NeedRaised


def raise_need(known: Need | None, told: Need) -> tuple[Need, Sequence[Event]] | None:
    """Tell intake; None if it was told."""
    return None if known is not None else (told, [told.told])
