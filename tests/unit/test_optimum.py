"""The day of a dispatcher who knows everything beforehand: kept by the same people, and no worse than any other."""

from collections import defaultdict
from datetime import timedelta
from itertools import pairwise

from deploy.simulation.compare import OPTIMUM, ordered
from deploy.simulation.figures import figures, least
from deploy.simulation.policies import NAMES
from tests.unit.days import KNOWN, SMALL, played, small, workers

EVERYBODY = [str(one["worker_id"]) for one in SMALL["workers"]]


def test_it_does_all_and_always_the_same() -> None:
    first, again = played(small(hours=8), OPTIMUM), played(small(hours=8), OPTIMUM)
    assert first == again
    assert all(story.done is not None for story in first.stories.values())


def test_people_wait_less_than_under_any_policy_and_never_less_than_is_possible() -> None:
    scenario = small()
    best = figures(played(scenario, OPTIMUM), KNOWN.kinds).until_door["all"]
    bound = least(ordered(scenario, KNOWN), scenario, KNOWN.distances[scenario.community])["all"]
    assert None not in (best.p50, best.p95, bound.p50, bound.p95)
    assert bound.p50 <= best.p50  # type: ignore[operator]
    assert bound.p95 <= best.p95  # type: ignore[operator]
    for name in NAMES:
        other = figures(played(scenario, name), KNOWN.kinds).until_door["all"]
        assert best.p50 < other.p50  # type: ignore[operator]
        assert best.p95 < other.p95  # type: ignore[operator]


def test_nobody_sets_out_for_what_has_not_been_asked_for_or_does_two_things_at_once() -> None:
    outcome = played(small(), OPTIMUM)
    assert all(one.set_out is None or one.order.at < one.set_out for one in outcome.stories.values())
    trips = defaultdict(list)
    for trip in outcome.trips:
        trips[trip.worker].append((trip.begins, trip.ends))
    assert all(first[1] <= second[0] for mine in trips.values() for first, second in pairwise(sorted(mine)))


def test_only_who_is_able_and_on_shift_is_sent_and_a_coordinator_where_nobody_is() -> None:
    shift = {"begins": "2026-11-24T09:00", "minutes": 300}
    outcome = played(small(workers=workers(shifts=[shift]), orders={"kinds": {"gas_top_up": 1}}), OPTIMUM)
    nine = outcome.ends - timedelta(hours=3)
    early, late = set[str | None](), set[str | None]()
    for task_id, story in outcome.stories.items():
        (early if story.order.at < nine else late).add(outcome.tasks[task_id].worker)
    assert early == {"zhou"}
    # Who has the reader for gas cards.
    assert late <= {"zhao", None}


def test_an_order_alone_takes_the_time_to_set_out_to_walk_to_shop_and_at_the_door() -> None:
    scenario = small(
        buildings={"1": {"grid": "g1", "stairwells": 1, "floors": 1, "doors": 1}},
        orders={"count": 1, "kinds": {"groceries": 1}},
    ).without(["qian", "sun", "wu", "zhou"])
    (story,) = played(scenario, OPTIMUM).stories.values()
    (trip,) = played(scenario, OPTIMUM).trips
    assert trip.metres == (60 + 110 + 90) + (160 + 35)
    assert story.done is not None
    assert abs((story.done - story.order.at) / timedelta(minutes=1) - (5 + trip.metres / 70 + 6 + 4)) < 1e-6


def test_with_nobody_all_stays_open() -> None:
    found = figures(played(small().without(EVERYBODY), OPTIMUM), KNOWN.kinds)
    assert (found.open, found.deliveries, found.metres) == (40, 0, 0)
