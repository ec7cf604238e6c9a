"""What every service stands on, made from settings; how it comes up and goes down."""

import asyncio
import contextlib
import functools
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog
from pydantic import BaseModel

from shared.access import Principal, TokenRegister
from shared.admission import CLOCKS_APART, CannotStart, admit
from shared.aggregates import SHAPE, Aggregates, shape_of
from shared.audit import Openings
from shared.bus import BrokerUnavailable, Bus, ForeignTopology, Receipt
from shared.condition import Condition
from shared.consumer import Consumer, Handler, Router, Tools
from shared.contracts.envelope import Meta, to_milliseconds
from shared.contracts.ledger import AccessGranted, AccessRevoked
from shared.contracts.queues import QueueRebuilt
from shared.dead_letters import BY_TIME, DeadLetters, Reason
from shared.documents import Collection, Database, Index, StorageUnavailable
from shared.identity import new_id
from shared.messages import Incoming
from shared.outbox import CHANGED, UNSENT, Outbox
from shared.queues import Queues
from shared.sealing import Lookup, Sealer
from shared.settings import Settings
from shared.telemetry import Telemetry
from shared.timers import Leases, Periodic, ended
from shared.web import Guard

log = structlog.get_logger(__name__)

_LOOK_FOR_OLDER = 5.0
"""Seconds between looks for documents in an older shape: those that replicas of the version before still write."""

S = TypeVar("S", bound=BaseModel)
House = TypeVar("House")


def utc_now() -> datetime:
    """The time now, in UTC, to the millisecond that documents keep."""
    return to_milliseconds(datetime.now(UTC))


