"""Rules of follow-ups: when they fall due, what is tried, and that each has one end."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ledger.domain import follow_ups as rules
from services.ledger.domain.follow_ups import FollowUp, Plan, Rules
from shared.catalogue import load
from shared.contracts.follow_ups import FollowUpDue, FollowUpMissed, FollowUpRecorded
from shared.contracts.refusal import Refusal
from shared.settings import Settings

TRIES = load(Settings().catalogue_dir / "follow-ups.yaml", Rules)
NINE = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
"""In China."""


def planned(**changes: Any) -> Plan:
    told = {
        "plan_id": "p1",
        "community": "tiebei",
        "grid": "g1",
        "building": "1",
        "person_id": "li",
        "kind": "care_call",
        "begins": "2026-11-24T09:30",
        "rule": "FREQ=DAILY;INTERVAL=3",
        "zone": "Asia/Shanghai",
    }
    decision = rules.plan(None, Plan(**{**told, **changes}), NINE)
    assert decision is not None
    return decision[0]


def due(minutes: float = 0) -> FollowUp:
    """It fell due so long after nine."""
    told = FollowUp(
        follow_up_id="f1",
        plan_id="p1",
        community="tiebei",
        grid="g1",
        building="1",
        person_id="li",
        kind="care_call",
        at=NINE,
    )
    decision = rules.fall_due(None, told, TRIES, NINE + timedelta(minutes=minutes))
    assert decision is not None
    return decision[0]


def test_a_plan_comes_again_every_three_days_at_its_wall_time() -> None:
    """Half past nine in China is half past one in UTC."""
    plan = planned()
    assert plan.next_at == datetime(2026, 11, 24, 1, 30, tzinfo=UTC)
    went_on = rules.go_on(plan, plan.next_at)
    assert went_on is not None
    assert went_on[0].next_at == datetime(2026, 11, 27, 1, 30, tzinfo=UTC)
    assert rules.go_on(went_on[0], plan.next_at) is None, "each time is dealt with once"


def test_one_rule_can_come_at_several_hours_of_a_day() -> None:
    """Half past nine and half past three, also over the night on which clocks change."""
    plan = planned(begins="2026-10-24T09:30", rule="FREQ=DAILY;BYHOUR=9,15", zone="Europe/Paris")
    at, times = datetime(2026, 10, 24, tzinfo=UTC), []
    for _ in range(4):
        following = rules.following(plan, at)
        assert following is not None
        at = following
        times.append(f"{at.astimezone(ZoneInfo('Europe/Paris')):%d %H:%M}")
    assert times == ["24 09:30", "24 15:30", "25 09:30", "25 15:30"]


def test_a_wall_time_stays_where_clocks_change() -> None:
    """Paris goes back an hour on the last Sunday of October."""
    plan = planned(begins="2026-10-24T09:30", rule="FREQ=DAILY", zone="Europe/Paris")
    before = rules.following(plan, datetime(2026, 10, 24, 0, 0, tzinfo=UTC))
    after = rules.following(plan, datetime(2026, 10, 25, 0, 0, tzinfo=UTC))
    assert (before, after) == (
        datetime(2026, 10, 24, 7, 30, tzinfo=UTC),
        datetime(2026, 10, 25, 8, 30, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("first", "begins", "times"),
    [
        ("2027-03-27T00:00", "2027-03-27T02:30", ["27 02:30", "28 03:30", "29 02:30"]),
        ("2026-10-24T00:00", "2026-10-24T02:30", ["24 02:30", "25 02:30", "26 02:30"]),
    ],
)
def test_a_time_that_the_clocks_leave_out_or_show_twice_comes_once(first: str, begins: str, times: list[str]) -> None:
    """Paris has no half past two on the last Sunday of March, and two on that of October."""
    paris = ZoneInfo("Europe/Paris")
    plan = planned(begins=begins, rule="FREQ=DAILY", zone="Europe/Paris")
    start, found = datetime.fromisoformat(first).replace(tzinfo=paris).astimezone(UTC), []
    # Asked from every quarter of an hour, whether something came before it or not.
    for quarter in range(3 * 24 * 4 - 8):
        asked = start + timedelta(minutes=15 * quarter)
        following = rules.following(plan, asked)
        assert following is not None
        assert following > asked
        found.append(f"{following.astimezone(paris):%d %H:%M}")
    assert list(dict.fromkeys(found))[:3] == times


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"zone": "Asia/Nowhere"}, ("zone", "unknown_zone")),
        ({"rule": "FREQ=SECONDLY"}, ("rule", "bad_rule")),
        ({"rule": "daily"}, ("rule", "bad_rule")),
        ({"zone": "Asia"}, ("zone", "unknown_zone")),
        ({"begins": "9999-12-31T23:59", "zone": "America/New_York"}, ("begins", "not_allowed")),
        ({"rule": "FREQ=DAILY;UNTIL=20261123"}, ("rule", "never")),
        ({"rule": "FREQ=WEEKLY;BYDAY=SU", "days": "workdays"}, ("rule", "never")),
        ({"rule": "FREQ=DAILY;INTERVAL=7;BYDAY=MO"}, ("rule", "never")),
        ({"rule": "FREQ=MONTHLY;BYDAY=2MO;BYMONTHDAY=1"}, ("rule", "never")),
    ],
)
def test_times_that_are_none_are_refused(changes: dict[str, str], problem: tuple[str, str]) -> None:
    with pytest.raises(Refusal) as excinfo:
        planned(**changes)
    assert [(one.field, one.code) for one in excinfo.value.problems] == [problem]


def test_nobody_answers_and_each_try_weighs_more() -> None:
    """Called, called again the same day, visited, the family asked, a coordinator told; then they are missed."""
    known, minutes, how = due(), 0.0, ["call"]
    for _ in range(20):
        if known.state != "due":
            break
        decision = rules.record(known, "not_reached", TRIES, NINE + timedelta(minutes=minutes))
        known = decision[0]
        while known.waits:
            assert known.due_at is not None
            minutes = (known.due_at - NINE) / timedelta(minutes=1)
            waited = rules.lapse(known, TRIES, known.due_at)
            assert waited is not None
            known, events = waited
            decision = known, [*decision[1], *events]
        how += [one.how for one in decision[1] if isinstance(one, FollowUpDue)]
    assert how == ["call", "call", "visit", "family", "coordinator"]
    assert (known.state, known.tries, known.due_at) == ("missed", 5, None)
    assert isinstance(decision[1][-1], FollowUpMissed)
    assert minutes == 180, "the second call is three hours later"


def test_whoever_is_reached_is_not_tried_again() -> None:
    reached, events = rules.record(due(), "reached", TRIES, NINE)
    assert (reached.state, reached.due_at, [type(one) for one in events]) == ("reached", None, [FollowUpRecorded])
    assert rules.lapse(reached, TRIES, NINE + timedelta(days=1)) is None
    with pytest.raises(Refusal) as excinfo:
        rules.record(reached, "refused", TRIES, NINE)
    assert excinfo.value.problems[0].code == "wrong_state"


def test_news_that_comes_after_all_was_tried_still_counts() -> None:
    """They were at their daughter's."""
    missed = due().model_copy(update={"state": "missed", "step": 4, "due_at": None})
    assert rules.record(missed, "excused", TRIES, NINE)[0].state == "excused"


