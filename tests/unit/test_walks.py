"""Who does what, in which order, and why: the promises of a plan, whoever wished it."""

from collections import Counter
from itertools import permutations, product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.dispatch.domain import walks as rules
from services.dispatch.domain.choosing import greedy, scope, settle
from services.dispatch.domain.ordering import ordered, step, way
from services.dispatch.domain.places import Door
from services.dispatch.domain.walks import Plan, Round, Weights, cost, visit, visits
from tests import world
from tests.unit.rounds import ANYBODY, BUILDINGS, EVERYBODY, hands, round_of, rounds, waiting, workers_of

ANY = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
"""A round takes long to invent, so there are fewer."""


def check(round_: Round, plan: Plan) -> None:
    """What holds for every plan."""
    tasks = [task for walk in plan.walks for task in walk.tasks]
    assert max(Counter(tasks).values(), default=1) == 1
    assert max(Counter(walk.worker for walk in plan.walks).values(), default=1) == 1
    assert [choice.task_id for choice in plan.choices] == list(round_.tasks)
    got = workers_of(plan)
    assert {choice.task_id: choice.worker for choice in plan.choices if choice.worker is not None} == got
    assert all(worker in round_.tasks[task].able for task, worker in got.items())
    for walk in plan.walks:
        assert len(walk.tasks) <= round_.workers[walk.worker].free
        assert [task for stop in walk.stops if not stop.shop for task in stop.tasks] == list(walk.tasks)
        stairwells = [(stop.door.place, stop.door.stairwell) for stop in walk.stops if not stop.shop]
        assert len(set(stairwells)) == len(stairwells)
        fetched = set()
        for stop in walk.stops:
            if stop.shop:
                fetched.update(stop.tasks)
            else:
                assert {task for task in stop.tasks if round_.tasks[task].shop is not None} <= fetched
        shops = [stop.door.place for stop in walk.stops if stop.shop]
        assert len(set(shops)) == len(shops)
    assert plan.cost == pytest.approx(cost(round_, plan.walks))


@ANY
@given(rounds())
def test_the_greedy_plan_keeps_every_promise(round_: Round) -> None:
    """Caps, abilities, one walk for each task, goods before doors."""
    check(round_, greedy(round_))


@ANY
@given(rounds(), st.lists(st.tuples(st.sampled_from(ANYBODY), st.integers(0, 13)), max_size=20))
def test_any_wish_becomes_a_plan_that_keeps_every_promise(round_: Round, wishes: list[tuple[str, int]]) -> None:
    """However foolish: it places the same tasks as the greedy one."""
    wish: dict[str, list[str]] = {}
    for name, number in wishes:
        wish.setdefault(name, []).append(f"t{number:02d}")
    seen = scope(round_)
    chosen = {task for walk in settle(seen, wish) for task in walk.tasks}
    assert chosen == workers_of(greedy(round_)).keys() == seen.able.keys()


@ANY
@given(rounds(tasks=6, workers=3))
def test_all_that_can_be_placed_is_placed_and_nobody_is_over_his_share_in_vain(round_: Round) -> None:
    """Compared with every way there is."""
    able = [[None, *(name for name in one.able if name in round_.workers)] for one in round_.waiting]
    ways = [Counter(way) for way in product(*able)]
    possible = [way for way in ways if all(way[name] <= one.free for name, one in round_.workers.items())]
    plan = greedy(round_)
    placed = len(workers_of(plan))
    assert placed == max(way.total() - way[None] for way in possible)
    share = round_.share(placed)

    def over(way: Counter[str | None]) -> int:
        return sum(max(0, way[name] - max(0, share - one.load)) for name, one in round_.workers.items())

    full = [way for way in possible if way.total() - way[None] == placed]
    assert over(Counter(workers_of(plan).values())) == min(over(way) for way in full)


