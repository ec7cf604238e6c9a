"""Who is on duty when: rules, zones, clock changes, breaks, holidays, midnight."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.dispatch.domain.shifts import on_duty, problems_of
from shared.contracts.workers import Break, Shift


def shift(begins: str = "2026-11-02T08:00", minutes: int = 480, **more: Any) -> Shift:
    """Eight hours from eight o'clock on a Monday."""
    return Shift(begins=begins, minutes=minutes, **more)


def at(text: str, zone: str = "Asia/Shanghai") -> datetime:
    """A local time, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def test_who_has_no_shifts_is_always_on_duty() -> None:
    """Whoever only helps says no when he cannot."""
    assert on_duty((), at("2026-11-24T03:00"))


def test_a_shift_begins_and_ends_at_its_minute() -> None:
    """The first belongs to it, the last does not."""
    weekly = (shift(rule="FREQ=WEEKLY;BYDAY=MO,TU"),)
    found = {time: on_duty(weekly, at(time)) for time in ("2026-11-24T07:59", "2026-11-24T08:00", "2026-11-24T15:59")}
    assert found == {"2026-11-24T07:59": False, "2026-11-24T08:00": True, "2026-11-24T15:59": True}
    assert not on_duty(weekly, at("2026-11-24T16:00"))
    assert not on_duty(weekly, at("2026-11-25T10:00")), "a Wednesday"
    assert not on_duty(weekly, at("2026-10-27T10:00")), "before the first time"


def test_a_shift_without_a_rule_is_once_only() -> None:
    """And not the next week."""
    assert on_duty((shift(),), at("2026-11-02T09:00"))
    assert not on_duty((shift(),), at("2026-11-09T09:00"))


def test_a_night_shift_goes_on_after_midnight_with_its_break() -> None:
    """The break at one o'clock lies on the next day."""
    night = (shift("2026-11-02T22:00", rule="FREQ=DAILY", breaks=(Break(begins="01:00", minutes=30),)),)
    assert on_duty(night, at("2026-11-24T00:30"))
    assert not on_duty(night, at("2026-11-24T01:15"))
    assert on_duty(night, at("2026-11-24T01:30"))
    assert not on_duty(night, at("2026-11-24T06:00"))


def test_at_noon_nobody_is_asked() -> None:
    """A break within a shift."""
    noon = (shift(rule="FREQ=DAILY", breaks=(Break(begins="12:00", minutes=60),)),)
    assert [on_duty(noon, at(f"2026-11-24T{time}")) for time in ("11:59", "12:00", "12:59", "13:00")] == [
        True,
        False,
        False,
        True,
    ]


def test_a_clock_change_moves_no_shift() -> None:
    """Eight in the morning is eight in the morning, in summer and in winter."""
    berlin = (shift("2026-03-02T08:00", rule="FREQ=DAILY", zone="Europe/Berlin", minutes=60),)
    for day in ("2026-03-28", "2026-03-29", "2026-10-24", "2026-10-25"):
        assert on_duty(berlin, at(f"{day}T08:00", "Europe/Berlin")), day
        assert not on_duty(berlin, at(f"{day}T07:59", "Europe/Berlin")), day
        assert not on_duty(berlin, at(f"{day}T09:00", "Europe/Berlin")), day


def test_workdays_are_those_of_the_official_calendar() -> None:
    """National Day is none; the Saturday that makes up for it is one. https://www.gov.cn, notice for 2026."""
    official = (shift("2026-09-01T08:00", rule="FREQ=DAILY", days="workdays"),)
    assert not on_duty(official, at("2026-10-01T10:00"))
    assert on_duty(official, at("2026-10-10T10:00")), "Saturday, made up for"
    assert not on_duty(official, at("2026-10-17T10:00")), "a Saturday as any other"


def test_beyond_the_published_calendar_workdays_are_monday_to_friday() -> None:
    """Better than nobody on duty."""
    official = (shift(rule="FREQ=DAILY", days="workdays"),)
    assert on_duty(official, at("2090-11-20T10:00")), "a Monday"
    assert not on_duty(official, at("2090-11-19T10:00")), "a Sunday"


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"zone": "Mars/Olympus"}, ("shifts.0.zone", "unknown_zone")),
        ({"zone": "../etc/passwd"}, ("shifts.0.zone", "unknown_zone")),
        ({"zone": "Asia"}, ("shifts.0.zone", "unknown_zone")),
        ({"begins": "9999-12-31T23:59"}, ("shifts.0.begins", "not_allowed")),
        ({"rule": "FREQ=DAILY;INTERVAL=14;BYDAY=TU"}, ("shifts.0.rule", "never")),
        ({"rule": "every day"}, ("shifts.0.rule", "bad_rule")),
        ({"rule": "FREQ=SECONDLY"}, ("shifts.0.rule", "bad_rule")),
        ({"rule": "FREQ=DAILY;BYMINUTE=1,2,3"}, ("shifts.0.rule", "bad_rule")),
        ({"rule": "FREQ=WEEKLY;BYDAY=XX"}, ("shifts.0.rule", "bad_rule")),
        ({"rule": "FREQ=WEEKLY;INTERVAL=0"}, ("shifts.0.rule", "bad_rule")),
        ({"rule": "FREQ=WEEKLY;UNTIL=never"}, ("shifts.0.rule", "bad_rule")),
        ({"rule": "FREQ=DAILY;UNTIL=20261399"}, ("shifts.0.rule", "bad_rule")),
        ({"rule": "FREQ=DAILY;BYMONTHDAY=30;BYMONTH=2"}, ("shifts.0.rule", "bad_rule")),
        ({"rule": "BYDAY=MO"}, ("shifts.0.rule", "bad_rule")),
    ],
)
def test_a_rule_or_zone_that_there_is_not_is_refused_by_its_field(wrong: dict[str, Any], problem: Any) -> None:
    """Before it is kept."""
    assert [(one.field, one.code) for one in problems_of((shift(**wrong),))] == [problem]


def test_shifts_that_overlap_are_refused_and_those_that_touch_are_not() -> None:
    """Nobody stands in two places."""
    early = shift(rule="FREQ=WEEKLY;BYDAY=MO")
    touching = shift("2026-11-02T16:00", 60, rule="FREQ=WEEKLY;BYDAY=MO")
    overlapping = shift("2026-11-23T15:30", 60)
    assert problems_of((early, touching)) == []
    (problem,) = problems_of((early, touching, overlapping))
    assert (problem.field, problem.code) == ("shifts.2", "overlaps")
