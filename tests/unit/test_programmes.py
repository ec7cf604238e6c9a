"""Programmes: whom they are for, when they come, and how far a time is dealt with."""

from datetime import UTC, datetime
from typing import Any

import pytest

from services.ledger.domain import programmes as rules
from services.ledger.domain.programmes import Programme
from services.ledger.domain.recurring import Recurring, following
from shared.contracts.refusal import Refusal

NOW = datetime(2026, 9, 29, 1, tzinfo=UTC)
"""Nine in the morning in Tiebei, two days before the national holiday."""


def programme(**changes: Any) -> Programme:
    told = {"programme_id": "p", "community": "tiebei", "everybody": {"category": "newcomer"}, "kind": "care_call"}
    times = {"begins": "2026-09-29T09:30", "rule": "FREQ=DAILY", "zone": "Asia/Shanghai"}
    return Programme.model_validate({**told, **times, **changes})


def begun(**changes: Any) -> Programme:
    decision = rules.begin(None, programme(**changes), NOW)
    assert decision is not None
    return decision[0]


def test_a_programme_begins_once_and_another_has_its_own_id() -> None:
    """The same again changes nothing, also when it has come in between."""
    known = begun()
    assert known.next_at == datetime(2026, 9, 29, 1, 30, tzinfo=UTC)
    assert rules.begin(known, programme(), NOW) is None
    with pytest.raises(Refusal) as refused:
        rules.begin(known, programme(everybody={"building": "3"}), NOW)
    assert refused.value.problems[0].code == "known_programme"


def test_a_time_is_over_when_everybody_has_a_follow_up() -> None:
    """It goes on where it was; what was done twice is done once."""
    known = begun()
    at = known.next_at
    assert at is not None
    some, events = rules.go_on(known, at, "person-200") or (None, ())
    assert (some and (some.reached, some.next_at), list(events)) == (("person-200", at), [])
    assert rules.go_on(some, at, "person-100") is None
    all_of_them, _ = rules.go_on(some, at, None) or (None, ())
    assert all_of_them is not None
    assert (all_of_them.reached, all_of_them.next_at) == ("", datetime(2026, 9, 30, 1, 30, tzinfo=UTC))
    assert rules.go_on(all_of_them, at, None) is None


def test_what_has_ended_comes_no_more() -> None:
    """Once; of what there is not, it is said."""
    ended, events = rules.end(begun()) or (None, ())
    assert ended is not None
    assert (ended.next_at, [type(one).__name__ for one in events]) == (None, ["ProgrammeEnded"])
    assert rules.end(ended) is None
    with pytest.raises(Refusal):
        rules.end(None)


def test_on_working_days_a_holiday_is_passed_over_and_the_saturday_that_makes_up_for_it_is_not() -> None:
    """The national holiday of 2026 is from Thursday the 1st to Wednesday the 7th; Saturday the 10th is worked."""
    daily = Recurring(begins="2026-09-29T09:30", rule="FREQ=DAILY", zone="Asia/Shanghai", days="workdays")
    found, after = [], NOW
    for _ in range(6):
        at = following(daily, after)
        assert at is not None
        found.append(at.day)
        after = at
    assert found == [29, 30, 8, 9, 10, 12]
    never = Recurring(begins="2026-10-03T09:30", rule="FREQ=DAILY;COUNT=4", zone="Asia/Shanghai", days="workdays")
    assert following(never, NOW) is None