class Runtime:
    """One service's connections and what is built on them.

    Args:
        name: of the service.
        settings: where everything is.
        clock: the time now, in UTC.
        identity: makes an id.

    Raises:
        SettingsError: a secret is missing or wrong.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        *,
        clock: Callable[[], datetime] = utc_now,
        identity: Callable[[], str] = new_id,
    ) -> None:
        secrets = settings.secrets
        self.name = name
        self.settings = settings
        self.clock = clock
        self.new_id = identity
        self.telemetry = Telemetry(name, settings.otlp_endpoint)
        self.sealer = Sealer.from_secrets(secrets)
        self.lookup = Lookup.from_secrets(secrets)
        self.database = Database(
            settings.mongo_url, f"doorstep_{name}", user=name, password=secrets.password(f"mongo-{name}")
        )
        self.bus = Bus(
            settings.rabbit_url,
            name,
            secrets.password(f"rabbit-{name}"),
            prefetch=settings.prefetch,
            queue_limit=settings.queue_limit,
        )
        self.outbox = Outbox(self.bus, clock, self.telemetry)
        self.tokens = TokenRegister(self.database.collection("tokens"), secrets, clock)
        self.guard = Guard(self.tokens)
        self.dead_letters = DeadLetters(
            self.database.collection("dead_letters", [BY_TIME]), self.bus, self.sealer, clock
        )
        holder = f"{socket.gethostname()}:{os.getpid()}:{identity()}"
        self.leases = Leases(self.database.collection("leases"), holder, clock)
        self._periodics: list[Periodic] = [
            Periodic(self.leases, "sweeper", self.outbox.sweep, pause=2.0),
            Periodic(self.leases, "queues", self._look_after_queues, pause=2.0),
        ]
        self.openings = Openings(self.aggregates("openings", Openings.model, lambda one: one.subject), identity, clock)
        self._event_types: dict[str, Sequence[str]] = {}
        self.queues = Queues(
            self.bus,
            self.database.collection("queues"),
            self.aggregates("rebuilds", Queues.model, lambda one: one.queue),
            self.leases,
            self._event_types,
            clock,
        )
        self.came_up = asyncio.Event()
        """Set while everything is there and its queues are consumed."""
        self._consumers: list[Consumer[Any]] = []
        self.condition = Condition(
            self.came_up, self.database, self.bus, self.outbox, self.dead_letters, self.telemetry, clock
        )
        self._coming_up: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether it has come up and does not stop yet."""
        return self.came_up.is_set()

    def collection(self, name: str, indexes: Sequence[Index] = ()) -> Collection:
        """Plain documents."""
        return self.database.collection(name, indexes)

    def aggregates(
        self,
        name: str,
        model: type[S],
        subject: Callable[[S], str],
        indexes: Sequence[Index] = (),
        *,
        brief: bool = False,
    ) -> Aggregates[S]:
        """Aggregates whose events are swept and can be replayed; those in an older shape are rewritten at leisure."""
        reshaped = shape_of(model) > 1
        collection = self.database.collection(name, [*indexes, UNSENT, CHANGED, *([SHAPE] if reshaped else [])])
        self.outbox.watch(collection)
        made = Aggregates(collection, model, self.outbox, self.clock, self.new_id, subject, brief=brief)
        if reshaped:
            self.every(f"shape of {name}", made.rewrite_older, pause=_LOOK_FOR_OLDER)
        return made

    def consume(self, router: Router[House], house: House) -> None:
        """Hand what comes into the service's queues to the router's handlers."""
        router = router.copy()
        for contract, own in (
            (AccessGranted, self._granted),
            (AccessRevoked, self._revoked),
            (QueueRebuilt, self._send_again),
        ):
            _, known = router.events.get(contract.wire, (contract, None))
            router.event(contract)(own if known is None else _both(known, own))
        attempts = self.database.collection("attempts")
        tools = Tools(self.bus, self.dead_letters, attempts, self.telemetry, self.clock)
        commands, events = router.bindings()
        self._event_types[events.name] = tuple(router.events)
        for binding, consumer in (
            (commands, Consumer(house, router.commands, tools)),
            (events, Consumer(house, router.events, tools)),
        ):
            self._consumers.append(consumer)
            self.bus.subscribe(binding, consumer.receive)
        self.bus.subscribe_dead_letters(self._dead_lettered)

    def every(self, name: str, work: Callable[[], Awaitable[int]], *, pause: float) -> None:
        """Do `work` every so many seconds, on one replica at a time."""
        self._periodics.append(Periodic(self.leases, name, work, pause=pause))

    async def start(self) -> None:
        """Come up as soon as database and broker are there; until then, be alive but not ready."""
        self._coming_up = asyncio.get_running_loop().create_task(self._come_up())
        self._coming_up.add_done_callback(_end_if_failed)

    async def stop(self) -> None:
        """Finish what is in hand, give the rest back, send what is due, close."""
        self.came_up.clear()
        if self._coming_up is not None:
            await ended(self._coming_up)
        for consumer in self._consumers:
            consumer.stop()
        with contextlib.suppress(BrokerUnavailable):
            await self.bus.stop_consuming()
        for periodic in self._periodics:
            await periodic.stop()
        await self.outbox.drain()
        await self.database.drain()
        with contextlib.suppress(BrokerUnavailable):
            await self.bus.stop()
        self.database.close()
        self.telemetry.close()

    async def _come_up(self) -> None:
        while True:
            try:
                await self.bus.connect()
                await admit(self.database, self.bus, self.database.collection("schema"))
                await self.database.prepare()
                # What should be there and is not must be noticed before it is declared.
                await self._look_after_queues()
                if await self.queues.look():
                    await self.bus.consume()
                    break
                log.warning("not up yet", reason="a queue confirms nothing")
            except (StorageUnavailable, BrokerUnavailable) as error:
                log.warning("not up yet", reason=str(error))
            await asyncio.sleep(1.0)
        for periodic in self._periodics:
            periodic.start()
        self.came_up.set()
        log.info("ready")

    async def _look_after_queues(self) -> int:
        if not await self.queues.look():
            await self.bus.declare()
        return 0

    async def _send_again(self, _: Any, event: QueueRebuilt, meta: Meta) -> None:
        """Somebody lost what was in a queue, and what was published until it was there again.

        What is sent again has such news in it, too, so it is noted which were followed.
        """
        followed = self.database.collection("replays")
        if event.types and await followed.get(meta.id) is None:
            # Each may be that far from the database's clock, one before it and one behind.
            until = self.clock() + 2 * CLOCKS_APART
            sent = await self.outbox.replay(event.since, until, types=event.types, queue=event.queue)
            log.warning("sent again into a queue that was lost", queue=event.queue, events=sent)
            await followed.put(meta.id, {"queue": event.queue, "events": sent, "at": self.clock()})

    async def _granted(self, _: Any, event: AccessGranted, __: Meta) -> None:
        principal = Principal.model_validate({**event.model_dump(), "name": event.name})
        await self.tokens.grant(event.token_hash, principal, event.expires)

    async def _revoked(self, _: Any, event: AccessRevoked, __: Meta) -> None:
        await self.tokens.revoke(event.token_hash)

    async def _dead_lettered(self, incoming: Incoming, receipt: Receipt) -> None:
        """What the broker itself set aside: delivered too often, or expired."""
        deaths = incoming.headers.get("x-death") or [{}]
        first = deaths[0] if isinstance(deaths, list) and isinstance(deaths[0], dict) else {}
        reason = Reason("undeliverable", f"set aside by the broker: {first.get('reason', 'unknown')}")
        meta = Meta(incoming.message_id or "", incoming.type or "", incoming.app_id or "", self.clock(), "")
        origin = str(first.get("queue", incoming.queue))
        aside = Incoming(
            origin,
            incoming.exchange,
            incoming.key,
            incoming.body,
            incoming.headers,
            incoming.content_type,
            incoming.type,
            incoming.message_id,
            incoming.correlation_id,
            None,
            incoming.app_id,
            incoming.user_id,
            incoming.timestamp,
        )
        try:
            await self.dead_letters.keep(aside, meta, reason, handler="", tries=incoming.deliveries)
        except StorageUnavailable:
            await asyncio.sleep(1.0)
            await receipt.give_back()
            return
        receipt.done()


def _both(first: Handler[Any], second: Handler[Any]) -> Handler[Any]:
    """A handler that does what the service itself does with an event, and then what the runtime does."""

    @functools.wraps(first)
    async def both(house: Any, event: Any, meta: Meta) -> None:
        await first(house, event, meta)
        await second(house, event, meta)

    return both


def _end_if_failed(coming_up: "asyncio.Task[None]") -> None:
    """What waiting cannot mend, such as missing rights, is for whoever watches the process."""
    if not coming_up.cancelled() and (error := coming_up.exception()) is not None:
        expected = isinstance(error, (CannotStart, ForeignTopology))
        log.critical("cannot start", reason=str(error), exc_info=None if expected else error)
        signal.raise_signal(signal.SIGTERM)
