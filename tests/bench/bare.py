"""The bare program: the same hops with aio-pika and bulk writes, and no rules at all.

What somebody would write for whom speed alone counts: whatever has been delivered in one moment is handled together,
with one `bulk_write`, publishes gathered, and one acknowledgement for all. It validates nothing, refuses nothing, knows
no duplicate, no conflict and no retry. Run as `python -m tests.bench.bare <service>`, a process for each of the four.
"""

import asyncio
import itertools
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import aio_pika
import orjson
import uvloop
from aio_pika.abc import AbstractConnection, AbstractExchange, AbstractIncomingMessage
from pymongo import AsyncMongoClient, InsertOne, UpdateOne
from pymongo.asynchronous.database import AsyncDatabase

from tests.bench import flow

Document = dict[str, Any]
LANES = 16
"""Channels to publish on. A channel writes one message at a time; those of several leave in one system call."""
Deliveries = Sequence[AbstractIncomingMessage]


class Publisher:
    """Publishes to the three exchanges and to reply queues, persistent, mandatory, confirmed."""

    def __init__(self, service: str, lanes: Sequence[Mapping[str, AbstractExchange]]) -> None:
        self._service = service
        self._lanes = itertools.cycle(lanes)

    def event(self, key: str, body: Document, cause: AbstractIncomingMessage) -> Awaitable[object]:
        """Publish an event that `cause` made happen."""
        wire = flow.type_by_key[key]
        routing_key = f"{key}.{body['community']}.{body['grid']}"
        return self._publish(flow.EVENTS_EXCHANGE, routing_key, wire, body["request_id"], body, cause)

    def notification(self, body: Document, cause: AbstractIncomingMessage) -> Awaitable[object]:
        """Publish a line of the staff's stream."""
        key = flow.staff_key(body)
        return self._publish(flow.NOTIFICATIONS_EXCHANGE, key, flow.STAFF_WIRE, body["request_id"], body, cause)

    def _publish(
        self, exchange: str, routing_key: str, wire: str, subject: str, body: Document, cause: AbstractIncomingMessage
    ) -> Awaitable[object]:
        event_id = flow.new_id()
        message = aio_pika.Message(
            orjson.dumps(body),
            headers=flow.headers(
                wire, event_id, self._service, subject, cause.message_id or "", str(cause.headers.get("traceparent"))
            ),
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=event_id,
            correlation_id=subject,
            type=wire,
            app_id=self._service,
            timestamp=datetime.now(UTC),
        )
        return next(self._lanes)[exchange].publish(message, routing_key, mandatory=True)

    def answer(self, body: Document, to: AbstractIncomingMessage) -> Awaitable[object]:
        """Answer a command."""
        message = aio_pika.Message(
            orjson.dumps(body),
            content_type="application/json",
            message_id=flow.new_id(),
            correlation_id=to.correlation_id,
            app_id=self._service,
            timestamp=datetime.now(UTC),
        )
        return next(self._lanes)[""].publish(message, to.reply_to or "", mandatory=True)


async def intake(deliveries: Deliveries, database: AsyncDatabase[Document], publisher: Publisher) -> None:
    """Submissions become requests; events of a task change the request's state."""
    writes: list[InsertOne[Document] | UpdateOne] = []
    publishes: list[Awaitable[object]] = []
    for delivered in deliveries:
        body = orjson.loads(delivered.body)
        if delivered.routing_key == flow.SUBMIT:
            request_id = flow.new_id()
            event = flow.created(body, request_id)
            history = [{"event": flow.CREATED, "at": flow.now()}]
            writes.append(InsertOne({"_id": request_id, **event, "state": "created", "version": 1, "history": history}))
            publishes.append(publisher.event(flow.CREATED, event, delivered))
            answer = {"request_id": request_id, "status": "accepted", "tracking_code": request_id[-8:].upper()}
            publishes.append(publisher.answer(answer, delivered))
        else:
            key = flow.event_key(delivered.routing_key or "")
            change = {
                "$set": {"state": flow.STATE_AFTER[key]},
                "$inc": {"version": 1},
                "$push": {"history": {"event": key, "at": flow.now()}},
            }
            writes.append(UpdateOne({"_id": body["request_id"]}, change))
    await database["requests"].bulk_write(writes, ordered=False)
    await asyncio.gather(*publishes)


