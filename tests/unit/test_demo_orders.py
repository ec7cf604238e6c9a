"""One day of orders: told by the seed, from as many doors, by both ways, with the senders' slips."""

import random
from collections import Counter

import pytest

from deploy.demo.community import Community, demonstration
from deploy.demo.habits import Reaction, plan
from deploy.demo.orders import DAY, NO_BUILDING, Order, plan_day
from deploy.demo.play import orders_of
from shared.contracts.intake import SubmitRequest


@pytest.fixture(scope="module")
def community() -> Community:
    return demonstration()


@pytest.fixture(scope="module")
def orders() -> tuple[Order, ...]:
    return orders_of(400, 7, "day")


def test_the_same_seed_makes_the_same_day(orders: tuple[Order, ...]) -> None:
    assert orders == orders_of(400, 7, "day")
    assert orders != orders_of(400, 8, "day")


def test_every_order_has_a_key_and_a_door_of_its_own(orders: tuple[Order, ...]) -> None:
    doors = [order.amended or order.body.address for order in orders]
    assert len({order.key for order in orders}) == len({str(door) for door in doors}) == 400


def test_half_of_them_come_each_way_over_the_whole_day(orders: tuple[Order, ...]) -> None:
    assert Counter(order.way for order in orders) == {"amqp": 200, "http": 200}
    minutes = [order.minute for order in orders]
    assert minutes == sorted(minutes)
    assert 0 <= minutes[0] < minutes[-1] < DAY


def test_meal_times_are_peaks(orders: tuple[Order, ...]) -> None:
    hours = Counter(int(order.minute // 60) for order in orders)
    night, noon, evening = (sum(hours[hour] for hour in span) for span in ((1, 2, 3), (11, 12, 13), (17, 18, 19)))
    assert noon > 4 * night
    assert evening > 4 * night


def test_all_old_people_living_alone_ask_and_half_of_them_through_their_family(
    community: Community, orders: tuple[Order, ...]
) -> None:
    alone = {household.home.address() for household in community.households if household.first_line}
    theirs = [order for order in orders if (order.amended or order.body.address) in alone]
    assert len(theirs) == 25
    assert 5 < sum(order.body.on_behalf_of is not None for order in theirs) < 20
    assert all(order.body.urgency == "urgent" for order in theirs if order.body.kind == "medicine")


def test_some_are_sent_again_and_some_go_astray(orders: tuple[Order, ...]) -> None:
    astray = [order for order in orders if order.amended]
    assert sum(order.resent is not None for order in orders) == 24
    assert len(astray) == 6
    for order in astray:
        assert order.body.address.building == NO_BUILDING
        assert order.amended is not None
        assert order.amended.building != NO_BUILDING
        assert order.resent is None


def test_every_order_can_be_read_by_intake(orders: tuple[Order, ...]) -> None:
    for order in orders:
        assert SubmitRequest.model_validate_json(order.body.model_dump_json(by_alias=True)) == order.body


def test_only_kinds_that_the_system_knows_are_asked_for(community: Community) -> None:
    few = plan_day(random.Random(1), community, count=40, label="x", known={"parcel", "rubbish", "escort"})
    assert {order.body.kind for order in few} == {"parcel", "rubbish"}
    other = plan_day(random.Random(1), community, count=40, label="x", known={"escort"})
    assert {order.body.kind for order in other} == {"escort"}


def test_more_orders_than_doors_are_refused(community: Community) -> None:
    with pytest.raises(ValueError, match="only 2265 households"):
        plan_day(random.Random(1), community, count=2_266, label="x")


def test_a_tiny_day_works(community: Community) -> None:
    assert len(plan_day(random.Random(1), community, count=1, label="x")) == 1


def test_staff_mostly_accept_and_do_the_same_with_the_same_task() -> None:
    reactions = Counter(plan(7, f"task-{number}", "tiebei-g1-1").reaction for number in range(1_000))
    assert reactions[Reaction.ACCEPT] > 780
    assert all(reactions[reaction] > 20 for reaction in Reaction)
    assert plan(7, "task-1", "tiebei-g1-1") == plan(7, "task-1", "tiebei-g1-1")
    assert all(plan(7, f"task-{n}", "w", reliable=True).reaction is Reaction.ACCEPT for n in range(100))
