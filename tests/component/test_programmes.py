"""Programmes on real engines: everybody of a building or a category is looked after, whoever that is when it comes."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from services.ledger.programmes.handlers import TOGETHER
from tests import world
from tests.running import Clock, Service, Town, eventually, problems

NEIGHBOURS = 2 * TOGETHER + 1
"""More than are dealt with together, twice."""
TIMES = {"begins": "2026-11-24T18:00", "rule": "FREQ=DAILY"}
"""An hour after the clock of these tests begins, in Tiebei."""


@dataclass(frozen=True, slots=True)
class Desk:
    """The ledger, and its clock."""

    ledger: Service
    clock: Clock

    async def enter(self, number: int, **changes: Any) -> str:
        """Somebody of building 2."""
        address = {"building": "2", "unit": "1", "room": f"{number}"}
        told = {**world.MR_WANG, "source_id": f"p{number}", "name": f"王{number}", "address": address, "phone": None}
        answer = await self.ledger.post("/people", {**told, **changes})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])


@pytest.fixture
async def desk(town: Town) -> AsyncIterator[Desk]:
    """The ledger, and building 2."""
    clock = Clock()
    async with town.up("ledger", clock=clock) as at, town.ear():
        await world.accepted(at.ledger, "/buildings", {"community": world.TIEBEI, "building": "2", "grid": "g1"})
        yield Desk(at.ledger, clock)


async def test_everybody_of_a_building_has_one_follow_up_each_time(desk: Desk) -> None:
    """In pages; who moves in has one from then on, who has left has none, and nobody has two."""
    people = await asyncio.gather(*(desk.enter(number) for number in range(NEIGHBOURS)))
    deaf = await desk.enter(9_000, needs=["deaf"])
    told = {"programme_id": "warm", "community": world.TIEBEI, "everybody": {"building": "2"}, "kind": "care_call"}
    for status in ("accepted", "duplicate"):
        assert (await desk.ledger.post("/programmes", {**told, **TIMES})).json()["status"] == status
    desk.clock.now += timedelta(hours=1, minutes=1)
    await eventually(lambda: counted(desk, "warm", Counter([*people, deaf])))
    (quiet,) = await desk.ledger.stored("follow_ups", {"state.person_id": deaf})
    assert quiet["state"]["hears"] is False

    gone = {"command_id": "m", "here": False}
    assert (await desk.ledger.post(f"/people/{people[0]}/move", gone)).status_code in (200, 202)
    new = await desk.enter(9_001)
    desk.clock.now += timedelta(days=1)
    everybody = Counter({**dict.fromkeys(people[1:], 2), deaf: 2, people[0]: 1, new: 1})
    await eventually(lambda: counted(desk, "warm", everybody))

    ended = await desk.ledger.post("/programmes/warm/end", {"command_id": "e"})
    assert ended.json() == {"status": "accepted", "id": "warm", "state": "ended"}
    assert [one["ended"] for one in await desk.ledger.items("/programmes", who="coordinator")] == [True]
    for event in ("ProgrammeBegun", "ProgrammeEnded"):
        await eventually(lambda event=event: desk.ledger.items("/entries", type=event))  # type: ignore[misc]


async def counted(desk: Desk, programme_id: str, everybody: Counter[str]) -> bool:
    found = await desk.ledger.stored("follow_ups", {"state.plan_id": programme_id})
    return Counter(one["state"]["person_id"] for one in found) == everybody


async def test_a_programme_for_nobody_or_what_there_is_not_is_refused_by_field(desk: Desk) -> None:
    """And whoever leads elsewhere sees none of it."""
    told = {"programme_id": "x", "community": world.TIEBEI, "kind": "care_call", **TIMES}

    async def refused(who: str = "operator", **changes: Any) -> list[tuple[str, str]]:
        answer = await desk.ledger.post("/programmes", {**told, "everybody": {"building": "2"}, **changes}, who=who)
        assert answer.status_code in (403, 422), answer.text
        return problems(answer)

    assert (await refused(everybody={}))[0][0] == "everybody"
    assert await refused(everybody={"category": "nobody"}) == [("everybody.category", "unknown_category")]
    assert await refused(everybody={"listed": "nobody"}) == [("everybody.listed", "unknown_list")]
    assert await refused(kind="nothing") == [("kind", "unknown_kind")]
    assert await refused(zone="Asia/Nowhere") == [("zone", "unknown_zone")]
    assert await refused(rule="FREQ=SECONDLY") == [("rule", "bad_rule")]
    assert await refused(rule="FREQ=DAILY;UNTIL=20200101") == [("rule", "never")]
    assert await refused(who="coordinator", community="elsewhere") == [("community", "forbidden")]
    assert await desk.ledger.stored("programmes") == []


async def test_each_building_of_a_grid_has_one_request_each_time(desk: Desk) -> None:
    """Disinfected morning, noon and evening; who lives there is not asked, and another grid has none."""
    await desk.enter(1)
    for building, grid in (("3", "g1"), ("4", "g2")):
        body = {"community": world.TIEBEI, "building": building, "grid": grid}
        await world.accepted(desk.ledger, "/buildings", body)
    told = {"programme_id": "floors", "community": world.TIEBEI, "everybody": {"grid": "g1"}, "kind": "disinfection"}
    times = {"begins": "2026-11-24T18:00", "rule": "FREQ=DAILY;BYHOUR=8,12,18"}
    wrong = await desk.ledger.post("/programmes", {**told, **times, "each": "building", "everybody": {"category": "x"}})
    assert wrong.status_code == 422
    body = {**told, **times, "each": "building", "note": "楼道、扶手、电梯按钮"}
    assert (await desk.ledger.post("/programmes", body)).json()["status"] == "accepted"
    for round_of_the_day, hours in enumerate((2, 14, 4), start=1):
        desk.clock.forward(hours=hours)
        needs = await eventually(lambda count=2 * round_of_the_day: needs_of(desk, count))  # type: ignore[misc]
        assert Counter(one["building"] for one in needs) == {"2": round_of_the_day, "3": round_of_the_day}
    assert {(one["kind"], one["grid"], one["person_id"]) for one in needs} == {("disinfection", "g1", None)}
    assert await desk.ledger.stored("follow_ups") == []


async def needs_of(desk: Desk, count: int) -> list[dict[str, Any]]:
    """What intake is told, once it is so much."""
    found = [one["state"]["told"] for one in await desk.ledger.stored("needs")]
    return found if len(found) >= count else []
