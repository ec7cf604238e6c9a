"""S2, dispatch's part: gas cards topped up at the kitchen table by whoever holds the Bluetooth reader."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from shared.identity import new_id
from tests import world
from tests.running import Amqp, Clock, Running, Town, eventually

ALL = ("intake", "dispatch", "notification", "ledger")
HOUSEHOLDS = 30
WORKERS = 6
READER = "worker-4"
"""Of the six, the one who holds the reader."""


@dataclass(frozen=True, slots=True)
class Kitchens:
    """The whole system, on a clock that stands still; thirty households and six workers."""

    at: Running
    source: Amqp
    desk: Amqp
    """The program through which helpers act."""

    async def settle(self) -> None:
        """Six buildings, each with a worker who answers for it."""
        for number in range(WORKERS):
            place = {"community": world.TIEBEI, "building": f"{number + 1}", "grid": f"k{number}"}
            await world.accepted(self.at.ledger, "/buildings", place)
            body = {"worker_id": f"worker-{number}", "community": world.TIEBEI, "role": "grid_worker", "name": "网"}
            skills = ["gas_card_reader"] if f"worker-{number}" == READER else []
            await world.accepted(self.at.dispatch, "/workers", {**body, "grids": [f"k{number}"], "skills": skills})
        await eventually(self.knows_places)

    async def knows_places(self) -> bool:
        """Whether intake knows the buildings and dispatch who answers."""
        grids = await self.at.dispatch.stored("grids")
        return len(await self.at.intake.stored("buildings")) == WORKERS == len(grids)

    async def top_ups(self) -> list[str]:
        """Thirty households ask for it; their tasks, once somebody is asked for each."""
        bodies = [
            world.groceries(
                f"card-{number}",
                kind="gas_top_up",
                address={"building": f"{number % WORKERS + 1}", "unit": "1", "room": f"{number}"},
                resident={},
                items=[],
            )
            for number in range(HOUSEHOLDS)
        ]
        answers = await asyncio.gather(*(self.source.ask("request.submit", body) for body in bodies))
        assert Counter(one["status"] for one in answers) == {"accepted": HOUSEHOLDS}
        found = await eventually(self.all_offered)
        return [str(one["_id"]) for one in found]

    async def all_offered(self) -> list[dict[str, Any]] | None:
        """Every task, once all are offered."""
        found = await self.at.dispatch.stored("tasks", {"state.state": "offered"})
        return found if len(found) == HOUSEHOLDS else None

    async def command(self, verb: str, task_id: str, worker: str) -> dict[str, Any]:
        """A worker's program sends a command."""
        return await self.desk.ask(f"task.{verb}", {"task_id": task_id, "command_id": new_id(), "worker": worker})


@pytest.fixture
async def kitchens(town: Town) -> AsyncIterator[Kitchens]:
    """Everything runs, and everybody is on the books."""
    async with town.up(*ALL, clock=Clock()) as at, town.amqp() as source, town.amqp("operator") as desk:
        one = Kitchens(at, source, desk)
        await one.settle()
        yield one


async def test_thirty_cards_are_topped_up_by_the_one_who_holds_the_reader(kitchens: Kitchens) -> None:
    """He is asked in all six grids, and nobody else is; each household stands in the ledger as served."""
    tasks = await kitchens.top_ups()
    asked = [one["state"] for one in await kitchens.at.dispatch.stored("tasks")]
    assert {one["worker"] or one["asked"][0] for one in asked} == {READER}
    assert max(len(one["asked"]) for one in asked) == 1
    assert (await kitchens.command("claim", tasks[0], "worker-1"))["problems"][0]["code"] == "not_offered"
    for verb in ("claim", "start", "complete"):
        answers = await asyncio.gather(*(kitchens.command(verb, task, READER) for task in tasks))
        assert {one["status"] for one in answers} == {"accepted"}
    await eventually(lambda: served(kitchens))


async def served(kitchens: Kitchens) -> bool:
    entries = await kitchens.at.ledger.stored("entries", {"type": "DeliveryCompleted"})
    return len({one["request_id"] for one in entries}) == HOUSEHOLDS == len(entries)


async def test_two_readers_are_never_both_on_one_card(kitchens: Kitchens) -> None:
    """A second reader is lent out: whoever claims a card first has it."""
    body = {"worker_id": "worker-5", "community": world.TIEBEI, "role": "grid_worker", "name": "网", "grids": ["k5"]}
    await world.accepted(kitchens.at.dispatch, "/workers", {**body, "skills": ["gas_card_reader"]})
    tasks = await kitchens.top_ups()
    both = [(task, worker) for task in tasks for worker in (READER, "worker-5")]
    answers = await asyncio.gather(*(kitchens.command("claim", *one) for one in both))
    won = Counter(task for (task, _), one in zip(both, answers, strict=True) if one["status"] == "accepted")
    assert max(won.values()) == 1
    codes = {one["problems"][0]["code"] for one in answers if one["status"] != "accepted"}
    # Whoever answers for the grid holds a reader himself in two of six, and is asked by name.
    assert codes <= {"taken", "not_offered"}
    assert len(won) == HOUSEHOLDS
