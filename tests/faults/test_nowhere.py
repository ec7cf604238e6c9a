"""Messages with nowhere to go: faults 23 and 24, and a queue that was taken away while we were connected."""

import asyncio

import aio_pika

from shared.bus import DEAD_LETTERS_EXCHANGE
from tests.faults.world import QUEUES, World, eventually, keys

DELIVERY_LIMIT = 50


async def test_an_event_that_reaches_no_queue_is_kept_and_reported_and_sent_later(world: World) -> None:
    """Fault 23: nobody is there to hear of requests yet."""
    await world.engines.delete(*QUEUES)
    await world.start("intake")
    requests = await world.submit_all(keys("unheard", 5))
    intake = world.services["intake"]
    await intake.runtime.outbox.drain()
    books = await world.engines.books()
    assert len(books.unsent) == len(requests)
    assert not any(event.sent for event in books.events)
    assert (await intake.get("/status"))["unsent"] == len(requests)

    await world.start("dispatch", "notification", "ledger")
    await world.engines.settled(requests)


async def test_what_the_broker_sets_aside_waits_for_a_target_that_is_missing(world: World) -> None:
    """Fault 24: a message was delivered too often while its dead-letter target was gone: kept once that is back."""
    # The broker tries again every three minutes; a queue made after this, every second.
    setting = "application:set_env(rabbit, dead_letter_worker_publisher_confirm_timeout, 1000)."
    await asyncio.to_thread(world.engines.rabbit.rabbitmqctl, "eval", setting)
    await world.engines.delete("doorstep.dispatch.events")
    await world.start()
    await world.settle()
    await world.stop("dispatch")
    request = await world.submit("too-often")
    queue, aside = "doorstep.dispatch.events", "doorstep.dispatch.dead-letters"
    async with world.engines.channel() as channel:
        await channel.queue_delete(aside)
        await channel.exchange_delete(DEAD_LETTERS_EXCHANGE)
        waiting = await channel.get_queue(queue, ensure=False)
        for _ in range(DELIVERY_LIMIT + 1):
            message = await eventually(
                lambda: waiting.get(fail=False), what="the message is delivered again", pause=0.01
            )
            await message.reject(requeue=True)

        async def gone() -> bool:
            return await waiting.get(fail=False) is None

        await eventually(gone, what="the broker has taken the message out of the queue")
    await world.start("dispatch")
    dispatch = world.services["dispatch"]
    (kept,) = await eventually(lambda: dispatch.items("/dead-letters"), what="it is kept where an operator sees it")
    assert (kept["reason"], kept["correlation_id"]) == ("undeliverable", request)
    await world.post("dispatch", f"/dead-letters/{kept['id']}:replay", {})
    await world.engines.settled({request})


async def test_a_missing_dead_letter_target_is_there_again_by_itself(world: World) -> None:
    """Fault 24: nobody starts anything again."""
    await world.start()
    await world.engines.delete("doorstep.ledger.dead-letters")
    async with world.engines.channel() as channel:
        await channel.exchange_delete(DEAD_LETTERS_EXCHANGE)

    async def back() -> bool:
        queues = await world.engines.queues()
        return queues.get("doorstep.ledger.dead-letters", (0, 0))[1] == 1

    await eventually(back, what="the queue for dead letters is there and consumed")
    async with world.engines.channel() as channel:
        exchange = await channel.get_exchange(DEAD_LETTERS_EXCHANGE)
        await exchange.publish(aio_pika.Message(b"x", message_id="d-1"), "ledger")
    ledger = world.services["ledger"]
    (kept,) = await eventually(lambda: ledger.items("/dead-letters"), what="it is kept where an operator sees it")
    assert kept["reason"] == "undeliverable"
