"""The rules of a request: what was submitted, and what is heard of its delivery in whatever order."""

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.domain import request as rules
from services.intake.domain.request import STATE_AFTER, Request, Submission
from shared.contracts import dispatch
from shared.contracts.dispatch import DeliveryEvent
from shared.contracts.intake import AmendRequest, RequestCreated
from shared.contracts.refusal import Refusal
from tests import world
from tests.unit.tasks import NINE

EXTRA: dict[str, dict[str, Any]] = {
    "DeliveryOffered": {"step": 0, "role": "grid_worker", "until": NINE},
    "DeliveryAssigned": {"until": NINE},
    "DeliveryReleased": {"reason": "declined"},
    "DeliveryPostponed": {"until": NINE},
    "DeliveryStarted": {"until": NINE},
    "DeliveryHandedOver": {"previous": world.ZHAO, "goods": "intact"},
    "DeliveryFailed": {"reason": "refused"},
    "DeliveryEscalated": {"reason": "no_answer"},
}
LIFE = ["DeliveryOffered", "DeliveryAssigned", "DeliveryStarted", "DeliveryCompleted"]


def news(name: str) -> DeliveryEvent:
    """What dispatch says of the task of request r1."""
    kind: type[DeliveryEvent] = getattr(dispatch, name)
    return kind(
        task_id="t1",
        request_id="r1",
        kind="groceries",
        building="2",
        urgency="normal",
        priority=10,
        **EXTRA.get(name, {}),
    )


def submission(fingerprint: str = "f1") -> Submission:
    """Mr Wang's groceries, understood."""
    return Submission(RequestCreated(**world.created("r1")), fingerprint, "CODE", "demo-source")


def submitted() -> Request:
    decision = rules.submit(None, submission(), NINE)
    assert decision is not None
    return decision[0]


def heard(request: Request | None, *names: str, first: int = 1) -> Request:
    """After these pieces of news, numbered in their order."""
    for sequence, name in enumerate(names, first):
        decision = rules.observe(request, news(name), sequence, NINE + timedelta(minutes=sequence))
        assert decision is not None
        request = decision[0]
    assert request is not None
    return request


def test_a_submitted_request_is_created_and_told() -> None:
    """One event, with all the facts."""
    decision = rules.submit(None, submission(), NINE)
    assert decision is not None
    request, events = decision
    assert (request.state, request.created_at, [type(event).__name__ for event in events]) == (
        "created",
        NINE,
        ["RequestCreated"],
    )


def test_the_same_body_again_changes_nothing_and_another_is_refused() -> None:
    """`source` and `source_id` stand for one body, for ever."""
    assert rules.submit(submitted(), submission(), NINE) is None
    with pytest.raises(Refusal) as excinfo:
        rules.submit(submitted(), submission("f2"), NINE)
    assert (excinfo.value.status, excinfo.value.problems[0].field, excinfo.value.problems[0].code) == (
        409,
        "source_id",
        "key_used",
    )


@pytest.mark.parametrize("name", sorted(kind.__name__ for kind in STATE_AFTER))
def test_each_piece_of_news_makes_its_state(name: str) -> None:
    """As the table says."""
    assert heard(submitted(), name).state == STATE_AFTER[getattr(dispatch, name)]


NOT_FOR_RESIDENTS = {
    dispatch.DeliveryPaused,
    dispatch.DeliveryResumed,
    dispatch.DeliveryAtRisk,
    dispatch.DeliveryBought,
    dispatch.DeliveryPhotographed,
    dispatch.DeliveryReturned,
    dispatch.DeliveryChecked,
    dispatch.DeliveryReplanned,
    dispatch.DeliveryApart,
    dispatch.DeliveryFlagged,
}
"""What helpers do among themselves: a request stays as it is."""