def test_a_fever_is_told_at_once() -> None:
    """Above 37.3 °C, not at it."""
    for temperature, alarm in ((37.3, False), (37.4, True), (None, False)):
        _, (said,) = rules.record(due(), "reached", TRIES, NINE, temperature=temperature)
        assert isinstance(said, FollowUpRecorded)
        assert said.alarm is alarm


@given(st.lists(st.tuples(st.sampled_from(["reached", "not_reached", "refused", "excused", None]), st.floats(1, 400))))
def test_each_follow_up_has_one_end_whatever_happens(story: list[tuple[Any, float]]) -> None:
    """Left alone, it is missed within two days; open, it always has a time."""
    known, now, ends = due(), NINE, 0
    for outcome, minutes in [*story, *[(None, 400.0)] * 8]:
        now += timedelta(minutes=minutes)
        before = known.state
        if outcome is None:
            decision = rules.lapse(known, TRIES, now)
            known = decision[0] if decision else known
        elif before == "due":
            known = rules.record(known, outcome, TRIES, now)[0]
        ends += before == "due" and known.state != "due"
        assert (known.due_at is not None) == (known.state == "due")
    assert ends == 1


def test_at_a_door_that_stays_shut_the_corridor_is_looked_at_after_half_an_hour() -> None:
    """Then a coordinator is told, and after that it is missed; other kinds have the usual tries."""
    known = due().model_copy(update={"kind": "temperature"})
    first = rules.fall_due(None, known, TRIES, NINE)
    assert first is not None
    known, events = first[0], [*first[1]]
    for _ in range(3):
        assert known.due_at is not None
        lapsed = rules.lapse(known, TRIES, known.due_at)
        assert lapsed is not None
        known, events = lapsed[0], [*events, *lapsed[1]]
    told = [(one.how, one.request) for one in events if isinstance(one, FollowUpDue)]
    assert told == [("visit", None), ("visit", "corridor_check"), ("coordinator", None)]
    assert (known.state, "care_call" in TRIES.kinds) == ("missed", False)


def test_a_catalogue_made_shorter_loses_no_follow_up() -> None:
    """It was at a step that is no more: it counts as the last."""
    late = due().model_copy(update={"step": 9})
    assert rules.record(late, "reached", TRIES, NINE)[0].state == "reached"


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "Europe/Berlin"])
def test_a_round_late_in_the_evening_goes_on_past_midnight_and_belongs_to_its_day(zone: str) -> None:
    """On the night on which Berlin's clocks go back an hour, and on any other; the next is at its wall time again."""
    plan = planned(begins="2026-10-24T23:45", rule="FREQ=DAILY", zone=zone, kind="temperature")
    at = rules.following(plan, datetime(2026, 10, 24, 12, 0, tzinfo=UTC))
    assert at is not None
    told = due().model_copy(update={"kind": "temperature", "at": at})
    first = rules.fall_due(None, told, TRIES, at)
    assert first is not None
    assert first[0].due_at == at + timedelta(minutes=30)
    lapsed = rules.lapse(first[0], TRIES, first[0].due_at)
    assert lapsed is not None
    assert (lapsed[0].at, lapsed[0].due_at) == (at, at + timedelta(minutes=60)), "half an hour is half an hour"
    following = rules.following(plan, at)
    hours = {"Asia/Shanghai": 24, "Europe/Berlin": 25}[zone]
    assert following == at + timedelta(hours=hours)
