"""The same again: at once, with another body, after 30 days, in another order: faults 15 to 19."""

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage

from services.dispatch.handlers import task_id_of
from services.intake.handlers import request_id_of
from shared.contracts.dispatch import DeliveryCompleted
from shared.contracts.envelope import COMMANDS_EXCHANGE, EVENTS_EXCHANGE
from shared.contracts.intake import RequestCreated
from shared.outbox import Record
from tests.faults.accounting import Books
from tests.faults.world import World, command, eventually, keys
from tests.running import Town, problems
from tests.world import groceries

TWENTY = 20


async def test_twenty_identical_commands_at_once_make_one_request(world: World) -> None:
    """Fault 15: over AMQP and HTTP together; one is told `accepted`, the others `duplicate`, all the same id."""
    await world.start()
    await world.settle()
    async with world.broker() as broker:
        answers = await asyncio.gather(
            *(broker.ask(command("same")) for _ in range(TWENTY)),
            *(world.post("intake", "/requests", groceries("same"), "source") for _ in range(TWENTY)),
        )
    told = [one[0] if isinstance(one, tuple) else one.json() for one in answers]
    assert Counter(one["status"] for one in told) == {"accepted": 1, "duplicate": 2 * TWENTY - 1}
    await world.engines.settled({one["request_id"] for one in told})


async def test_twenty_identical_deliveries_of_an_event_at_once_have_one_effect(world: World) -> None:
    """Fault 15, in every consumer: each event of a whole life, twenty times."""
    await world.start()
    await world.settle()
    request = await world.submit("again")
    await world.deliver(request)
    before = await world.engines.settled({request})
    async with world.engines.channel() as channel:
        exchange = await channel.get_exchange(EVENTS_EXCHANGE, ensure=False)
        for record in records(before, request):
            outgoing = record.outgoing()
            message = aio_pika.Message(
                outgoing.body,
                message_id=outgoing.meta.id,
                type=outgoing.meta.type,
                content_type="application/json",
                headers=outgoing.all_headers(),
            )
            await asyncio.gather(*(exchange.publish(message, outgoing.key, mandatory=False) for _ in range(TWENTY)))
    assert_same(before, await world.engines.settled({request}))


async def test_a_used_key_with_another_body_is_refused_and_nothing_happens(world: World) -> None:
    """Fault 16: 409 over HTTP, a refusal over AMQP, no event; an Idempotency-Key of another request: 422."""
    await world.start()
    await world.settle()
    request = await world.submit("used")
    before = await world.engines.settled({request})
    other = groceries("used", note="something else")
    answer = await world.post("intake", "/requests", other, "source")
    assert (answer.status_code, problems(answer)) == (409, [("source_id", "key_used")])
    async with world.broker() as broker:
        refused, _ = await broker.ask(command("used", note="something else"))
    assert (refused["status"], problems(refused)) == ("refused", [("source_id", "key_used")])

    intake, header = world.services["intake"], {"Idempotency-Key": "mine"}
    same = await intake.post("/requests", groceries("used"), who="source", headers=header)
    assert same.json()["status"] == "duplicate"
    different = await intake.post("/requests", groceries("unused"), who="source", headers=header)
    assert (different.status_code, problems(different)) == (422, [("Idempotency-Key", "key_used")])
    assert_same(before, await world.engines.settled({request}))


async def test_a_known_event_id_with_another_body_is_kept_aside_and_reported(world: World) -> None:
    """Fault 17: the book stays as it was; an operator sees what came, once, however often it comes."""
    await world.start()
    await world.settle()
    request = await world.submit("forged")
    before = await world.engines.settled({request})
    (record,) = [one for one in records(before, request) if one.meta.type == RequestCreated.wire]
    forged = json.loads(record.body) | {"urgency": "urgent", "priority": 99}
    outgoing = record.outgoing()
    async with world.engines.channel() as channel:
        exchange = await channel.get_exchange(EVENTS_EXCHANGE, ensure=False)
        message = aio_pika.Message(
            json.dumps(forged).encode(),
            message_id=outgoing.meta.id,
            type=outgoing.meta.type,
            headers=outgoing.all_headers(),
        )
        for _ in range(2):
            await exchange.publish(message, outgoing.key)
    after = await world.engines.settled({request}, aside=1)
    assert_same(before, after)
    (kept,) = await world.services["ledger"].items("/dead-letters")
    assert (kept["reason"], kept["message_id"], kept["problems"][0]["code"]) == (
        "refused",
        record.meta.id,
        "other_body",
    )
    assert (await world.services["ledger"].get("/status"))["dead_letters"] == 1


async def test_everything_again_after_thirty_days_changes_nothing(world: World) -> None:
    """Fault 18: every command and every event of a day comes once more, a month later."""
    await world.start()
    await world.settle()
    names = keys("month", 10)
    requests = await world.submit_all(names)
    await asyncio.gather(*(world.deliver(request) for request in requests))
    before = await world.engines.settled(requests)

    world.clock.ahead = timedelta(days=30)
    for name in ("ledger", "dispatch", "intake"):
        outbox = world.services[name].runtime.outbox
        assert await outbox.replay(datetime(2000, 1, 1, tzinfo=UTC), world.clock()) > 0
    async with world.broker() as broker:
        answers = await asyncio.gather(*(broker.ask(command(name)) for name in names))
    assert {answer["status"] for answer, _ in answers} == {"duplicate"}
    assert {answer["request_id"] for answer, _ in answers} == requests
    await asyncio.gather(*(world.deliver(request) for request in requests))
    assert_same(before, await world.engines.settled(requests))


