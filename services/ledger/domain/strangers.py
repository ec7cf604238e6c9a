"""Somebody who was recorded in a round and is not on its roster."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel

from services.ledger.domain.sheets import Met, RoundFacts, is_news
from shared.contracts.envelope import Event
from shared.contracts.rounds import StrangerRecorded


class Stranger(BaseModel):
    """Who it was, and how it went."""

    stranger_id: str
    round_id: str
    person_id: str | None
    """None: not on the books at all."""
    met: tuple[Met, ...]
    sealed: str | None
    """`RoundRecord` as it came, sealed; None: the person is on the books."""
    at: datetime
    added: bool = False
    """To the roster, since."""


def record(known: Stranger | None, facts: RoundFacts, told: Stranger) -> tuple[Stranger, Sequence[Event]] | None:
    """Keep somebody beside the roster; None if all that was known."""
    news = [one for one in told.met if known is None or is_news(known.met, one)]
    if not news:
        return None
    kept = told if known is None else known.model_copy(update={"met": (*known.met, *news)})
    event = StrangerRecorded(
        community=facts.community,
        round_id=facts.round_id,
        kind=facts.kind,
        stranger_id=told.stranger_id,
        person_id=told.person_id,
        at=news[0].at,
        point=news[0].point,
    )
    return kept, [event]


def add(known: Stranger | None) -> tuple[Stranger, Sequence[Event]] | None:
    """He is on the roster now."""
    return None if known is None or known.added else (known.model_copy(update={"added": True}), [])
