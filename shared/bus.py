"""RabbitMQ behind one door: the only module that imports a broker client.

Consuming (faststream) and publishing (aio-pika) have a connection each: an alarm that blocks the publishing connection
leaves acknowledgements flowing. Every publish is persistent, mandatory, confirmed, and waits at most five seconds.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast

import aio_pika
import aiormq
import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError, DeliveryError, PublishError
from faststream import AckPolicy
from faststream.message import StreamMessage
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue
from faststream.rabbit.message import RabbitMessage
from pamqp.commands import Basic
from yarl import URL

from shared.contracts.envelope import COMMANDS_EXCHANGE, EVENTS_EXCHANGE, NOTIFICATIONS_EXCHANGE, NOTIFICATIONS_LOG
from shared.messages import Incoming, Outgoing

log = structlog.get_logger(__name__)

PUBLISH_TIMEOUT = 5.0
"""Seconds that one publish may take, confirm included."""
RETRY_PAUSES = (1, 5, 30)
"""Seconds before a message whose handling failed is tried a second, third and fourth time."""
DEAD_LETTERS_EXCHANGE = "doorstep.dead-letters"
PROBE = "doorstep.probe.v1"
"""Type of the message that shows that a queue takes messages and that its consumer is there."""
_DELIVERY_LIMIT = 50
_HEARTBEAT = 10


class BrokerUnavailable(Exception):
    """The broker cannot be reached, or did not confirm in time; whether it has the message is not known."""


class Unroutable(Exception):
    """The message reached no queue, and the broker no longer has it."""

    def __init__(self, message: Outgoing) -> None:
        super().__init__(f"{message.meta.type} {message.meta.id} to {message.exchange!r} {message.key!r}: no queue")


class NotTaken(Exception):
    """The broker refused the message, as it does when a queue is full."""

    def __init__(self, message: Outgoing) -> None:
        super().__init__(f"{message.meta.type} {message.meta.id} to {message.exchange!r} {message.key!r}: refused")


class Receipt:
    """Tells the broker what became of one delivery. To be used once."""

    __slots__ = ("_acknowledgements", "_tag")

    def __init__(self, acknowledgements: "_Acknowledgements", tag: int) -> None:
        self._acknowledgements = acknowledgements
        self._tag = tag

    def done(self) -> None:
        """It is dealt with; sent with the others of this moment."""
        self._acknowledgements.done(self._tag)

    async def give_back(self) -> None:
        """Somebody else is to have it."""
        await self._acknowledgements.give_back(self._tag)


Receive = Callable[[Incoming, Receipt], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class QueueBinding:
    """A queue of ours, and what comes into it."""

    name: str
    exchange: str
    keys: tuple[str, ...]


class Bus:
    """One process's two connections to the broker.

    Args:
        url: `amqp://host:port/vhost`, without user.
        service: name of the service: user, `app_id` and prefix of its queues.
        prefetch: deliveries that a queue may have under way here.
        queue_limit: messages that a queue of ours may hold before the broker refuses more.
    """

    def __init__(self, url: str, service: str, password: str, *, prefetch: int, queue_limit: int) -> None:
        self.service = service
        self._url = URL(url).with_user(service).with_password(password).update_query(heartbeat=str(_HEARTBEAT))
        self._prefetch = prefetch
        self._queue_limit = queue_limit
        self._bindings: list[QueueBinding] = []
        self._in_flight: dict[str, asyncio.Future[None]] = {}
        self._acknowledgements: dict[int, _Acknowledgements] = {}
        self._connection: aio_pika.RobustConnection | None = None
        self._publishing: AbstractChannel | None = None
        self._consumers = RabbitBroker(
            str(self._url.update_query(name=f"{service} consumes")),
            app_id=service,
            ack_policy=AckPolicy.MANUAL,
            apply_types=False,
            decoder=_as_it_is,
            logger=None,
            reconnect_interval=1.0,
            graceful_timeout=15.0,
        )

    def subscribe(self, binding: QueueBinding, receive: Receive) -> None:
        """Have `receive` called for every delivery from that queue; to be said before `start`."""
        self._bindings.append(binding)

        async def deliver(message: RabbitMessage) -> None:
            raw = message.raw_message
            acknowledgements = self._acknowledgements_of(raw.channel)
            receipt = Receipt(acknowledgements, acknowledgements.delivered(raw))
            incoming = _incoming(binding.name, raw)
            if incoming.type == PROBE:
                receipt.done()
                return
            await receive(incoming, receipt)

        self._consumers.subscriber(
            RabbitQueue(binding.name, declare=False, durable=True),
            channel=Channel(prefetch_count=self._prefetch),
            no_reply=True,
        )(deliver)

    def subscribe_dead_letters(self, receive: Receive) -> None:
        """Have `receive` called for what the broker itself took out of our queues; to be said before `start`."""
        self.subscribe(
            QueueBinding(f"doorstep.{self.service}.dead-letters", DEAD_LETTERS_EXCHANGE, (self.service,)), receive
        )

    async def start(self) -> None:
        """Connect, declare, see that every queue takes messages, and only then consume.

        Raises:
            BrokerUnavailable: the broker does not answer, or a queue has no leader.
        """
        async with _translated():
            if self._connection is None:
                self._connection = await aio_pika.connect_robust(
                    self._url.update_query(name=f"{self.service} publishes"), reconnect_interval=1.0
                )
                self._connection.reconnect_callbacks.add(self._declare_again)
            if self._publishing is None:
                self._publishing = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
            await self.declare()
        await self.probe()
        async with _translated():
            await self._consumers.start()

    async def stop_consuming(self) -> None:
        """Take nothing new; deliveries under way are finished first."""
        async with _translated():
            for subscriber in self._consumers.subscribers:
                await subscriber.stop()

    async def stop(self) -> None:
        """Send what is due and close both connections."""
        for acknowledgements in list(self._acknowledgements.values()):
            await acknowledgements.flush()
        async with _translated():
            await self._consumers.stop()
            if self._connection is not None:
                await self._connection.close()

    async def declare(self) -> None:
        """Declare exchanges, our queues and their bindings; safe to repeat."""
        if self._connection is None:
            raise BrokerUnavailable("not connected")
        async with asyncio.timeout(30):
            channel = await aio_pika.Connection.channel(self._connection)
            try:
                await _declare_shared(channel)
                for binding in self._bindings:
                    await self._declare_queue(channel, binding)
            finally:
                await channel.close()

    async def probe(self) -> None:
        """Have every queue of ours confirm a message.

        Raises:
            BrokerUnavailable: one did not.
        """
        publishing = await self._channel()
        for binding in self._bindings:
            async with _translated():
                await publishing.basic_publish(
                    b"",
                    exchange="",
                    routing_key=binding.name,
                    mandatory=True,
                    timeout=PUBLISH_TIMEOUT,
                    properties=Basic.Properties(message_type=PROBE, delivery_mode=2),
                )

    async def consumers(self) -> dict[str, tuple[int, int]]:
        """For every queue of ours: messages waiting, and consumers there.

        Raises:
            BrokerUnavailable: the broker does not answer, or a queue is gone.
        """
        if self._connection is None or not self._connection.connected.is_set():
            raise BrokerUnavailable("not connected")
        counts = {}
        async with _translated(), asyncio.timeout(PUBLISH_TIMEOUT):
            channel = await aio_pika.Connection.channel(self._connection)
            try:
                for binding in self._bindings:
                    queue = await channel.declare_queue(binding.name, passive=True)
                    declared = queue.declaration_result
                    counts[binding.name] = (declared.message_count or 0, declared.consumer_count or 0)
            finally:
                await channel.close()
        return counts

    async def publish(self, message: Outgoing) -> None:
        """Send one message and wait for the broker's word; many at a time share the way.

        Raises:
            BrokerUnavailable: no word in time; the message may or may not be there.
            Unroutable: it reached no queue.
            NotTaken: a queue refused it.
        """
        # Returned messages are matched by message id, so one id is never under way twice.
        under_way = self._in_flight.get(message.meta.id)
        if under_way is not None:
            await asyncio.wait([under_way])
            return await under_way
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._in_flight[message.meta.id] = future
        try:
            await self._publish(message)
            future.set_result(None)
        except (BrokerUnavailable, Unroutable, NotTaken) as error:
            future.set_exception(error)
            future.exception()
            raise
        finally:
            del self._in_flight[message.meta.id]
            if not future.done():
                future.cancel()

    async def _publish(self, message: Outgoing) -> None:
        channel = await self._channel()
        meta = message.meta
        try:
            async with _translated():
                await channel.basic_publish(
                    message.body,
                    exchange=message.exchange,
                    routing_key=message.key,
                    mandatory=message.mandatory,
                    timeout=PUBLISH_TIMEOUT,
                    wait=False,
                    properties=Basic.Properties(
                        content_type=message.content_type,
                        reply_to=message.reply_to,
                        delivery_mode=2 if message.persistent else 1,
                        message_id=meta.id,
                        message_type=meta.type,
                        app_id=self.service,
                        correlation_id=message.correlation_id,
                        timestamp=meta.time,
                        headers=message.all_headers(),
                    ),
                )
        except PublishError:
            raise Unroutable(message) from None
        except DeliveryError:
            raise NotTaken(message) from None

    async def read_log(self, offset: int | str) -> AsyncIterator[tuple[int, bytes]]:
        """The notifications log from an offset (`first`, `next`, `last` or a number): (offset, body), without end.

        Raises:
            BrokerUnavailable: the broker does not answer, or went away.
        """
        async with _translated():
            connection = await aio_pika.connect(self._url.update_query(name=f"{self.service} reads the log"))
        try:
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=200)
            queue = await channel.declare_queue(NOTIFICATIONS_LOG, passive=True)
            waiting: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()
            channel.close_callbacks.add(lambda *_: waiting.put_nowait(None))
            await queue.consume(waiting.put, arguments={"x-stream-offset": offset})
            while (message := await waiting.get()) is not None:
                yield cast(int, message.headers["x-stream-offset"]), message.body
                await message.ack()
            raise BrokerUnavailable("the notifications log went away")
        except (AMQPError, ConnectionError, aiormq.exceptions.ChannelInvalidStateError) as error:
            raise BrokerUnavailable(str(error)) from error
        finally:
            with suppress(AMQPError, ConnectionError, asyncio.TimeoutError):
                await connection.close()

    async def _channel(self) -> Any:
        if self._publishing is None or self._publishing.is_closed:
            raise BrokerUnavailable("not connected")
        async with _translated(), asyncio.timeout(PUBLISH_TIMEOUT):
            return await self._publishing.get_underlay_channel()

    async def _declare_again(self, *_: Any) -> None:
        """After a lost connection the broker may be another one, with nothing on it."""
        try:
            async with _translated():
                await self.declare()
            await self.probe()
        except BrokerUnavailable as error:
            log.warning("could not declare after reconnecting", error=str(error))

    async def _declare_queue(self, channel: AbstractChannel, binding: QueueBinding) -> None:
        arguments: dict[str, Any] = {"x-queue-type": "quorum"}
        if binding.exchange != DEAD_LETTERS_EXCHANGE:
            arguments |= {
                "x-delivery-limit": _DELIVERY_LIMIT,
                "x-max-length": self._queue_limit,
                "x-overflow": "reject-publish",
                "x-dead-letter-exchange": DEAD_LETTERS_EXCHANGE,
                "x-dead-letter-routing-key": self.service,
                "x-dead-letter-strategy": "at-least-once",
            }
        queue = await channel.declare_queue(binding.name, durable=True, arguments=arguments)
        for key in binding.keys:
            await queue.bind(binding.exchange, key)

    def _acknowledgements_of(self, channel: Any) -> "_Acknowledgements":
        found = self._acknowledgements.get(id(channel))
        if found is None:
            for key, known in list(self._acknowledgements.items()):
                if known.closed:
                    del self._acknowledgements[key]
            found = self._acknowledgements[id(channel)] = _Acknowledgements(channel)
        return found


class _Acknowledgements:
    """Gathers the acknowledgements of one channel: one frame for all up to a tag, where the tags allow."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._open: dict[int, None] = {}
        self._done: set[int] = set()
        self._flushing: asyncio.Task[None] | None = None

    @property
    def closed(self) -> bool:
        return bool(self._channel.is_closed)

    def delivered(self, message: aio_pika.IncomingMessage) -> int:
        tag = message.delivery_tag
        if tag is None:
            raise ValueError("a delivery has a tag")
        self._open[tag] = None
        return tag

    def done(self, tag: int) -> None:
        self._done.add(tag)
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().create_task(self._flush_soon())

    async def give_back(self, tag: int) -> None:
        self._open.pop(tag, None)
        async with _translated():
            await self._channel.basic_reject(tag, requeue=True)

    async def flush(self) -> None:
        """Send all that are due. On a channel that closed meanwhile, the broker delivers them again."""
        with suppress(BrokerUnavailable):
            async with _translated():
                await self._send()

    async def _flush_soon(self) -> None:
        # Lets this turn of the event loop bring the others of the moment.
        await asyncio.sleep(0)
        try:
            await self.flush()
        finally:
            self._flushing = None

    async def _send(self) -> None:
        up_to = 0
        for tag in self._open:
            if tag not in self._done:
                break
            up_to = tag
        done, self._done = self._done, set()
        for tag in done:
            self._open.pop(tag, None)
        if up_to:
            await self._channel.basic_ack(up_to, multiple=True, wait=False)
        for tag in sorted(tag for tag in done if tag > up_to):
            await self._channel.basic_ack(tag, wait=False)


