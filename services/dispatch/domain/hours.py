"""Times of day that matter, in a community's wall time: night, meals, the evening."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from shared.contracts.catalogue import Hours, Kind, Span
from shared.contracts.intake import Urgency

_DAY = timedelta(days=1)


def within(span: Span, zone: str, now: datetime) -> bool:
    """Whether it is that time of day now."""
    begins, ends = time.fromisoformat(span.begins), time.fromisoformat(span.ends)
    at = now.astimezone(ZoneInfo(zone)).time()
    return begins <= at < ends if begins < ends else at >= begins or at < ends


def following(at: str, zone: str, now: datetime) -> datetime:
    """The next moment of that time of day, in UTC; by the wall clock, also where that is changed meanwhile."""
    local = now.astimezone(ZoneInfo(zone))
    day = local.date() if local.time() < time.fromisoformat(at) else local.date() + _DAY
    return datetime.combine(day, time.fromisoformat(at), ZoneInfo(zone)).astimezone(UTC)


def rests_until(hours: Hours, kind: Kind | None, urgency: Urgency, now: datetime) -> datetime | None:
    """The morning, if it is night and this can wait; None: somebody is asked now."""
    waits = kind is not None and kind.night == "waits" and urgency != "urgent"
    return following(hours.night.ends, hours.zone, now) if waits and within(hours.night, hours.zone, now) else None


def hurries(hours: Hours, kind: Kind | None, now: datetime) -> bool:
    """Whether it is a meal, and meal time."""
    return kind is not None and kind.meal and any(within(meal, hours.zone, now) for meal in hours.meals)
