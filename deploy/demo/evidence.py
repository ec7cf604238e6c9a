"""What the four services say of the day when it is over: requests, tasks, entries of the ledger."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from deploy.demo.gateway import Gateway
from shared.contracts import dispatch, intake

TYPES = tuple(event.__name__ for event in (*intake.EVENTS, *dispatch.EVENTS) if event.__name__.startswith(("Re", "De")))
"""What the ledger enters of a request's life."""


class _View(BaseModel):
    """The part of an answer that is looked at; a service may say more."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Moment(_View):
    """One line of a request's history."""

    event: str
    at: datetime


class Request(_View):
    """A request as intake shows it."""

    id: str
    state: str
    history: tuple[Moment, ...] = ()

    def first(self, event: str) -> datetime | None:
        """When that first happened."""
        return min((moment.at for moment in self.history if moment.event == event), default=None)


class Task(_View):
    """A task as dispatch shows it."""

    id: str
    request_id: str
    kind: str
    grid: str | None
    state: str
    worker: str | None
    urgency: str = "normal"


class Entry(_View):
    """An entry as the ledger shows it."""

    id: str
    type: str
    at: datetime
    request_id: str | None


Thing = TypeVar("Thing", Task, Entry)


@dataclass(frozen=True, slots=True)
class Evidence:
    """All of it, by request."""

    requests: Mapping[str, Request]
    tasks: Mapping[str, list[Task]]
    entries: Mapping[str, list[Entry]]


async def gather(gateway: Gateway, ours: Collection[str]) -> Evidence:
    """Ask for everything that concerns our requests."""
    async with asyncio.TaskGroup() as group:
        requests = group.create_task(_requests(gateway, ours))
        tasks = group.create_task(tasks_of(gateway, ours))
        entries = [group.create_task(_entries(gateway, ours, kind)) for kind in TYPES]
    return Evidence(
        requests.result(),
        _by_request(tasks.result()),
        _by_request(entry for kind in entries for entry in kind.result()),
    )


def _by_request(things: Iterable[Thing]) -> dict[str, list[Thing]]:
    found = defaultdict[str, list[Thing]](list)
    for thing in things:
        found[thing.request_id or ""].append(thing)
    return found


async def _requests(gateway: Gateway, ours: Collection[str]) -> dict[str, Request]:
    answers = await asyncio.gather(
        *(gateway.call("GET", f"/api/intake/requests/{request_id}", role="coordinator") for request_id in ours)
    )
    found = [Request.model_validate(answer.body) for answer in answers if answer.good]
    return {request.id: request for request in found}


async def tasks_of(gateway: Gateway, ours: Collection[str], state: str | None = None) -> list[Task]:
    """Our tasks, or those of them that are in a state."""
    params = {"state": state} if state else {}
    pages = gateway.pages("/api/dispatch/tasks", role="coordinator", params=params)
    return [Task.model_validate(item) async for item in pages if item["request_id"] in ours]


async def _entries(gateway: Gateway, ours: Collection[str], kind: str) -> list[Entry]:
    pages = gateway.pages("/api/ledger/entries", role="coordinator", params={"type": kind})
    return [Entry.model_validate(item) async for item in pages if item["request_id"] in ours]
