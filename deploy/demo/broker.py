"""AMQP as another system's client does it: it knows an address and an exchange, and sends again until it is told.

The demonstration stands outside, so it speaks to the broker through the plain client library and not our own bus.
"""

import asyncio
import json
import logging
import warnings
from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import islice
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError

from deploy.demo.patience import longer
from shared.contracts.envelope import COMMANDS_EXCHANGE, Command

REPLIES = "amq.rabbitmq.reply-to"
"""RabbitMQ's direct reply-to: answers come back on the channel that asked, with no queue declared."""

BATCH = 500
"""Commands that wait for the broker's confirms together."""

LOST = (AMQPError, ChannelInvalidStateError, OSError, TimeoutError)
"""What says that the broker did not take it, or that the way to it is gone."""

Result = TypeVar("Result")


class BrokerUnreachable(Exception):
    """The broker did not take or answer a command within the patience given."""

    def __init__(self, what: str, seconds: float, last: BaseException | None) -> None:
        super().__init__(f"{what} over AMQP: no answer in {seconds:.0f} s; the last try said: {last!r}")


class Broker:
    """One connection for commands, made anew whenever it is lost."""

    def __init__(self, url: str, *, patience: float = 180.0, timeout: float = 5.0) -> None:
        """`patience` is for a command with all its tries, `timeout` for the first of them; both in seconds."""
        self._url = url
        self._patience = patience
        self._timeout = timeout
        self._connecting = asyncio.Lock()
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._exchange: AbstractExchange | None = None
        self._waiting: dict[str | None, asyncio.Future[Mapping[str, Any]]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def ask(self, command: Command) -> tuple[Mapping[str, Any], int]:
        """Send a command until it is answered: the answer, and how many tries it took."""
        name = uuid4().hex
        answer: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[name] = answer
        try:
            return await self._until_done(command.key, lambda: self._ask_once(command, name, answer))
        finally:
            del self._waiting[name]

    async def tell(self, commands: Iterable[tuple[str, Command]], *, told: Callable[[int], None]) -> None:
        """Publish commands, each under its message id, until the broker has confirmed every one.

        `told` hears how many were confirmed just now. What the broker took from a batch that did not pass whole is
        published again, so that commands must be harmless when they come twice.
        """
        rest = iter(commands)
        while batch := list(islice(rest, BATCH)):
            await self._until_done("a batch", lambda batch=batch: self._publish_all(batch))  # type: ignore[misc]
            told(len(batch))

    async def _until_done(self, what: str, work: Callable[[], Awaitable[Result]]) -> tuple[Result, int]:
        loop = asyncio.get_running_loop()
        deadline, tries = loop.time() + self._patience, 0
        last: BaseException | None = None
        while loop.time() < deadline:
            tries += 1
            try:
                async with asyncio.timeout(longer(self._timeout, tries)):
                    return await work(), tries
            except LOST as error:
                last = error
            except asyncio.CancelledError as error:
                # A lost connection can surface like this though nobody cancelled us.
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                last = error
            await asyncio.sleep(min(0.2 * tries, 1.5))
        raise BrokerUnreachable(what, self._patience, last)

    async def _ask_once(
        self, command: Command, name: str, answer: asyncio.Future[Mapping[str, Any]]
    ) -> Mapping[str, Any]:
        """All tries of one command share a correlation id, so that an answer that comes late still counts."""
        if not answer.done():
            exchange = await self._open()
            message = _message(command, uuid4().hex, correlation_id=name)
            await exchange.publish(message, command.key, mandatory=True)
        return await asyncio.shield(answer)

    async def _publish_all(self, batch: list[tuple[str, Command]]) -> None:
        exchange = await self._open()
        publishes = (
            exchange.publish(_message(command, message_id), command.key, mandatory=True)
            for message_id, command in batch
        )
        # All are awaited before one that failed is looked at: no two of one message id may be in flight.
        for outcome in await asyncio.gather(*publishes, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def _open(self) -> AbstractExchange:
        """The exchange for commands, on a connection that lives."""
        async with self._connecting:
            if self._exchange is None or self._channel is None or self._channel.is_closed:
                await self._close()
                self._exchange = await self._connect()
            return self._exchange

    async def _connect(self) -> AbstractExchange:
        self._connection = await aio_pika.connect(self._url, heartbeat=10)
        channel = self._channel = await self._connection.channel(on_return_raises=True)
        replies = await channel.get_queue(REPLIES, ensure=False)
        await replies.consume(self._answered, no_ack=True)
        return await channel.get_exchange(COMMANDS_EXCHANGE, ensure=False)

    async def _close(self) -> None:
        connection, self._connection, self._channel, self._exchange = self._connection, None, None, None
        if connection is not None and not connection.is_closed:
            await connection.close()

    async def _answered(self, message: AbstractIncomingMessage) -> None:
        answer = self._waiting.get(message.correlation_id)
        if answer is not None and not answer.done():
            answer.set_result(json.loads(message.body))


def _message(command: Command, message_id: str, *, correlation_id: str | None = None) -> aio_pika.Message:
    return aio_pika.Message(
        command.model_dump_json(by_alias=True).encode(),
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=message_id,
        correlation_id=correlation_id,
        reply_to=REPLIES if correlation_id else None,
        type=command.wire,
    )


def quiet() -> None:
    """Silence the client library, which logs every lost connection; what matters is raised or tried again."""
    for name in ("aio_pika", "aiormq"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    # A connection that was lost while it was being made says so when it is collected.
    warnings.filterwarnings("ignore", message="coroutine 'Connection.close' was never awaited")
