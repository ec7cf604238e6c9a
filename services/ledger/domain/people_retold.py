"""People, made again of what their events say."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from services.ledger.domain.people_life import blank
from services.ledger.domain.rebuilding import Told, but
from services.ledger.domain.register import Absorbed
from shared.contracts.envelope import Event
from shared.contracts.ledger import PersonKept, PersonRegistered
from shared.contracts.people import PersonErased, PersonMerged, PersonUnmerged

_ABSORBED = ("listed", "identities", "stairwell")
"""What is kept of a person, beside the facts, from before a merge."""
_MERGING = "merging"
"""Who is absorbed by the news that comes next."""


@dataclass(frozen=True, slots=True)
class Lived:
    """Behind a door, from when, and until when; None: still, or nothing else was told."""

    household: str
    since: datetime
    until: datetime | None = None


def lived(news: Iterable[tuple[datetime, Event]]) -> list[Lived]:
    """Behind which doors somebody lived, by what was told under one id, in its order."""
    found: list[Lived] = []
    for at, one in news:
        if not isinstance(one, PersonRegistered):
            continue
        behind = found[-1] if found and found[-1].until is None else None
        if behind is not None and (behind.household != one.household or not one.here):
            found[-1], behind = replace(behind, until=at), None
        if behind is None and one.here:
            found.append(Lived(one.household, at))
    return found


def retold(known: Told, event: Event) -> Told:
    """What is told of a person after one more event. Whoever was erased stays so: nothing of before is in it."""
    match event:
        case PersonErased():
            return _erased(known, event)
        case PersonMerged():
            return {**known, _MERGING: event.other}
        case PersonUnmerged() if "absorbed" in known:
            return {**known, "absorbed": but(known["absorbed"], event.other)}
        case PersonRegistered():
            return _news(known, event)
        case _:
            return known


def _news(known: Told, event: PersonRegistered) -> Told:
    facts = PersonRegistered.model_construct(**{**dict(event), "kept": None})
    told: dict[str, Any] = {"absorbed": {}, "erased": False} if not known else but(known, _MERGING)
    if _MERGING in known and "absorbed" in told:
        told = _with_absorbed(told, known[_MERGING], event.sealed)
    kept = {} if event.kept is None else dict(event.kept)
    return {**but(told, *PersonKept.model_fields), **kept, "facts": facts}


def _with_absorbed(told: dict[str, Any], other: str, seal: str) -> dict[str, Any]:
    if not told.keys() >= set(_ABSORBED):
        return but(told, "absorbed")
    before = Absorbed(before=told["facts"], after=seal, **{name: told[name] for name in _ABSORBED})
    return {**told, "absorbed": {**told["absorbed"], other: before}}


def _erased(known: Told, event: PersonErased) -> Told:
    return {
        "facts": blank(event),
        "fingerprint": "",
        "sources": {},
        "stairwell": None,
        "identities": {},
        "listed": {},
        "merged_into": None,
        "absorbed": {},
        "died_on": None,
        "forget_at": None,
        "erased": True,
        **{name: known[name] for name in ("left_at", "died") if name in known},
    }
