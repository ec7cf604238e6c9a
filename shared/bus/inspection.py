"""How queues are, asked over a connection apart: a dead queue can cost the channel, or the connection, that asks."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

import aio_pika
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import AMQPError, ChannelNotFoundEntity, DeliveryError, PublishError
from pamqp.commands import Basic
from yarl import URL

from shared.bus.connecting import opened
from shared.bus.errors import BrokerUnavailable, translated
from shared.identity import new_id

PROBE = "doorstep.probe.v1"
"""Type of the message that shows that a queue takes messages."""
_PATIENCE = 5.0
_CLOSE_PATIENCE = 1.0


@dataclass(frozen=True, slots=True)
class Way:
    """How a message comes into a queue."""

    queue: str
    exchange: str
    key: str


@dataclass(frozen=True, slots=True)
class QueueState:
    """How a queue is."""

    messages: int
    consumers: int
    silent: bool = False
    """It does not confirm what is sent to it, although the broker confirms other messages."""


async def states(connection: aio_pika.Connection, queues: Sequence[str]) -> dict[str, QueueState | None]:
    """How each queue is; None: it is not there.

    Raises:
        BrokerUnavailable: the broker does not answer.
    """
    found: dict[str, QueueState | None] = {}
    with translated():
        async with asyncio.timeout(_PATIENCE):
            channel = await aio_pika.Connection.channel(connection)
            try:
                for name in queues:
                    try:
                        declared = (await channel.declare_queue(name, passive=True)).declaration_result
                        found[name] = QueueState(declared.message_count or 0, declared.consumer_count or 0)
                    except ChannelNotFoundEntity:
                        # Asking for what is not there closes the channel.
                        found[name] = None
                        channel = await aio_pika.Connection.channel(connection)
            finally:
                await channel.close()
    return found


async def probed(
    url: URL, ways: Sequence[Way], found: Mapping[str, QueueState | None], limit: int
) -> dict[str, QueueState | None]:
    """The same, with what each queue says to a message.

    Raises:
        BrokerUnavailable: the broker does not answer, or confirms nothing at all, as while an alarm lasts.
    """
    there = [way for way in ways if found[way.queue] is not None]
    async with _apart(url) as connection:
        await _broker_confirms(connection)
        answers = await asyncio.gather(*(_confirms(connection, way) for way in there))
    if not all(answers):
        async with _apart(url) as connection:
            await _broker_confirms(connection)
    result = dict(found)
    for way, confirms in zip(there, answers, strict=True):
        state = found[way.queue]
        # A full queue says no, and that is well; so does one whose process is gone.
        if state is not None and not confirms and state.messages < limit:
            result[way.queue] = replace(state, silent=True)
    return result


async def delete(url: URL, queue: str) -> None:
    """Delete a queue with whatever is in it.

    Raises:
        BrokerUnavailable: the broker does not answer.
    """
    async with _apart(url) as connection:
        with translated():
            async with asyncio.timeout(30):
                channel = await connection.channel()
                await channel.queue_delete(queue)


async def _broker_confirms(connection: AbstractConnection) -> None:
    """Raises:
    BrokerUnavailable: not even what goes to nobody, which it confirms at once.
    """
    if not await _confirms(connection, Way("", "", "doorstep.nobody"), mandatory=False):
        raise BrokerUnavailable("it confirms nothing")


async def _confirms(connection: AbstractConnection, way: Way, *, mandatory: bool = True) -> bool:
    """Whether a message on that way is confirmed in time. A channel that sent to a dead queue confirms nothing more."""
    # What goes to a queue for a pause need not wait it out; elsewhere it waits for the consumer.
    expiration = "1" if way.exchange else None
    properties = Basic.Properties(message_type=PROBE, message_id=new_id(), delivery_mode=2, expiration=expiration)
    with translated():
        async with asyncio.timeout(_PATIENCE):
            channel = await (await connection.channel(on_return_raises=True)).get_underlay_channel()
        try:
            async with asyncio.timeout(_PATIENCE):
                await channel.basic_publish(
                    b"", exchange=way.exchange, routing_key=way.key, mandatory=mandatory, properties=properties
                )
        except PublishError:
            # It vanished just now: the next look will tell.
            return True
        except (TimeoutError, DeliveryError):
            return False
    return True


@asynccontextmanager
async def _apart(url: URL) -> AsyncIterator[AbstractConnection]:
    with translated():
        connection = await opened(aio_pika.Connection(url), _PATIENCE)
    try:
        yield connection
    finally:
        # With a channel that hangs in a dead queue, the broker does not answer this either.
        with suppress(AMQPError, OSError, TimeoutError, RuntimeError):
            async with asyncio.timeout(_CLOSE_PATIENCE):
                await connection.close()
