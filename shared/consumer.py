"""What happens between a delivery and its acknowledgement.

A handler gets one parsed contract and its attributes; it loads, decides, saves. Here, once for all of them: reading,
answering, waiting out an unavailable database, trying again with growing pauses, setting poison aside alone.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, TypeVar

import structlog
from pydantic import BaseModel

from shared.bus import RETRY_PAUSES, BrokerUnavailable, Bus, NotTaken, QueueBinding, Receipt, Unroutable, retry_exchange
from shared.contracts.envelope import COMMANDS_EXCHANGE, EVENTS_EXCHANGE, Command, Contract, Event, Meta, Refused
from shared.contracts.refusal import Refusal, refusal
from shared.dead_letters import DeadLetters, Reason
from shared.documents import Collection, StorageUnavailable, Write
from shared.identity import new_id
from shared.messages import ACTOR, Incoming, Outgoing, read
from shared.problems import parse
from shared.telemetry import Telemetry, trace_id

log = structlog.get_logger(__name__)

House = TypeVar("House")
Handler = Callable[[House, Any, Meta], Awaitable[BaseModel | None]]
H = TypeVar("H", bound=Callable[..., Awaitable[Any]])

MOST_CRASHES = 3
"""How often a message may be in hand alone when the process dies, before it is set aside."""
_TRY = "x-doorstep-try"
_ANSWERABLE = re.compile(r"^(amq\.rabbitmq\.reply-to\..+|amq\.gen-.+|amq_.+|reply\..+)$")
"""Queues that an answer may go to: private ones of the sender. Any other `reply_to` is forged."""


class Router(Generic[House]):
    """Which handler takes which contract; one per service.

    Args:
        service: name of the service, prefix of its queues.
    """

    def __init__(self, service: str) -> None:
        self.service = service
        self.commands: dict[str, tuple[type[Command], Handler[House]]] = {}
        self.events: dict[str, tuple[type[Event], Handler[House]]] = {}

    def copy(self) -> "Router[House]":
        """Another with the same handlers, to add to."""
        router: Router[House] = Router(self.service)
        router.include(self)
        return router

    def include(self, other: "Router[House]") -> None:
        """Take the handlers of another file of the same service."""
        self.commands.update(other.commands)
        self.events.update(other.events)

    def command(self, contract: type[Command]) -> Callable[[H], H]:
        """Decorates the handler of a command; what it returns is the answer."""

        def register(handler: H) -> H:
            self.commands[contract.wire] = (contract, handler)
            return handler

        return register

    def event(self, *contracts: type[Event]) -> Callable[[H], H]:
        """Decorates the handler of one or several events; it returns nothing."""

        def register(handler: H) -> H:
            for contract in contracts:
                self.events[contract.wire] = (contract, handler)
            return handler

        return register

    def bindings(self) -> tuple[QueueBinding, QueueBinding]:
        """The service's two queues and what comes into them."""
        return (
            QueueBinding(
                f"doorstep.{self.service}.commands",
                COMMANDS_EXCHANGE,
                tuple(contract.key for contract, _ in self.commands.values()),
            ),
            QueueBinding(
                f"doorstep.{self.service}.events",
                EVENTS_EXCHANGE,
                tuple(f"{contract.key}.#" for contract, _ in self.events.values()),
            ),
        )


@dataclass(frozen=True, slots=True)
class Tools:
    """What the consumer stands on."""

    bus: Bus
    dead_letters: DeadLetters
    attempts: Collection
    """Messages in hand alone, by id, with how often: survives a crash."""
    telemetry: Telemetry
    clock: Callable[[], datetime]


