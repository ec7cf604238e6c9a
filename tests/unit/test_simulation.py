"""A simulated day: it is played by the rules of dispatch, it can be played again, and nothing in it gets lost."""

import json
import random
from collections import defaultdict
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.cli.main import app
from deploy.demo import orders as demo
from deploy.demo.community import BUILDINGS, COMMUNITY, demonstration, grid_of
from deploy.simulation import compare
from deploy.simulation.figures import figures
from deploy.simulation.orders import draw
from deploy.simulation.policies import NAMES, policies
from deploy.simulation.records import Records
from deploy.simulation.rounds import choices
from deploy.simulation.scenario import SHIPPED, read
from deploy.simulation.story import Outcome
from services.dispatch.domain.doing import accept
from services.dispatch.domain.offering import choose, open_task
from services.dispatch.domain.task import MOVES, Actor
from shared.catalogue import CatalogueError
from tests.unit.days import KNOWN, SMALL, played, small, workers, written

POLICIES = policies(KNOWN.kinds)


@pytest.fixture(scope="module")
def shipped() -> dict[str, Outcome]:
    """The day that comes with it, under each policy."""
    scenario = read(SHIPPED, KNOWN)
    return {name: played(scenario, name) for name in NAMES}


# It can be played again


@pytest.mark.parametrize("policy", NAMES)
def test_the_same_seed_gives_the_same_day_and_another_seed_another(policy: str) -> None:
    first, again, other = played(small(), policy), played(small(), policy), played(small(seed=2), policy)
    assert first == again
    assert first.trips != other.trips


def test_all_policies_see_the_same_orders(shipped: dict[str, Outcome]) -> None:
    today = [one.order for one in shipped["today"].stories.values()]
    assert all([one.order for one in outcome.stories.values()] == today for outcome in shipped.values())


def test_who_is_left_out_changes_no_order_and_gets_nothing() -> None:
    scenario = small()
    fewer = scenario.without(["sun", "wu"])
    assert draw(scenario, KNOWN.kinds, random.Random(1)) == draw(fewer, KNOWN.kinds, random.Random(1))
    outcome = played(fewer, "broadcast")
    assert not {"sun", "wu"} & {name for task in outcome.tasks.values() for name in (*task.asked, *task.holders)}


def test_policies_are_nothing_but_other_ladders() -> None:
    for policy in POLICIES.values():
        assert policy.kinds.kinds == KNOWN.kinds.kinds
        for name, ladder in policy.kinds.ladders.items():
            today = KNOWN.kinds.ladders[name]
            assert ladder.model_copy(update={"steps": today.steps}) == today
            assert ladder.steps[-1] == today.steps[-1]


# Nothing gets lost


@pytest.mark.parametrize("policy", NAMES)
def test_the_shipped_day_accounts_for_all_its_orders(shipped: dict[str, Outcome], policy: str) -> None:
    outcome = shipped[policy]
    found = figures(outcome, KNOWN.kinds)
    assert found.orders == len(outcome.tasks) == 400
    assert found.deliveries + found.open == 400
    assert found.deliveries == sum(found.deliveries_by.values()) == found.until_door["all"].count
    assert found.late == sum(found.late_because.values())


@pytest.mark.parametrize("policy", NAMES)
def test_every_order_is_done_or_open_when_the_day_ends(policy: str) -> None:
    scenario = small(hours=1, orders={"count": 60})
    outcome = played(scenario, policy)
    states = [task.state for task in outcome.tasks.values()]
    done = [story for story in outcome.stories.values() if story.done is not None]
    assert len(states) == 60
    assert all(state in MOVES and state not in ("failed", "cancelled") for state in states)
    assert 0 < len(done) == states.count("completed") < 60
    assert figures(outcome, KNOWN.kinds).open == 60 - len(done)


def test_without_anybody_all_is_open_and_nobody_walks() -> None:
    outcome = played(small().without([str(one["worker_id"]) for one in SMALL["workers"]]))
    found = figures(outcome, KNOWN.kinds)
    assert (found.deliveries, found.open, found.metres, found.metres_per_delivery) == (0, 40, 0, None)
    assert found.until_yes["normal"].p50 is None


def test_where_nobody_says_yes_a_coordinator_finds_somebody() -> None:
    scenario = small(
        habits={"says_yes": {"grid_worker": 0, "volunteer": 0}, "forgets": 0.5}, orders={"count": 5}, hours=24
    )
    outcome = played(scenario)
    assert all(story.yes is not None for story in outcome.stories.values())
    assert sum(outcome.escalations.values()) >= 5


# It is played by the rules


@pytest.mark.parametrize("policy", NAMES)
def test_nobody_passes_his_cap(policy: str) -> None:
    outcome = played(small(workers=workers(cap=2)), policy)
    most = {name: count for name, count in outcome.most_held.items() if name != "zhou"}
    assert max(most.values()) == 2