async def _declare_shared(channel: AbstractChannel) -> None:
    """What belongs to no single service: exchanges, pauses before a retry, the staff's log."""
    for name in (COMMANDS_EXCHANGE, EVENTS_EXCHANGE, NOTIFICATIONS_EXCHANGE, DEAD_LETTERS_EXCHANGE):
        await channel.declare_exchange(name, aio_pika.ExchangeType.TOPIC, durable=True)
    for seconds in RETRY_PAUSES:
        # A fanout keeps the routing key, which names the queue that the message returns to when its time is up.
        name = retry_exchange(seconds)
        exchange = await channel.declare_exchange(name, aio_pika.ExchangeType.FANOUT, durable=True)
        queue = await channel.declare_queue(
            name,
            durable=True,
            arguments={
                "x-queue-type": "quorum",
                "x-message-ttl": seconds * 1000,
                "x-overflow": "reject-publish",
                "x-dead-letter-exchange": "",
                "x-dead-letter-strategy": "at-least-once",
            },
        )
        await queue.bind(exchange)
    staff = await channel.declare_queue(
        NOTIFICATIONS_LOG,
        durable=True,
        arguments={"x-queue-type": "stream", "x-max-age": "30D", "x-stream-max-segment-size-bytes": 50_000_000},
    )
    await staff.bind(NOTIFICATIONS_EXCHANGE, "#")


