"""Plain handlers: the same hops as a tutorial would write them.

FastStream subscribers with pydantic models, one handler call, one write and one publish per message, acknowledged when
the handler has returned. Run as `python -m tests.bench.plain <service>`, a process for each of the four.
"""

import os
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

import uvloop
from faststream import AckPolicy, FastStream
from faststream.rabbit import (
    Channel,
    ExchangeType,
    QueueType,
    RabbitBroker,
    RabbitExchange,
    RabbitMessage,
    RabbitQueue,
)
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase
from pydantic import BaseModel
from pymongo import ReturnDocument

from tests.bench import flow

Document = dict[str, Any]
COMMANDS = RabbitExchange(flow.COMMANDS_EXCHANGE, type=ExchangeType.TOPIC, durable=True)
EVENTS = RabbitExchange(flow.EVENTS_EXCHANGE, type=ExchangeType.TOPIC, durable=True)
NOTIFICATIONS = RabbitExchange(flow.NOTIFICATIONS_EXCHANGE, type=ExchangeType.TOPIC, durable=True)


class Address(BaseModel):
    building: str
    unit: str | None = None
    room: str | None = None


class Resident(BaseModel):
    name: str | None = None
    phone: str | None = None
    language: str | None = None
    needs: list[str] = []


class OnBehalfOf(BaseModel):
    relation: str
    name: str | None = None
    phone: str | None = None


class Item(BaseModel):
    name: str
    quantity: int
    unit: str | None = None


class Submission(BaseModel):
    source: str
    source_id: str
    kind: str
    community: str
    address: Address
    resident: Resident
    on_behalf_of: OnBehalfOf | None = None
    items: list[Item] = []
    note: str = ""
    urgency: str
    contactless: bool


class TaskCommand(BaseModel):
    task_id: str
    command_id: str
    worker: str


class Event(BaseModel):
    community: str
    grid: str
    request_id: str
    kind: str
    building: str
    urgency: str
    priority: int
    first_line: bool
    task_id: str | None = None
    worker: str | None = None


class RequestCreated(Event):
    stairwell: str
    household: str
    person: str | None
    needs: list[str]
    language: str | None
    opens: datetime | None
    closes: datetime | None
    contactless: bool
    needs_review: list[str]
    sealed: str
    source: str


class Delivery(Event):
    at: datetime
    step: int | None = None
    role: str | None = None
    until: datetime | None = None
    contactless: bool | None = None


class StaffNotification(BaseModel):
    id: str
    event: str
    event_id: str
    at: datetime
    request_id: str
    task_id: str | None
    community: str
    grid: str
    role: str
    worker: str | None
    kind: str
    building: str
    urgency: str
    priority: int
    first_line: bool
    text: dict[str, str]


class RequestAnswer(BaseModel):
    request_id: str
    status: str
    tracking_code: str


class TaskAnswer(BaseModel):
    status: str
    task_id: str
    state: str
    worker: str


def queue(service: str, key: str) -> RabbitQueue:
    """The queue of one handler."""
    name = f"{service}.{key.replace('.#', '')}"
    return RabbitQueue(name, queue_type=QueueType.QUORUM, durable=True, routing_key=key)


async def publish(
    broker: RabbitBroker, service: str, wire: str, to: tuple[RabbitExchange, str], body: Event | StaffNotification,
    cause: RabbitMessage,
) -> None:  # fmt: skip
    """Publish one message, persistent, mandatory and confirmed."""
    exchange, routing_key = to
    event_id = flow.new_id()
    await broker.publish(
        body,
        exchange=exchange,
        routing_key=routing_key,
        persist=True,
        message_id=event_id,
        correlation_id=body.request_id,
        message_type=wire,
        headers=flow.headers(
            wire, event_id, service, body.request_id, cause.message_id, str(cause.headers.get("traceparent"))
        ),
    )


async def publish_event(
    broker: RabbitBroker, service: str, key: str, event: RequestCreated | Delivery, cause: RabbitMessage
) -> None:
    """Publish an event to whoever listens."""
    routing_key = f"{key}.{event.community}.{event.grid}"
    await publish(broker, service, flow.type_by_key[key], (EVENTS, routing_key), event, cause)


def intake(broker: RabbitBroker, database: AsyncIOMotorDatabase[Document]) -> None:
    """Submissions become requests; events of a task change the request's state."""
    requests = database["requests"]

    @broker.subscriber(queue("intake", flow.SUBMIT), COMMANDS, ack_policy=AckPolicy.NACK_ON_ERROR)
    async def submit(body: Submission, message: RabbitMessage) -> RequestAnswer:
        request_id = flow.new_id()
        event = RequestCreated.model_validate(flow.created(body.model_dump(), request_id))
        history = [{"event": flow.CREATED, "at": flow.now()}]
        document = {"_id": request_id, **event.model_dump(), "state": "created", "version": 1, "history": history}
        await requests.insert_one(document)
        await publish_event(broker, "intake", flow.CREATED, event, message)
        return RequestAnswer(request_id=request_id, status="accepted", tracking_code=request_id[-8:].upper())

    @broker.subscriber(queue("intake", "delivery.#"), EVENTS, ack_policy=AckPolicy.NACK_ON_ERROR, no_reply=True)
    async def follow(event: Delivery, message: RabbitMessage) -> None:
        key = flow.event_key(message.raw_message.routing_key or "")
        change = {
            "$set": {"state": flow.STATE_AFTER[key]},
            "$inc": {"version": 1},
            "$push": {"history": {"event": key, "at": flow.now()}},
        }
        await requests.update_one({"_id": event.request_id}, change)


