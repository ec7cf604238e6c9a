"""Dispatch hears who is observed: in whatever order the news comes, and for each door on its own."""

from typing import Any

from shared.contracts.observation import ObservationStarted, PersonReleased
from tests import world
from tests.component.conftest import Room
from tests.running import eventually


def news(kind: type[Any], observation_id: str, household: str = "household-2-1-502", **more: Any) -> Any:
    facts = {"person_id": f"p-{observation_id}", "household": household, "building": "2", "worker": world.ZHAO}
    return kind(community=world.TIEBEI, grid="g1", observation_id=observation_id, **facts, **more)


def started(observation_id: str, **more: Any) -> Any:
    days = {"starts": "2026-11-24", "last_day": "2026-12-01"}
    return news(ObservationStarted, observation_id, listing="assigned_by_city", category="other", **days, **more)


def released(observation_id: str) -> Any:
    return news(PersonReleased, observation_id, reason="last_day")


async def doors(room: Room, over: int) -> bool:
    found = await room.dispatch.stored("doors")
    return sum(len(one["state"]["released"]) for one in found) == over


async def apart(room: Room, task: str) -> bool:
    return bool((await room.task(task))["state"]["apart"])


async def test_a_family_is_kept_apart_until_the_last_of_it_is_released(room: Room) -> None:
    """Told once each way, and nobody else's delivery changes."""
    task = await room.offered("r1")
    other = await room.offered("r2", household="household-2-1-101")
    for one in ("mother", "son"):
        await room.operator.happen(started(one))
    await eventually(lambda: apart(room, task))
    await room.operator.happen(released("mother"))
    await eventually(lambda: doors(room, 1))
    assert await apart(room, task)
    await room.operator.happen(released("son"))
    await eventually(lambda: room.told("r1").count("apart") == 2)
    assert not await apart(room, task)
    assert not await apart(room, other)
    assert room.told("r2").count("apart") == 0


async def test_news_of_a_release_that_comes_first_leaves_nobody_apart(room: Room) -> None:
    """And repeated for a month, it is the same."""
    for _ in range(3):
        await room.operator.happen(released("son"))
        await room.operator.happen(started("son"))
    await eventually(lambda: doors(room, 1))
    task = await room.offered("r1")
    assert not await apart(room, task)
    await room.operator.happen(started("father"))
    await eventually(lambda: apart(room, task))
    late = await room.offered("r2")
    assert await apart(room, late)
    shown = await room.dispatch.get(f"/tasks/{late}", who="grid_worker")
    assert (shown["apart"], shown["contactless"]) == (True, True)