def retry_exchange(seconds: int) -> str:
    """The exchange that holds a message for that long and gives it back."""
    return f"doorstep.retry.{seconds}s"


async def _as_it_is(message: StreamMessage[Any]) -> StreamMessage[Any]:
    return message


def _incoming(queue: str, raw: aio_pika.IncomingMessage) -> Incoming:
    return Incoming(
        queue=queue,
        exchange=raw.exchange or "",
        key=raw.routing_key or "",
        body=raw.body,
        headers=raw.headers,
        content_type=raw.content_type,
        type=raw.type,
        message_id=raw.message_id,
        correlation_id=raw.correlation_id,
        reply_to=raw.reply_to,
        app_id=raw.app_id,
        user_id=raw.user_id,
        timestamp=raw.timestamp,
    )


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    """The clients' many ways of saying "the broker is not there" become one."""
    try:
        yield
    except (PublishError, DeliveryError):
        raise
    except (AMQPError, ConnectionError, TimeoutError, OSError) as error:
        raise BrokerUnavailable(f"{type(error).__name__}: {error}") from error
    except RuntimeError as error:
        # Both clients say so of a connection or channel that closed under the call.
        if "closed" not in str(error).lower() and "connect" not in str(error).lower():
            raise
        raise BrokerUnavailable(str(error)) from error
    except asyncio.CancelledError as error:
        # A frozen peer surfaces as a cancellation that nobody asked for.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise BrokerUnavailable("the connection was lost") from error
