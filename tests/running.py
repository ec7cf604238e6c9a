"""Services in this process on real engines, and the clients that speak to them as users do."""

import asyncio
import inspect
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

import aio_pika
import httpx
import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from fastapi import FastAPI

from deploy.engines import MongoNode, RabbitNode
from deploy.engines.definitions import SERVICES, VHOST
from deploy.local.secrets import Secrets
from shared.contracts.envelope import (
    COMMANDS_EXCHANGE,
    EVENTS_EXCHANGE,
    NOTIFICATIONS_EXCHANGE,
    NOTIFICATIONS_LOG,
    Event,
    to_milliseconds,
)
from shared.identity import new_id
from shared.runtime import Runtime, utc_now
from shared.settings import Settings

PATIENCE = 60.0
"""Seconds that a fact may take to become true on a slow, busy machine; it mostly takes a few milliseconds."""
STILL = PATIENCE / 2
_LOOK_AGAIN = 0.02


async def eventually(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """What `condition` says (or the coroutine that it makes), once that is true; asked until then."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        asked = condition()
        found = await asked if inspect.isawaitable(asked) else asked
        if found:
            return found
        assert loop.time() < end, f"not true within {seconds:.0f} s, last: {found!r}\n{inspect.getsource(condition)}"
        await asyncio.sleep(_LOOK_AGAIN)


def need(missing: str | None) -> None:
    """Skip where something of the machine is missing, and say what; in CI that is a failure."""
    if missing:
        assert "CI" not in os.environ, missing
        pytest.skip(missing)


class Clock:
    """A clock that stands still until it is put forward.

    Where nobody does for half a minute it runs, so that an event which the busy broker did not confirm is sent again.
    """

    def __init__(self, now: datetime = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return to_milliseconds(self._set + timedelta(seconds=max(0.0, time.monotonic() - self._since - STILL)))

    @property
    def now(self) -> datetime:
        """The time now."""
        return self()

    @now.setter
    def now(self, now: datetime) -> None:
        self._set, self._since = now, time.monotonic()

    def forward(self, **units: float) -> None:
        """Put it forward: `forward(minutes=20)`."""
        self.now += timedelta(**units)


@dataclass(frozen=True, slots=True)
class Engines:
    """The broker and the database of this test run, and the secrets that open them."""

    rabbit: RabbitNode
    mongo: MongoNode
    secrets: Secrets
    folder: Path

    def settings(self, **changes: Any) -> Settings:
        """A service's settings on these engines."""
        given: dict[str, Any] = {
            "rabbit_url": f"amqp://127.0.0.1:{self.rabbit.port}/{VHOST}",
            "mongo_url": f"mongodb://{self.mongo.address}/?replicaSet={self.mongo.replica_set}",
            "data_dir": self.folder,
            "secrets_dir": self.secrets.folder,
        }
        return Settings(**{**given, **changes})

    def empty_databases(self) -> None:
        """Delete every document; the indexes stay."""
        with self.mongo.client() as client:
            for service in SERVICES:
                database = client[f"doorstep_{service}"]
                for name in database.list_collection_names():
                    database[name].delete_many({})

    async def empty_queues(self) -> None:
        """Delete every queue that a service declares, with what lies in it."""
        connection = await aio_pika.connect(self.rabbit.url("operator"))
        async with connection:
            channel = await connection.channel()
            names = [
                f"doorstep.{service}.{kind}" for service in SERVICES for kind in ("commands", "events", "dead-letters")
            ]
            names += [*(f"doorstep.retry.{seconds}s" for seconds in (1, 5, 30)), NOTIFICATIONS_LOG]
            for name in names:
                await channel.queue_delete(name)


@dataclass(frozen=True, slots=True)
class Service:
    """A service that runs in this process."""

    name: str
    app: FastAPI
    runtime: Runtime
    tokens: Mapping[str, str]

    async def call(self, method: str, path: str, *, who: str | None = "operator", **more: Any) -> httpx.Response:
        """Ask the service over HTTP; `path` follows `/api/<name>`, `who` holds the token (None: no token)."""
        headers = {**self.authorization(who), **more.pop("headers", {})}
        url = path if path == "/metrics" else f"/api/{self.name}{path}"
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://doorstep", timeout=PATIENCE) as client:
            return await client.request(method, url, headers=headers, **more)

    def authorization(self, who: str | None) -> dict[str, str]:
        """The header that shows somebody's token: a holder's name, or a token itself."""
        return {"Authorization": f"Bearer {self.tokens.get(who, who)}"} if who else {}

    async def get(self, path: str, *, who: str | None = "operator", **params: Any) -> Any:
        """What a GET answers, which must be 200."""
        answer = await self.call("GET", path, who=who, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: Any = None, *, who: str | None = "operator", **more: Any) -> httpx.Response:
        """Send a JSON body."""
        return await self.call("POST", path, who=who, json={} if body is None else body, **more)

    async def pages(self, path: str, *, who: str = "operator", limit: int = 50, **params: Any) -> list[list[Any]]:
        """A whole list, page by page."""
        found, after = [], None
        while True:
            page = await self.get(path, who=who, limit=limit, **params, **({"after": after} if after else {}))
            found.append(page["items"])
            after = page["next"]
            if after is None:
                return found

    async def items(self, path: str, *, who: str = "operator", limit: int = 500, **params: Any) -> list[Any]:
        """A whole list."""
        return [item for page in await self.pages(path, who=who, limit=limit, **params) for item in page]

    async def stored(self, collection: str, query: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The documents of one of its collections."""
        return await self.runtime.database.collection(collection).find(dict(query or {}))


@dataclass(frozen=True, slots=True)
class Running:
    """The services that run, by name."""

    services: Mapping[str, Service]

    def __getattr__(self, name: str) -> Service:
        try:
            return self.services[name]
        except KeyError:
            raise AttributeError(name) from None


@dataclass(slots=True)
class Ear:
    """A queue of one's own, and everything that came into it."""

    queue: str
    heard: list[AbstractIncomingMessage] = field(default_factory=list)

    def bodies(self, wire: str | None = None) -> list[dict[str, Any]]:
        """What was said, of one type or of all."""
        return [json.loads(message.body) for message in self.heard if wire in (None, message.type)]

    def types(self) -> list[str]:
        """The last word but one of each type, such as `created`."""
        return [(message.type or "").removeprefix("doorstep.").removesuffix(".v1") for message in self.heard]


class Amqp:
    """A plain client of the broker, as any program would be: it publishes, and it asks for answers."""

    def __init__(self, channel: AbstractChannel, replies: str) -> None:
        self.channel = channel
        self.replies = replies
        self.answers: dict[str, asyncio.Future[dict[str, Any]]] = {}

    async def hear(self, message: AbstractIncomingMessage) -> None:
        """An answer came."""
        waiting = self.answers.get(message.correlation_id or "")
        if waiting is not None and not waiting.done():
            waiting.set_result(json.loads(message.body))

    async def tell(
        self, key: str, body: bytes | Mapping[str, Any], *, exchange: str = COMMANDS_EXCHANGE, **properties: Any
    ) -> None:
        """Publish, and wait until the broker has it."""
        raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        given = {"content_type": "application/json", "delivery_mode": 2, **properties}
        target = await self.channel.get_exchange(exchange, ensure=False) if exchange else self.channel.default_exchange
        await target.publish(aio_pika.Message(raw, **given), key)

    async def happen(
        self,
        event: Event,
        *,
        identity: str | None = None,
        sequence: int = 1,
        subject: str = "",
        at: datetime | None = None,
    ) -> str:
        """Publish an event as a service would; its id."""
        identity = identity or new_id()
        headers = {
            "ce-specversion": "1.0",
            "ce-id": identity,
            "ce-type": event.wire,
            "ce-source": "/doorstep/test",
            "ce-time": (at or utc_now()).isoformat(),
            "ce-subject": subject or getattr(event, "request_id", None) or "",
            "ce-sequence": str(sequence),
        }
        body = event.model_dump_json(by_alias=True).encode()
        await self.tell(
            event.routing_key(), body, exchange=event.exchange, type=event.wire, message_id=identity, headers=headers
        )
        return identity

    async def ask(self, key: str, body: bytes | Mapping[str, Any], **properties: Any) -> dict[str, Any]:
        """Publish a command and wait for its answer."""
        name = uuid4().hex
        answer = self.answers[name] = asyncio.get_running_loop().create_future()
        await self.tell(key, body, **{"reply_to": self.replies, "correlation_id": name, **properties})
        return await asyncio.wait_for(answer, PATIENCE)


class Town:
    """Where a test takes place: real engines, services as it wants them, and users."""

    def __init__(self, engines: Engines) -> None:
        self.engines = engines
        self.tokens = engines.secrets.tokens

    @asynccontextmanager
    async def up(
        self,
        *names: str,
        clock: Callable[[], datetime] = utc_now,
        build: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> AsyncIterator[Running]:
        """Run services in this process until the block ends; `changes` are settings.

        `build` maps the name of a service to another composition root, for a test that takes something away.
        """
        async with AsyncExitStack() as stack:
            services = {}
            for name in names:
                settings = self.engines.settings(**changes)
                runtime = Runtime(name, settings, clock=clock)
                make = (build or {}).get(name) or import_module(f"services.{name}.app").build
                app = make(settings, runtime)
                await stack.enter_async_context(app.router.lifespan_context(app))
                services[name] = Service(name, app, runtime, self.tokens)
            for service in services.values():
                await eventually(lambda service=service: service.runtime.ready)  # type: ignore[misc]
            yield Running(services)

    @asynccontextmanager
    async def amqp(self, user: str = "source") -> AsyncIterator[Amqp]:
        """A client of the broker: `source` and `staff` are the users outside, `operator` may do everything."""
        connection = await aio_pika.connect(self.engines.rabbit.url(user))
        async with connection:
            channel = await connection.channel(on_return_raises=True)
            queue = await channel.declare_queue("", exclusive=True)
            client = Amqp(channel, queue.name)
            await queue.consume(client.hear, no_ack=True)
            yield client

    @asynccontextmanager
    async def ear(self, *keys: str, exchange: str = EVENTS_EXCHANGE, user: str = "operator") -> AsyncIterator[Ear]:
        """Hear what is published to an exchange; the services must be up, for they declare it."""
        connection = await aio_pika.connect(self.engines.rabbit.url(user))
        async with connection:
            channel = await connection.channel()
            queue = await channel.declare_queue("", exclusive=True)
            for key in keys or ("#",):
                await queue.bind(exchange, key)
            ear = Ear(queue.name)

            async def hear(message: AbstractIncomingMessage) -> None:
                ear.heard.append(message)

            await queue.consume(hear, no_ack=True)
            yield ear

    def staff(self, *keys: str) -> Any:
        """Hear what is told to staff on their exchange, as the broker's user `staff`."""
        return self.ear(*keys, exchange=NOTIFICATIONS_EXCHANGE, user="staff")


class Listening:
    """A live stream that somebody reads: server-sent events, as they come.

    The client library waits for the end of an answer before it hands it on, so the application is called directly.
    """

    def __init__(self) -> None:
        self.status = 0
        self.events: list[dict[str, Any]] = []
        self._rest = ""

    async def send(self, message: Any) -> None:
        """What the application sends."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            return
        *blocks, self._rest = (self._rest + message.get("body", b"").decode()).split("\n\n")
        for block in blocks:
            fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if "data" in fields:
                self.events.append({**json.loads(fields["data"]), "place": int(fields["id"])})

    def heard(self, request_id: str) -> list[str]:
        """The events about one request, in the order in which they came."""
        return [one["event"] for one in self.events if one["request_id"] == request_id]


@asynccontextmanager
async def listening(notification: Service, who: str, last_event_id: int | None = None) -> AsyncIterator[Listening]:
    """Read the staff's live stream until the block ends."""
    headers = notification.authorization(who)
    if last_event_id is not None:
        headers["Last-Event-ID"] = str(last_event_id)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/api/notification/stream",
        "raw_path": b"/api/notification/stream",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("doorstep", 80),
    }
    ended = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await ended.wait()
        return {"type": "http.disconnect"}

    reader = Listening()
    answering = asyncio.ensure_future(notification.app(scope, receive, reader.send))
    try:
        await eventually(lambda: reader.status or answering.done())
        yield reader
    finally:
        ended.set()
        answering.cancel()
        await asyncio.wait([answering])


def problems(answer: httpx.Response | Mapping[str, Any]) -> list[tuple[str, str]]:
    """Field and code of each problem in a refusal, over HTTP or AMQP."""
    content: Any = answer.json() if isinstance(answer, httpx.Response) else answer
    found: Sequence[Mapping[str, str]] = content["problems"]
    return [(one["field"], one["code"]) for one in found]