async def dispatch(deliveries: Deliveries, database: AsyncDatabase[Document], publisher: Publisher) -> None:
    """Requests become tasks, offered at once; workers accept and complete them."""
    bodies = [orjson.loads(delivered.body) for delivered in deliveries]
    wanted = [body["task_id"] for body in bodies if "task_id" in body]
    known: dict[str, Document] = {}
    if wanted:
        known = {task["_id"]: task async for task in database["tasks"].find({"_id": {"$in": wanted}})}
    writes: list[InsertOne[Document] | UpdateOne] = []
    publishes: list[Awaitable[object]] = []
    for delivered, body in zip(deliveries, bodies, strict=True):
        if delivered.routing_key in (flow.ACCEPT, flow.COMPLETE):
            key, state = (
                (flow.ASSIGNED, "assigned") if delivered.routing_key == flow.ACCEPT else (flow.COMPLETED, "completed")
            )
            task = known[body["task_id"]]
            change = {
                "$set": {"state": state, "worker": body["worker"]},
                "$inc": {"version": 1},
                "$push": {"history": {"event": key, "at": flow.now()}},
            }
            writes.append(UpdateOne({"_id": task["_id"]}, change))
            answer = {"status": "accepted", "task_id": task["_id"], "state": state, "worker": body["worker"]}
            publishes.append(publisher.answer(answer, delivered))
        else:
            key, task = flow.OFFERED, flow.task_of(body, flow.new_id())
            writes.append(InsertOne(task))
        publishes.append(publisher.event(key, flow.delivery(key, task), delivered))
    await database["tasks"].bulk_write(writes, ordered=False)
    await asyncio.gather(*publishes)


async def notification(deliveries: Deliveries, database: AsyncDatabase[Document], publisher: Publisher) -> None:
    """Every event becomes a message document and a line of the staff's stream."""
    writes: list[InsertOne[Document]] = []
    publishes: list[Awaitable[object]] = []
    for delivered in deliveries:
        event = orjson.loads(delivered.body)
        line = flow.staff_notification(flow.event_key(delivered.routing_key or ""), delivered.message_id or "", event)
        writes.append(InsertOne({"_id": line["id"], **line}))
        publishes.append(publisher.notification(line, delivered))
    await database["messages"].bulk_write(writes, ordered=False)
    await asyncio.gather(*publishes)


async def ledger(deliveries: Deliveries, database: AsyncDatabase[Document], publisher: Publisher) -> None:
    """Every event becomes an entry."""
    writes: list[InsertOne[Document]] = []
    for delivered in deliveries:
        event_id, wire, event = delivered.message_id or "", delivered.type or "", orjson.loads(delivered.body)
        writes.append(InsertOne(flow.entry(event_id, wire, event, delivered.body.decode())))
    await database["entries"].bulk_write(writes, ordered=False)


Handle = Callable[[Deliveries, AsyncDatabase[Document], Publisher], Awaitable[None]]
HANDLERS: dict[str, Handle] = {"intake": intake, "dispatch": dispatch, "notification": notification, "ledger": ledger}


class Gathering:
    """Collects what is delivered while the last batch is being handled, and hands it over as the next."""

    def __init__(self, handle: Callable[[Deliveries], Awaitable[None]]) -> None:
        self._handle = handle
        self._waiting: list[AbstractIncomingMessage] = []
        self._some = asyncio.Event()

    async def take(self, delivered: AbstractIncomingMessage) -> None:
        """Called for every delivery, in the order of the channel."""
        self._waiting.append(delivered)
        self._some.set()

    async def run(self) -> None:
        """Handle batch after batch; acknowledge each as a whole, after it was written and published."""
        while True:
            await self._some.wait()
            self._some.clear()
            batch, self._waiting = self._waiting, []
            await self._handle(batch)
            await batch[-1].ack(multiple=True)


async def open_lane(connection: AbstractConnection) -> dict[str, AbstractExchange]:
    """A channel of its own to publish on: the three exchanges and the default one."""
    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
    lane = {"": channel.default_exchange}
    for name in (flow.COMMANDS_EXCHANGE, flow.EVENTS_EXCHANGE, flow.NOTIFICATIONS_EXCHANGE):
        lane[name] = await channel.declare_exchange(name, aio_pika.ExchangeType.TOPIC, durable=True)
    return lane


async def serve(service: str, rabbit_url: str, mongo_url: str) -> None:
    """Run one of the four services until killed; says `ready` on standard output once it consumes."""
    consuming, publishing = await aio_pika.connect_robust(rabbit_url), await aio_pika.connect_robust(rabbit_url)
    lanes = [await open_lane(publishing) for _ in range(LANES)]
    channel = await consuming.channel()
    await channel.set_qos(prefetch_count=flow.PREFETCH)
    queue = await channel.declare_queue(service, durable=True, arguments=flow.QUORUM)
    for key in flow.COMMANDS_OF.get(service, ()):
        await queue.bind(flow.COMMANDS_EXCHANGE, key)
    for key in flow.EVENTS_OF[service]:
        await queue.bind(flow.EVENTS_EXCHANGE, f"{key}.#")
    if service == "notification":
        log = await channel.declare_queue(flow.NOTIFICATIONS_LOG, durable=True, arguments=flow.STREAM)
        await log.bind(flow.NOTIFICATIONS_EXCHANGE, "#")

    client: AsyncMongoClient[Document] = AsyncMongoClient(mongo_url, w="majority")
    database = client.get_default_database()
    publisher, handle = Publisher(service, lanes), HANDLERS[service]
    gathering = Gathering(lambda deliveries: handle(deliveries, database, publisher))
    await queue.consume(gathering.take)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await gathering.run()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], os.environ["DOORSTEP_RABBIT_URL"], os.environ["DOORSTEP_MONGO_URL"]))
