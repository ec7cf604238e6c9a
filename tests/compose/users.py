"""Those who use a deployment from outside: another system over HTTP and AMQP, staff, an operator."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

from deploy.demo.broker import Broker
from tests.running import eventually
from tests.world import GRID_OF, TIEBEI, WORKERS, ZHAO, groceries

PATIENCE = 120.0
_NOT_NOW = {429, 502, 503, 504}
_STEPS = ("accept", "start", "complete")
_PAUSE = 0.5
"""Seconds between two lives of a lane: whatever starts beside them has the two processors, too."""


@dataclass
class Users:
    """Whoever sends asks again until he is answered, as any client should."""

    http: str
    amqp: str
    tokens: Mapping[str, str]
    client: httpx.AsyncClient = field(init=False)
    lived: set[str] = field(default_factory=set)
    """Requests that were taken and completed."""

    async def __aenter__(self) -> Self:
        self.client = httpx.AsyncClient(base_url=self.http, timeout=10, trust_env=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()

    async def call(self, method: str, path: str, who: str = "operator", **more: Any) -> httpx.Response:
        """Ask until it is answered with something else than "not now"."""
        headers = {"Authorization": f"Bearer {self.tokens[who]}"}

        async def once() -> httpx.Response | None:
            # A connection may break under a request whose container goes away.
            with contextlib.suppress(httpx.TransportError):
                answer = await self.client.request(method, f"/api/{path}", headers=headers, **more)
                return None if answer.status_code in _NOT_NOW else answer
            return None

        answer: httpx.Response = await eventually(once, PATIENCE)
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    async def get(self, path: str, **params: Any) -> Any:
        """What a GET answers."""
        return (await self.call("GET", path, params=params)).json()

    async def settle(self) -> None:
        """Register the story's buildings and workers, and wait until a request to one of them needs no review."""
        for building, grid in GRID_OF.items():
            body = {"community": TIEBEI, "building": building, "grid": grid}
            await self.call("POST", "ledger/buildings", json=body)
        for worker in WORKERS:
            await self.call("POST", "dispatch/workers", json=worker)
        names = iter(range(10_000))

        async def known() -> bool:
            answer = await self.call("POST", "intake/requests", "source", json=groceries(f"known-{next(names)}"))
            status: str = answer.json()["status"]
            return status == "accepted"

        await eventually(known)

    async def live(self, key: str) -> None:
        """One request's whole life."""
        answer = await self.call("POST", "intake/requests", "source", json=groceries(key))
        await self.deliver(answer.json()["request_id"])

    async def deliver(self, request_id: str) -> None:
        """As the worker: accept, start, complete."""

        async def offered() -> Any:
            return (await self.get("dispatch/tasks", request_id=request_id))["items"]

        task = (await eventually(offered, PATIENCE))[0]["id"]
        for step in _STEPS:
            body = {"command_id": f"{step}-{task}", "worker": ZHAO}
            await self.call("POST", f"dispatch/tasks/{task}/{step}", json=body)
        self.lived.add(request_id)

    @contextlib.asynccontextmanager
    async def load(self, name: str, *, at_once: int = 4) -> AsyncIterator[None]:
        """So many lives at once, one after the other, until the block ends; those that began are then lived out."""
        ending = asyncio.Event()

        async def one_after_the_other(lane: int) -> None:
            number = 0
            while not ending.is_set():
                await self.live(f"{name}-{lane}-{number}")
                number += 1
                await asyncio.sleep(_PAUSE)

        async with asyncio.TaskGroup() as group:
            for lane in range(at_once):
                group.create_task(one_after_the_other(lane))
            try:
                yield
            finally:
                ending.set()

    async def completed(self) -> None:
        """Wait until every life is completed in the eyes of intake and ledger."""

        async def all_are() -> bool:
            requests = await asyncio.gather(*(self.get(f"intake/requests/{one}") for one in self.lived))
            return all(request["state"] == "completed" for request in requests)

        await eventually(all_are, PATIENCE)

    def broker(self) -> Broker:
        """Another system's client of the broker."""
        return Broker(self.amqp, patience=PATIENCE, timeout=10)
