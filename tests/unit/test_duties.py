"""Duties: places, who may have one, who was there, and hours that add up."""

import re
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dispatch.domain import duties as rules
from services.dispatch.domain.duties import Decision, Duty, hours_of
from services.dispatch.duties import certificate
from shared.catalogue import CatalogueError, load
from shared.contracts.catalogue import Kinds
from shared.contracts.duties import Attendance
from shared.contracts.refusal import Refusal
from shared.settings import Settings
from tests import world
from tests.unit.tasks import NINE, helper

CATALOGUES = Settings().catalogue_dir
KINDS = load(CATALOGUES / "kinds.yaml", Kinds)
SHEET = certificate.load(CATALOGUES / "certificate.html")
HOUR = timedelta(hours=1)


def posted(duty_id: str = "gate", *, after: float = 1, hours: float = 4, **changes: Any) -> Duty:
    """Two volunteers at the south gate, so many hours after nine."""
    told = {
        "duty_id": duty_id,
        "community": world.TIEBEI,
        "grid": None,
        "kind": "gate_duty",
        "place": "南门",
        "building": None,
        "begins": NINE + after * HOUR,
        "ends": NINE + (after + hours) * HOUR,
        "places": 2,
        "skills": (),
    }
    return settled(rules.post(None, Duty(**{**told, **changes}), NINE))


def settled(decision: Decision | None) -> Duty:
    """The state after a decision that changes something."""
    assert decision is not None
    return decision[0]


def booked(*names: str, **changes: Any) -> Duty:
    duty = posted(**changes)
    for name in names:
        duty = settled(rules.book(duty, name, helper(name), NINE))
    return duty


def there(name: str, duty: Duty, *, late: int = 0, early: int = 0) -> Attendance:
    """Came so many minutes late and left so many early."""
    begins, ends = duty.begins + timedelta(minutes=late), duty.ends - timedelta(minutes=early)
    return Attendance(worker=name, begins=begins, ends=ends)


def refused(excinfo: pytest.ExceptionInfo[Refusal]) -> list[tuple[str, str]]:
    return [(one.field, one.code) for one in excinfo.value.problems]


# Posting


def test_a_duty_is_posted_once_and_its_id_stands_for_it() -> None:
    """A repetition is nothing; another duty needs another id."""
    duty = posted()
    assert (duty.left, duty.due_at) == (2, duty.ends)
    assert rules.post(booked("a"), posted(), NINE) is None
    with pytest.raises(Refusal) as excinfo:
        rules.post(duty, posted(places=3), NINE)
    assert refused(excinfo) == [("duty_id", "known_duty")]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"begins": NINE + timedelta(minutes=7)}, ("begins", "not_on_quarter")),
        ({"ends": NINE + timedelta(minutes=95, seconds=1)}, ("ends", "not_on_quarter")),
        ({"ends": NINE + HOUR}, ("ends", "not_allowed")),
        ({"ends": NINE + 13.25 * HOUR}, ("ends", "too_long")),
        ({"begins": NINE - 2 * HOUR, "ends": NINE}, ("ends", "over")),
    ],
)
def test_times_that_no_duty_can_have_are_refused(change: dict[str, Any], problem: tuple[str, str]) -> None:
    """By field and code."""
    with pytest.raises(Refusal) as excinfo:
        posted(**change)
    assert refused(excinfo) == [problem]


# Booking


def test_who_has_a_place_is_told_and_asks_for_it_once() -> None:
    """Places left are counted down."""
    decision = rules.book(posted(), "a", helper("a"), NINE)
    assert decision is not None
    duty, (event,) = decision
    assert event.model_dump(include={"worker", "left", "duty_id"}) == {"worker": "a", "left": 1, "duty_id": "gate"}
    assert rules.book(duty, "a", helper("a"), NINE) is None


def test_a_full_duty_says_who_has_its_places() -> None:
    """Whoever comes third learns it."""
    with pytest.raises(Refusal, match="all 2 places are taken: a, b") as excinfo:
        rules.book(booked("a", "b"), "c", helper("c"), NINE)
    assert (refused(excinfo), excinfo.value.status) == ([("duty_id", "full")], 409)


@pytest.mark.parametrize(
    ("worker", "code"),
    [
        (None, "unknown_worker"),
        (helper("a", community="elsewhere"), "unknown_worker"),
        (helper("a", standing="waiting", skills=("medical",)), "not_approved"),
        (helper("a"), "lacks_skill"),
        (helper("a", kinds=("groceries",), skills=("medical",)), "not_agreed"),
        (helper("a", away=True, skills=("medical",)), "absent"),
        (helper("a", away=True, away_until=NINE + 2 * HOUR, skills=("medical",)), "absent"),
    ],
)
def test_who_is_not_able_has_no_place(worker: Any, code: str) -> None:
    """Each reason has its code."""
    with pytest.raises(Refusal) as excinfo:
        rules.book(posted(skills=("medical",)), "a", worker, NINE)
    assert refused(excinfo) == [("worker", code)]


