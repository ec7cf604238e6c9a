"""Observation on a real broker and database: one person once, and old news observes nobody anew."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from services.ledger.app import furnished
from services.ledger.domain.follow_ups import Plan
from services.ledger.follow_ups import handlers as follow_ups
from shared.contracts.observation import ObservationStarted, PersonReleased
from shared.identity import derived_id
from tests import world
from tests.lists import as_csv
from tests.running import Amqp, Clock, Ear, Service, Town, eventually, problems

MR_WANG = derived_id("person", world.MR_WANG["source"], world.MR_WANG["source_id"])
TOLD = {
    "observation_id": "o1",
    "person_id": MR_WANG,
    "listing": "assigned_by_city",
    "category": "returned",
    "starts": "2026-11-24",
    "owner": world.ZHAO,
}


@dataclass(frozen=True, slots=True)
class Ward:
    """The ledger, on a clock that stands still."""

    ledger: Service
    operator: Amqp
    events: Ear
    clock: Clock

    def raised(self, event: str) -> list[dict[str, Any]]:
        """What was told."""
        return self.events.bodies(f"doorstep.{event}.v1")

    async def plans(self) -> Counter[bool]:
        """Whether they are ended, and how many."""
        return Counter(one["state"]["ended"] for one in await self.ledger.stored("plans"))

    async def planned(self, ended: bool) -> bool:
        """Whether both rounds are planned, or both ended."""
        return await self.plans() == Counter({ended: 2})


@pytest.fixture
async def ward(town: Town) -> AsyncIterator[Ward]:
    """Mr Wang is on the books."""
    clock = Clock()
    async with town.up("ledger", clock=clock) as at, town.amqp("operator") as operator, town.ear() as events:
        await world.settle(at.ledger)
        yield Ward(at.ledger, operator, events, clock)


async def test_of_twenty_who_tell_it_at_once_under_twenty_ids_one_begins_it(ward: Ward) -> None:
    """The others put him on the list that he is on; each id is known for ever."""
    bodies = [{**TOLD, "observation_id": f"o{n}"} for n in range(20)]
    answers = await asyncio.gather(*(ward.operator.ask("observation.start", body) for body in bodies))
    assert len({one["observation_id"] for one in answers}) == 1
    await eventually(lambda: len(ward.raised("observation.listed")) == 19)
    assert len(ward.raised("observation.started")) == 1
    counts = await ward.ledger.get("/observation/counts")
    assert counts == {"people": 1, "lists": {"assigned_by_city": {"total": 1, "categories": {"returned": 1}}}}
    released = {"command_id": "r1", "reason": "negative_test"}
    assert (await ward.ledger.post("/observation/o7/release", released)).json()["state"] == "released"
    ward.clock.forward(days=30)
    again = await asyncio.gather(*(ward.operator.ask("observation.start", body) for body in bodies))
    assert {(one["status"], one["state"]) for one in again} == {("duplicate", "released")}
    new = await ward.operator.ask("observation.start", {**TOLD, "observation_id": "new", "starts": "2026-12-24"})
    assert (new["status"], new["observation_id"]) == ("accepted", "new")


async def test_old_news_of_the_beginning_plans_nothing_anew(ward: Ward) -> None:
    """Nor does news of the release end what there is not."""
    await world.accepted(ward.ledger, f"/people/{MR_WANG}/observation", {**TOLD, "case": "medical"})
    await eventually(lambda: ward.planned(False))
    (started,) = await eventually(lambda: ward.raised("observation.started"))
    await ward.operator.ask("observation.release", {"observation_id": "o1", "command_id": "r", "reason": "mistake"})
    await eventually(lambda: ward.planned(True))
    (released,) = ward.raised("person.released")
    for _ in range(3):
        await ward.operator.happen(ObservationStarted.model_validate(started, strict=False))
        await ward.operator.happen(PersonReleased.model_validate(released, strict=False))
    unheard = {**released, "observation_id": "never-heard-of"}
    await ward.operator.happen(PersonReleased.model_validate(unheard, strict=False))
    await eventually(lambda: entered(ward, "PersonReleased", 5))
    assert await ward.plans() == Counter({True: 2})
    assert len(await ward.ledger.stored("cases")) == 1
    assert await ward.ledger.items("/dead-letters") == []


async def entered(ward: Ward, event: str, count: int) -> bool:
    return len(await ward.ledger.items("/entries", type=event)) == count


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"category": "rich"}, ("category", "unknown_category")),
        ({"case": "gossip"}, ("case", "unknown_kind")),
        ({"owner": "nobody"}, ("owner", "unknown_worker")),
        ({"listing": "mine"}, ("listing", "not_allowed")),
        ({"starts": "2026-02-30"}, ("starts", "not_allowed")),
        ({"starts": "9999-12-31"}, ("starts", "not_allowed")),
        ({"starts": "0001-01-01"}, ("starts", "not_allowed")),
    ],
)
async def test_an_observation_that_cannot_be_is_refused(
    ward: Ward, changes: dict[str, Any], problem: tuple[str, str]
) -> None:
    """And nobody is observed."""
    answer = await ward.ledger.post(f"/people/{MR_WANG}/observation", {**TOLD, **changes})
    assert (answer.status_code, problems(answer)) == (422, [problem])
    assert await ward.ledger.stored("observations") == []


async def test_nobody_is_observed_or_released_outside_ones_place(ward: Ward) -> None:
    """404, so that ids cannot be tried out."""
    await world.accepted(ward.ledger, f"/people/{MR_WANG}/observation", TOLD)
    unknown = await ward.ledger.post("/people/nobody/observation", {**TOLD, "person_id": "nobody"})
    assert (unknown.status_code, problems(unknown)) == (404, [("person_id", "unknown_person")])
    other = await ward.ledger.post("/observation/o9/release", {"command_id": "r", "reason": "x"})
    assert (other.status_code, problems(other)) == (404, [("observation_id", "unknown_observation")])
    assert (await ward.ledger.call("GET", "/observation", who="volunteer")).status_code == 403
    (seen,) = await ward.ledger.items("/observation", who="grid_worker", building="2")
    assert (seen["person_id"], seen["last_day"], len(seen["lists"])) == (MR_WANG, "2026-12-01", 1)
    assert "household" not in seen


async def test_no_news_of_another_door_moves_who_is_observed(ward: Ward) -> None:
    """A registration is refused; a list goes on, and the rest of the row is taken."""
    await world.accepted(ward.ledger, f"/people/{MR_WANG}/observation", TOLD)
    moved = {**world.MR_WANG, "address": {"building": "3", "unit": "2", "room": "1203"}}
    answer = await ward.ledger.post("/people", moved)
    assert (answer.status_code, problems(answer)) == (409, [("person_id", "observed")])
    await world.accepted(ward.ledger, "/people", {**world.MR_WANG, "keys": "门卫"})
    header = ("姓名", "联系电话", "楼号", "单元", "房号", "备注")
    row = (world.MR_WANG["name"], world.MR_WANG["phone"], "3", "2", "1203")
    assert await taken_in(ward, header, (*row, "note 1")) == ("2", "note 1")
    assert await taken_in(ward, header, (*row, "note 2")) == ("2", "note 2")
    released = await ward.ledger.post("/observation/o1/release", {"command_id": "r1", "reason": "negative_test"})
    assert released.status_code == 200
    assert await taken_in(ward, (*header, "next list"), (*row, "note 2")) == ("3", "note 2")


async def taken_in(ward: Ward, *rows: Sequence[str]) -> tuple[str, str]:
    """What a list makes of building and note."""
    answer = await ward.ledger.call("POST", f"/people:import?community={world.TIEBEI}", content=as_csv(*rows))
    await eventually(lambda: through(ward, answer.json()["id"]))
    details = (await ward.ledger.get(f"/people/{MR_WANG}"))["details"]
    return details["address"]["building"], details["note"]


async def through(ward: Ward, import_id: str) -> bool:
    return bool((await ward.ledger.get(f"/imports/{import_id}"))["state"] == "completed")


async def test_what_a_replica_begins_of_a_plan_that_was_ended_meanwhile_is_due_no_more(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked at the plans before the release, and comes to begin what was due then only after it."""
    await ward.operator.ask("observation.start", TOLD)
    await eventually(lambda: ward.planned(ended=False))
    house = furnished(ward.ledger.runtime)
    stale = await house.store.due_plans(ward.clock() + timedelta(days=1), 10)
    assert len(stale) == 2
    released = await ward.ledger.post("/observation/o1/release", {"command_id": "r1", "reason": "negative_test"})
    assert released.status_code == 200
    await eventually(lambda: ward.planned(ended=True))

    async def as_before(*_: object) -> list[Plan]:
        return stale

    monkeypatch.setattr(type(house.store), "due_plans", as_before)
    await follow_ups.fall_due(house)
    begun = await ward.ledger.stored("follow_ups")
    assert [one["state"]["state"] for one in begun] == ["excused", "excused"]
    assert [one["state"]["records"][-1]["why"] for one in begun] == ["ended", "ended"]
