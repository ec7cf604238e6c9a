"""S4: the last hundred metres. What riders leave at ten gates is carried to the doors by whoever claims it first."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from shared.identity import new_id
from tests import world
from tests.running import Amqp, Clock, Ear, Running, Town, eventually

ALL = ("intake", "dispatch", "notification", "ledger")
COMPOUNDS = 10
DELIVERIES = 120
VOLUNTEERS = 40
CAP = 4
"""Tasks that one volunteer can have at once."""


def responsible(compound: int) -> str:
    """The worker who answers for a compound."""
    return f"answers-{compound}"


@dataclass(frozen=True, slots=True)
class Gates:
    """The whole system, on a clock that stands still, and everybody around the ten compounds."""

    at: Running
    source: Amqp
    desk: Amqp
    """The program through which helpers act."""
    staff: Ear
    clock: Clock

    async def settle(self) -> None:
        """Ten compounds of one building each, who answers for them, and forty volunteers for all of them."""
        for number in range(COMPOUNDS):
            building = {"community": world.TIEBEI, "building": f"{number + 1}", "grid": f"k{number}"}
            await world.accepted(self.at.ledger, "/buildings", building)
            worker = {"worker_id": responsible(number), "community": world.TIEBEI, "role": "grid_worker", "name": "责"}
            await world.accepted(self.at.dispatch, "/workers", {**worker, "grids": [f"k{number}"]})
        for number in range(VOLUNTEERS):
            body = {"worker_id": f"v{number}", "community": world.TIEBEI, "role": "volunteer", "name": "志", "cap": CAP}
            await world.accepted(self.at.dispatch, "/workers", body)
        await eventually(lambda: self.knows_places())

    async def knows_places(self) -> bool:
        """Whether intake knows the buildings and dispatch who answers."""
        grids = await self.at.dispatch.stored("grids")
        return len(await self.at.intake.stored("buildings")) == COMPOUNDS and len(grids) == COMPOUNDS

    async def left_at_the_gates(self, count: int) -> dict[str, str]:
        """So many parcels and meals: the compound of each task, once all are offered."""
        bodies = [
            world.groceries(
                f"gate-{number}",
                kind=("parcel", "takeaway")[number % 2],
                address={"building": f"{number % COMPOUNDS + 1}", "unit": "1", "room": f"{number}"},
                resident={},
                items=[],
            )
            for number in range(count)
        ]
        answers = await asyncio.gather(*(self.source.ask("request.submit", body) for body in bodies))
        assert Counter(one["status"] for one in answers) == {"accepted": count}
        await eventually(lambda: self.offered(count))
        return {one["id"]: one["grid"] for one in await self.at.dispatch.items("/tasks", open=True)}

    async def offered(self, count: int) -> bool:
        """Whether so many are offered to the volunteers."""
        return len(await self.at.dispatch.stored("tasks", {"state.role": "volunteer"})) == count

    async def command(self, verb: str, task_id: str, worker: str) -> dict[str, Any]:
        """A volunteer's program sends a command."""
        return await self.desk.ask(f"task.{verb}", {"task_id": task_id, "command_id": new_id(), "worker": worker})

    async def task(self, task_id: str) -> dict[str, Any]:
        """As it is stored."""
        (document,) = await self.at.dispatch.stored("tasks", {"_id": task_id})
        return dict(document["state"])

    def heard(self, task_id: str) -> list[str]:
        """What staff heard of one task."""
        lines = (json.loads(message.body) for message in self.staff.heard)
        return [line["event"] for line in lines if line["task_id"] == task_id]

    async def entered(self, event: str, count: int) -> bool:
        """Whether the ledger has so many entries of that type."""
        return len(await self.at.ledger.stored("entries", {"type": event})) == count


@pytest.fixture
async def gates(town: Town) -> AsyncIterator[Gates]:
    """Everything runs, and everybody is on the books."""
    clock = Clock()
    async with (
        town.up(*ALL, clock=clock) as at,
        town.amqp() as source,
        town.amqp("operator") as desk,
        town.staff() as staff,
    ):
        one = Gates(at, source, desk, staff, clock)
        await one.settle()
        yield one