@ANY
@given(st.lists(st.tuples(st.sampled_from(BUILDINGS), st.sampled_from("12")), min_size=1, max_size=12))
def test_a_stairwell_stays_together_where_somebody_can_take_it_whole(doors: list[tuple[str, str]]) -> None:
    """He goes there once."""
    tasks = [waiting(f"t{number:02d}", one, stairwell=f"{one}/{unit}") for number, (one, unit) in enumerate(doors)]
    together = Weights(together=len(tasks))
    got = workers_of(greedy(round_of(tasks, [hands(name, free=99) for name in EVERYBODY], weights=together)))
    goers = {(task.stairwell, got[task.task_id]) for task in tasks}
    assert len(goers) == len({task.stairwell for task in tasks})


def test_where_nobody_can_take_a_stairwell_whole_a_household_stays_together() -> None:
    """Two and two, not three and one."""
    tasks = [waiting(task, household=household) for task, household in (("1", "a"), ("2", "b"), ("3", "a"), ("4", "b"))]
    got = workers_of(greedy(round_of(tasks, [hands(world.ZHAO, free=3), hands(world.QIAN, free=2)])))
    assert got["1"] == got["3"] != got["2"] == got["4"]


def test_the_nearest_is_chosen_when_all_else_is_equal() -> None:
    """And it is said how far the way is."""
    plan = greedy(round_of([waiting("1", "4")], [hands(world.ZHAO, "1"), hands(world.QIAN, "5")]))
    (choice,) = plan.choices
    assert (choice.worker, choice.codes, choice.extra_metres) == (world.QIAN, ("nearest",), 60)


def test_whoever_has_less_to_do_goes_a_little_further() -> None:
    """His load is said."""
    plan = greedy(round_of([waiting("1", "2")], [hands(world.ZHAO, "2", load=6), hands(world.QIAN, "3", load=1)]))
    (choice,) = plan.choices
    assert (choice.worker, choice.codes, choice.load_before) == (world.QIAN, ("least_loaded",), 1)


def test_whoever_has_done_less_this_week_goes_a_little_further() -> None:
    """What he did is said."""
    plan = greedy(round_of([waiting("1", "2")], [hands(world.ZHAO, "2", week=30), hands(world.QIAN, "3", week=5)]))
    (choice,) = plan.choices
    assert (choice.worker, choice.codes, choice.week) == (world.QIAN, ("least_this_week",), 5)


def test_a_worker_better_not_asked_is_asked_when_the_other_is_too_far() -> None:
    """The penalty is weighed as metres."""
    for metres, worker in ((100.0, world.ZHAO), (300.0, world.QIAN)):
        task = waiting("1", "1", able={world.ZHAO: metres, world.QIAN: 0.0})
        assert workers_of(greedy(round_of([task], [hands(world.ZHAO, "1"), hands(world.QIAN, "5")]))) == {"1": worker}


def test_with_room_for_one_the_urgent_is_placed_then_the_higher_then_the_one_who_waited() -> None:
    """The others are left, and it is said why."""
    tasks = [
        waiting("normal", priority=90),
        waiting("urgent", urgency="urgent"),
        waiting("low", urgency="urgent", priority=-1),
        waiting("impossible", able={world.ZHOU: 0.0}),
    ]
    plan = greedy(round_of(tasks, [hands(free=1)]))
    assert [(choice.task_id, choice.worker, choice.codes) for choice in plan.choices] == [
        ("urgent", world.ZHAO, ("urgent", "only_one_able")),
        ("low", None, ("nobody_free",)),
        ("normal", None, ("nobody_free",)),
        ("impossible", None, ("nobody_able",)),
    ]


def test_goods_for_several_doors_are_fetched_once() -> None:
    """One run to the shop, then from door to door, and each choice names the others."""
    tasks = [waiting(name, name, shop="shop") for name in "123"]
    plan = greedy(round_of(tasks, [hands(at="1")]))
    (walk,) = plan.walks
    assert [stop.door.place for stop in walk.stops] == ["shop", "1", "2", "3"]
    assert sorted(walk.stops[0].tasks) == ["1", "2", "3"]
    assert walk.metres == 150 + 150 + 60 + 60
    assert all(len(choice.bundled_with) == 2 and "same_shop" in choice.codes for choice in plan.choices)


