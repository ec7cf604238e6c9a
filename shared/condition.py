"""How a service is just now: for whoever routes to it, for an operator, and for whoever watches its metrics."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import structlog

from shared.bus import BrokerUnavailable, Bus
from shared.dead_letters import DeadLetters
from shared.documents import Database, StorageUnavailable
from shared.outbox import Outbox
from shared.telemetry import Telemetry

log = structlog.get_logger(__name__)

MEASURING = 3.0
"""Seconds that whoever asks for metrics waits for each answer of database and broker."""

Overdue = Callable[[], Awaitable[tuple[int, datetime | None]]]
"""How many due dates have passed, and the first of them."""


class Condition:
    """What can be asked about one service.

    Args:
        came_up: set while it has come up and does not stop yet.
        clock: the time now, in UTC.
    """

    def __init__(
        self,
        came_up: asyncio.Event,
        database: Database,
        bus: Bus,
        outbox: Outbox,
        dead_letters: DeadLetters,
        telemetry: Telemetry,
        clock: Callable[[], datetime],
    ) -> None:
        self._came_up = came_up
        self._database = database
        self._bus = bus
        self._outbox = outbox
        self._dead_letters = dead_letters
        self._telemetry = telemetry
        self._clock = clock
        self._overdue: Overdue = _nothing_is_due
        self._measuring = asyncio.Lock()
        self._measures: list[Callable[[], Awaitable[None]]] = [
            self._measure_readiness,
            self._measure_queues,
            self._measure_documents,
            self._measure_timers,
        ]

    def count_due(self, overdue: Overdue) -> None:
        """How the service counts due dates that have passed."""
        self._overdue = overdue

    def measure(self, measure: Callable[[], Awaitable[None]]) -> None:
        """What the service itself asks for when somebody looks at its metrics."""
        self._measures.append(measure)

    async def not_ready(self) -> str | None:
        """Why the service cannot work just now; None: it can."""
        if not self._came_up.is_set():
            return "starting or stopping"
        try:
            await self._database.ping()
            queues = await self._bus.consumers()
        except (StorageUnavailable, BrokerUnavailable) as error:
            return str(error)
        missing = [name for name, (_, there) in queues.items() if there == 0]
        return f"no consumer on {', '.join(missing)}" if missing else None

    async def status(self) -> dict[str, Any]:
        """What an operator wants to know at a glance."""
        queues = await self._bus.consumers()
        due, _ = await self._overdue()
        return {
            "service": self._bus.service,
            "ready": self._came_up.is_set(),
            "queues": {name: {"messages": count, "consumers": there} for name, (count, there) in queues.items()},
            "dead_letters": await self._dead_letters.count(),
            "unsent": await self._outbox.unsent(),
            "unsent_since": await self._outbox.oldest_unsent(),
            "timers_due": due,
        }

    async def metrics(self) -> bytes:
        """All metrics in Prometheus' format, asked for now; what no answer came to in time is left unknown."""
        async with self._measuring:
            self._telemetry.forget()
            await asyncio.gather(*map(_measured, self._measures))
            return self._telemetry.metrics()

    async def _measure_readiness(self) -> None:
        self._telemetry.ready.set(await self.not_ready() is None)

    async def _measure_queues(self) -> None:
        for name, (messages, consumers) in (await self._bus.consumers()).items():
            self._telemetry.queue_messages.labels(name).set(messages)
            self._telemetry.queue_consumers.labels(name).set(consumers)

    async def _measure_documents(self) -> None:
        kept, unsent, oldest = await asyncio.gather(
            self._dead_letters.count(), self._outbox.unsent(), self._outbox.oldest_unsent()
        )
        self._telemetry.kept.set(kept)
        self._telemetry.unsent.set(unsent)
        self._telemetry.unsent_age.set(self._age(oldest))

    async def _measure_timers(self) -> None:
        due, first = await self._overdue()
        self._telemetry.due.set(due)
        self._telemetry.late.set(self._age(first))

    def _age(self, since: datetime | None) -> float:
        return 0.0 if since is None else max((self._clock() - since).total_seconds(), 0.0)


async def _measured(measure: Callable[[], Awaitable[None]]) -> None:
    try:
        async with asyncio.timeout(MEASURING):
            await measure()
    except (StorageUnavailable, BrokerUnavailable, TimeoutError) as error:
        log.info("not measured", reason=str(error) or "no answer in time")


async def _nothing_is_due() -> tuple[int, datetime | None]:
    return 0, None
