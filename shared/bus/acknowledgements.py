"""Telling the broker what became of deliveries."""

import asyncio
from contextlib import suppress
from typing import Any

import aio_pika

from shared.bus.errors import BrokerUnavailable, translated


class Receipt:
    """Tells the broker what became of one delivery. To be used once."""

    __slots__ = ("_acknowledgements", "_tag")

    def __init__(self, acknowledgements: "Acknowledgements", tag: int) -> None:
        self._acknowledgements = acknowledgements
        self._tag = tag

    def done(self) -> None:
        """It is dealt with; sent with the others of this moment."""
        self._acknowledgements.done(self._tag)

    async def give_back(self) -> None:
        """Somebody else is to have it."""
        await self._acknowledgements.give_back(self._tag)


class Acknowledgements:
    """Gathers the acknowledgements of one channel: one frame for all up to a tag, where the tags allow."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._open: dict[int, None] = {}
        self._done: set[int] = set()
        self._flushing: asyncio.Task[None] | None = None

    @property
    def closed(self) -> bool:
        """Whether its channel is no more."""
        return bool(self._channel.is_closed)

    def delivered(self, message: aio_pika.IncomingMessage) -> int:
        """A delivery came; its tag."""
        tag = message.delivery_tag
        if tag is None:
            raise ValueError("a delivery has a tag")
        self._open[tag] = None
        return tag

    def done(self, tag: int) -> None:
        """A delivery is dealt with."""
        self._done.add(tag)
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().create_task(self._flush_soon())

    async def give_back(self, tag: int) -> None:
        """A delivery is for somebody else."""
        self._open.pop(tag, None)
        with translated():
            await self._channel.basic_reject(tag, requeue=True)

    async def flush(self) -> None:
        """Send all that are due. On a channel that closed meanwhile, the broker delivers them again."""
        with suppress(BrokerUnavailable), translated():
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
