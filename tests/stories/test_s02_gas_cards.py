"""S2: gas cards topped up at the kitchen table by whoever holds the Bluetooth reader."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from tests import world
from tests.running import Town, eventually
from tests.stories.stage import Stage, stage

HOUSEHOLDS = 30
WORKERS = 6
READER = "worker-4"
"""Of the six, the one who holds the reader."""


@pytest.fixture
async def kitchens(town: Town) -> AsyncIterator[Stage]:
    """Six buildings, each with a worker who answers for it."""
    async with stage(town) as one:
        await one.enter(
            {f"{number + 1}": f"k{number}" for number in range(WORKERS)},
            [
                {
                    "worker_id": f"worker-{number}",
                    "role": "grid_worker",
                    "grids": [f"k{number}"],
                    "skills": ["gas_card_reader"] if f"worker-{number}" == READER else [],
                }
                for number in range(WORKERS)
            ],
        )
        yield one


async def top_ups(kitchens: Stage) -> list[str]:
    """Thirty households ask for it; their tasks, once somebody is asked for each."""
    tasks = await kitchens.request(
        [
            world.groceries(
                f"card-{number}",
                kind="gas_top_up",
                address={"building": f"{number % WORKERS + 1}", "unit": "1", "room": f"{number}"},
                resident={},
                items=[],
            )
            for number in range(HOUSEHOLDS)
        ]
    )
    assert set(await kitchens.tasks(state="offered")) == set(tasks)
    return tasks


async def test_thirty_cards_are_topped_up_by_the_one_who_holds_the_reader(kitchens: Stage) -> None:
    """He is asked in all six grids, and nobody else is; each household stands in the ledger as served."""
    tasks = await top_ups(kitchens)
    asked = (await kitchens.tasks()).values()
    assert {one["worker"] or one["asked"][0] for one in asked} == {READER}
    assert max(len(one["asked"]) for one in asked) == 1
    assert (await kitchens.command("claim", tasks[0], "worker-1"))["problems"][0]["code"] == "not_offered"
    for verb in ("claim", "start", "complete"):
        await kitchens.all_do(verb, [(task, READER) for task in tasks])
    await eventually(lambda: served(kitchens))
    numbers = await kitchens.at.ledger.get("/numbers", who="coordinator", by="worker")
    (reader,) = (one for one in numbers["items"] if one["worker"] == READER)
    # Each building is one walk; done by itself, each card would have been to the shop and back.
    assert (reader["done"], reader["households"], reader["walks"]) == (HOUSEHOLDS, HOUSEHOLDS, WORKERS)
    assert reader["walks_saved"] == 3 * HOUSEHOLDS - WORKERS


async def served(kitchens: Stage) -> bool:
    entries = await kitchens.at.ledger.stored("entries", {"type": "DeliveryCompleted"})
    return len({one["request_id"] for one in entries}) == HOUSEHOLDS == len(entries)


async def test_two_readers_are_never_both_on_one_card(kitchens: Stage) -> None:
    """A second reader is lent out: whoever claims a card first has it."""
    body = {"worker_id": "worker-5", "community": world.TIEBEI, "role": "grid_worker", "name": "网", "grids": ["k5"]}
    await world.accepted(kitchens.at.dispatch, "/workers", {**body, "skills": ["gas_card_reader"]})
    tasks = await top_ups(kitchens)
    both = [(task, worker) for task in tasks for worker in (READER, "worker-5")]
    answers = await asyncio.gather(*(kitchens.command("claim", *one) for one in both))
    won = Counter(task for (task, _), one in zip(both, answers, strict=True) if one["status"] == "accepted")
    assert max(won.values()) == 1
    codes = {one["problems"][0]["code"] for one in answers if one["status"] != "accepted"}
    # Whoever answers for the grid holds a reader himself in two of six, and is asked by name.
    assert codes <= {"taken", "not_offered"}
    assert len(won) == HOUSEHOLDS
