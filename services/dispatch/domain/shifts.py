"""Who is on duty when: shifts that come again by a rule of RFC 5545, in local wall time, with breaks and holidays."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

from shared.contracts.envelope import Problem
from shared.contracts.recurrence import wrong_times
from shared.contracts.workers import Shift
from shared.workdays import is_workday

_DAY = timedelta(days=1)
_AHEAD = 35
"""Days that are looked at for shifts that overlap: five weeks show every weekly and almost every monthly pattern."""


def on_duty(shifts: Sequence[Shift], now: datetime) -> bool:
    """Whether `now` lies in one of the shifts and in none of its breaks; without shifts, always."""
    return not shifts or any(_within(shift, now) for shift in shifts)


def problems_of(shifts: Sequence[Shift]) -> list[Problem]:
    """What is wrong with shifts that somebody tells: rules and zones that there are not, shifts that overlap."""
    found = [
        one.model_copy(update={"field": f"shifts.{number}.{one.field}"})
        for number, shift in enumerate(shifts)
        for one in _wrong(shift)
    ]
    return found or list(_overlaps(shifts))


def _wrong(shift: Shift) -> Iterator[Problem]:
    if wrong := list(wrong_times(shift.begins, shift.rule, shift.zone)):
        yield from wrong
        return
    if shift.rule is None:
        return
    try:
        rrulestr(shift.rule, dtstart=_first(shift))
    except (ValueError, TypeError, KeyError) as error:
        yield Problem(field="rule", code="bad_rule", message=f"not a rule of RFC 5545: {error}")


def _overlaps(shifts: Sequence[Shift]) -> Iterator[Problem]:
    if not shifts:
        return
    first = max(map(_first, shifts)).date()
    times = sorted(
        (*span, number)
        for number, shift in enumerate(shifts)
        for day in range(_AHEAD)
        for span in _spans(shift, first + day * _DAY)
    )
    for (_, ends, one), (begins, _, other) in pairwise(times):
        if begins < ends:
            message = f"overlaps shift {min(one, other)} on {begins:%Y-%m-%d %H:%M} UTC"
            yield Problem(field=f"shifts.{max(one, other)}", code="overlaps", message=message)
            return


def _within(shift: Shift, now: datetime) -> bool:
    today = now.astimezone(ZoneInfo(shift.zone)).date()
    # A shift lasts a day at most, so what runs now began today or yesterday.
    for day in (today - _DAY, today):
        for begins, ends in _spans(shift, day):
            if begins <= now < ends:
                return not any(_in_break(shift, one.begins, one.minutes, day, now) for one in shift.breaks)
    return False


def _in_break(shift: Shift, begins: str, minutes: int, day: date, now: datetime) -> bool:
    """Breaks are told by the time of day; one that is earlier than the shift's beginning lies after midnight."""
    at = time.fromisoformat(begins)
    starts = _utc(datetime.combine(day + (_DAY if at < _first(shift).time() else timedelta()), at), shift.zone)
    return starts <= now < starts + timedelta(minutes=minutes)


def _spans(shift: Shift, day: date) -> tuple[tuple[datetime, datetime], ...]:
    """When the shift begins on that local day, and when it ends; in UTC."""
    return _computed(shift.begins, shift.minutes, shift.rule, shift.zone, shift.days == "workdays", day)


@lru_cache(maxsize=4096)
def _computed(
    begins: str, minutes: int, rule: str | None, zone: str, workdays: bool, day: date
) -> tuple[tuple[datetime, datetime], ...]:
    if workdays and not is_workday(day):
        return ()
    midnight, first = datetime.combine(day, time()), datetime.fromisoformat(begins)
    starts = [first] if rule is None else rrulestr(rule, dtstart=first).between(midnight, midnight + _DAY, inc=True)
    return tuple((_utc(one, zone), _utc(one + timedelta(minutes=minutes), zone)) for one in starts if one.date() == day)


def _first(shift: Shift) -> datetime:
    return datetime.fromisoformat(shift.begins)


def _utc(local: datetime, zone: str) -> datetime:
    return local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
