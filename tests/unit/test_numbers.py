"""The numbers of a day: what is counted where, walks saved, times, and the report of them."""

from datetime import date, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.ledger.domain.numbers import FIGURES, Day, Happened, Row, count, figures, grouped
from shared.contracts.dispatch import DeliveryAssigned, DeliveryCompleted, DeliveryFailed, DeliveryReopened
from shared.contracts.envelope import Event
from shared.contracts.follow_ups import FollowUpRecorded
from shared.contracts.intake import RequestAmended, RequestCancelled, RequestCreated
from tests.unit.tasks import NINE

MIDNIGHT = NINE.replace(hour=0)
READER = "tiebei-g1-1"


def day(walks: int = 1) -> Day:
    return Day(MIDNIGHT, MIDNIGHT + timedelta(days=1), lambda kind: walks if kind == "gas_top_up" else 1)


def happened(when: datetime, what: type[Event], request: str = "r1", **more: Any) -> Happened:
    told: dict[str, Any] = {"community": "tiebei", "grid": "g1", "request_id": request}
    if what in (RequestCreated, RequestAmended):
        told |= {"kind": "groceries", "building": "3", "stairwell": "s", "household": request, "urgency": "normal"}
        told |= {"priority": 10, "sealed": "", "source": "phone"}
    elif what is not RequestCancelled:
        told |= {"task_id": "t", "kind": "groceries", "building": "3", "urgency": "normal", "priority": 10}
        told |= {"worker": READER, "until": when, "reason": "other"}
    return Happened(when, what.model_validate(told | more, strict=False))


def minutes(count: float) -> datetime:
    return NINE + timedelta(minutes=count)


def done(request: str, at: float = 30, **more: Any) -> list[Happened]:
    """A request from nine, and somebody who has it after five minutes."""
    return [
        happened(NINE, RequestCreated, request, **{name: more[name] for name in more.keys() & {"kind", "household"}}),
        happened(minutes(5), DeliveryAssigned, request),
        happened(minutes(at), DeliveryCompleted, request, **more),
    ]


def all_of(lives: list[list[Happened]], talks: list[Happened] | None = None, walks: int = 1) -> dict[str, int | None]:
    return figures(count(day(walks), lives, talks or []))


def test_a_need_is_counted_where_it_is_and_what_was_done_with_who_did_it() -> None:
    """The need is nobody's, the rest is the worker's."""
    rows = count(day(), [done("r1")], [])
    assert {(row.worker, row.needs, row.done, row.left) for row in rows} == {(None, 1, 0, 0), (READER, 0, 1, 0)}
    found = figures(rows)
    assert (found["answered_median"], found["waited_median"], found["households"]) == (5, 30, 1)


def test_in_whatever_order_the_entries_come_the_numbers_are_the_same() -> None:
    """Intake's clock may be behind dispatch's, too."""
    life = done("r1")
    assert count(day(), [life[::-1]], []) == count(day(), [life], [])
    behind = [happened(minutes(1), RequestCreated), happened(NINE, DeliveryAssigned)]
    assert all_of([behind])["answered_median"] == 0


def test_what_was_asked_for_the_day_before_counts_on_the_day_it_is_done() -> None:
    """And is no need of this day, nor left over."""
    life = [happened(NINE - timedelta(days=1), RequestCreated), happened(NINE, DeliveryCompleted)]
    found = all_of([life])
    assert (found["needs"], found["done"], found["left"], found["waited_median"]) == (0, 1, 0, 24 * 60)


def test_what_has_no_end_by_midnight_is_left_over() -> None:
    """Also what was done and opened again; not what was cancelled or could not be done."""
    made = [happened(NINE, RequestCreated)]
    assert all_of([made])["left"] == 1
    assert all_of([[*made, happened(minutes(9), RequestCancelled)]])["left"] == 0
    failed = all_of([[*made, happened(minutes(9), DeliveryFailed)]])
    assert (failed["left"], failed["failed"]) == (0, 1)
    again = all_of([[*done("r1"), happened(minutes(40), DeliveryReopened)]])
    assert (again["left"], again["reopened"], again["done"]) == (1, 1, 1)


