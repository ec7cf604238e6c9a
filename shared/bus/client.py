"""The two connections of a process to the broker.

Consuming (faststream) and publishing (aio-pika) have a connection each: an alarm that blocks the publishing connection
leaves acknowledgements flowing. Every publish is persistent, mandatory, confirmed, and waits at most five seconds.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import aio_pika
import aiormq
import structlog
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import AMQPError, ChannelPreconditionFailed, DeliveryError, PublishError
from aiormq.abc import DeliveredMessage
from faststream import AckPolicy
from faststream.message import StreamMessage
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue
from faststream.rabbit.message import RabbitMessage
from pamqp.commands import Basic
from yarl import URL

from shared.bus.acknowledgements import Acknowledgements, Receipt
from shared.bus.connecting import opened
from shared.bus.errors import BrokerUnavailable, ForeignTopology, NotTaken, Unroutable, translated
from shared.bus.inspection import PROBE, QueueState, Way, delete, probed, states
from shared.bus.topology import (
    DEAD_LETTERS_EXCHANGE,
    RETRY_PAUSES,
    QueueBinding,
    declare_queue,
    declare_shared,
    retry_exchange,
)
from shared.contracts.envelope import NOTIFICATIONS_LOG
from shared.messages import Incoming, Outgoing

log = structlog.get_logger(__name__)

PUBLISH_TIMEOUT = 5.0
"""Seconds that one publish may take, confirm included."""
_HEARTBEAT = 10
_LOG_PREFETCH = 200


Receive = Callable[[Incoming, Receipt], Awaitable[None]]


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
        self.connections = 0
        """How often the connection for publishing was made."""
        self._url = URL(url).with_user(service).with_password(password).update_query(heartbeat=str(_HEARTBEAT))
        self._prefetch = prefetch
        self._queue_limit = queue_limit
        self._bindings: list[QueueBinding] = []
        self._in_flight: dict[str, tuple[tuple[str, str], asyncio.Future[None]]] = {}
        self._acknowledgements: dict[int, Acknowledgements] = {}
        self._connection: aio_pika.RobustConnection | None = None
        self._publishing: AbstractChannel | None = None
        self._opening = asyncio.Lock()
        self._apart = self._url.update_query(name=f"{service} looks after its queues")
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

    async def connect(self) -> None:
        """Connect for publishing; safe to repeat.

        Raises:
            BrokerUnavailable: the broker does not answer.
        """
        with translated():
            if self._connection is None:
                self._connection = await opened(
                    aio_pika.RobustConnection(
                        self._url.update_query(name=f"{self.service} publishes"), reconnect_interval=1.0
                    )
                )
                self._connection.reconnect_callbacks.add(self._connected_again)
                self.connections += 1

    def broker_version(self) -> tuple[int, ...]:
        """The broker's version: major, minor, and what follows as far as it is a number.

        Raises:
            BrokerUnavailable: the connection is gone.
        """
        transport = self._connected().transport
        if transport is None:
            raise BrokerUnavailable("not connected")
        version = str(cast(Any, transport.connection).server_properties["version"])
        return tuple(int(part) for part in version.split(".") if part.isdigit())

    async def consume(self) -> None:
        """Begin to consume; every queue must be there and take messages.

        Raises:
            BrokerUnavailable: the broker does not answer.
        """
        with translated():
            await self._consumers.start()

    async def stop_consuming(self) -> None:
        """Take nothing new; deliveries under way are finished first."""
        with translated():
            for subscriber in self._consumers.subscribers:
                await subscriber.stop()

    async def stop(self) -> None:
        """Send what is due and close both connections."""
        for acknowledgements in list(self._acknowledgements.values()):
            await acknowledgements.flush()
        with translated():
            await self._consumers.stop()
            if self._connection is not None:
                await self._connection.close()

    async def declare(self) -> None:
        """Declare exchanges, our queues and their bindings; safe to repeat.

        Raises:
            BrokerUnavailable: the broker does not answer.
            ForeignTopology: one of them is there, and is of another kind.
        """
        connection = self._connected()
        with translated():
            async with asyncio.timeout(30):
                channel = await aio_pika.Connection.channel(connection)
                try:
                    await declare_shared(channel)
                    for binding in self._bindings:
                        await declare_queue(channel, binding, self.service, self._queue_limit)
                except ChannelPreconditionFailed as error:
                    raise ForeignTopology(str(error)) from None
                finally:
                    await channel.close()

    async def look(self, *, probing: bool) -> dict[str, QueueState | None]:
        """How every queue of ours is, and those for the pauses before a retry; None: it is gone.

        Args:
            probing: also see whether each takes a message.

        Raises:
            BrokerUnavailable: the broker does not answer, or takes no message from us at all, as while an alarm lasts.
        """
        # What waits in a pause comes back to one of our queues, and so does the probe of it.
        back = self._bindings[0].name
        ways = [Way(one.name, "", one.name) for one in self._bindings]
        ways += [Way(name, name, back) for name in map(retry_exchange, RETRY_PAUSES)]
        found = await states(self._connected(), [way.queue for way in ways])
        return await probed(self._apart, ways, found, self._queue_limit) if probing else found

    async def delete(self, queue: str) -> None:
        """Delete a queue with whatever is in it.

        Raises:
            BrokerUnavailable: the broker does not answer.
        """
        await delete(self._apart, queue)

    async def consumers(self) -> dict[str, tuple[int, int]]:
        """For every queue of ours: messages waiting, and consumers there.

        Raises:
            BrokerUnavailable: the broker does not answer, or a queue is gone.
        """
        counts = {}
        for name, state in (await states(self._connected(), [one.name for one in self._bindings])).items():
            if state is None:
                raise BrokerUnavailable(f"there is no queue {name}")
            counts[name] = (state.messages, state.consumers)
        return counts

    async def publish(self, message: Outgoing) -> None:
        """Send one message and wait for the broker's word; many at a time share the way.

        Raises:
            BrokerUnavailable: no word in time; the message may or may not be there.
            Unroutable: it reached no queue.
            NotTaken: a queue refused it.
        """
        # Returned messages are matched by message id, so one id is never under way twice.
        way = (message.exchange, message.key)
        while (under_way := self._in_flight.get(message.meta.id)) is not None:
            known, future = under_way
            await asyncio.wait([future])
            if known == way:
                return await future
        future = asyncio.get_running_loop().create_future()
        self._in_flight[message.meta.id] = way, future
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
        meta = message.meta
        properties = Basic.Properties(
            content_type=message.content_type,
            reply_to=message.reply_to,
            delivery_mode=2 if message.persistent else 1,
            message_id=meta.id,
            message_type=meta.type,
            app_id=self.service,
            correlation_id=message.correlation_id,
            timestamp=meta.time,
            headers=message.all_headers(),
        )
        try:
            with translated():
                async with asyncio.timeout(PUBLISH_TIMEOUT):
                    channel = await self._channel()
                    await channel.basic_publish(
                        message.body,
                        exchange=message.exchange,
                        routing_key=message.key,
                        mandatory=message.mandatory,
                        # Without waiting for the socket, messages of one moment leave in one system call.
                        wait=False,
                        properties=properties,
                    )
        except PublishError:
            raise Unroutable(message) from None
        except DeliveryError:
            raise NotTaken(message) from None

    @asynccontextmanager
    async def log(self, offset: int | str) -> AsyncIterator[AsyncIterator[tuple[int, bytes]]]:
        """The notifications log from an offset (`first`, `next`, `last` or a number): (offset, body), without end.

        Once entered, the reader has its place: what is written from then on, it gets.

        Raises:
            BrokerUnavailable: the broker does not answer, or went away.
        """
        with translated():
            connection = await opened(aio_pika.Connection(self._url.update_query(name=f"{self.service} reads the log")))
        try:
            # Without aio-pika's wrapping of each message: every replica reads everything.
            channel = await (await connection.channel()).get_underlay_channel()
            await channel.basic_qos(prefetch_count=_LOG_PREFETCH)
            waiting: asyncio.Queue[DeliveredMessage | None] = asyncio.Queue()
            channel.closing.add_done_callback(lambda _: waiting.put_nowait(None))
            await channel.basic_consume(NOTIFICATIONS_LOG, waiting.put, arguments={"x-stream-offset": offset})
            yield _entries(channel, waiting)
        except (AMQPError, ConnectionError, aiormq.exceptions.ChannelInvalidStateError) as error:
            raise BrokerUnavailable(str(error)) from error
        finally:
            with suppress(AMQPError, ConnectionError, asyncio.TimeoutError):
                await connection.close()

    async def _channel(self) -> Any:
        """The channel for publishing; a new one if the last was closed, as by a message to an exchange that is gone."""
        channel = self._publishing
        if channel is None or channel.is_closed:
            async with self._opening:
                channel = self._publishing
                if channel is None or channel.is_closed:
                    channel = aio_pika.Connection.channel(
                        self._connected(), publisher_confirms=True, on_return_raises=True
                    )
                    self._publishing = await channel
        return await channel.get_underlay_channel()

    def _connected(self) -> aio_pika.RobustConnection:
        if self._connection is None or not self._connection.connected.is_set():
            raise BrokerUnavailable("not connected")
        return self._connection

    def _connected_again(self, *_: Any) -> None:
        """The broker may be another one, with nothing on it: whoever looks after the queues shall know."""
        self.connections += 1

    def _acknowledgements_of(self, channel: Any) -> "Acknowledgements":
        found = self._acknowledgements.get(id(channel))
        if found is None:
            for key, known in list(self._acknowledgements.items()):
                if known.closed:
                    del self._acknowledgements[key]
            found = self._acknowledgements[id(channel)] = Acknowledgements(channel)
        return found


async def _entries(channel: Any, waiting: "asyncio.Queue[DeliveredMessage | None]") -> AsyncIterator[tuple[int, bytes]]:
    unacknowledged = 0
    while (message := await waiting.get()) is not None:
        headers = message.header.properties.headers or {}
        yield cast(int, headers["x-stream-offset"]), message.body
        unacknowledged += 1
        # What is unacknowledged only counts against the prefetch; one acknowledgement speaks for all before it.
        if unacknowledged >= _LOG_PREFETCH // 2 and message.delivery_tag is not None:
            await channel.basic_ack(message.delivery_tag, multiple=True)
            unacknowledged = 0
    raise BrokerUnavailable("the notifications log went away")


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
