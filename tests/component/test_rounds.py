"""Rounds on a real broker and database, with the real solver: whoever fits best is asked, by name, and why."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator

import pytest

from tests import world
from tests.component.conftest import Room
from tests.running import Clock, Service, Town, eventually

KIND = "notice"
"""A kind whose ladder begins with a round."""
NEAR = {"1": "near-1", "2": "near-2", "3": "near-3"}
"""Who starts in front of each building."""


@pytest.fixture
async def room(town: Town) -> AsyncIterator[Room]:
    """Dispatch runs; of those who help, each begins in front of another building."""
    async with town.up("dispatch", clock=Clock()) as at, town.amqp("operator") as operator, town.ear() as events:
        await world.settle(at.dispatch)
        for worker in world.WORKERS[:4]:
            away = await at.dispatch.post(f"/workers/{worker['worker_id']}/absence", {"command_id": "away"})
            assert away.status_code == 200
        for building, name in NEAR.items():
            body = {"worker_id": name, "community": world.TIEBEI, "role": "volunteer", "name": "邻"}
            await world.accepted(at.dispatch, "/workers", {**body, "buildings": [building], "cap": 4})
        yield Room(at.dispatch, operator, events, at.dispatch.runtime.clock)  # type: ignore[arg-type]


async def state_of(dispatch: Service, task_id: str) -> dict[str, object]:
    """As it is stored."""
    (document,) = await dispatch.stored("tasks", {"_id": task_id})
    return dict(document["state"])


async def test_what_waits_together_is_chosen_together_and_neighbours_are_one_walk(room: Room) -> None:
    """Three stairwells of three buildings, two needs each: nobody gets parts of two, and each learns why."""
    stairs = {f"r{number}": str(number % 3 + 1) for number in range(6)}
    ids = await asyncio.gather(
        *(
            room.offered(request_id, kind=KIND, building=building, stairwell=f"stairs-{building}", household=request_id)
            for request_id, building in stairs.items()
        )
    )
    states = [await state_of(room.dispatch, task_id) for task_id in ids]
    went: dict[str, set[object]] = defaultdict(set)
    for state, building in zip(states, stairs.values(), strict=True):
        went[building].add(state["worker"])
        assert state["state"] == "offered"
        assert isinstance(state["why"], list)
        assert [one for one in state["why"] if str(one).startswith("metres:")]
    assert went == {building: {name} for building, name in NEAR.items()}
    offers = [one for one in room.events.bodies("doorstep.delivery.offered.v1") if one["kind"] == KIND]
    assert {one["worker"] for one in offers} == set(NEAR.values())
    assert any("same_stairwell" in one["why"] for one in offers)
    shown = await room.dispatch.get(f"/tasks/{ids[0]}", who="coordinator")
    assert shown["why"] == states[0]["why"]


async def test_who_is_not_wanted_or_not_able_is_not_chosen_however_near(room: Room) -> None:
    """And where nobody is, the coordinator is asked at once."""
    first = await room.offered("r1", kind=KIND, building="1")
    assert (await state_of(room.dispatch, first))["worker"] == "near-1"
    answer = await room.act(first, "exclude", "coordinator", "never", worker="near-1")
    assert answer.status_code == 200
    await eventually(lambda: room.told("r1").count("offered") == 2)
    assert (await state_of(room.dispatch, first))["worker"] in ("near-2", "near-3")
    nobody = await room.offered("r2", kind=KIND, building="1", needs=("medical",))
    assert (await state_of(room.dispatch, nobody))["role"] == "coordinator"


async def test_what_is_urgent_is_chosen_too_and_no_cap_is_passed(room: Room) -> None:
    """Five urgent needs behind one door, and four places with whoever is nearest."""
    ids = await asyncio.gather(
        *(room.offered(f"r{number}", kind=KIND, building="1", urgency="urgent") for number in range(5))
    )
    for number, task_id in enumerate(ids):
        worker = (await state_of(room.dispatch, task_id))["worker"]
        answer = await room.act(task_id, "accept", "coordinator", f"a{number}", worker=worker)
        assert answer.status_code == 200
    held = [(await state_of(room.dispatch, task_id))["slot"] for task_id in ids]
    assert len(set(held)) == 5
    assert None not in held
