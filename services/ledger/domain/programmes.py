"""Everybody of a category, a list, a building or a grid, and when they are looked after."""

from collections.abc import Sequence
from datetime import datetime

from services.ledger.domain.rebuilding import Told
from services.ledger.domain.recurring import Recurring, begun, following
from shared.contracts.envelope import Event
from shared.contracts.programmes import Each, Everybody, ProgrammeBegun, ProgrammeEnded
from shared.contracts.refusal import refusal


class Programme(Recurring):
    """Whom it is for, and when."""

    programme_id: str
    community: str
    everybody: Everybody
    kind: str
    each: Each = "person"
    note: str = ""
    reached: str = ""
    """Of that time, everybody up to this id has a follow-up."""


def begin(known: Programme | None, told: Programme, now: datetime) -> tuple[Programme, Sequence[Event]] | None:
    """Look after them; None if it was said before.

    Raises:
        Refusal: its id is used for another programme, or its times are none, or never come.
    """
    if known is not None:
        of_now = {"next_at", "reached", "ended"}
        if known.model_dump(exclude=of_now) == told.model_dump(exclude=of_now):
            return None
        raise refusal("programme_id", "known_programme", "another programme has this id; take a new one", status=409)
    if told.each == "building" and (told.everybody.category or told.everybody.listed):
        raise refusal("everybody", "not_allowed", "a programme for buildings names a building or a grid alone")
    state = begun(told, now)
    times = told.model_dump(include={"begins", "rule", "zone", "days", "each", "note"})
    event = ProgrammeBegun(
        community=told.community,
        grid=told.everybody.grid,
        programme_id=told.programme_id,
        kind=told.kind,
        everybody=told.everybody,
        **times,
    )
    return state, [event]


def end(known: Programme | None) -> tuple[Programme, Sequence[Event]] | None:
    """Look after them no more; None if that is so.

    Raises:
        Refusal: there is no such programme.
    """
    if known is None:
        raise refusal("programme_id", "unknown_programme", "there is no programme of this id", status=404)
    if known.ended:
        return None
    event = ProgrammeEnded(
        community=known.community,
        grid=known.everybody.grid,
        programme_id=known.programme_id,
        kind=known.kind,
        everybody=known.everybody,
    )
    return known.model_copy(update={"ended": True, "next_at": None}), [event]


def go_on(known: Programme | None, at: datetime, reached: str | None) -> tuple[Programme, Sequence[Event]] | None:
    """Of that time, everybody up to this id has a follow-up, or (None) all have; None if that is known."""
    if known is None or known.next_at != at:
        return None
    if reached is None:
        return known.model_copy(update={"next_at": following(known, at), "reached": ""}), []
    return (known.model_copy(update={"reached": reached}), []) if known.reached < reached else None


def retold(known: Told, event: Event) -> Told:
    """What is told of a programme after one more event."""
    match event:
        case ProgrammeBegun():
            names = {"programme_id", "community", "kind", "begins", "rule", "zone", "days", "each", "note"}
            return {**event.model_dump(include=names), "everybody": event.everybody, "ended": False}
        case ProgrammeEnded():
            return {**known, "ended": True}
        case _:
            return known
