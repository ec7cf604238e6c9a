"""Dispatch and those around it, for every test of one service that needs them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from services.dispatch.handlers import task_id_of
from shared.contracts.intake import RequestCreated
from tests import world
from tests.running import Amqp, Clock, Ear, Service, Town, eventually


@dataclass(frozen=True, slots=True)
class Room:
    """Dispatch, on a clock that stands still, and those around it."""

    dispatch: Service
    operator: Amqp
    events: Ear
    clock: Clock

    async def offered(self, request_id: str, **changes: Any) -> str:
        """A request comes in; its task, once it is offered."""
        sealed = self.dispatch.runtime.sealer.seal(
            '{"address": {"building": "2", "unit": "1", "room": "502"}}', f"request:{request_id}"
        )
        await self.operator.happen(created(request_id, **{"sealed": sealed, **changes}))
        await eventually(lambda: self.told(request_id))
        return task_id_of(request_id)

    def told(self, request_id: str) -> list[str]:
        """The events of one request's task, in their order."""
        return [
            (message.type or "").split(".")[2]
            for message in self.events.heard
            if message.correlation_id == request_id and (message.type or "").startswith("doorstep.delivery.")
        ]

    async def act(self, task_id: str, verb: str, who: str, command_id: str, **more: Any) -> httpx.Response:
        """Somebody does something with a task."""
        return await self.dispatch.post(f"/tasks/{task_id}/{verb}", {"command_id": command_id, **more}, who=who)

    async def task(self, task_id: str) -> dict[str, Any]:
        """As it is stored."""
        (document,) = await self.dispatch.stored("tasks", {"_id": task_id})
        return document


def created(request_id: str, **changes: Any) -> RequestCreated:
    return RequestCreated(**world.created(request_id, **changes))


@pytest.fixture
async def room(town: Town) -> AsyncIterator[Room]:
    """Dispatch runs, and knows its workers."""
    clock = Clock()
    async with (
        town.up("dispatch", clock=clock) as at,
        town.amqp("operator") as operator,
        town.ear() as events,
    ):
        await world.settle(at.dispatch)
        yield Room(at.dispatch, operator, events, clock)
