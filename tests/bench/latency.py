"""At low load: from the publish of a request to the line that tells staff of it.

Listens to the notifications exchange and, where addresses are given, to the live stream over HTTP. Run as
`python -m tests.bench.latency`; the outcome is one line of JSON on standard output: milliseconds by way of listening.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import cast

import aiormq
import httpx
import orjson
import uvloop
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from tests.bench import flow
from tests.bench.drive import TRACE, private_queue

LISTEN_FIRST = 1.0
"""Seconds between opening the streams and the first submit."""
WAIT_LAST = 5.0
"""Seconds after the last submit until what is not there counts as lost."""
EXCHANGE = "exchange"
"""The way of listening that every program has."""


class Stopwatch:
    """When each request was sent, and when each listener heard of it; seconds of one clock."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.all_heard = asyncio.Event()
        self.sent: dict[str, float] = {}
        """By correlation id."""
        self.correlation_of: dict[str, str] = {}
        """By request id, from the answers."""
        self.heard: dict[str, dict[str, float]] = {}
        """By way of listening and request id."""

    def hear(self, way: str, line: bytes | str) -> None:
        """A line of the staff's stream; only those of new requests count."""
        now = time.monotonic()
        told = orjson.loads(line)
        if told["event"] == flow.EVENT_NAMES[flow.CREATED]:
            self.heard[way].setdefault(told["request_id"], now)
            if all(len(heard) >= self._count for heard in self.heard.values()):
                self.all_heard.set()

    def milliseconds(self) -> dict[str, list[float]]:
        """Every request's latency, by way of listening; what was not heard is not there."""
        return {
            way: [
                1000 * (at - self.sent[self.correlation_of[request_id]])
                for request_id, at in heard.items()
                if request_id in self.correlation_of
            ]
            for way, heard in self.heard.items()
        }


async def measure(
    broker_url: str, streams: dict[str, str], token: str, *, count: int, per_second: float, run: str
) -> dict[str, list[float]]:
    """Submit `count` requests, so many per second, and hear of them on every way."""
    watch = Stopwatch(count)
    async with AsyncExitStack() as stack:
        connection = await aiormq.connect(broker_url)
        stack.push_async_callback(connection.close)
        channel = cast(aiormq.Channel, await connection.channel(publisher_confirms=False))

        async def answered(message: DeliveredMessage) -> None:
            watch.correlation_of[orjson.loads(message.body)["request_id"]] = (
                message.header.properties.correlation_id or ""
            )

        async def told(message: DeliveredMessage) -> None:
            watch.hear(EXCHANGE, message.body)

        replies = await private_queue(channel)
        await channel.basic_consume(replies, answered, no_ack=True)
        watch.heard[EXCHANGE] = {}
        queue = await private_queue(channel)
        await channel.queue_bind(queue, flow.NOTIFICATIONS_EXCHANGE, "#")
        await channel.basic_consume(queue, told, no_ack=True)
        for way, url in streams.items():
            watch.heard[way] = {}
            await stack.enter_async_context(_listening(url, token, partial(watch.hear, way)))
        await asyncio.sleep(LISTEN_FIRST)

        begin = time.monotonic()
        for number in range(count):
            await asyncio.sleep(begin + number / per_second - time.monotonic())
            correlation_id = f"submit:{number}"
            watch.sent[correlation_id] = time.monotonic()
            await channel.basic_publish(
                orjson.dumps(flow.submission(number, run)),
                exchange=flow.COMMANDS_EXCHANGE,
                routing_key=flow.SUBMIT,
                properties=_properties(correlation_id, replies),
                wait=False,
            )
        with suppress(TimeoutError):
            await asyncio.wait_for(watch.all_heard.wait(), WAIT_LAST)
    return watch.milliseconds()


def _properties(correlation_id: str, replies: str) -> Basic.Properties:
    wire, event_id = flow.type_by_key[flow.SUBMIT], flow.new_id()
    return Basic.Properties(
        headers=flow.headers(wire, event_id, "bench", correlation_id, "", TRACE),
        content_type="application/json",
        delivery_mode=2,
        message_id=event_id,
        correlation_id=correlation_id,
        reply_to=replies,
        message_type=wire,
        app_id="bench",
    )


@asynccontextmanager
async def _listening(url: str, token: str, hear: "partial[None]") -> AsyncIterator[None]:
    """Read a live stream in the background until the block ends."""
    client = httpx.AsyncClient(timeout=httpx.Timeout(10.0, read=None), trust_env=False)
    async with client, client.stream("GET", url, headers={"Authorization": f"Bearer {token}"}) as answer:
        answer.raise_for_status()

        async def read() -> None:
            async for line in answer.aiter_lines():
                if line.startswith("data:"):
                    hear(line.removeprefix("data:"))

        reading = asyncio.get_running_loop().create_task(read())
        try:
            yield
        finally:
            reading.cancel()
            await asyncio.wait([reading])


def main() -> None:
    """Read the options, run, write the outcome."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--broker", required=True, help="AMQP address")
    options.add_argument("--stream", action="append", default=[], metavar="WAY=URL", help="a live stream to listen to")
    options.add_argument("--token", default="", help="opens the live streams")
    options.add_argument("--count", type=int, default=100)
    options.add_argument("--per-second", type=float, default=5.0)
    options.add_argument("--run", required=True, help="name of the run; part of every source_id")
    given = options.parse_args()
    streams = dict(stream.split("=", 1) for stream in given.stream)
    outcome = uvloop.run(
        measure(given.broker, streams, given.token, count=given.count, per_second=given.per_second, run=given.run)
    )
    sys.stdout.buffer.write(orjson.dumps(outcome) + b"\n")


if __name__ == "__main__":
    main()