@pytest.mark.parametrize("policy", NAMES)
def test_nobody_does_two_things_at_once(shipped: dict[str, Outcome], policy: str) -> None:
    trips = defaultdict(list)
    for trip in shipped[policy].trips:
        trips[trip.worker].append((trip.begins, trip.ends))
    assert len(trips) > 10
    assert all(first[1] <= second[0] for mine in trips.values() for first, second in pairwise(sorted(mine)))


@pytest.mark.parametrize("policy", NAMES)
def test_only_who_is_able_gets_a_task(policy: str) -> None:
    kinds = {"groceries": 1, "gas_top_up": 1, "translation": 1}
    outcome = played(small(orders={"kinds": kinds, "languages": {"ru": 0.5}}), policy)
    for task in outcome.tasks.values():
        assert task.facts is not None
        if task.facts.kind == "gas_top_up":
            assert set(task.holders) <= {"zhao", "zhou"}
        if task.facts.kind == "translation" and task.facts.language == "ru":
            assert set(task.holders) <= {"sun", "zhou"}


@pytest.mark.parametrize("policy", NAMES)
def test_nobody_is_asked_before_his_shift(policy: str) -> None:
    shift = {"begins": "2026-11-24T10:00", "minutes": 60, "breaks": [{"begins": "10:30", "minutes": 10}]}
    outcome = played(small(workers=workers(shifts=[shift]), habits={"minutes_until_off": 0}), policy)
    ten = outcome.ends - timedelta(hours=2)
    early = {trip.worker for trip in outcome.trips if trip.begins < ten}
    assert early <= {"zhou"}
    assert any(trip.worker != "zhou" for trip in outcome.trips)


def test_who_claims_second_learns_that_it_is_taken(shipped: dict[str, Outcome]) -> None:
    assert shipped["broadcast"].refusals["taken"] > 0


def test_an_order_takes_the_time_to_answer_to_set_out_to_walk_and_at_the_door() -> None:
    scenario = small(
        buildings={"1": {"grid": "g1", "stairwells": 1, "floors": 1, "doors": 1}},
        orders={"count": 1, "kinds": {"groceries": 1}},
        habits={"seconds_to_answer": {"least": 60, "most": 60}, "says_yes": {}, "forgets": 0},
    )
    outcome = played(scenario, "responsible")
    (story,), (trip,) = outcome.stories.values(), outcome.trips
    # From the office by square 2, the south gate and the supermarket's door to building 1.
    metres = (60 + 110 + 90) + (160 + 35)
    walk = timedelta(minutes=metres / 70 + 6 + 4)
    assert trip.metres == metres
    assert story.yes == story.order.at + timedelta(minutes=1)
    assert story.set_out == trip.begins == story.order.at + timedelta(minutes=6)
    assert story.done is not None
    assert abs(story.done - (trip.begins + walk)) < timedelta(milliseconds=1)


def test_what_is_asked_for_in_a_building_is_one_walk_with_one_way_to_the_shop() -> None:
    scenario = small(
        buildings={"1": {"grid": "g1", "stairwells": 2, "floors": 1}},
        orders={"count": 4, "kinds": {"groceries": 1}, "by_hour": [0] * 8 + [1] + [0] * 15},
        habits={"seconds_to_answer": {"least": 1, "most": 1}, "says_yes": {}, "forgets": 0, "minutes_until_off": 59},
    )
    first, second = played(scenario, "responsible").trips
    assert len(first.tasks) + len(second.tasks) == 4
    # By the supermarket to one stairwell, and from there to the other.
    assert (first.metres, second.metres) == (455, 20)


@pytest.mark.parametrize("policy", NAMES)
def test_who_had_a_task_and_let_it_lie_does_not_get_it_again(shipped: dict[str, Outcome], policy: str) -> None:
    helpers = [[name for name in task.holders if name != "tiebei-c01"] for task in shipped[policy].tasks.values()]
    assert any(len(names) > 1 for names in helpers)
    assert all(len(set(names)) == len(names) for names in helpers)


def test_a_round_chooses_nobody_who_said_no() -> None:
    scenario = small(orders={"kinds": {"rubbish": 1}})
    order = draw(scenario, KNOWN.kinds, random.Random(1))[0]
    records = Records(scenario, KNOWN, POLICIES["rounds"])
    opened = open_task(None, order.task_id, order.facts, 1, records.situation(order.facts, order.at))
    assert opened is not None
    records.keep(order.task_id, opened[0])
    distances = KNOWN.distances[scenario.community]
    (first,) = choices(records, distances, order.at, urgent=False)
    records.keep(order.task_id, opened[0].model_copy(update={"declined": [first.worker]}))
    (second,) = choices(records, distances, order.at, urgent=False)
    assert second.worker not in (None, first.worker)
    assert choices(records, distances, order.at, urgent=True) == ()