def dispatch(broker: RabbitBroker, database: AsyncIOMotorDatabase[Document]) -> None:
    """Requests become tasks, offered at once; workers accept and complete them."""
    tasks = database["tasks"]

    @broker.subscriber(
        queue("dispatch", f"{flow.CREATED}.#"), EVENTS, ack_policy=AckPolicy.NACK_ON_ERROR, no_reply=True
    )
    async def offer(event: RequestCreated, message: RabbitMessage) -> None:
        task = flow.task_of(event.model_dump(), flow.new_id())
        await tasks.insert_one(task)
        offered = Delivery.model_validate(flow.delivery(flow.OFFERED, task))
        await publish_event(broker, "dispatch", flow.OFFERED, offered, message)

    async def change(command: TaskCommand, key: str, state: str, message: RabbitMessage) -> TaskAnswer:
        update = {
            "$set": {"state": state, "worker": command.worker},
            "$inc": {"version": 1},
            "$push": {"history": {"event": key, "at": flow.now()}},
        }
        task = await tasks.find_one_and_update(
            {"_id": command.task_id}, update, return_document=ReturnDocument.AFTER
        )  # fmt: skip
        event = Delivery.model_validate(flow.delivery(key, task))
        await publish_event(broker, "dispatch", key, event, message)
        return TaskAnswer(status="accepted", task_id=command.task_id, state=state, worker=command.worker)

    @broker.subscriber(queue("dispatch", flow.ACCEPT), COMMANDS, ack_policy=AckPolicy.NACK_ON_ERROR)
    async def accept(command: TaskCommand, message: RabbitMessage) -> TaskAnswer:
        return await change(command, flow.ASSIGNED, "assigned", message)

    @broker.subscriber(queue("dispatch", flow.COMPLETE), COMMANDS, ack_policy=AckPolicy.NACK_ON_ERROR)
    async def complete(command: TaskCommand, message: RabbitMessage) -> TaskAnswer:
        return await change(command, flow.COMPLETED, "completed", message)


def notification(broker: RabbitBroker, database: AsyncIOMotorDatabase[Document]) -> None:
    """Every event becomes a message document and a line of the staff's stream."""
    messages = database["messages"]

    async def tell(event: Event, message: RabbitMessage) -> None:
        key = flow.event_key(message.raw_message.routing_key or "")
        body = flow.staff_notification(key, message.message_id, event.model_dump())
        line = StaffNotification.model_validate(body)
        await messages.insert_one({"_id": line.id, **line.model_dump()})
        await publish(broker, "notification", flow.STAFF_WIRE, (NOTIFICATIONS, flow.staff_key(body)), line, message)

    @broker.subscriber(
        queue("notification", f"{flow.CREATED}.#"), EVENTS, ack_policy=AckPolicy.NACK_ON_ERROR, no_reply=True
    )
    async def tell_of_request(event: RequestCreated, message: RabbitMessage) -> None:
        await tell(event, message)

    @broker.subscriber(queue("notification", "delivery.#"), EVENTS, ack_policy=AckPolicy.NACK_ON_ERROR, no_reply=True)
    async def tell_of_delivery(event: Delivery, message: RabbitMessage) -> None:
        await tell(event, message)


def ledger(broker: RabbitBroker, database: AsyncIOMotorDatabase[Document]) -> None:
    """Every event becomes an entry."""
    entries = database["entries"]

    @broker.subscriber(queue("ledger", "#"), EVENTS, ack_policy=AckPolicy.NACK_ON_ERROR, no_reply=True)
    async def note(event: Event, message: RabbitMessage) -> None:
        wire, data = message.raw_message.type or "", message.raw_message.body.decode()
        entry = flow.entry(message.message_id, wire, event.model_dump(), data)
        await entries.insert_one(entry)


SUBSCRIBE: dict[str, Callable[[RabbitBroker, AsyncIOMotorDatabase[Document]], None]] = {
    "intake": intake,
    "dispatch": dispatch,
    "notification": notification,
    "ledger": ledger,
}


async def serve(service: str, rabbit_url: str, mongo_url: str) -> None:
    """Run one of the four services until killed; says `ready` on standard output once it consumes."""
    broker = RabbitBroker(
        rabbit_url,
        default_channel=Channel(prefetch_count=flow.PREFETCH, on_return_raises=True),
        app_id=service,
        logger=None,
    )
    client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(mongo_url, w="majority")
    SUBSCRIBE[service](broker, client.get_default_database())
    app = FastStream(broker, logger=None)

    @app.after_startup
    async def prepare() -> None:
        for exchange in (COMMANDS, EVENTS, NOTIFICATIONS):
            await broker.declare_exchange(exchange)
        if service == "notification":
            log = await broker.declare_queue(
                RabbitQueue(flow.NOTIFICATIONS_LOG, queue_type=QueueType.STREAM, durable=True)
            )
            await log.bind(flow.NOTIFICATIONS_EXCHANGE, "#")
        sys.stdout.write("ready\n")
        sys.stdout.flush()

    await app.run()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], os.environ["DOORSTEP_RABBIT_URL"], os.environ["DOORSTEP_MONGO_URL"]))