async def test_events_in_reverse_order_come_to_the_same_end(world: World) -> None:
    """Fault 19: to notification, ledger and intake, the end of each life comes before its beginning."""
    await world.start()
    await world.settle()
    await world.stop("notification", "ledger")
    requests = await world.submit_all(keys("reverse", 5))

    async def all_offered() -> bool:
        return len((await world.engines.books()).tasks) == len(requests)

    await eventually(all_offered, what="dispatch knows all requests")
    await world.stop("intake")
    await asyncio.gather(*(world.deliver(request) for request in requests))
    await world.services["dispatch"].runtime.outbox.drain()
    for name in ("intake", "notification", "ledger"):
        assert await reverse(world, f"doorstep.{name}.events") >= len(requests)
    await world.start("intake", "notification", "ledger")
    await world.engines.settled(requests)
    for request in requests:
        shown = await world.services["intake"].get(f"/requests/{request}")
        assert shown["state"] == "completed"


async def test_a_cancellation_before_its_request_leaves_nobody_on_the_way(world: World) -> None:
    """Fault 19, in dispatch: RequestCancelled is heard before RequestCreated."""
    await world.start()
    await world.settle()
    await world.stop("dispatch")
    request = await world.submit("cancelled")
    await world.post("intake", f"/requests/{request}/cancel", {"command_id": "c-1"}, "source")
    await world.services["intake"].runtime.outbox.drain()
    assert await reverse(world, "doorstep.dispatch.events") == 2
    await world.start("dispatch")
    books = await world.engines.settled({request})
    assert [task["state"]["state"] for task in books.tasks] == ["cancelled"]


async def test_a_delivery_completed_before_its_request_is_known_waits_for_it(world: World) -> None:
    """Fault 19, as after a database was put back: intake hears of the end of what it does not know, and then of it."""
    await world.start("intake")
    request = request_id_of(command("unknown"))
    done = DeliveryCompleted(
        community="tiebei",
        grid="g1",
        task_id=task_id_of(request),
        request_id=request,
        kind="groceries",
        building="2",
        urgency="normal",
        priority=10,
        worker="w",
    )
    async with world.engines.channel() as channel:
        message = aio_pika.Message(
            done.model_dump_json().encode(),
            message_id="e-1",
            type=done.wire,
            headers={"ce-id": "e-1", "ce-type": done.wire, "ce-sequence": "5"},
        )
        await channel.default_exchange.publish(message, "doorstep.intake.events")

    async def waits() -> bool:
        return len((await world.engines.books()).requests) == 1

    await eventually(waits, what="intake has noted what it heard")
    assert (await world.services["intake"].call("GET", f"/requests/{request}")).status_code == 404
    await world.start("dispatch", "notification", "ledger")
    assert await world.submit("unknown") == request
    assert (await world.services["intake"].get(f"/requests/{request}"))["state"] == "completed"


@pytest.mark.parametrize("key", ["request.submit"])
async def test_a_command_delivered_twice_under_one_message_id_is_answered_twice_alike(world: World, key: str) -> None:
    """As after a lost confirm, when a client publishes again: both times the same id."""
    await world.start("intake")
    async with Town(world.engines).amqp() as client:
        answers = [await client.ask(key, groceries("twice"), message_id="m-1") for _ in range(2)]
    assert [answer["status"] for answer in answers] == ["needs_review", "duplicate"]
    assert answers[0]["request_id"] == answers[1]["request_id"]
    assert COMMANDS_EXCHANGE


def records(books: Books, request: str) -> list[Record]:
    """Every event of a request as it rests with who raised it."""
    return [
        Record.of(one, service)
        for service, documents in (("intake", books.requests), ("dispatch", books.tasks))
        for document in documents
        if document["state"]["request_id"] == request
        for one in document["history"]
        if one["exchange"] == EVENTS_EXCHANGE
    ]


def assert_same(before: Books, after: Books) -> None:
    """Nothing happened between the two."""

    def all_ids(books: Books) -> tuple[Any, ...]:
        return (
            sorted(one["_id"] for one in books.requests),
            sorted((one["_id"], one["state"]["state"]) for one in books.tasks),
            sorted(one["_id"] for one in books.messages),
            [one["hash"] for one in books.entries],
            sorted(one.id for one in books.events),
        )

    assert all_ids(after) == all_ids(before)


async def reverse(world: World, queue: str) -> int:
    """Turn the order of the messages in a queue round; how many there are."""
    taken: list[AbstractIncomingMessage] = []
    async with world.engines.channel() as channel:
        waiting = await channel.get_queue(queue, ensure=False)
        while (message := await waiting.get(fail=False)) is not None:
            taken.append(message)
        for message in reversed(taken):
            again = aio_pika.Message(
                message.body,
                headers=dict(message.headers),
                content_type=message.content_type,
                message_id=message.message_id,
                type=message.type,
                app_id=message.app_id,
                correlation_id=message.correlation_id,
                delivery_mode=2,
            )
            await channel.default_exchange.publish(again, queue)
        for message in taken:
            await message.ack()
    return len(taken)