def test_every_event_in_the_life_of_a_task_makes_a_state() -> None:
    """None is forgotten in the table."""
    assert set(STATE_AFTER) == set(dispatch.EVENTS) - NOT_FOR_RESIDENTS


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_news_in_any_order_ends_in_the_same_state(order: tuple[int, ...]) -> None:
    """Their numbers in the task's history decide, not their arrival."""
    request: Request | None = submitted()
    for position in order:
        decision = rules.observe(request, news(LIFE[position]), position + 1, NINE)
        assert decision is not None
        request = decision[0]
    assert request is not None
    assert request.state == "completed"
    assert [one.event for one in request.observed] == LIFE


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20))
def test_news_told_again_changes_nothing(positions: list[int]) -> None:
    """However often each of them comes."""
    request: Request | None = None
    for position in positions:
        decision = rules.observe(request, news(LIFE[position]), position + 1, NINE)
        if request is not None and any(one.sequence == position + 1 for one in request.observed):
            assert decision is None
        elif decision is not None:
            request = decision[0]
    assert request is not None
    assert request.state == STATE_AFTER[getattr(dispatch, LIFE[max(positions)])]


def test_news_that_comes_before_its_request_waits_for_it() -> None:
    """Completed before it was created: known only when the request itself is."""
    ahead = heard(None, "DeliveryCompleted", first=4)
    with pytest.raises(Refusal):
        rules.known(ahead)
    decision = rules.submit(ahead, submission(), NINE)
    assert decision is not None
    request, events = decision
    assert (request.state, len(events)) == ("completed", 1)


def test_a_cancelled_request_is_cancelled_at_once_and_once() -> None:
    """Without waiting for dispatch."""
    decision = rules.cancel(submitted())
    assert decision is not None
    request, events = decision
    assert (request.state, [type(event).__name__ for event in events]) == ("cancelled", ["RequestCancelled"])
    assert rules.cancel(request) is None


def test_what_was_done_before_the_cancellation_arrived_is_done() -> None:
    """The worker was faster."""
    decision = rules.cancel(heard(submitted(), *LIFE[:3]))
    assert decision is not None
    assert heard(decision[0], "DeliveryCompleted", first=4).state == "completed"


@pytest.mark.parametrize("ends", ["DeliveryCompleted", "DeliveryFailed"])
def test_a_closed_request_is_neither_cancelled_nor_amended(ends: str) -> None:
    """A new one has to be submitted."""
    closed = heard(submitted(), ends)
    assert closed.facts is not None
    for move in (lambda: rules.cancel(closed), lambda: rules.amend(closed, closed.facts)):  # type: ignore[arg-type]
        with pytest.raises(Refusal) as excinfo:
            move()
        assert (excinfo.value.status, excinfo.value.problems[0].code) == (409, "closed")


@pytest.mark.parametrize("move", [rules.cancel, lambda none: rules.amend(none, submitted().facts)])
def test_an_unknown_request_is_refused_with_404(move: Any) -> None:
    """Nothing is made of it."""
    with pytest.raises(Refusal) as excinfo:
        move(None)
    assert (excinfo.value.status, excinfo.value.problems[0].code) == (404, "unknown_request")


def test_an_amendment_tells_all_facts_as_they_are_now() -> None:
    """Whoever hears only of the amendment knows everything."""
    before = submitted().facts
    assert before is not None
    request, events = rules.amend(submitted(), before.model_copy(update={"building": "3", "grid": "g2"}))
    assert (events[0].community, events[0].grid) == (world.TIEBEI, "g2")
    assert events[0].model_dump()["building"] == "3"
    assert request.facts is not None
    assert request.facts.grid == "g2"


def test_an_amendment_changes_only_what_it_names() -> None:
    """What is absent stays; an empty list is a list."""
    command = AmendRequest(request_id="r1", command_id="c1", items=())
    assert rules.changed_details(command) == {"items": ()}


def test_the_first_line_comes_before_everybody_whatever_the_urgency() -> None:
    """The least of the first line is above the most of all others."""
    urgencies = ("normal", "soon", "urgent")
    lowest = min(rules.priority(one, first_line=True, needs=()) for one in urgencies)
    highest = max(rules.priority(one, first_line=False, needs=("deaf",)) for one in urgencies)
    assert lowest > highest


def test_the_more_urgent_comes_first_among_equals() -> None:
    """And whoever needs care a little before others."""
    ranks = [rules.priority(one, first_line=False, needs=()) for one in ("normal", "soon", "urgent")]
    assert ranks == sorted(set(ranks))
    assert rules.priority("normal", first_line=False, needs=("blind",)) > ranks[0]
