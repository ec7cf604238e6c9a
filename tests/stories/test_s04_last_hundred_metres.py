"""S4: the last hundred metres. What riders leave at ten gates is carried to the doors by whoever claims it first."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from tests import world
from tests.running import Town, eventually
from tests.stories.stage import Stage, stage

COMPOUNDS = 10
DELIVERIES = 120
VOLUNTEERS = 40
CAP = 4
"""Tasks that one volunteer can have at once."""


def responsible(compound: int) -> str:
    """The worker who answers for a compound."""
    return f"answers-{compound}"


@pytest.fixture
async def gates(town: Town) -> AsyncIterator[Stage]:
    """Ten compounds of one building each, who answers for them, and forty volunteers for all of them."""
    async with stage(town) as one:
        await one.enter(
            {f"{number + 1}": f"k{number}" for number in range(COMPOUNDS)},
            [
                *(
                    {"worker_id": responsible(number), "role": "grid_worker", "grids": [f"k{number}"]}
                    for number in range(COMPOUNDS)
                ),
                *({"worker_id": f"v{number}", "role": "volunteer", "cap": CAP} for number in range(VOLUNTEERS)),
            ],
        )
        yield one


async def left_at_the_gates(gates: Stage, count: int) -> dict[str, str]:
    """So many parcels and meals: the compound of each task, once all are offered."""
    tasks = await gates.request(
        [
            world.groceries(
                f"gate-{number}",
                kind=("parcel", "takeaway")[number % 2],
                address={"building": f"{number % COMPOUNDS + 1}", "unit": "1", "room": f"{number}"},
                resident={},
                items=[],
            )
            for number in range(count)
        ]
    )
    assert set(await gates.tasks(role="volunteer")) == set(tasks)
    return {one["id"]: one["grid"] for one in await gates.at.dispatch.items("/tasks", open=True)}


def heard(gates: Stage, task_id: str) -> list[str]:
    """What staff heard of one task."""
    return [line["event"] for line in gates.lines() if line["task_id"] == task_id]


@pytest.mark.timeout(300)
async def test_forty_volunteers_claim_a_hundred_and_twenty_deliveries_at_once_and_carry_them(gates: Stage) -> None:
    """One winner each, no cap passed, the others told who has it; every one ends at the door and in the ledger."""
    tasks = list(await left_at_the_gates(gates, DELIVERIES))
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
            await gates.all_do(verb, won.items())
        done |= won.keys()
        left = [task for task in tasks if task not in done]
        claims = {task: f"v{position % VOLUNTEERS}" for position, task in enumerate(left)}
        await gates.all_do("claim", claims.items())
        won = claims
    await eventually(lambda: gates.entered("DeliveryCompleted", DELIVERIES))
    await eventually(lambda: gates.entered("DeliveryAssigned", DELIVERIES))
    await eventually(lambda: all("DeliveryCompleted" in heard(gates, task) for task in tasks))


async def test_what_nobody_claims_in_time_goes_back_to_whoever_answers_with_higher_priority(gates: Stage) -> None:
    """The volunteers had their quarter of an hour."""
    tasks = await left_at_the_gates(gates, 4)
    before = {task: (await gates.task(task))["priority"] for task in tasks}
    gates.clock.forward(minutes=15)
    for task, grid in tasks.items():
        await eventually(lambda task=task, grid=grid: with_whom(gates, task, responsible(int(grid[1:]))))  # type: ignore[misc]
        assert (await gates.task(task))["priority"] > before[task]
        await eventually(lambda task=task: heard(gates, task).count("DeliveryOffered") == 2)  # type: ignore[misc]


async def with_whom(gates: Stage, task: str, worker: str) -> bool:
    return bool(await gates.at.dispatch.stored("tasks", {"_id": task, "state.worker": worker}))


async def test_a_volunteer_who_claimed_and_disappears_loses_his_lease_and_others_are_asked(gates: Stage) -> None:
    """All but him; whoever takes it next brings it to the door."""
    (task,) = await left_at_the_gates(gates, 1)
    assert (await gates.command("claim", task, "v3"))["status"] == "accepted"
    gates.clock.forward(hours=1)
    await eventually(lambda: gates.at.dispatch.stored("tasks", {"_id": task, "state.state": "offered"}))
    state = await gates.task(task)
    assert (len(state["asked"]), "v3" in state["asked"], state["slot"]) == (VOLUNTEERS - 1, False, None)
    assert (await gates.command("claim", task, "v3"))["problems"][0]["code"] == "not_offered"
    for verb in ("claim", "start", "complete"):
        assert (await gates.command(verb, task, "v4"))["status"] == "accepted"
    await eventually(lambda: gates.entered("DeliveryCompleted", 1))
    assert heard(gates, task)[:4] == ["DeliveryOffered", "DeliveryAssigned", "DeliveryReleased", "DeliveryOffered"]
