"""Four replicas of each service: whatever they share is done once, and in order."""

import asyncio
from collections import Counter
from datetime import timedelta

from deploy.engines.definitions import SERVICES
from tests.faults.accounting import Books
from tests.faults.world import QUEUES, World, eventually, keys

REPLICAS = 4
LIVES, LAPSING = 60, 40
A_WHOLE_LIFE = ["offered", "assigned", "started", "completed"]
LAPSED_ONCE = ["offered", "released", "offered"]


async def test_four_replicas_of_each_keep_the_order_and_take_each_due_date_once(world: World) -> None:
    """Lives that are lived, and offers that nobody takes in time, all at once."""
    await world.start(*SERVICES, *(f"{name}/{number}" for name in SERVICES for number in range(2, REPLICAS + 1)))
    await world.settle()
    lapsing = await world.submit_all(keys("lapsing", LAPSING))
    await eventually(lambda: offers(world, LAPSING), what="all that shall lapse are offered")
    world.clock.ahead += timedelta(minutes=21)
    lived = await world.submit_all(keys("lives", LIVES))
    await asyncio.gather(*(world.deliver(one) for one in lived))
    await eventually(lambda: offers(world, 2 * LAPSING + LIVES), what="each lapsed offer is made to somebody else")
    books = await world.engines.settled(lived | lapsing)
    assert {one: steps(books, one) for one in lived} == dict.fromkeys(lived, A_WHOLE_LIFE)
    assert {one: steps(books, one) for one in lapsing} == dict.fromkeys(lapsing, LAPSED_ONCE)
    queues = await world.engines.queues()
    assert {queues[name][1] for name in QUEUES} == {REPLICAS}


async def offers(world: World, count: int) -> bool:
    """Whether so many offers were made."""
    made = Counter(event.type for event in (await world.engines.books()).events)
    return made["doorstep.delivery.offered.v1"] >= count


def steps(books: Books, request_id: str) -> list[str]:
    """What a request's task went through, in the order in which it says that it did."""
    of_task = [one for one in books.events if one.subject == request_id and one.aggregate.startswith("tasks/")]
    assert [one.sequence for one in of_task] == list(range(1, len(of_task) + 1))
    return [one.type.split(".")[2] for one in of_task]