def test_who_is_asked_beside_others_has_his_share_of_it_until_it_is_taken() -> None:
    scenario = small(orders={"kinds": {"rubbish": 1}})
    order = draw(scenario, KNOWN.kinds, random.Random(1))[0]
    records = Records(scenario, KNOWN, POLICIES["shortlist"])
    now = records.situation(order.facts, order.at)
    opened = open_task(None, order.task_id, order.facts, 1, now)
    assert opened is not None
    records.keep(order.task_id, opened[0])
    (choice,) = choices(records, KNOWN.distances[scenario.community], order.at, urgent=False)
    best = [str(choice.worker), *choice.others]
    assert set(best) == {one.worker_id for one in records.helpers}
    asked = choose(opened[0], best, "volunteer", (), now)
    assert asked is not None
    records.keep(order.task_id, asked[0])
    count = len(asked[0].asked)
    assert count > 1
    assert [records.work_of(name).asked for name in best] == [1 / count] * count + [0] * (len(best) - count)
    records.keep(order.task_id, accept(asked[0], Actor(best[0]), now)[0])
    assert [records.work_of(name).asked for name in best] == [0] * len(best)
    assert records.work_of(best[0]).load == 1


# The scenario


def test_the_shipped_day_is_the_demonstration_community() -> None:
    scenario, community = read(SHIPPED, KNOWN), demonstration()
    assert scenario.community == COMMUNITY
    assert {name: one.grid for name, one in scenario.buildings.items()} == {name: grid_of(name) for name in BUILDINGS}
    told = {(one.worker_id, one.role, one.grids, one.skills, one.cap) for one in scenario.workers}
    known = {(one.worker_id, one.role, one.grids, one.skills, one.cap) for one in community.workers}
    assert {one for one in told if one[1] != "coordinator"} == {one for one in known if one[1] != "coordinator"}
    assert scenario.orders.by_hour == demo.HOURS
    assert scenario.orders.kinds == demo.KINDS


@pytest.mark.parametrize(
    ("said", "instead", "line", "field"),
    [
        ("hours: 24", "hours: 0", 5, "hours"),
        ("seed: 2265", "seeds: 2265", 6, "seeds"),
        ("forgets: 0.05", "forgets: 1.5", 0, "habits.forgets"),
        ("{least: 30, most: 600}", "{least: 900, most: 600}", 0, "habits.seconds_to_answer"),
        ("role: coordinator", "role: mayor", 0, "workers.18.role"),
        ('"24": {grid: g6}', '"24": {grid: g6, households: 97}', 0, "buildings.24"),
    ],
)
def test_a_mistake_names_file_line_and_field(tmp_path: Path, said: str, instead: str, line: int, field: str) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    expected = next(number for number, one in enumerate(text.splitlines(), 1) if said in one)
    (tmp_path / "day.yaml").write_text(text.replace(said, instead), encoding="utf-8")
    with pytest.raises(CatalogueError) as error:
        read(tmp_path / "day.yaml", KNOWN)
    lines = [one for one in str(error.value).splitlines() if f": {field}: " in one]
    assert [one.split(": ")[0] for one in lines] == [f"{tmp_path}/day.yaml:{line or expected}"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"community": "elsewhere"}, "community"),
        ({"orders": {"kinds": {"gardening": 1}}}, "orders.kinds.gardening"),
        ({"habits": {"shops": {"groceries": "bazaar"}}}, "habits.shops.groceries"),
        ({"workers": [{"worker_id": "a", "role": "volunteer", "starts": "moon"}]}, "workers.0.starts"),
    ],
)
def test_what_no_catalogue_has_is_told(tmp_path: Path, changes: dict[str, Any], field: str) -> None:
    path = written(tmp_path, small(**changes))
    with pytest.raises(CatalogueError, match=rf"day\.yaml:\d+: {field}: .*has no"):
        read(path, KNOWN)


# The command


@pytest.mark.parametrize(("language", "title"), [("en", "metres walked"), ("zh", "步行（米）")])
def test_the_command_prints_the_policies_side_by_side(tmp_path: Path, language: str, title: str) -> None:
    path = written(tmp_path, small())
    done = CliRunner().invoke(app, ["simulate", str(path), "--language", language])
    assert done.exit_code == 0, done.stderr
    assert all(name in done.stdout for name in (*compare.NAMES, title))


def test_the_command_tells_programs_the_figures_that_it_was_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, small())
    words = ["simulate", str(path), "--json", "--policy", "rounds", "--without", "wu", "--seed", "9"]
    told = json.loads(CliRunner().invoke(app, words).stdout)
    scenario = small(seed=9).without(["wu"])
    figures_ = figures(played(scenario, "rounds"), KNOWN.kinds)
    assert (told["seed"], told["workers"], told["without"]) == (9, 4, ["wu"])
    assert told["policies"][0]["deliveries_by"] == figures_.deliveries_by
    assert told["policies"][0]["metres"] == figures_.metres


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere.yaml"], "nowhere.yaml: missing"),
        (["."], "cannot be read"),
        (["--policy", "lottery"], "lottery"),
        (["--without", "nobody"], "nobody"),
    ],
)
def test_what_cannot_be_simulated_is_one_line_and_exit_code_1(words: list[str], says: str) -> None:
    done = CliRunner().invoke(app, ["simulate", *words])
    assert done.exit_code == 1
    assert done.stdout == ""
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