def test_only_the_first_yes_is_an_answer() -> None:
    """Who has it after somebody gave it back does not make the wait longer."""
    life = [*done("r1"), happened(minutes(20), DeliveryAssigned, worker="tiebei-g2-1")]
    assert [row.answered for row in count(day(), [life], []) if row.answered] == [[5]]


def test_a_phone_out_of_reach_tells_when_it_was() -> None:
    """The wait ends when somebody was at the door, not when it became known."""
    assert all_of([done("r1", at=300)])["waited_median"] == 300
    told = [*done("r1")[:2], happened(minutes(300), DeliveryCompleted, at=minutes(12))]
    assert all_of([told])["waited_median"] == 12


def test_several_doors_of_one_building_are_one_walk() -> None:
    """Until somebody has been away for more than half an hour, or goes elsewhere, or another goes."""
    doors = [done(f"r{number}", at=30 + 30 * number) for number in range(3)]
    assert all_of(doors)["walks"] == 1
    assert all_of(doors)["walks_saved"] == 2
    assert all_of([done("r1"), done("r2", at=61)])["walks"] == 2
    assert all_of([done("r1"), done("r2", building="4")])["walks"] == 2
    assert all_of([done("r1"), done("r2", worker="tiebei-g2-1")])["walks"] == 2


def test_a_card_topped_up_at_the_kitchen_table_saves_two_walks() -> None:
    """Thirty households in thirty buildings: thirty walks in place of ninety."""
    cards = [done(f"r{number}", kind="gas_top_up", building=str(number)) for number in range(30)]
    found = all_of(cards, walks=3)
    assert (found["households"], found["walks"], found["walks_saved"]) == (30, 30, 60)


def test_a_household_counts_once_however_often_somebody_comes() -> None:
    """Within a group; each group of which it is one counts it."""
    lives = [done("r1", household="h"), done("r2", household="h", worker="tiebei-g2-1")]
    rows = count(day(), lives, [])
    assert figures(rows)["households"] == 1
    by_worker = grouped([(NINE.date(), rows)], ("worker",))
    assert [(one.of["worker"], one.figures["households"]) for one in by_worker] == [
        (READER, 1),
        ("tiebei-g2-1", 1),
        (None, 0),
    ]


def test_calls_and_visits_are_counted_with_who_was_reached() -> None:
    """By the kind of the plan; of who had gone nobody called."""
    told = {"follow_up_id": "f", "plan_id": "p", "person_id": "x", "kind": "care_call", "building": "3", "how": "call"}
    talks = [
        Happened(NINE, FollowUpRecorded.model_validate({**told, "outcome": outcome}))
        for outcome in ("reached", "not_reached", "reached")
    ]
    let_be = FollowUpRecorded.model_validate({**told, "outcome": "excused", "why": "gone"})
    talks.append(Happened(NINE, let_be))
    found = all_of([], talks)
    assert (found["follow_ups"], found["reached"]) == (3, 2)


def test_times_are_those_within_which_half_and_nearly_all_were_done() -> None:
    """By nearest rank; None where there are none."""
    times = figures([Row(kind="x", waited=list(range(1, 101)))])
    assert (times["waited_median"], times["waited_p95"], times["answered_p95"]) == (50, 95, None)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["g1", "g2", None]), st.integers(0, 5)), max_size=30))
def test_the_groups_add_up_to_all(told: list[tuple[str, str | None, int]]) -> None:
    """Whatever makes a group."""
    rows = [
        Row(kind=kind, grid=grid, needs=number, alone=number + 1, walks=1, waited=[number])
        for kind, grid, number in told
    ]
    days = [(date(2026, 11, 24), rows[::2]), (date(2026, 11, 25), rows[1::2])]
    for by in (("grid",), ("kind", "day"), ("grid", "kind", "urgency"), ()):
        groups = grouped(days, by)  # type: ignore[arg-type]
        for name in ("needs", "walks", "walks_saved"):
            assert sum(one.figures[name] for one in groups) == figures(rows)[name]
    assert tuple(figures(rows)) == FIGURES