def test_who_is_back_before_a_duty_begins_can_have_a_place() -> None:
    """His absence is over then."""
    assert booked(after=3) == posted(after=3)
    back = helper("a", away=True, away_until=NINE + 3 * HOUR)
    assert settled(rules.book(posted(after=3), "a", back, NINE)).booked == ("a",)


def test_a_duty_that_is_over_or_cancelled_takes_nobody_and_lets_nobody_go() -> None:
    """Nor one that there is not."""
    duty = booked("a")
    gone = settled(rules.cancel(duty))
    cases = ((duty, duty.ends, "over"), (gone, NINE, "cancelled"), (None, NINE, "unknown_duty"))
    for known, now, code in cases:
        with pytest.raises(Refusal) as excinfo:
            rules.book(known, "b", helper("b"), now)
        assert refused(excinfo) == [("duty_id", code)]
        with pytest.raises(Refusal) as excinfo:
            rules.withdraw(known, "a", now)
        assert refused(excinfo) == [("duty_id", code)]


def test_a_place_given_back_is_free_with_all_its_time() -> None:
    """And nobody gives back what he has not."""
    duty = settled(rules.withdraw(booked("a", "b"), "a", NINE))
    assert (duty.booked, duty.left, duty.taken) == (("b",), 1, rules.quarters("b", duty.begins, duty.ends))
    with pytest.raises(Refusal) as excinfo:
        rules.withdraw(duty, "a", NINE)
    assert refused(excinfo) == [("worker", "not_booked")]


def test_who_is_away_gives_back_what_begins_before_he_is_back() -> None:
    """What comes later he keeps."""
    duty = booked("a", after=5)
    assert rules.leave(duty, "a", NINE + 5 * HOUR, NINE) is None
    assert rules.leave(duty, "b", None, NINE) is None
    for until in (None, NINE + 6 * HOUR):
        decision = rules.leave(duty, "a", until, NINE)
        assert settled(decision).booked == ()


def test_a_cancelled_duty_names_those_who_are_told_and_holds_nobody_any_more() -> None:
    """A second word changes nothing; what was attested took place."""
    duty = booked("a", "b")
    decision = rules.cancel(duty)
    assert decision is not None
    after, (event,) = decision
    assert (after.taken, after.due_at, event.model_dump()["asked"]) == ((), None, ("a", "b"))
    assert rules.cancel(after) is None
    with pytest.raises(Refusal) as excinfo:
        rules.cancel(settled(rules.attest(duty, [], duty.ends)))
    assert refused(excinfo) == [("duty_id", "attested")]


# Attesting


def test_the_newest_word_on_who_was_there_counts() -> None:
    """The same again is nothing."""
    duty = booked("a", "b")
    first = [there("a", duty), there("b", duty, late=10, early=20)]
    decision = rules.attest(duty, first, duty.ends)
    assert decision is not None
    after, (event,) = decision
    told = event.model_dump()
    assert ([one["minutes"] for one in told["attended"]], told["minutes"], told["asked"]) == (
        [240, 210],
        450,
        ("a", "b"),
    )
    assert rules.attest(after, first, duty.ends) is None
    corrected = settled(rules.attest(after, [there("a", duty)], duty.ends + HOUR))
    assert hours_of("b", [corrected]).rows == ()


def test_nobody_is_attested_who_was_not_booked_or_at_another_time() -> None:
    """No minute counts that another duty could count, too."""
    duty = booked("a")
    stranger, early = there("c", duty), there("a", duty, late=-1)
    for attended, problem in (
        ([stranger], ("attended.0.worker", "not_booked")),
        ([there("a", duty), there("a", duty)], ("attended.1.worker", "named_twice")),
        ([early], ("attended.0", "outside_duty")),
        ([there("a", duty, late=240)], ("attended.0", "outside_duty")),
    ):
        with pytest.raises(Refusal) as excinfo:
            rules.attest(duty, attended, duty.ends)
        assert refused(excinfo) == [problem]
    with pytest.raises(Refusal) as excinfo:
        rules.attest(duty, [], duty.ends - timedelta(seconds=1))
    assert refused(excinfo) == [("duty_id", "not_over")]
    with pytest.raises(Refusal) as excinfo:
        rules.attest(settled(rules.cancel(duty)), [], duty.ends)
    assert refused(excinfo) == [("duty_id", "cancelled")]