class Consumer(Generic[House]):
    """Hands deliveries to the handlers of one queue.

    Args:
        house: the service, as its handlers know it.
        routes: handler by wire type.
    """

    def __init__(self, house: House, routes: Mapping[str, tuple[type[Contract], Handler[House]]], tools: Tools) -> None:
        self._house = house
        self._routes = routes
        self._tools = tools
        self._one_suspect = asyncio.Lock()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Wait for nothing any more: what is not done goes back to the broker."""
        self._stopping.set()

    async def receive(self, incoming: Incoming, receipt: Receipt) -> None:
        """Deal with one delivery, and acknowledge it after that."""
        started = time.perf_counter()
        try:
            outcome = await self._patiently(incoming)
        except _Stopped:
            await receipt.give_back()
            return
        receipt.done()
        # A sender may write what he likes as a type; only those that we know become a time series.
        wire = incoming.type or f"doorstep.{incoming.key}.v1"
        self._tools.telemetry.handled(wire if wire in self._routes else "other", outcome, time.perf_counter() - started)

    async def _patiently(self, incoming: Incoming) -> str:
        """While database or broker is away, the message waits in our hands; that is no fault of its own."""
        pause = 0.1
        while True:
            try:
                if incoming.deliveries:
                    return await self._alone(incoming)
                return await self._handle(incoming)
            except (StorageUnavailable, BrokerUnavailable, Unroutable, NotTaken) as error:
                log.warning("waits", type=incoming.type, message_id=incoming.message_id, reason=str(error))
            try:
                await asyncio.wait_for(self._stopping.wait(), pause)
            except TimeoutError:
                pause = min(pause * 2, 5.0)
            else:
                raise _Stopped

    async def _alone(self, incoming: Incoming) -> str:
        """A message that was in hand when a process died may have killed it.

        So it is tried alone, and that is written down first: if the process dies again, the guilty one is known, and
        its neighbours are not counted.
        """
        key = _key(incoming)
        async with self._one_suspect:
            crashes = await self._tools.attempts.update(key, _one_more(self._tools.clock()))
            if crashes > MOST_CRASHES:
                meta, _ = _read_or_guess(incoming, self._tools.clock())
                reason = Reason("crashed", f"the process died {crashes - 1} times while this message was in hand alone")
                await self._keep(incoming, meta, reason, tries=crashes)
                outcome = "kept"
            else:
                outcome = await self._handle(incoming)
            await self._tools.attempts.delete({"_id": key})
            return outcome

    async def _handle(self, incoming: Incoming) -> str:
        try:
            meta, body = read(incoming, self._tools.clock())
            route = self._routes.get(meta.type)
            if route is None:
                raise refusal("type", "unknown_type", f"{incoming.queue} takes no {meta.type}")
            contract, handler = route
            message = parse(contract, body)
        except Refusal as error:
            meta, _ = _read_or_guess(incoming, self._tools.clock())
            return await self._refuse(incoming, meta, error, "unreadable")
        with self._tools.telemetry.span(meta) as traceparent:
            try:
                answer = await handler(self._house, message, replace(meta, traceparent=traceparent))
            except Refusal as error:
                return await self._refuse(incoming, meta, error, "refused")
            except (StorageUnavailable, BrokerUnavailable, Unroutable, NotTaken):
                raise
            # Whatever else a handler raises is a mistake in it or a poison message: it must not stop the others.
            except Exception as error:  # noqa: BLE001
                return await self._try_later(incoming, meta, error)
        if answer is not None and incoming.reply_to:
            await self._answer(incoming, answer)
        log.debug("handled", type=meta.type, request_id=meta.subject, trace_id=trace_id(meta.traceparent))
        return "handled"

    async def _refuse(self, incoming: Incoming, meta: Meta, error: Refusal, code: str) -> str:
        if incoming.reply_to and _ANSWERABLE.match(incoming.reply_to):
            await self._answer(incoming, Refused(problems=error.problems))
            return "refused"
        await self._keep(incoming, meta, Reason(code, str(error), error.problems), tries=1)
        return "kept"

    async def _try_later(self, incoming: Incoming, meta: Meta, error: Exception) -> str:
        tries = _tries(incoming) + 1
        log.error("failed", type=meta.type, message_id=meta.id, request_id=meta.subject, tries=tries, exc_info=error)
        if tries > len(RETRY_PAUSES):
            await self._keep(incoming, meta, Reason("failed", f"{type(error).__name__}: {error}"), tries=tries)
            return "kept"
        exchange = retry_exchange(RETRY_PAUSES[tries - 1])
        headers = {name: value for name, value in incoming.headers.items() if not name.startswith(("x-", ACTOR))}
        again = Outgoing(
            exchange,
            incoming.queue,
            incoming.body,
            replace(meta, id=meta.id or new_id()),
            incoming.correlation_id,
            {**headers, _TRY: tries},
            content_type=incoming.content_type or "application/json",
            reply_to=incoming.reply_to,
        )
        await self._tools.bus.publish(again)
        return "later"

    async def _keep(self, incoming: Incoming, meta: Meta, reason: Reason, *, tries: int) -> None:
        route = self._routes.get(meta.type)
        handler = f"{route[1].__module__}.{route[1].__name__}" if route else ""
        dead_id = await self._tools.dead_letters.keep(incoming, meta, reason, handler=handler, tries=tries)
        self._tools.telemetry.dead_letters.inc()
        log.error("set aside", dead_letter=dead_id, type=meta.type, message_id=meta.id, reason=reason.code)

    async def _answer(self, incoming: Incoming, answer: BaseModel) -> None:
        """Tell the sender; whether he still listens is his affair.

        If the broker is away, the message is handled once more when it is back, which changes nothing but the answer:
        it then says `duplicate`.
        """
        reply_to = incoming.reply_to or ""
        if not _ANSWERABLE.match(reply_to):
            log.warning("answer not sent: reply_to names a queue that is not the sender's own", reply_to=reply_to)
            return
        meta = Meta(new_id(), "doorstep.answer.v1", self._tools.bus.service, self._tools.clock(), "")
        message = Outgoing(
            "",
            reply_to,
            answer.model_dump_json().encode(),
            meta,
            incoming.correlation_id,
            persistent=False,
            mandatory=False,
        )
        try:
            await self._tools.bus.publish(message)
        except NotTaken as error:
            log.info("the sender takes no more answers", reason=str(error))


class _Stopped(Exception):
    """The service stops while a message waits."""


def _tries(incoming: Incoming) -> int:
    count = incoming.headers.get(_TRY, 0)
    return count if isinstance(count, int) else 0


def _key(incoming: Incoming) -> str:
    identity = incoming.message_id or hashlib.sha256(incoming.body).hexdigest()
    return f"{incoming.queue}:{identity}"


def _one_more(now: datetime) -> Callable[[dict[str, Any] | None], tuple[Write, int]]:
    def decide(document: dict[str, Any] | None) -> tuple[Write, int]:
        tries = (document["tries"] if document else 0) + 1
        return Write(set={"tries": tries, "at": now}), tries

    return decide


def _read_or_guess(incoming: Incoming, now: datetime) -> tuple[Meta, bytes]:
    try:
        return read(incoming, now)
    except Refusal:
        identity = incoming.message_id or hashlib.sha256(incoming.body).hexdigest()
        return Meta(identity, incoming.type or incoming.key, incoming.app_id or "unknown", now, ""), incoming.body
