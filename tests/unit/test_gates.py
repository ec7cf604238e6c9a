"""What outsiders agreed to: which check belongs to which stop, and when an agreement applies no more."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.ledger.domain import gates as rules
from services.ledger.domain.gates import Agreement, Check
from services.ledger.domain.moments import happened
from shared.contracts.gates import GateChecked, Term
from shared.contracts.refusal import Refusal
from tests import world
from tests.unit.tasks import NINE

GATE = "南门"


def agreed(**changes: Any) -> Agreement:
    facts = {
        "agreement_id": "bus",
        "case_id": "c1",
        "community": world.TIEBEI,
        "grid": "g1",
        "kind": "outside_company",
        "owner": world.ZHOU,
        "terms": [Term(place=GATE, times=("07:00", "17:40"))],
        "begins": "2026-11-25",
        "ends": "2026-12-24",
        "zone": "Asia/Shanghai",
        "sealed": "k1.AAAA",
        "fingerprint": "f1",
    }
    return Agreement(**{**facts, **changes})


def china(day: int, hour: int, minute: int, month: int = 11) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC) - timedelta(hours=8)


def stop(at: datetime, gate: str = GATE, **changes: Any) -> str | None:
    found = rules.stop_of([agreed(**changes)], gate, at, 20)
    return found[1].isoformat(timespec="minutes") if found else None


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (china(25, 7, 0), "2026-11-25T07:00"),
        (china(25, 6, 40), "2026-11-25T07:00"),
        (china(25, 7, 20), "2026-11-25T07:00"),
        (china(25, 7, 21), None),
        (china(25, 17, 45), "2026-11-25T17:40"),
        (china(24, 17, 40), None),
        (china(24, 7, 0, month=12), "2026-12-24T07:00"),
        (china(25, 7, 0, month=12), None),
    ],
)
def test_a_check_belongs_to_a_stop_within_minutes_and_within_the_days(at: datetime, expected: str | None) -> None:
    """The first and the last day are days of it."""
    assert stop(at) == expected


def test_another_gate_is_not_agreed() -> None:
    assert stop(china(25, 7, 0), gate="北门") is None


def test_a_stop_near_midnight_belongs_to_its_own_day() -> None:
    """Five to twelve, checked at four minutes past: still the last day's."""
    terms = [Term(place=GATE, times=("23:55", "00:10"))]
    assert stop(china(24, 23, 59), terms=terms, begins="2026-11-24", ends="2026-11-24") == "2026-11-24T23:55"
    assert stop(china(25, 0, 2), terms=terms, begins="2026-11-24", ends="2026-11-24") == "2026-11-24T23:55"
    assert stop(china(25, 0, 8), terms=terms) == "2026-11-25T00:10"


def test_a_stop_keeps_its_wall_time_where_clocks_change() -> None:
    """Berlin goes back an hour on the last Sunday of October: seven is an hour later in UTC."""
    berlin = {"zone": "Europe/Berlin", "begins": "2026-10-01", "ends": None}
    assert stop(datetime(2026, 10, 24, 5, 0, tzinfo=UTC), **berlin) == "2026-10-24T07:00"
    assert stop(datetime(2026, 10, 25, 6, 0, tzinfo=UTC), **berlin) == "2026-10-25T07:00"
    assert stop(datetime(2026, 10, 25, 5, 0, tzinfo=UTC), **berlin) is None


def test_what_was_ended_applies_no_more_from_then_on() -> None:
    """A check that is told late, of the time before, still belongs to it."""
    ended = rules.end(agreed(), china(26, 12, 0))
    assert ended is not None
    assert rules.end(ended[0], NINE) is None
    assert rules.stop_of([ended[0]], GATE, china(26, 17, 40), 20) is None
    assert rules.stop_of([ended[0]], GATE, china(26, 7, 5), 20) is not None


def test_of_two_agreements_the_nearer_stop_counts() -> None:
    other = agreed(agreement_id="school", terms=[Term(place=GATE, times=("07:15",))])
    found = rules.stop_of([agreed(), other], GATE, china(25, 7, 10), 20)
    assert found is not None
    assert found[0].agreement_id == "school"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"zone": "Asia"}, ("zone", "unknown_zone")),
        ({"ends": "2026-11-24"}, ("ends", "bad_span")),
        ({"ends": "2028-11-24"}, ("ends", "bad_span")),
    ],
)
def test_an_agreement_of_no_time_is_refused(changes: dict[str, str], problem: tuple[str, str]) -> None:
    with pytest.raises(Refusal) as excinfo:
        rules.record(None, agreed(**changes))
    assert [(one.field, one.code) for one in excinfo.value.problems] == [problem]


def test_an_agreement_is_recorded_once() -> None:
    recorded = rules.record(None, agreed())
    assert recorded is not None
    assert rules.record(recorded[0], agreed()) is None
    with pytest.raises(Refusal, match="another agreement"):
        rules.record(recorded[0], agreed(fingerprint="f2"))


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (NINE + timedelta(days=1), "not_yet"),
        (NINE + timedelta(minutes=11), "not_yet"),
        (NINE - timedelta(days=367), "too_old"),
        (datetime.max.replace(tzinfo=UTC), "not_yet"),
        (datetime.min.replace(tzinfo=UTC), "too_old"),
    ],
)
def test_a_time_that_cannot_be_is_refused(at: datetime, code: str) -> None:
    with pytest.raises(Refusal) as excinfo:
        happened(at, NINE, 10) if code == "not_yet" else rules.recent(at, NINE)
    assert excinfo.value.problems[0].code == code


def test_a_check_is_told_once_and_a_device_may_be_minutes_ahead() -> None:
    happened(NINE + timedelta(minutes=9), NINE, 10)
    happened(None, NINE, 10)
    facts = {"community": world.TIEBEI, "grid": "g1", "gate": GATE, "at": NINE, "temperature": 37.4, "fever": True}
    told = Check(check_id="k1", pass_shown=True, worker=world.SUN, sealed=None, fingerprint="f1", **facts)
    checked = rules.check(None, told)
    assert checked is not None
    (event,) = checked[1]
    assert isinstance(event, GateChecked)
    assert (event.alarm, event.applies) == (True, "no_agreement")
    assert "37.4" not in event.model_dump_json()
    assert rules.check(checked[0], told) is None
    with pytest.raises(Refusal, match="another check"):
        rules.check(checked[0], told.model_copy(update={"fingerprint": "f2"}))
