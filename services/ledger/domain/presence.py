"""Who is in a building and does not live there."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel

from services.ledger.domain.rebuilding import Told, but, said
from shared.contracts.envelope import Event
from shared.contracts.presence import PresenceEnded, PresenceRegistered
from shared.contracts.refusal import refusal


class Presence(BaseModel):
    """Somebody who is here."""

    presence_id: str
    community: str
    grid: str
    building: str
    since: datetime
    sealed: str
    fingerprint: str
    stairwell: str | None = None
    household: str = ""
    lookups: list[str] = []
    """By what a list has them they are known again: keyed hashes. Who was registered by an older version has none."""
    here: bool = True
    ended_at: datetime | None = None


def register(known: Presence | None, told: Presence) -> tuple[Presence, Sequence[Event]] | None:
    """Somebody is here; None if it was said before.

    Raises:
        Refusal: the id is used for somebody else.
    """
    if known is None:
        event = PresenceRegistered(
            community=told.community,
            grid=told.grid,
            presence_id=told.presence_id,
            building=told.building,
            since=told.since,
            sealed=told.sealed,
            fingerprint=told.fingerprint,
            stairwell=told.stairwell,
            household=told.household,
            lookups=tuple(told.lookups),
        )
        return told, [event]
    if known.fingerprint == told.fingerprint:
        return None
    raise refusal("presence_id", "known_presence", "somebody else has this id; take a new one", status=409)


def end(known: Presence | None, now: datetime) -> tuple[Presence, Sequence[Event]] | None:
    """They are not here any more; None if that is known.

    Raises:
        Refusal: nobody of this id is.
    """
    presence = existing(known)
    if not presence.here:
        return None
    event = PresenceEnded(
        community=presence.community,
        grid=presence.grid,
        presence_id=presence.presence_id,
        building=presence.building,
        ended_at=now,
    )
    return presence.model_copy(update={"here": False, "ended_at": now}), [event]


def existing(known: Presence | None) -> Presence:
    """Raises:
    Refusal: nobody of this id is here, or was.
    """
    if known is None:
        raise refusal("presence_id", "unknown_presence", "nobody of this id is here", status=404)
    return known


def retold(known: Told, event: Event) -> Told:
    """What is told of a presence after one more event."""
    match event:
        case PresenceRegistered():
            place = event.model_dump(include={"presence_id", "community", "grid", "building"})
            more = said(since=event.since, sealed=event.sealed, fingerprint=event.fingerprint)
            if event.lookups is not None:
                marks = event.model_dump(include={"stairwell", "household"})
                more = {**more, **marks, "lookups": list(event.lookups)}
            return {**place, **more, "here": True, "ended_at": None}
        case PresenceEnded():
            return {**but(known, "ended_at"), "here": False, **said(ended_at=event.ended_at)}
        case _:
            return known
