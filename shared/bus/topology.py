"""Exchanges and queues, and how they hang together."""

from dataclasses import dataclass
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel

from shared.contracts.envelope import COMMANDS_EXCHANGE, EVENTS_EXCHANGE, NOTIFICATIONS_EXCHANGE, NOTIFICATIONS_LOG

RETRY_PAUSES = (1, 5, 30)
"""Seconds before a message whose handling failed is tried a second, third and fourth time."""
DEAD_LETTERS_EXCHANGE = "doorstep.dead-letters"
_DELIVERY_LIMIT = 50


@dataclass(frozen=True, slots=True)
class QueueBinding:
    """A queue of ours, and what comes into it."""

    name: str
    exchange: str
    keys: tuple[str, ...]


async def declare_queue(channel: AbstractChannel, binding: QueueBinding, service: str, limit: int) -> None:
    """Declare one queue of a service and bind it; it holds at most `limit` messages and refuses more."""
    arguments: dict[str, Any] = {"x-queue-type": "quorum"}
    if binding.exchange != DEAD_LETTERS_EXCHANGE:
        arguments |= {
            "x-delivery-limit": _DELIVERY_LIMIT,
            "x-max-length": limit,
            "x-overflow": "reject-publish",
            "x-dead-letter-exchange": DEAD_LETTERS_EXCHANGE,
            "x-dead-letter-routing-key": service,
            "x-dead-letter-strategy": "at-least-once",
        }
    queue = await channel.declare_queue(binding.name, durable=True, arguments=arguments)
    for key in binding.keys:
        await queue.bind(binding.exchange, key)


async def declare_shared(channel: AbstractChannel) -> None:
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
