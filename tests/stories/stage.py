"""The whole system on a clock that stands still, and everybody around it, for stories of many people."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from services.dispatch.handlers import task_id_of
from shared.identity import new_id
from tests import world
from tests.running import Amqp, Clock, Ear, Running, Town, eventually

ALL = ("intake", "dispatch", "notification", "ledger")
TEN = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
"""In China."""
AT_ONCE = 100
"""Commands that a program of staff has under way."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Four services, a source of requests, a program through which helpers act, and the staff's stream."""

    at: Running
    source: Amqp
    desk: Amqp
    staff: Ear
    clock: Clock

    async def enter(self, buildings: dict[str, str], workers: Iterable[dict[str, Any]]) -> None:
        """Register buildings with their grids, and who helps; wait until all have heard."""
        for building, grid in buildings.items():
            body = {"community": world.TIEBEI, "building": building, "grid": grid}
            await world.accepted(self.at.ledger, "/buildings", body)
        grids, names = 0, []
        for worker in workers:
            body = {"community": world.TIEBEI, "name": "某", **worker}
            names.append(body["worker_id"])
            grids += len(body.get("grids", ())) if body["role"] == "grid_worker" else body["role"] == "coordinator"
            await world.accepted(self.at.dispatch, "/workers", body)
        await eventually(lambda: self._know(len(buildings), grids, names))

    async def _know(self, buildings: int, grids: int, workers: Sequence[str]) -> bool:
        found = await self.at.dispatch.stored("grids", {"state.own": {"$ne": None}})
        heard = await self.at.ledger.stored("coordinators", {"_id": {"$in": list(workers)}})
        here = len(await self.at.intake.stored("buildings")) >= buildings and len(found) >= grids
        return here and len(heard) == len(set(workers))

    async def request(self, bodies: Sequence[dict[str, Any]]) -> list[str]:
        """These come in; their tasks in the same order, once dispatch knows all of them."""
        answers = [one for part in parts(bodies) for one in await self._ask_all(part)]
        assert {one["status"] for one in answers} <= world.TAKEN, answers
        tasks = [task_id_of(one["request_id"]) for one in answers]
        await eventually(lambda: self.known(tasks))
        return tasks

    async def _ask_all(self, bodies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return await asyncio.gather(*(self.source.ask("request.submit", body) for body in bodies))

    async def known(self, tasks: Sequence[str]) -> bool:
        """Whether dispatch knows all of these."""
        return len(await self.at.dispatch.stored("tasks", {"_id": {"$in": list(tasks)}})) == len(tasks)

    async def command(self, verb: str, task_id: str, worker: str, **more: Any) -> dict[str, Any]:
        """A helper's program sends a command."""
        command = {"task_id": task_id, "command_id": new_id(), "worker": worker, **more}
        return await self.desk.ask(f"task.{verb}", command)

    async def all_do(self, verb: str, who: Iterable[tuple[str, str]], **more: Any) -> None:
        """Each of these does that with his task, and it is taken."""
        for part in parts(list(who)):
            answers = await asyncio.gather(*(self.command(verb, task, worker, **more) for task, worker in part))
            assert {one["status"] for one in answers} <= {"accepted"}, answers

    async def task(self, task_id: str) -> dict[str, Any]:
        """As it is stored."""
        (document,) = await self.at.dispatch.stored("tasks", {"_id": task_id})
        return dict(document["state"])

    async def tasks(self, **query: Any) -> dict[str, dict[str, Any]]:
        """Those whose state has these values, by id."""
        where = {f"state.{name}": value for name, value in query.items()}
        return {one["_id"]: one["state"] for one in await self.at.dispatch.stored("tasks", where)}

    async def entries(self, event: str) -> list[dict[str, Any]]:
        """The events of one kind, in the order in which the ledger entered them."""
        found = await self.at.ledger.stored("entries", {"type": event})
        return [json.loads(one["data"]) for one in sorted(found, key=lambda one: int(one["sequence"]))]

    async def entered(self, event: str, count: int) -> bool:
        """Whether the ledger has so many of them."""
        return len(await self.at.ledger.stored("entries", {"type": event})) == count

    def lines(self) -> list[dict[str, Any]]:
        """What staff heard."""
        return [json.loads(message.body) for message in self.staff.heard]

    def heard(self, event: str) -> list[dict[str, Any]]:
        """What staff heard of one kind of event."""
        return [line for line in self.lines() if line["event"] == event]


def parts(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    """So many at once."""
    return (items[start : start + AT_ONCE] for start in range(0, len(items), AT_ONCE))


@asynccontextmanager
async def stage(town: Town) -> AsyncIterator[Stage]:
    """Everything runs; it is ten in the morning."""
    clock = Clock(TEN)
    async with (
        town.up(*ALL, clock=clock) as at,
        town.amqp() as source,
        town.amqp("operator") as desk,
        town.staff() as staff,
    ):
        yield Stage(at, source, desk, staff, clock)