def test_a_stairwell_is_climbed_once_from_the_ground_up() -> None:
    """The walk counts the stairs to its highest door."""
    tasks = [waiting("high", floor=11), waiting("low", floor=2), waiting("between", floor=5)]
    (walk,) = greedy(round_of(tasks, [hands(at="1")])).walks
    assert walk.tasks == ("low", "between", "high")
    assert walk.stops == (rules.Stop(Door("1", "1/1", 11), walk.tasks),)
    assert walk.metres == 20 + 10 * 8


def test_the_urgent_door_comes_first_though_others_are_on_the_way() -> None:
    """Then back."""
    tasks = [waiting("1", "1"), waiting("2", "2"), waiting("3", "3", urgency="urgent")]
    (walk,) = greedy(round_of(tasks, [hands(at="1")])).walks
    assert walk.tasks == ("3", "2", "1")


@ANY
@given(rounds(tasks=5, workers=1).filter(lambda round_: bool(round_.hands)))
def test_an_order_is_never_worse_than_the_one_that_was_given(round_: Round) -> None:
    """Nor do its steps, taken alone, promise less than the way."""
    worker, order = round_.hands[0], visits(round_.waiting)
    best = way(round_, worker, ordered(round_, worker, order))
    assert best <= way(round_, worker, order) + 1e-6
    for other in permutations(order):
        steps = sum(step(round_, *pair) for pair in zip([worker, *other], other, strict=False))
        assert way(round_, worker, other) <= steps + 1e-6


def test_the_cost_is_the_metres_and_what_else_counts() -> None:
    """Each thing by its weight, and only by its own."""
    tasks = [waiting("1", "1", able={world.ZHAO: 7.0}), waiting("2", "2", able={world.ZHAO: 0.0}, urgency="soon")]
    worker, other = hands(load=2, week=5, asked=0.5), hands(world.QIAN, week=3)
    nothing = Weights(penalty=0, queue=0, load=0, week=0, later=0, split=0, over=0)

    def costs(**weights: float) -> float:
        weighed = {name: getattr(nothing, name) for name in Weights.__slots__} | weights
        round_ = round_of(tasks, [worker, other], weights=Weights(**weighed))
        return cost(round_, [rules.walk(round_, world.ZHAO, [visit([one]) for one in tasks])])

    metres = costs()
    assert metres == 20 + 60
    assert costs(penalty=2.0) == metres + 2 * 7
    assert costs(queue=10.0) == metres + 2 * 10 * (2 + 0.5)
    assert costs(load=10.0) == metres + 10
    assert costs(week=1.0) == metres + 2 * (5 - 3)
    assert costs(later=100.0) == metres + 100
    assert costs(over=1000.0) == metres + 1000
    assert costs(split=100.0) == metres


def test_a_stairwell_to_which_two_go_costs_more() -> None:
    """By the weight of a split."""
    tasks = [waiting("1"), waiting("2")]
    round_ = round_of(tasks, [hands(), hands(world.QIAN)])
    both = [rules.walk(round_, name, [visit([one])]) for name, one in zip(EVERYBODY, tasks, strict=False)]
    assert cost(round_, both) == 20 + 20 + round_.weights.split


@pytest.mark.parametrize("empty", [round_of([], []), round_of([], [hands()]), round_of([waiting("1")], [])])
def test_a_round_without_tasks_or_workers_has_no_walks(empty: Round) -> None:
    """What waits is left, because nobody is able."""
    plan = greedy(empty)
    assert (plan.walks, plan.cost) == ((), 0)
    assert [choice.codes for choice in plan.choices] == [("nobody_able",)] * len(empty.waiting)


def test_two_with_the_same_claim_are_in_the_order_of_their_ids() -> None:
    """So that the same round has the same plan everywhere."""
    assert list(round_of([waiting("b"), waiting("a")], []).tasks) == ["a", "b"]
