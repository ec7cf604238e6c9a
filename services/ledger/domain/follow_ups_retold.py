"""Plans and follow-ups, made again of what their events say."""

from datetime import datetime
from typing import Any

from services.ledger.domain.follow_ups import FollowUp, Record
from services.ledger.domain.rebuilding import Told, said
from shared.contracts.envelope import Event
from shared.contracts.follow_ups import (
    FollowUpDue,
    FollowUpMissed,
    FollowUpRecorded,
    FollowUpsEnded,
    FollowUpsPlanned,
)


def retold_plan(known: Told, event: Event) -> Told:
    """What is told of a plan after one more event."""
    match event:
        case FollowUpsPlanned():
            facts = event.model_dump(include={"community", "grid", "plan_id", "person_id", "kind", "begins", "rule"})
            return {**facts, **_said(event), "ended": False}
        case FollowUpsEnded():
            return {**known, "ended": True}
        case _:
            return known


def _said(event: FollowUpsPlanned) -> Told:
    return said(zone=event.zone, building=event.building, hears=event.hears, days=event.days)


def retold_follow_up(known: Told, event: Event) -> Told:
    """What is told of a follow-up after one more event.

    A round ends the looking for somebody without a word, so of those whom a round did not reach no state is told.
    """
    match event:
        case FollowUpDue():
            return _due(known, event)
        case FollowUpRecorded():
            ends = event.outcome != "not_reached"
            told = event.model_dump(include={"outcome", "how", "worker", "at", "why"})
            record = Record(**told, sealed=event.said)
            counted = {"tries": known.get("tries", 0) + 1, "records": [*known.get("records", ()), record]}
            return {**known, **counted, **(_ended(known, event.outcome) if ends else {})}
        case FollowUpMissed():
            return {**known, "tries": event.tries, **_ended(known, "missed")}
        case _:
            return known


def _due(known: Told, event: FollowUpDue) -> Told:
    names = {"community", "grid", "follow_up_id", "plan_id", "person_id", "kind", "building", "tries"}
    told: dict[str, Any] = {"records": [], **known, **event.model_dump(include=names)}
    told |= {"due_at": event.until, "waits": False}
    if event.at is None:
        return told
    told |= {name: getattr(event, name) for name in ("at", "step", "hears", "round_id", "member_id", "presence")}
    return told if event.round_id is not None else {"state": "due", **told}


def _ended(known: Told, state: str) -> Told:
    return {"state": state, "due_at": None, "waits": False} if "state" in known else {}


def follow_up_going_on(follow_up: FollowUp, now: datetime) -> FollowUp:
    """While it is due, somebody is to be asked by some time."""
    if follow_up.state != "due":
        return follow_up.model_copy(update={"due_at": None, "waits": False})
    return follow_up.model_copy(update={"due_at": follow_up.due_at or now})
