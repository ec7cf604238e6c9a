"""A small world on engines that break: services here or as processes that die, and clients that ask again."""

import asyncio
import contextlib
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import aio_pika
import httpx
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import ChannelClosed
from aiormq.exceptions import ConnectionInternalError
from fastapi import FastAPI

from deploy.demo.broker import Broker
from deploy.engines.definitions import SERVICES
from deploy.engines.ports import LOOPBACK, free_port
from deploy.local.program import Program
from shared.contracts.intake import SubmitRequest
from shared.runtime import Runtime, utc_now
from tests.faults.accounting import Books, differences, read
from tests.running import Engines, Service
from tests.world import ZHAO, groceries, settle

ROOT = Path(__file__).parents[2]
START_SECONDS = 120.0
"""Seconds that an engine may take to start."""
PATIENCE = 180.0
"""Seconds after which a fact that should come is taken not to come. Long: the machine may be slow and busy."""
SOME = 5
"""Lives that are over before harm is done, while others are under way."""
QUEUES = tuple(f"doorstep.{service}.{kind}" for service in SERVICES for kind in ("commands", "events", "dead-letters"))
PAUSES = tuple(f"doorstep.retry.{seconds}s" for seconds in (1, 5, 30))

T = TypeVar("T")


async def eventually(
    fact: Callable[[], Awaitable[T]], *, what: str, seconds: float = PATIENCE, pause: float = 0.1
) -> T:
    """Wait until `fact` answers something true; what that is.

    Raises:
        AssertionError: it did not within so many seconds; `what` should have become true.
    """
    deadline = time.monotonic() + seconds
    while not (answer := await fact()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        await asyncio.sleep(pause)
    return answer


class Clock:
    """Real time, and as many days on as a test says, unless it stands still."""

    def __init__(self) -> None:
        self.ahead = timedelta()
        self._still: datetime | None = None

    def __call__(self) -> datetime:
        return (self._still or utc_now()) + self.ahead

    def stand_still(self) -> None:
        """From now on the time is always the same."""
        self._still = utc_now()


class FrailEngines(Engines):
    """The broker and the database of these tests, and what is in them."""

    def environment(self) -> dict[str, str]:
        """What a service as a process of its own is told."""
        settings = self.settings()
        return {
            "PATH": os.environ["PATH"],
            "PYTHONUNBUFFERED": "1",
            "DOORSTEP_RABBIT_URL": settings.rabbit_url,
            "DOORSTEP_MONGO_URL": settings.mongo_url,
            "DOORSTEP_SECRETS_DIR": str(self.secrets.folder),
            "DOORSTEP_LOG_LEVEL": "warning",
        }

    @contextlib.asynccontextmanager
    async def channel(self) -> AsyncIterator[AbstractChannel]:
        """The operator's own way to the broker."""
        connection = await aio_pika.connect(self.rabbit.url("operator"))
        async with connection:
            yield await connection.channel(on_return_raises=True)

    async def queues(self) -> dict[str, tuple[int, int]]:
        """Messages that wait and consumers that are there, by queue of ours that exists."""
        found = {}
        connection = await aio_pika.connect(self.rabbit.url("operator"))
        async with connection:
            for name in (*QUEUES, *PAUSES):
                channel = await connection.channel()
                # Asking for what is not there closes the channel.
                with contextlib.suppress(ChannelClosed):
                    queue = await channel.declare_queue(name, passive=True)
                    declared = queue.declaration_result
                    found[name] = (declared.message_count or 0, declared.consumer_count or 0)
                    await channel.close()
        return found

    async def consumed(self, queue: str) -> bool:
        """Whether somebody consumes from a queue."""
        return (await self.queues()).get(queue, (0, 0))[1] > 0

    async def delete(self, *names: str) -> None:
        """Delete queues, with whatever is in them."""
        async with self.channel() as channel:
            for name in names:
                await channel.queue_delete(name)

    async def clean(self) -> None:
        """As on the first day, but for the queues, which stay and are empty: no document, no message."""
        await asyncio.to_thread(self.empty_databases)
        for name in await self.queues():
            try:
                async with self.channel() as channel:
                    await (await channel.get_queue(name, ensure=False)).purge()
            except ConnectionInternalError:
                # A broker that was killed may come back with a queue without a leader; whoever starts declares it anew.
                await self.delete(name)

    async def books(self) -> Books:
        """What was written down."""
        depths = {name: count for name, (count, _) in (await self.queues()).items()}

        def all_four() -> Books:
            with self.mongo.client() as client:
                return read(client, depths)

        return await asyncio.to_thread(all_four)

    async def settled(self, accepted: Iterable[str], *, aside: int = 0, seconds: float = PATIENCE) -> Books:
        """Wait until every accepted request is accounted for and everything is at rest; the books then.

        Raises:
            AssertionError: it is not; names every difference.
        """
        ids = set(accepted)
        deadline = time.monotonic() + seconds
        while found := differences(books := await self.books(), ids, aside=aside):
            assert time.monotonic() < deadline, f"after {seconds:.0f} s:\n" + "\n".join(found)
            await asyncio.sleep(0.5)
        return books


@dataclass(frozen=True)
class Process:
    """A service as a process of its own."""

    program: Program
    origin: str
    bearer: Mapping[str, str]
    """The header that says that another system asks."""

    async def ended(self) -> int:
        """Wait until it has ended; its exit code, negative for a signal."""
        code = await asyncio.to_thread(self.program.wait_end, PATIENCE)
        assert code is not None, f"{self.program.name} still runs: {self.program.log.read_text()[-2000:]}"
        return code


class World:
    """Starts and ends services one by one, and speaks to them as the outside does."""

    def __init__(self, engines: FrailEngines, folder: Path) -> None:
        self.engines = engines
        self.clock = Clock()
        self.services: dict[str, Service] = {}
        self.answers: Counter[int] = Counter()
        """How often each HTTP status was the answer to `post`."""
        self._folder = folder
        self._lives: dict[str, contextlib.AsyncExitStack] = {}
        self._processes: list[Process] = []

    async def start(self, *names: str, tamper: Callable[[Runtime], None] = lambda _: None) -> None:
        """Start services in this process, all four without a name, and wait until they are ready.

        A name like `dispatch/2` is one more replica. `tamper` is handed each before it is built.
        """
        for name in names or SERVICES:
            kind = name.partition("/")[0]
            runtime = Runtime(kind, self.engines.settings(), clock=self.clock)
            tamper(runtime)
            app: FastAPI = import_module(f"services.{kind}.app").build(runtime.settings, runtime)
            life = self._lives[name] = contextlib.AsyncExitStack()
            await life.enter_async_context(app.router.lifespan_context(app))
            self.services[name] = Service(kind, app, runtime, self.engines.secrets.tokens)
        await self.ready(*(names or SERVICES))

    async def ready(self, *names: str, seconds: float = PATIENCE) -> None:
        """Wait until these services, or all that run, say that they are ready."""
        for name in names or tuple(self.services):
            await eventually(lambda name=name: self.is_ready(name), what=f"{name} is ready", seconds=seconds)  # type: ignore[misc]

    async def is_ready(self, name: str) -> bool:
        """Whether a service says that it is ready."""
        return (await self.services[name].call("GET", "/readyz")).status_code == httpx.codes.OK

    async def stop(self, *names: str) -> None:
        """Stop services of this process cleanly, all without a name."""
        for name in names or tuple(self.services):
            del self.services[name]
            await self._lives.pop(name).aclose()

    async def close(self) -> None:
        """Stop everything that still runs."""
        for process in self._processes:
            await asyncio.to_thread(process.program.child.kill)
        await self.stop()

    def process(self, service: str, fault: str, count: int = 1, *without: str) -> Process:
        """Start a service as a process of its own that dies at an exact point."""
        port = free_port()
        program = Program(
            f"{service} {fault}",
            [sys.executable, "-m", "tests.faults.crashing", service, fault, str(count), *without],
            environment={**self.engines.environment(), "DOORSTEP_HTTP_PORT": str(port)},
            folder=ROOT,
            log=self._folder / f"{service}-{fault}-{port}.log",
            stop_patience=10,
        )
        program.start()
        bearer = {"Authorization": f"Bearer {self.engines.secrets.tokens['source']}"}
        process = Process(program, f"http://{LOOPBACK}:{port}", bearer)
        self._processes.append(process)
        return process

    async def settle(self) -> None:
        """Buildings, workers and people are known to all four services, and everything is at rest."""
        await settle(*(self.services[name] for name in ("ledger", "dispatch", "intake")))
        await self.engines.settled(())

    async def post(self, service: str, path: str, body: Mapping[str, Any], who: str = "operator") -> httpx.Response:
        """POST until it is answered with something else than 503, as any client should; the answer."""

        async def once() -> httpx.Response | None:
            answer = await self.services[service].post(path, body, who=who)
            self.answers[answer.status_code] += 1
            return answer if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE else None

        return await eventually(once, what=f"{service} answers POST {path}")

    async def submit(self, key: str, **more: Any) -> str:
        """Submit a request over HTTP until it is accepted; its id."""
        answer = await self.post("intake", "/requests", groceries(key, **more), "source")
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        return str(answer.json()["request_id"])

    async def submit_all(self, keys: Iterable[str]) -> set[str]:
        """Submit many at once; their ids."""
        return set(await asyncio.gather(*(self.submit(key) for key in keys)))

    async def deliver(self, request_id: str) -> None:
        """As the worker: accept, start, complete, each until it is answered."""

        async def task_of() -> str | None:
            answer = await self.services["dispatch"].call("GET", "/tasks", params={"request_id": request_id})
            items = answer.json()["items"] if answer.status_code == httpx.codes.OK else ()
            return str(items[0]["id"]) if items else None

        task_id = await eventually(task_of, what=f"dispatch has a task for {request_id}", pause=0.3)
        for verb in ("accept", "start", "complete"):
            body = {"command_id": f"{verb}-{task_id}", "worker": ZHAO}
            answer = await self.post("dispatch", f"/tasks/{task_id}/{verb}", body)
            assert answer.status_code == httpx.codes.OK, answer.text

    async def live_through(
        self, harm: Callable[[int], Awaitable[None]], *, rounds: int, by_http: int, by_amqp: int
    ) -> set[str]:
        """So many whole lives in each round, and `harm` done while they are under way; their requests' ids."""
        requests: set[str] = set()
        done = 0

        async def life(request: str) -> None:
            nonlocal done
            requests.add(request)
            await self.deliver(request)
            done += 1

        async with self.broker() as broker:

            async def life_over_http(key: str) -> None:
                await life(await self.submit(key))

            async def life_over_amqp(key: str) -> None:
                answer, _ = await broker.ask(command(key))
                await life(str(answer["request_id"]))

            lives: list[asyncio.Future[None]] = []
            for number in range(rounds):
                enough = done + SOME
                lives += [asyncio.ensure_future(life_over_http(key)) for key in keys(f"http-{number}", by_http)]
                lives += [asyncio.ensure_future(life_over_amqp(key)) for key in keys(f"amqp-{number}", by_amqp)]

                async def some_more(enough: int = enough) -> bool:
                    return done >= enough

                await eventually(some_more, what="some more lives are over, and others under way", pause=0.01)
                await harm(number)
            await asyncio.gather(*lives)
        return requests

    def broker(self, user: str = "source") -> Broker:
        """Another system's client."""
        return Broker(self.engines.rabbit.url(user), patience=PATIENCE, timeout=10)


def command(key: str, **more: Any) -> SubmitRequest:
    """A request as a command."""
    return SubmitRequest.model_validate(groceries(key, **more), strict=False)


def keys(prefix: str, count: int) -> Sequence[str]:
    """So many different idempotency keys."""
    return [f"{prefix}-{number:04d}" for number in range(count)]
