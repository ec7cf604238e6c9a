"""The two connections of a process to the broker.

Consuming (faststream) and publishing (aio-pika) have a connection each: an alarm that blocks the publishing connection
leaves acknowledgements flowing. Every publish is persistent, mandatory, confirmed, and waits at most five seconds.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, cast

import aio_pika
import aiormq
import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError, ChannelNotFoundEntity, DeliveryError, PublishError
from faststream import AckPolicy
from faststream.message import StreamMessage
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue
from faststream.rabbit.message import RabbitMessage
from pamqp.commands import Basic
from yarl import URL

from shared.bus.acknowledgements import Acknowledgements, Receipt
from shared.bus.errors import BrokerUnavailable, NotTaken, Unroutable, translated
from shared.bus.topology import (
    DEAD_LETTERS_EXCHANGE,
    RETRY_PAUSES,
    QueueBinding,
    declare_queue,
    declare_shared,
    retry_exchange,
)
from shared.contracts.envelope import NOTIFICATIONS_LOG
from shared.identity import new_id
from shared.messages import Incoming, Outgoing

log = structlog.get_logger(__name__)

PUBLISH_TIMEOUT = 5.0
"""Seconds that one publish may take, confirm included."""
PROBE = "doorstep.probe.v1"
"""Type of the message that shows that a queue takes messages and that its consumer is there."""
_HEARTBEAT = 10


Receive = Callable[[Incoming, Receipt], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class QueueState:
    """How a queue is."""

    messages: int
    consumers: int
    silent: bool = False
    """It does not confirm what is sent to it, although the broker confirms other messages."""


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
        self._in_flight: dict[str, asyncio.Future[None]] = {}
        self._acknowledgements: dict[int, Acknowledgements] = {}
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

    async def connect(self) -> None:
        """Connect for publishing; safe to repeat.

        Raises:
            BrokerUnavailable: the broker does not answer.
        """
        with translated():
            if self._connection is None:
                self._connection = await aio_pika.connect_robust(
                    self._url.update_query(name=f"{self.service} publishes"), reconnect_interval=1.0
                )
                self._connection.reconnect_callbacks.add(self._connected_again)
                self.connections += 1
            if self._publishing is None:
                self._publishing = await self._connection.channel(publisher_confirms=True, on_return_raises=True)

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
        """
        if self._connection is None:
            raise BrokerUnavailable("not connected")
        with translated():
            async with asyncio.timeout(30):
                channel = await aio_pika.Connection.channel(self._connection)
                try:
                    await declare_shared(channel)
                    for binding in self._bindings:
                        await declare_queue(channel, binding, self.service, self._queue_limit)
                finally:
                    await channel.close()

    async def look(self, *, probing: bool) -> dict[str, QueueState | None]:
        """How every queue of ours is, and those for the pauses before a retry; None: it is gone.

        Args:
            probing: also see whether each takes a message.

        Raises:
            BrokerUnavailable: the broker does not answer, or takes no message from us at all, as while an alarm lasts.
        """
        if self._connection is None or not self._connection.connected.is_set():
            raise BrokerUnavailable("not connected")
        # What waits in a pause comes back to one of our queues, and so does the probe of it.
        first = self._bindings[0].name
        ways = {one.name: ("", one.name) for one in self._bindings}
        ways |= {retry_exchange(seconds): (retry_exchange(seconds), first) for seconds in RETRY_PAUSES}
        with translated():
            async with asyncio.timeout(30):
                states = {name: await self._state(self._connection, name) for name in ways}
        if probing:
            # To nobody, which the broker confirms at once.
            if not await self._confirms("", f"doorstep.{self.service}.nobody", mandatory=False):
                raise BrokerUnavailable("it confirms nothing")
            there = [name for name, state in states.items() if state is not None]
            answers = await asyncio.gather(*(self._confirms(*ways[name]) for name in there))
            for name, confirms in zip(there, answers, strict=True):
                state = states[name]
                # A full queue says no; so does one whose process is gone, and that is no reason for it.
                if state is not None and not confirms and state.messages < self._queue_limit:
                    states[name] = replace(state, silent=True)
        return states

    async def delete(self, queue: str) -> None:
        """Delete a queue with whatever is in it.

        Raises:
            BrokerUnavailable: the broker does not answer.
        """
        if self._connection is None:
            raise BrokerUnavailable("not connected")
        with translated():
            async with asyncio.timeout(30):
                channel = await aio_pika.Connection.channel(self._connection)
                try:
                    await channel.queue_delete(queue)
                finally:
                    await channel.close()

    async def consumers(self) -> dict[str, tuple[int, int]]:
        """For every queue of ours: messages waiting, and consumers there.

        Raises:
            BrokerUnavailable: the broker does not answer, or a queue is gone.
        """
        counts = {}
        states = await self.look(probing=False)
        for name in (binding.name for binding in self._bindings):
            state = states[name]
            if state is None:
                raise BrokerUnavailable(f"there is no queue {name}")
            counts[name] = (state.messages, state.consumers)
        return counts

    async def _state(self, connection: aio_pika.RobustConnection, name: str) -> QueueState | None:
        # Asking for what is not there closes the channel, so each question has its own.
        channel = await aio_pika.Connection.channel(connection)
        try:
            declared = (await channel.declare_queue(name, passive=True)).declaration_result
        except ChannelNotFoundEntity:
            return None
        finally:
            await channel.close()
        return QueueState(declared.message_count or 0, declared.consumer_count or 0)

    async def _confirms(self, exchange: str, key: str, *, mandatory: bool = True) -> bool:
        """Whether the broker confirms a message on that way, in time."""
        properties = Basic.Properties(message_type=PROBE, message_id=new_id(), delivery_mode=2)
        with translated():
            async with asyncio.timeout(PUBLISH_TIMEOUT):
                channel = await self._channel()
            try:
                async with asyncio.timeout(PUBLISH_TIMEOUT):
                    await channel.basic_publish(
                        b"", exchange=exchange, routing_key=key, mandatory=mandatory, properties=properties
                    )
            except PublishError:
                # It vanished just now: the next look will tell.
                return True
            except (TimeoutError, DeliveryError):
                return False
        return True

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

    async def read_log(self, offset: int | str) -> AsyncIterator[tuple[int, bytes]]:
        """The notifications log from an offset (`first`, `next`, `last` or a number): (offset, body), without end.

        Raises:
            BrokerUnavailable: the broker does not answer, or went away.
        """
        with translated():
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
        return await self._publishing.get_underlay_channel()

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