def test_a_duty_that_nobody_attested_is_told_of_once_and_only_where_somebody_was_booked() -> None:
    """At its end, not before."""
    duty = booked("a")
    assert rules.fall_due(duty, duty.ends - timedelta(seconds=1)) is None
    decision = rules.fall_due(duty, duty.ends)
    assert decision is not None
    assert [type(event).__name__ for event in decision[1]] == ["DutyUnattested"]
    assert rules.fall_due(decision[0], duty.ends + HOUR) is None
    empty = rules.fall_due(posted(), duty.ends)
    assert empty is not None
    assert empty[1] == []


# What the database promises, played: no two duties hold the same quarter of an hour of the same person

SPANS = st.tuples(st.integers(0, 40), st.integers(1, 48))
MOVES = st.lists(st.tuples(st.sampled_from("bbbwc"), st.sampled_from("abc"), st.integers(0, 7)), max_size=60)


@given(spans=st.lists(SPANS, min_size=8, max_size=8), moves=MOVES, shorter=st.integers(0, 14))
def test_bookings_never_overlap_and_a_certificate_is_the_sum_of_its_rows(
    spans: Sequence[tuple[int, int]], moves: Sequence[tuple[str, str, int]], shorter: int
) -> None:
    """Whoever books, withdraws and cancels in whatever order."""
    duties = [
        posted(f"d{number}", after=begins / 4, hours=quarters / 4) for number, (begins, quarters) in enumerate(spans)
    ]
    for move, name, number in moves:
        duties[number] = moved(duties, move, name, number)
    attested = [
        settled(rules.attest(one, [there(name, one, late=shorter) for name in one.booked], one.ends))
        for one in duties
        if one.state == "open"
    ]
    for name in "abc":
        hours = hours_of(name, sorted(attested, key=lambda one: one.begins))
        spent = [(row.attended.begins, row.attended.ends) for row in hours.rows]
        assert all(before[1] <= after[0] for before, after in pairwise(spent))
        rows, total = sums(sheet(hours_name=name, hours=hours))
        assert sum(rows) == total == hours.minutes == sum(hours.by_kind().values())


def moved(duties: Sequence[Duty], move: str, name: str, number: int) -> Duty:
    """The duty after a move; as it was where the move is refused, by the rules or by the unique index."""
    duty = duties[number]
    try:
        if move == "c":
            after = rules.cancel(duty)
        elif move == "w":
            after = rules.withdraw(duty, name, NINE)
        else:
            after = rules.book(duty, name, helper(name), NINE)
    except Refusal:
        return duty
    if after is None:
        return duty
    others = {mark for other in duties if other.duty_id != duty.duty_id for mark in other.taken}
    return duty if others.intersection(after[0].taken) else after[0]


# The sheet


def sheet(*, hours_name: str = "a", name: str = "孙", hours: rules.Hours, tasks: int = 0) -> str:
    return certificate.write(
        SHEET,
        KINDS,
        name=name,
        worker=hours_name,
        hours=hours,
        tasks=tasks,
        since=NINE - 24 * HOUR,
        until=NINE + 24 * HOUR,
        now=NINE,
    )


def sums(text: str) -> tuple[list[int], int]:
    """The minutes in the rows of a sheet, and those in its total."""
    rows = [int(found) for found in re.findall(r'<td class="number">(\d+)</td>', text)]
    (total,) = re.findall(r'<tfoot>.*<th class="number">(\d+)</tr>', text)
    return rows, int(total)


def test_a_sheet_reads_in_both_languages_and_in_the_time_of_the_place() -> None:
    """Ten in the morning UTC is six in the evening in Tiebei."""
    duty = booked("a")
    attested = settled(rules.attest(duty, [there("a", duty, early=30)], duty.ends))
    text = sheet(hours=hours_of("a", [attested]), tasks=7)
    for words in ("志愿服务时长证明", "Certificate of volunteer hours", "守门值班 Gate duty", "18:00–21:30", "3:30"):
        assert words in text
    assert ">210<" in text
    assert "完成上门服务 7 件" in text


def test_what_people_are_called_is_text_and_no_markup() -> None:
    """Whatever a name or a place looks like."""
    duty = booked("a", place="<script>alert(1)</script> $name")
    attested = settled(rules.attest(duty, [there("a", duty)], duty.ends))
    text = sheet(name="<b>$minutes</b> & Sun", hours=hours_of("a", [attested]))
    assert "<script>" not in text
    assert "&lt;b&gt;$minutes&lt;/b&gt; &amp; Sun" in text


@pytest.mark.parametrize("words", ["$name", "$name $surname", "100 $"])
def test_a_sheet_with_words_that_cannot_be_filled_in_is_refused_when_it_is_loaded(tmp_path: Path, words: str) -> None:
    """With its file."""
    path = tmp_path / "certificate.html"
    with pytest.raises(CatalogueError, match="missing"):
        certificate.load(path)
    path.write_text(words, encoding="utf-8")
    with pytest.raises(CatalogueError, match=re.escape(str(path))):
        certificate.load(path)