@pytest.mark.timeout(300)
async def test_forty_volunteers_claim_a_hundred_and_twenty_deliveries_at_once_and_carry_them(gates: Gates) -> None:
    """One winner each, no cap passed, the others told who has it; every one ends at the door and in the ledger."""
    tasks = list(await gates.left_at_the_gates(DELIVERIES))
    everybody = {f"v{number}" for number in range(VOLUNTEERS)}
    assert set((await gates.task(tasks[0]))["asked"]) == everybody
    # Each tries six, and each task is tried by two: there are more claims than hands, and more hands than tasks.
    tries = [(task, f"v{(position + shift) % VOLUNTEERS}") for position, task in enumerate(tasks) for shift in (0, 7)]
    answers = await asyncio.gather(*(gates.command("claim", task, worker) for task, worker in tries))
    won = {task: worker for (task, worker), one in zip(tries, answers, strict=True) if one["status"] == "accepted"}
    codes = Counter(one["problems"][0]["code"] for one in answers if one["status"] != "accepted")
    assert len(won) + codes.total() == len(tries)
    assert codes.keys() <= {"taken", "cap_reached"}
    for (task, _), one in zip(tries, answers, strict=True):
        if one["status"] == "refused" and one["problems"][0]["code"] == "taken":
            assert won[task] in one["problems"][0]["message"], "whoever comes second learns who has it"

    done: set[str] = set()
    while len(done) < DELIVERIES:
        assert max(Counter(won.values()).values()) <= CAP
        for verb in ("start", "complete"):
            answers = await asyncio.gather(*(gates.command(verb, *one) for one in won.items()))
            assert {one["status"] for one in answers} == {"accepted"}
        done |= won.keys()
        left = [task for task in tasks if task not in done]
        claims = {task: f"v{position % VOLUNTEERS}" for position, task in enumerate(left)}
        answers = await asyncio.gather(*(gates.command("claim", *one) for one in claims.items()))
        assert {one["status"] for one in answers} <= {"accepted"}
        won = claims
    await eventually(lambda: gates.entered("DeliveryCompleted", DELIVERIES))
    await eventually(lambda: gates.entered("DeliveryAssigned", DELIVERIES))
    await eventually(lambda: all("DeliveryCompleted" in gates.heard(task) for task in tasks))


async def test_what_nobody_claims_in_time_goes_back_to_whoever_answers_with_higher_priority(gates: Gates) -> None:
    """The volunteers had their quarter of an hour."""
    tasks = await gates.left_at_the_gates(4)
    before = {task: (await gates.task(task))["priority"] for task in tasks}
    gates.clock.forward(minutes=15)
    for task, grid in tasks.items():
        await eventually(lambda task=task, grid=grid: with_whom(gates, task, responsible(int(grid[1:]))))  # type: ignore[misc]
        assert (await gates.task(task))["priority"] > before[task]
        await eventually(lambda task=task: gates.heard(task).count("DeliveryOffered") == 2)  # type: ignore[misc]


async def with_whom(gates: Gates, task: str, worker: str) -> bool:
    return bool(await gates.at.dispatch.stored("tasks", {"_id": task, "state.worker": worker}))


async def test_a_volunteer_who_claimed_and_disappears_loses_his_lease_and_others_are_asked(gates: Gates) -> None:
    """All but him; whoever takes it next brings it to the door."""
    (task,) = await gates.left_at_the_gates(1)
    assert (await gates.command("claim", task, "v3"))["status"] == "accepted"
    gates.clock.forward(hours=1)
    await eventually(lambda: gates.at.dispatch.stored("tasks", {"_id": task, "state.state": "offered"}))
    state = await gates.task(task)
    assert (len(state["asked"]), "v3" in state["asked"], state["slot"]) == (VOLUNTEERS - 1, False, None)
    assert (await gates.command("claim", task, "v3"))["problems"][0]["code"] == "not_offered"
    for verb in ("claim", "start", "complete"):
        assert (await gates.command(verb, task, "v4"))["status"] == "accepted"
    await eventually(lambda: gates.entered("DeliveryCompleted", 1))
    assert gates.heard(task)[:4] == ["DeliveryOffered", "DeliveryAssigned", "DeliveryReleased", "DeliveryOffered"]
