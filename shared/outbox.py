"""Every event rests in its aggregate's own document until the broker has confirmed it.

State and events are written together (`Record`), a relay publishes at once and marks, a sweeper sends what a crash left
behind, and any span can be sent again.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog

from shared.batching import Batcher, Job
from shared.bus import BrokerUnavailable, Bus, NotTaken, Unroutable
from shared.contracts.envelope import Meta
from shared.documents import Collection, Document, Index, Patch
from shared.messages import Outgoing
from shared.telemetry import Telemetry

log = structlog.get_logger(__name__)

SWEEP_AFTER = timedelta(seconds=5)
"""How long an event may rest unconfirmed before the sweeper sends it again."""
UNSENT = Index((("unsent.at", 1),), where={"unsent.at": {"$exists": True}})
"""For the sweeper: documents with events that the broker has not confirmed."""
CHANGED = Index((("changed", 1),))
"""For a replay: every document whose newest event is not older than the span."""
_SWEEP_PAGE = 500
_REPLAYED_TOGETHER = 200
_RELAY_BOUND = 20_000


@dataclass(frozen=True, slots=True)
class Record:
    """One event as it rests in the history of its aggregate."""

    sequence: int
    meta: Meta
    exchange: str
    key: str
    body: str
    sent: datetime | None = None

    def document(self) -> Document:
        """As it is stored."""
        meta = self.meta
        return {
            "n": self.sequence,
            "id": meta.id,
            "type": meta.type,
            "at": meta.time,
            "exchange": self.exchange,
            "key": self.key,
            "subject": meta.subject,
            "cause": meta.cause,
            "actor": meta.actor,
            "trace": meta.traceparent,
            "body": self.body,
            "sent": self.sent,
        }

    @classmethod
    def of(cls, document: Document, source: str) -> "Record":
        """From what is stored."""
        meta = Meta(
            id=document["id"],
            type=document["type"],
            source=source,
            time=document["at"],
            subject=document["subject"],
            sequence=document["n"],
            cause=document["cause"],
            actor=document.get("actor", ""),
            traceparent=document["trace"],
        )
        return cls(document["n"], meta, document["exchange"], document["key"], document["body"], document.get("sent"))

    def outgoing(self) -> Outgoing:
        """Ready to be sent."""
        return Outgoing(
            self.exchange, self.key, self.body.encode(), self.meta, correlation_id=self.meta.subject or None
        )


class Outbox:
    """Sends events and marks them sent.

    Args:
        bus: where they go.
        clock: the time now, in UTC.
    """

    def __init__(self, bus: Bus, clock: Callable[[], datetime], telemetry: Telemetry) -> None:
        self._bus = bus
        self.service = bus.service
        self._collections: list[Collection] = []
        self._clock = clock
        self._telemetry = telemetry
        self._relays: Batcher[tuple[Collection, str, Sequence[Record]], None] = Batcher(self._relay, lanes=4)
        self._waiting = 0
        self._resting: dict[str, float] = {}
        self._handed_over: Counter[tuple[str, str]] = Counter()

    def watch(self, collection: Collection) -> None:
        """Sweep and replay that collection of aggregates, too."""
        self._collections.append(collection)

    def send(self, collection: Collection, document_id: str, records: Sequence[Record]) -> None:
        """Publish at once, without waiting for it; the document already holds the events."""
        if self._waiting >= _RELAY_BOUND:
            # The broker is slow or away. The documents remember; the sweeper will send them.
            return
        self._waiting += len(records)
        key = (collection.name, document_id)
        self._handed_over[key] += 1
        future = self._relays.submit((collection, document_id, records))
        future.add_done_callback(lambda done: self._sent(done, key, len(records)))

    def rest(self, collection: Collection, seconds: float) -> None:
        """Pass over a collection while a great deal is written to it: sending from here at once would only delay both.

        It ends by itself, so whoever goes on writing says it again.
        """
        self._resting[collection.name] = time.monotonic() + seconds

    async def drain(self) -> None:
        """Wait until what was handed over is sent, or has failed."""
        await self._relays.drain()

    async def unsent(self) -> int:
        """How many documents hold events that the broker has not confirmed."""
        counts = await asyncio.gather(
            *(collection.count({"unsent.at": {"$exists": True}}) for collection in self._collections)
        )
        return sum(counts)

    async def oldest_unsent(self) -> datetime | None:
        """When the oldest event that the broker has not confirmed was raised."""
        firsts = await asyncio.gather(
            *(
                collection.find(
                    {"unsent.at": {"$exists": True}}, sort=[("unsent.at", 1)], limit=1, fields={"unsent.at": 1}
                )
                for collection in self._collections
            )
        )
        return min((one["at"] for found in firsts for document in found for one in document["unsent"]), default=None)

    async def sweep(self) -> int:
        """Send what has rested unconfirmed for too long; how many events."""
        before = self._clock() - SWEEP_AFTER
        total = 0
        for collection in self._collections:
            if self._resting.get(collection.name, 0.0) > time.monotonic():
                continue
            documents = await collection.find(
                {"unsent.at": {"$lt": before}}, sort=[("unsent.at", 1)], limit=_SWEEP_PAGE
            )
            jobs = []
            for document in documents:
                if (collection.name, document["_id"]) in self._handed_over:
                    continue
                waiting = {one["n"] for one in document["unsent"]}
                records = [Record.of(one, self.service) for one in document["history"] if one["n"] in waiting]
                total += len(records)
                jobs.append(self._relays.submit((collection, document["_id"], records)))
            for outcome in await asyncio.gather(*jobs, return_exceptions=True):
                if isinstance(outcome, BaseException) and not isinstance(outcome, BrokerUnavailable):
                    log.warning("an event could not be sent", reason=str(outcome))
        if total:
            log.info("sent what was left behind", events=total)
        return total

    async def replay(
        self, since: datetime, until: datetime, *, types: Sequence[str] = (), queue: str | None = None
    ) -> int:
        """Send again the events of a span, oldest document first, in the order of each aggregate.

        Args:
            since: first moment.
            until: first moment that no longer counts.
            types: only these wire types; empty for all.
            queue: only to this queue; None: to everybody, as at first.

        Returns:
            How many events were sent.
        """
        total = 0
        for collection in self._collections:
            some: list[Outgoing] = []
            async for record in self._span(collection, since, until, types):
                outgoing = record.outgoing()
                if queue is not None:
                    outgoing = Outgoing("", queue, outgoing.body, outgoing.meta, outgoing.correlation_id)
                some.append(outgoing)
                if len(some) == _REPLAYED_TOGETHER:
                    await asyncio.gather(*map(self._bus.publish, some))
                    total += len(some)
                    some = []
            await asyncio.gather(*map(self._bus.publish, some))
            total += len(some)
        return total

    async def _span(
        self, collection: Collection, since: datetime, until: datetime, types: Sequence[str]
    ) -> AsyncIterator[Record]:
        query = {"changed": {"$gte": since}}
        async for document in collection.stream(query, sort=[("changed", 1)], fields={"history": 1}):
            for one in document.get("history", ()):
                if since <= one["at"] < until and (not types or one["type"] in types):
                    yield Record.of(one, self.service)

    async def _relay(self, jobs: list[Job[tuple[Collection, str, Sequence[Record]], None]]) -> None:
        records = [record for job in jobs for record in job.item[2]]
        outcomes = iter(
            await asyncio.gather(*(self._bus.publish(record.outgoing()) for record in records), return_exceptions=True)
        )
        now = self._clock()
        for job in jobs:
            collection, document_id, mine = job.item
            results = [next(outcomes) for _ in mine]
            sent = [record.sequence for record, result in zip(mine, results, strict=True) if result is None]
            failed = next((result for result in results if result is not None), None)
            if sent:
                self._telemetry.events_sent.inc(len(sent))
                mark = collection.patch(document_id, _marks(sent, now))
                # Until the mark is written, the document looks as if nothing had been sent.
                mark.add_done_callback(partial(_marked, job, failed))
            elif failed is not None:
                job.fail(failed)

    def _sent(self, done: "asyncio.Future[None]", key: tuple[str, str], records: int) -> None:
        self._waiting -= records
        self._handed_over[key] -= 1
        if not self._handed_over[key]:
            del self._handed_over[key]
        if done.cancelled():
            return
        error = done.exception()
        if isinstance(error, (Unroutable, NotTaken)):
            log.error("an event could not be delivered and is kept", reason=str(error))
        elif error is not None:
            log.warning("an event was not confirmed and will be sent again", reason=str(error))


def _marks(sequences: Sequence[int], now: datetime) -> Patch:
    """The history is numbered from 1 without gaps, so the number tells the place."""
    return Patch({f"history.{sequence - 1}.sent": now for sequence in sequences}, {"unsent": list(sequences)})


def _marked(job: Job[Any, None], failed: BaseException | None, mark: "asyncio.Future[None]") -> None:
    # A mark that was not written costs one repetition by the sweeper, which consumers do not notice.
    if not mark.cancelled() and mark.exception() is not None:
        log.warning("an event was sent but could not be marked", reason=str(mark.exception()))
    if failed is None:
        job.resolve(None)
    else:
        job.fail(failed)
