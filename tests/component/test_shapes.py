"""Aggregates at rest: older shapes are rewritten beside replicas that still write them, many are entered at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest
from pydantic import BaseModel, model_validator

from shared.aggregates import Aggregates
from shared.consumer import Router
from shared.contracts.dispatch import DeliveryCompleted
from shared.contracts.envelope import Meta
from shared.runtime import Runtime, utc_now
from tests.running import Town, eventually

MANY = 1200
"""More than one page of them."""


class Door(BaseModel, extra="forbid"):
    """As the version before writes it; as a command, it takes no field that it does not know."""

    flat: str
    knocks: int = 0


class NewDoor(BaseModel):
    """As it is written now: building and room apart, and `flat` still there for those who know no other."""

    flat: str
    knocks: int = 0
    building: str
    room: str
    shape: int = 2

    @model_validator(mode="before")
    @classmethod
    def from_older(cls, value: Any) -> Any:
        """Building and room from the flat."""
        if isinstance(value, dict) and "shape" not in value:
            building, _, room = value["flat"].partition("-")
            return {**value, "building": building, "room": room}
        return value


D = TypeVar("D", Door, NewDoor)


@asynccontextmanager
async def replica(town: Town, model: type[D]) -> AsyncIterator[Aggregates[D]]:
    """A replica of a service that keeps doors, of the version that writes them so."""
    runtime = Runtime("dispatch", town.engines.settings())
    doors = runtime.aggregates("doors", model, lambda door: door.flat)
    runtime.consume(Router("dispatch"), None)
    await runtime.start()
    try:
        await eventually(lambda: runtime.ready)
        yield doors
    finally:
        await runtime.stop()


async def knock(doors: Aggregates[Any], number: int, cause: str) -> None:
    """One more knock at a door, made when there is none."""
    flat = f"{number // 100}-{number % 100}"

    def decide(door: Any) -> tuple[Any, list[DeliveryCompleted]]:
        return (door.model_copy(update={"knocks": door.knocks + 1}) if door else Door(flat=flat)), []

    await doors.update(flat, decide, Meta("", "test", "test", utc_now(), cause))


async def older(doors: Aggregates[Any]) -> int:
    """How many are not yet in the new shape."""
    return await doors.collection.count({"state.shape": {"$ne": 2}})


async def test_documents_are_rewritten_beside_replicas_that_still_write_the_older_shape(town: Town) -> None:
    """Nothing that either of them writes is lost, and when the old ones are gone all is in the new shape."""
    async with replica(town, Door) as old:
        await asyncio.gather(*(knock(old, number, "made") for number in range(MANY)))
        async with replica(town, NewDoor) as new:
            for turn in range(20):
                # The same doors by both, and read by both.
                await asyncio.gather(*(knock(doors, number, f"{turn}") for doors in (old, new) for number in range(50)))
            assert (await old.get("11-99")) == Door(flat="11-99")
        async with replica(town, NewDoor) as new:
            await asyncio.gather(*(knock(old, number, "last") for number in range(50)))
            await eventually(lambda: none_older(new), 30)
            documents = await new.collection.find({})
    assert len(documents) == MANY
    for document in documents:
        building, room = document["_id"].split("-")
        number = int(building) * 100 + int(room)
        knocks = 41 if number < 50 else 0
        expected = NewDoor(flat=document["_id"], knocks=knocks, building=building, room=room)
        assert document["state"] == expected.model_dump()


async def none_older(doors: Aggregates[Any]) -> bool:
    """Whether all are in the new shape."""
    return await older(doors) == 0


async def test_those_to_be_rewritten_are_found_through_an_index(town: Town) -> None:
    """The planner says so."""
    async with replica(town, Door) as old:
        await asyncio.gather(*(knock(old, number, "made") for number in range(MANY)))
    async with replica(town, NewDoor) as new:
        await eventually(lambda: none_older(new), 30)
        cursor = new.collection.raw.find({"state.shape": {"$in": [None, 1]}})
        stages = str((await cursor.explain())["queryPlanner"]["winningPlan"])
    assert "IXSCAN" in stages
    assert "COLLSCAN" not in stages


@pytest.mark.parametrize("model", [Door, NewDoor])
async def test_a_document_of_either_shape_is_read_by_either_version(town: Town, model: type[Any]) -> None:
    """Also after the other wrote it."""
    async with replica(town, Door) as old, replica(town, NewDoor) as new:
        await knock(old, 101, "made")
        await knock(new if model is NewDoor else old, 101, "again")
        await knock(old if model is NewDoor else new, 101, "once more")
        assert (await old.get("1-1")) == Door(flat="1-1", knocks=2)
        assert (await new.get("1-1")) == NewDoor(flat="1-1", knocks=2, building="1", room="1")


async def test_of_many_that_are_inserted_those_that_there_are_stay_as_they_are(town: Town) -> None:
    """And are named; the same again changes nothing."""
    async with replica(town, Door) as doors:
        await knock(doors, 101, "made")
        await knock(doors, 101, "again")
        many = [(flat, Door(flat=flat), ()) for flat in ("1-1", "1-2", "1-3")]
        meta = Meta("", "test", "test", utc_now(), "many")
        assert await doors.insert(many, meta) == {"1-1"}
        assert await doors.insert(many, meta) == {"1-1", "1-2", "1-3"}
        found = await asyncio.gather(*(doors.get(flat) for flat, *_ in many))
        assert [one.knocks for one in found if one] == [1, 0, 0]
        await knock(doors, 102, "then")
        assert (await doors.get("1-2")) == Door(flat="1-2", knocks=1)
