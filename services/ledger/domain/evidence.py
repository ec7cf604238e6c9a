"""What partners owe every day: reported, or reminded, or named; and pictures that were shown before."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from shared.contracts.envelope import Event, Problem
from shared.contracts.evidence import (
    EvidenceDoubted,
    EvidenceDue,
    EvidenceEvent,
    EvidenceForgiven,
    EvidenceNamed,
    EvidenceOwed,
    EvidenceRecorded,
    EvidenceReminded,
    Picture,
)
from shared.contracts.recurrence import wrong_zone
from shared.contracts.refusal import Refusal, refusal

ALIKE = 3
"""Bits by which one and the same picture may differ, of 64."""
MOST_REPORTS = 500
"""Of one day."""


class Owing(BaseModel):
    """What a partner owes every day."""

    owing_id: str
    community: str
    partner: str
    kind: str
    places: list[str]
    reminded: str
    named: str
    begins: str
    ends: str | None
    zone: str
    fingerprint: str
    forgiven: bool = False
    next_day: str | None = None
    """Not begun yet; None: there is none."""
    next_at: datetime | None = None
    """When that day begins."""


class Report(BaseModel):
    """One place on one day."""

    report_id: str
    place: str
    at: datetime
    by: str
    pictures: list[Picture]
    same_as: str | None = None
    late: bool = False


class Day(BaseModel):
    """What is owed on one day."""

    owing_id: str
    community: str
    partner: str
    kind: str
    day: str
    places: list[str]
    stage: Literal["owed", "reminded", "over"] = "owed"
    reports: list[Report] = []
    named: list[str] = []
    """Places that were not reported in time."""
    names_at: datetime
    due_at: datetime | None

    def missing(self) -> tuple[str, ...]:
        """Places that nobody reported yet."""
        there = {one.place for one in self.reports}
        return tuple(one for one in self.places if one not in there)


Shown = tuple[str, str]
"""Where a picture was shown (day and place), and how it looks."""


def owe(known: Owing | None, told: Owing, now: datetime) -> tuple[Owing, Sequence[Event]] | None:
    """A partner owes this from a day on, and of today only while it can still be named in time; None if it was said.

    Raises:
        Refusal: the id is used for something else, or its times are none.
    """
    if known is not None:
        if known.fingerprint == told.fingerprint:
            return None
        raise refusal("owing_id", "known_owing", "something else is owed under this id; take a new one", status=409)
    if problems := list(_wrong(told)):
        raise Refusal(*problems)
    today = now.astimezone(ZoneInfo(told.zone)).date()
    if now >= _moment(told, today.isoformat(), told.named):
        today += timedelta(days=1)
    first = max(told.begins, today.isoformat())
    begun = _from(told.model_copy(update={"begins": first}), first)
    return begun, [
        _event(
            EvidenceOwed,
            begun,
            places=tuple(begun.places),
            **begun.model_dump(include={"reminded", "named", "begins", "ends", "zone", "fingerprint"}),
        )
    ]


def forgive(known: Owing | None) -> tuple[Owing, Sequence[Event]] | None:
    """Nothing is owed any more from the next day on; None if that is so.

    Raises:
        Refusal: nothing is owed under this id.
    """
    owing = existing(known)
    if owing.forgiven:
        return None
    after = owing.model_copy(update={"forgiven": True, "next_day": None, "next_at": None})
    return after, [_event(EvidenceForgiven, after)]


def go_on(known: Owing | None, day: str) -> tuple[Owing, Sequence[Event]] | None:
    """That day has begun; None if it is dealt with."""
    if known is None or known.next_day is None or known.next_day > day:
        return None
    return _from(known, (date.fromisoformat(day) + timedelta(days=1)).isoformat()), []


def existing(known: Owing | None) -> Owing:
    """Raises:
    Refusal: there is none.
    """
    if known is None:
        raise refusal("owing_id", "unknown_owing", "nothing is owed under this id", status=404)
    return known


def day_of(owing: Owing, day: str) -> Day:
    """What is owed on a day, before anything was reported.

    Raises:
        Refusal: nothing is owed any more.
    """
    if owing.forgiven:
        raise refusal("day", "not_owed", "nothing is owed any more")
    return Day(
        owing_id=owing.owing_id,
        community=owing.community,
        partner=owing.partner,
        kind=owing.kind,
        day=day,
        places=owing.places,
        names_at=_moment(owing, day, owing.named),
        due_at=_moment(owing, day, owing.reminded),
    )


def begin(known: Day | None, told: Day) -> tuple[Day, Sequence[Event]] | None:
    """The day has begun; None if it had."""
    return _begun(told) if known is None else None


def owed_on(owing: Owing, day: str, now: datetime) -> None:
    """Nothing, where it is owed on that day.

    Raises:
        Refusal: it is not, or the day has not come yet.
    """
    today = now.astimezone(ZoneInfo(owing.zone)).date().isoformat()
    if day > today:
        raise refusal("day", "not_yet", "this day has not come yet")
    if day < owing.begins or (owing.ends is not None and day > owing.ends):
        raise refusal("day", "not_owed", "nothing was owed on this day")


def report_on(
    known: Day | None, owing: Owing, day: str, told: Report, before: Sequence[Shown]
) -> tuple[Day, Sequence[Event]] | None:
    """The same as `report`, on a day that may not have begun yet."""
    begun, due = (known, ()) if known is not None else _begun(day_of(owing, day))
    decision = report(begun, told, before)
    return None if decision is None else (decision[0], [*due, *decision[1]])


def report(known: Day, told: Report, before: Sequence[Shown]) -> tuple[Day, Sequence[Event]] | None:
    """One place is reported; None if it was said before. `before`: pictures of other days and partners.

    Raises:
        Refusal: nothing is owed there, the id is used for another report, or there were too many.
    """
    if told.place not in known.places:
        raise refusal("place", "not_owed", f"nothing is owed at {told.place}")
    same = next((one for one in known.reports if one.report_id == told.report_id), None)
    if same is not None:
        if (same.place, same.pictures) == (told.place, told.pictures):
            return None
        raise refusal("report_id", "known_report", "another report has this id; take a new one", status=409)
    if len(known.reports) >= MOST_REPORTS:
        raise refusal("report_id", "too_many", f"at most {MOST_REPORTS} reports a day", status=409)
    shown = seen_before([one.look for one in told.pictures], [*shown_on(known), *before])
    added = told.model_copy(update={"same_as": shown, "late": known.stage == "over" or told.at >= known.names_at})
    after = known.model_copy(update={"reports": [*known.reports, added]})
    place = {"day": known.day, "place": told.place}
    said = {"report_id": added.report_id, "at": added.at, "by": added.by, "shown": tuple(added.pictures)}
    events = [_event(EvidenceRecorded, after, pictures=len(told.pictures), late=added.late, **place, **said)]
    if shown is not None:
        events.append(_event(EvidenceDoubted, after, same_as=shown, **place))
    return after, events


def lapse(known: Day | None, now: datetime) -> tuple[Day, Sequence[Event]] | None:
    """It is time to remind, or to name; None if it is not."""
    if known is None or known.due_at is None or known.due_at > now:
        return None
    missing = known.missing()
    if known.stage == "owed" and now < known.names_at:
        reminded = known.model_copy(update={"stage": "reminded", "due_at": known.names_at})
        told = [_event(EvidenceReminded, reminded, day=known.day, places=missing)] if missing else []
        return reminded, told
    over = known.model_copy(update={"stage": "over", "due_at": None, "named": list(missing)})
    return over, [_event(EvidenceNamed, over, day=known.day, places=missing)] if missing else []


def shown_on(day: Day) -> list[Shown]:
    """The pictures of a day."""
    return [(f"{day.day}/{one.place}", picture.look) for one in day.reports for picture in one.pictures]


def seen_before(looks: Sequence[str], before: Sequence[Shown]) -> str | None:
    """Day and place of a picture that is one of these; None: all are new."""
    for look in looks:
        for where, other in before:
            if (int(look, 16) ^ int(other, 16)).bit_count() <= ALIKE:
                return where
    return None


def _begun(told: Day) -> tuple[Day, Sequence[Event]]:
    due = {"places": tuple(told.places), "reminds_at": told.due_at, "names_at": told.names_at}
    return told, [_event(EvidenceDue, told, day=told.day, **due)]


def _from(owing: Owing, day: str) -> Owing:
    if owing.forgiven or (owing.ends is not None and day > owing.ends):
        return owing.model_copy(update={"next_day": None, "next_at": None})
    return owing.model_copy(update={"next_day": day, "next_at": _moment(owing, day, "00:00")})


def _moment(owing: Owing, day: str, at: str) -> datetime:
    wall = datetime.combine(date.fromisoformat(day), time.fromisoformat(at), ZoneInfo(owing.zone))
    return wall.astimezone(UTC)


def _wrong(told: Owing) -> Iterator[Problem]:
    yield from wrong_zone(told.zone)
    if told.named <= told.reminded:
        yield Problem(field="named", code="not_allowed", message="those who owe are named after they were reminded")
    if told.ends is not None and told.ends < told.begins:
        yield Problem(field="ends", code="not_allowed", message="it ends on its first day or later")


def _event(kind: type[EvidenceEvent], known: Owing | Day, **more: Any) -> EvidenceEvent:
    return kind(community=known.community, owing_id=known.owing_id, kind=known.kind, worker=known.partner, **more)


def going_on(owing: Owing, now: datetime) -> Owing:
    """The next day is today, or the first."""
    if owing.forgiven:
        return owing.model_copy(update={"next_day": None, "next_at": None})
    if owing.next_day is not None:
        return owing
    today = now.astimezone(ZoneInfo(owing.zone)).date().isoformat()
    return _from(owing, max(owing.begins, today))
