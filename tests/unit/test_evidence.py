"""What is owed every day: reported, reminded, named; late counts before the naming; old pictures are known again."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dispatch.domain import looks
from services.ledger.domain import evidence as rules
from services.ledger.domain.evidence import Day, Owing, Report
from shared.contracts.evidence import EvidenceDoubted, EvidenceNamed, EvidenceRecorded, EvidenceReminded, Picture
from shared.contracts.refusal import Refusal
from tests import world
from tests.unit.tasks import NINE

LOOK = "0f0e1c3c7870e0c1"
OTHER = "f0f1e3c3878f1f3e"


def told(**changes: Any) -> Owing:
    facts = {
        "owing_id": "o1",
        "community": world.TIEBEI,
        "partner": "property-1",
        "kind": "disinfection",
        "places": ["compound-1", "building-1"],
        "reminded": "18:00",
        "named": "21:00",
        "begins": "2026-11-24",
        "ends": None,
        "zone": "Asia/Shanghai",
        "fingerprint": "f1",
    }
    return Owing.model_validate({**facts, **changes})


def china(hour: int, day: int = 24) -> datetime:
    return datetime(2026, 11, day, hour, 0, tzinfo=UTC) - timedelta(hours=8)


def owing(**changes: Any) -> Owing:
    decision = rules.owe(None, told(**changes), china(10))
    assert decision is not None
    return decision[0]


def today() -> Day:
    return rules.day_of(owing(), "2026-11-24")


def report(place: str = "compound-1", look: str = LOOK, hour: int = 12, name: str = "r1") -> Report:
    return Report(report_id=name, place=place, at=china(hour), by="property-1", pictures=[Picture(look=look)])


def refused(call: Any) -> tuple[str, str]:
    with pytest.raises(Refusal) as excinfo:
        call()
    return excinfo.value.problems[0].field, excinfo.value.problems[0].code


def after(day: Day, one: Report, before: Any = ()) -> tuple[Day, Any]:
    decision = rules.report(day, one, before)
    assert decision is not None
    return decision


def test_a_day_begins_at_its_midnight_until_the_last() -> None:
    """In the zone of what is owed; after the last, none begins."""
    known = owing(ends="2026-11-25")
    assert (known.next_day, known.next_at) == ("2026-11-24", china(0))
    second = rules.go_on(known, "2026-11-24")
    assert second is not None
    assert rules.go_on(second[0], "2026-11-24") is None
    last = rules.go_on(second[0], "2026-11-25")
    assert last is not None
    assert (last[0].next_day, last[0].next_at) == (None, None)


def test_nobody_is_named_for_days_before_it_was_said() -> None:
    """Nor for today, when the hour of the naming is over."""
    assert owing(begins="2026-11-01").begins == "2026-11-24"
    late = rules.owe(None, told(), china(21))
    assert late is not None
    assert late[0].next_day == "2026-11-25"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"zone": "Asia"}, ("zone", "unknown_zone")),
        ({"named": "17:00"}, ("named", "not_allowed")),
        ({"ends": "2026-11-23"}, ("ends", "not_allowed")),
    ],
)
def test_what_cannot_be_owed_is_refused(changes: dict[str, str], problem: tuple[str, str]) -> None:
    assert refused(lambda: owing(**changes)) == problem


def test_it_is_owed_once_and_forgiven_once() -> None:
    known = owing()
    assert rules.owe(known, told(), NINE) is None
    assert refused(lambda: rules.owe(known, told(fingerprint="f2"), NINE)) == ("owing_id", "known_owing")
    gone = rules.forgive(known)
    assert gone is not None
    assert rules.forgive(gone[0]) is None
    assert refused(lambda: rules.day_of(gone[0], "2026-11-25")) == ("day", "not_owed")
    assert refused(lambda: rules.forgive(None)) == ("owing_id", "unknown_owing")


def test_who_owes_is_reminded_then_named_and_who_reported_between_is_not() -> None:
    """Late, but before the naming, counts."""
    day = after(today(), report())[0]
    assert rules.lapse(day, china(17)) is None
    reminded = rules.lapse(day, china(18))
    assert reminded is not None
    assert [one.places for one in reminded[1] if isinstance(one, EvidenceReminded)] == [("building-1",)]
    in_time = after(reminded[0], report("building-1", OTHER, 20, "r2"))
    assert [one.late for one in in_time[1] if isinstance(one, EvidenceRecorded)] == [False]
    assert rules.lapse(in_time[0], china(21)) == (in_time[0].model_copy(update={"stage": "over", "due_at": None}), [])
    named = rules.lapse(reminded[0], china(21))
    assert named is not None
    assert [one.places for one in named[1] if isinstance(one, EvidenceNamed)] == [("building-1",)]
    too_late = after(named[0], report("building-1", OTHER, 22, "r2"))
    assert [one.late for one in too_late[1] if isinstance(one, EvidenceRecorded)] == [True]
    assert too_late[0].named == ["building-1"]
    assert rules.lapse(named[0], china(23)) is None


def test_after_a_night_without_power_nobody_is_reminded_who_is_named_at_once() -> None:
    lapsed = rules.lapse(today(), china(9, day=25))
    assert lapsed is not None
    assert [type(one) for one in lapsed[1]] == [EvidenceNamed]


def test_the_same_picture_is_known_again_though_it_was_shrunk() -> None:
    """As yesterday's, or as another place's of today; three bits of sixty-four may differ, four may not."""
    near = f"{int(LOOK, 16) ^ 0b111:016x}"
    far = f"{int(LOOK, 16) ^ 0b1111:016x}"
    before = [("2026-11-23/compound-1", LOOK)]
    for look, expected in ((near, "2026-11-23/compound-1"), (far, None)):
        day, events = after(today(), report(look=look), before)
        assert day.reports[0].same_as == expected
        assert [one.same_as for one in events if isinstance(one, EvidenceDoubted)] == ([expected] if expected else [])
    twice = after(after(today(), report())[0], report("building-1", LOOK, name="r2"))[0]
    assert twice.reports[1].same_as == "2026-11-24/compound-1"


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_alike_means_here_what_it_means_to_whoever_keeps_the_photos(one: int, other: int) -> None:
    """Dispatch makes the hash."""
    first, second = f"{one:016x}", f"{other:016x}"
    assert (rules.seen_before([first], [("x", second)]) is not None) == looks.alike(first, [second])
    assert (rules.ALIKE, rules.seen_before([first], [("x", first)])) == (looks.ALIKE, "x")


def test_a_report_said_twice_is_one_and_elsewhere_nothing_is_owed() -> None:
    day = after(today(), report())[0]
    assert rules.report(day, report(hour=13), ()) is None
    assert refused(lambda: rules.report(day, report("building-1"), ())) == ("report_id", "known_report")
    assert refused(lambda: rules.report(day, report("compound-9", name="r9"), ())) == ("place", "not_owed")


@pytest.mark.parametrize(("day", "code"), [("2026-11-25", "not_yet"), ("2026-11-23", "not_owed")])
def test_a_day_on_which_nothing_is_owed_is_not_reported(day: str, code: str) -> None:
    assert refused(lambda: rules.owed_on(owing(), day, china(12))) == ("day", code)
