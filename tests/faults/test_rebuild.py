"""The broker comes back with a queue that is gone, or there and dead: noticed, rebuilt, replayed: fault 7."""

import asyncio
import shutil

import aio_pika
import pytest
from aio_pika.exceptions import DeliveryError

import shared.queues
from shared.bus import QueueBinding
from shared.bus.topology import declare_queue
from shared.contracts.envelope import EVENTS_EXCHANGE, NOTIFICATIONS_LOG
from shared.contracts.queues import QueueRebuilt
from tests.faults.accounting import Books
from tests.faults.world import PAUSES, QUEUES, START_SECONDS, World, eventually, keys

QUEUE = "doorstep.ledger.events"
SOME = 10
MOST_TRIES = 5


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue is given up after seconds instead of half a minute."""
    monkeypatch.setattr(shared.queues, "SILENCE", 3.0)


async def test_a_queue_without_a_leader_is_noticed_rebuilt_and_filled_again(world: World) -> None:
    """The broker is killed just after the queue was declared, with confirmed messages in it."""
    await world.start()
    await world.settle()
    await world.stop("ledger")
    requests = await world.submit_all(keys("leader", SOME))
    await world.services["intake"].runtime.outbox.drain()
    await leave_without_leader(world)
    requests |= await world.submit_all(keys("after", SOME))
    await world.start("ledger")
    assert rebuilt(await world.engines.settled(requests)) == {QUEUE}


async def test_queues_that_vanish_under_running_services_are_noticed_rebuilt_and_filled_again(world: World) -> None:
    """As when somebody deletes them: what was in them, and what came while they were gone, is asked for again."""
    await world.start()
    await world.settle()
    lost = {f"doorstep.{name}.events" for name in ("dispatch", "notification", "ledger")}
    requests = await world.submit_all(keys("before", SOME))
    await world.engines.delete(*lost)
    requests |= await world.submit_all(keys("while", SOME))
    assert rebuilt(await world.engines.settled(requests)) == lost
    await world.ready()


async def test_a_broker_that_lost_everything_is_filled_again(world: World) -> None:
    """Another broker with nothing on it, at the same address: not even the exchanges are there."""
    await world.start()
    await world.settle()
    requests = await world.submit_all(keys("before", SOME))
    rabbit = world.engines.rabbit
    await asyncio.to_thread(rabbit.kill)
    await asyncio.to_thread(shutil.rmtree, rabbit.folder / "data")
    await asyncio.to_thread(rabbit.start, START_SECONDS)
    requests |= await world.submit_all(keys("after", SOME))
    await world.ready()
    await asyncio.gather(*(world.deliver(request) for request in requests))
    books = await world.engines.settled(requests)
    assert rebuilt(books) >= {f"doorstep.{name}.events" for name in world.services}


async def test_a_broker_killed_while_the_services_start_for_the_first_time_serves_them_in_the_end(world: World) -> None:
    """Whichever of the queues, the pauses or the log is left without a leader."""
    await world.engines.delete(*QUEUES, *PAUSES, NOTIFICATIONS_LOG)
    starting = asyncio.ensure_future(world.start())

    async def declared() -> bool:
        return world.engines.rabbit.running and len(await world.engines.queues()) == len(QUEUES) + len(PAUSES)

    await eventually(declared, what="every queue is declared", pause=0.01)
    await asyncio.to_thread(world.engines.rabbit.kill)
    await asyncio.to_thread(world.engines.rabbit.start, START_SECONDS)
    await starting
    await world.settle()
    requests = await world.submit_all(keys("first", SOME))
    await asyncio.gather(*(world.deliver(request) for request in requests))
    await world.engines.settled(requests)


async def leave_without_leader(world: World) -> None:
    """Kill the broker just after the queue was declared, until that hits."""
    rabbit = world.engines.rabbit
    for _ in range(MOST_TRIES):
        async with world.engines.channel() as channel:
            await channel.queue_delete(QUEUE)
            limit = world.engines.settings().queue_limit
            await declare_queue(channel, QueueBinding(QUEUE, EVENTS_EXCHANGE, ("request.created.#",)), "ledger", limit)
            await channel.default_exchange.publish(aio_pika.Message(b"", type="doorstep.probe.v1"), QUEUE)
            rabbit.kill()
        await asyncio.to_thread(rabbit.start, START_SECONDS)
        await world.ready()
        if not await confirms(world):
            return
    pytest.fail("the broker is too good: no queue was left without a leader")


async def confirms(world: World) -> bool:
    """Whether the queue takes a message."""
    async with world.engines.channel() as channel:
        try:
            probe = aio_pika.Message(b"", type="doorstep.probe.v1", delivery_mode=2)
            await channel.default_exchange.publish(probe, QUEUE, timeout=10)
        except (TimeoutError, DeliveryError):
            return False
    return True


def rebuilt(books: Books) -> set[str]:
    """The queues that the ledger says were made anew."""
    return {
        QueueRebuilt.model_validate_json(entry["data"], strict=False).queue
        for entry in books.entries
        if entry["wire"] == QueueRebuilt.wire
    }
