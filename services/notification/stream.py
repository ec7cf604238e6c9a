"""The staff's live stream: one reader of the log for all listeners, each with a place of his own in it.

Nothing is kept per listener but a number. Who is slower than the ring is long reads from the log itself, from where he
is, and joins the others again.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import orjson
import structlog

from shared.access import PARTIES, Principal
from shared.bus import BrokerUnavailable, Bus
from shared.timers import ended

log = structlog.get_logger(__name__)

Entry = tuple[int, dict[str, Any], str]
"""Offset in the log, the notification, and the same as JSON text."""


class Live:
    """Follows the notifications log.

    Args:
        bus: where the log is.
        there: set once it is.
        ring: how many of the newest notifications are held in memory.
    """

    def __init__(self, bus: Bus, there: asyncio.Event, *, ring: int = 5_000) -> None:
        self._bus = bus
        self._there = there
        self._ring: deque[Entry] = deque(maxlen=ring)
        self._grown = asyncio.Condition()
        self._attached = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to follow."""
        self._following = asyncio.get_running_loop().create_task(self._follow())

    async def stop(self) -> None:
        """Follow no longer."""
        if self._following is not None:
            await ended(self._following)

    async def join(self, last_seen: int | None) -> int | None:
        """The place of a new listener: after `last_seen`, or at the end; None while the log is empty.

        Waits until the log is first followed, so that he misses nothing of what is told from then on.
        """
        await self._attached.wait()
        return self._end() if last_seen is None else last_seen

    async def listen(self, place: int | None) -> AsyncIterator[Entry]:
        """Everything after a place, and then whatever comes.

        Raises:
            BrokerUnavailable: older notifications were asked for and the log cannot be read.
        """
        while True:
            if place is not None and self._ring and place > self._ring[-1][0]:
                # A place in a log that is no more: from now on.
                place = self._ring[-1][0]
            if place is not None and self._ring and place + 1 < self._ring[0][0]:
                async for entry in self._older(place + 1):
                    place = entry[0]
                    yield entry
                    if place + 1 >= self._ring[0][0]:
                        break
            for entry in self._newer(place):
                place = entry[0]
                yield entry
            async with self._grown:
                while self._end() in (None, place):
                    await self._grown.wait()
            if place is None:
                # There was nothing yet when he came: all that the ring holds came after him.
                place = self._ring[0][0] - 1

    def _end(self) -> int | None:
        return self._ring[-1][0] if self._ring else None

    def _newer(self, place: int | None) -> list[Entry]:
        """What the ring holds after a place; offsets in it have no gaps."""
        if place is None or not self._ring:
            return []
        behind = self._ring[-1][0] - place
        return list(self._ring)[-behind:] if behind > 0 else []

    async def _older(self, offset: int) -> AsyncIterator[Entry]:
        async with self._bus.log(offset) as entries:
            async for place, body in entries:
                if place >= offset:
                    yield place, orjson.loads(body), body.decode()

    async def _follow(self) -> None:
        await self._there.wait()
        while True:
            try:
                offset: int | str = self._ring[-1][0] + 1 if self._ring else "last"
                async with self._bus.log(offset) as entries:
                    self._attached.set()
                    async for place, body in entries:
                        if not self._ring or place > self._ring[-1][0]:
                            self._ring.append((place, orjson.loads(body), body.decode()))
                            async with self._grown:
                                self._grown.notify_all()
            except BrokerUnavailable as error:
                log.warning("the notifications log cannot be read just now", reason=str(error))
            await asyncio.sleep(0.5)


def concerns(who: Principal, notification: dict[str, Any]) -> bool:
    """Whether a notification is for this principal: by place and role, or by name. Other organisations: by name."""
    if who.worker and who.worker in (notification["worker"], *notification.get("asked", ())):
        return True
    if who.role in PARTIES:
        return False
    return within(who, notification) and (who.leads() or notification["role"] == who.role)


def within(who: Principal, notification: dict[str, Any]) -> bool:
    """Whether a notification is of this principal's place.

    What names neither grid nor building nor anybody, such as that a round was opened, is of the whole community, and
    so of each of its grids: for those whom it is for, and for who leads.
    """
    if who.covers(notification["community"], notification["grid"]):
        return True
    whole = notification["grid"] is None and notification.get("building") is None
    meant = who.leads() or (notification["role"] == who.role and notification["worker"] is None)
    return whole and meant and who.community in (None, notification["community"])
