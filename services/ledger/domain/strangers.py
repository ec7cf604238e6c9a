"""Somebody who was recorded in a round and is not on its roster."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from services.ledger.domain.rebuilding import Told, but
from services.ledger.domain.sheets import Met, RoundFacts, is_news, met_at
from shared.contracts.envelope import Event
from shared.contracts.rounds import Encounter, StrangerAdded, StrangerRecorded


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
    member_id: str | None = None
    """As whom; None where that was not said."""


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
        records=tuple(Encounter(**one.model_dump()) for one in news),
        sealed=told.sealed if known is None else None,
    )
    return kept, [event]


def add(known: Stranger | None, facts: RoundFacts, member_id: str) -> tuple[Stranger, Sequence[Event]] | None:
    """He is on the roster now."""
    if known is None or known.added:
        return None
    event = StrangerAdded(
        community=facts.community,
        round_id=facts.round_id,
        kind=facts.kind,
        stranger_id=known.stranger_id,
        member_id=member_id,
    )
    return known.model_copy(update={"added": True, "member_id": member_id}), [event]


def retold(known: Told, event: Event) -> Told:
    """What is told of somebody beside the roster after one more event."""
    match event:
        case StrangerRecorded():
            first = event.model_dump(include={"stranger_id", "round_id", "person_id", "sealed", "at"})
            told: dict[str, Any] = {"met": (), "added": False, "member_id": None, **first, **known}
            # Events of before do not tell what was recorded, nor whether he was put on the roster since.
            if not event.records or (known and "met" not in known):
                return but(told, "met", "sealed", "added", "member_id")
            return {**told, "met": (*told["met"], *map(met_at, event.records))}
        case StrangerAdded():
            return {**known, "added": True, "member_id": event.member_id}
        case _:
            return known
