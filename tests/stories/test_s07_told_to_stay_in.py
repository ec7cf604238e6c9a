"""S7: a cancer patient told to stay in. A named owner, steps, two lists, and free on the day the result arrives."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from services.ledger.observation.handlers import case_id
from shared.identity import derived_id, new_id
from tests import world
from tests.running import Town, eventually
from tests.stories.stage import Stage, stage

LISTS = ("assigned_by_city", "found_by_community")
CATEGORIES = ("close_contact", "contact_of_contact", "returned", "discharged", "other")
MR_WANG = derived_id("person", world.MR_WANG["source"], world.MR_WANG["source_id"])


@pytest.fixture
async def home(town: Town) -> AsyncIterator[Stage]:
    """Mr Wang, who is ill, lives in building 2; Zhao answers for the grid."""
    async with stage(town) as one:
        await one.enter(
            {"1": "g1", "2": "g1"},
            [
                {"worker_id": world.ZHAO, "role": "grid_worker", "grids": ["g1"]},
                {"worker_id": world.ZHOU, "role": "coordinator"},
            ],
        )
        await world.accepted(one.at.ledger, "/people", world.MR_WANG)
        yield one


async def told(home: Stage, person_id: str, observation_id: str, **changes: Any) -> dict[str, Any]:
    """Somebody is to stay at home from today on."""
    facts = {"listing": LISTS[0], "category": "close_contact", "starts": "2026-11-24", "owner": world.ZHAO}
    body = {"observation_id": observation_id, **facts, **changes}
    answer = await home.at.ledger.post(f"/people/{person_id}/observation", body, who="coordinator")
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def released(home: Stage, observation_id: str, **more: Any) -> Any:
    body = {"command_id": new_id(), "reason": "negative_test", **more}
    return await home.at.ledger.post(f"/observation/{observation_id}/release", body, who="coordinator")


async def case_of(home: Stage, observation_id: str) -> dict[str, Any] | None:
    answer = await home.at.ledger.call("GET", f"/cases/{case_id(observation_id)}", who="grid_worker")
    return dict(answer.json()) if answer.status_code == 200 else None


async def act(home: Stage, verb: str, **more: Any) -> Any:
    path = f"/cases/{case_id('wang')}/{verb}"
    answer = await home.at.ledger.post(path, {"command_id": new_id(), **more}, who="grid_worker")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_his_examination_is_booked_anew_and_he_is_free_the_day_the_result_arrives(home: Stage) -> None:
    """Somebody answers for it by name; nobody looks after him at the door any more after that."""
    answer = await told(home, MR_WANG, "wang", case="medical")
    assert (answer["status"], answer["last_day"]) == ("accepted", "2026-12-01")
    case = await eventually(lambda: case_of(home, "wang"))
    assert (case["owner"], case["kind"], case["person_id"], case["building"]) == (world.ZHAO, "medical", MR_WANG, "2")
    for step, text in (("examination", "改约复查"), ("test", "提前上门核酸")):
        await act(home, "step", step_id=step, text=text, due=(home.clock.now + timedelta(days=2)).isoformat())
    await eventually(lambda: plans(home, 2))
    move = {"command_id": new_id(), "address": {"building": "1", "unit": "1", "room": "101"}}
    elsewhere = await home.at.ledger.post(f"/people/{MR_WANG}/move", move, who="coordinator")
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (409, "observed"), "the observation is of his door"

    home.clock.forward(days=1)
    await act(home, "done", step_id="test")
    home.clock.forward(days=1)
    await act(home, "done", step_id="examination")
    assert await eventually(lambda: still_due(home)), "somebody is to look after him at the door today"
    assert (await released(home, "wang")).json()["state"] == "released"
    assert (await released(home, "wang")).json()["status"] == "duplicate"
    await act(home, "close", outcome="结果阴性，已复查")
    (heard,) = await eventually(lambda: home.heard("PersonReleased"))
    assert (heard["worker"], heard["grid"], heard["building"]) == (world.ZHAO, "g1", "2")
    await eventually(lambda: plans(home, 0))
    await eventually(lambda: nobody_due(home))
    before = len(await home.at.ledger.stored("follow_ups"))
    home.clock.forward(days=2)
    await eventually(lambda: home.entered("CaseClosed", 1))
    assert len(await home.at.ledger.stored("follow_ups")) == before
    assert (await home.at.ledger.get("/observation/counts", who="coordinator"))["people"] == 0


async def still_due(home: Stage) -> int:
    return len(await home.at.ledger.stored("follow_ups", {"state.state": "due"}))


async def nobody_due(home: Stage) -> bool:
    return not await still_due(home)


async def plans(home: Stage, count: int) -> bool:
    return len(await home.at.ledger.stored("plans", {"state.ended": False})) == count


async def test_ten_on_two_lists_are_counted_on_each_and_who_is_on_both_is_one_person(home: Stage) -> None:
    """Two lists, five categories; told twice and at once, everybody is observed once."""
    people = []
    for number in range(9):
        person = {**world.MR_WANG, "source_id": f"p{number}", "name": f"某{number}"}
        person["address"] = {"building": "1", "unit": "1", "room": f"{number}01"}
        answer = await home.at.ledger.post("/people", person)
        people.append(answer.json()["id"])
    await told(home, MR_WANG, "both-0", listing=LISTS[0], category=CATEGORIES[0])
    places = [(LISTS[0], CATEGORIES[0]), *product(LISTS, CATEGORIES)][2:]
    for person, (listing, category) in zip(people, places, strict=True):
        await told(home, person, f"o-{person}", listing=listing, category=category)
    again = [told(home, MR_WANG, "both-1", listing=LISTS[1], category=CATEGORIES[4]) for _ in range(5)]
    answers = await asyncio.gather(*again)
    assert {one["observation_id"] for one in answers} == {"both-0"}
    assert sorted(one["status"] for one in answers) == ["accepted", *["duplicate"] * 4]

    counts = await home.at.ledger.get("/observation/counts", who="coordinator")
    assert counts["people"] == 10
    assert counts["lists"][LISTS[0]] == {"total": 5, "categories": dict.fromkeys(CATEGORIES, 1)}
    assert counts["lists"][LISTS[1]] == {"total": 6, "categories": {**dict.fromkeys(CATEGORIES, 1), "other": 2}}
    assert len(await home.at.ledger.items("/observation", who="grid_worker", limit=3)) == 10
    assert (await released(home, "both-1")).json()["observation_id"] == "both-0"
    late = await told(home, MR_WANG, "both-1", listing=LISTS[1], category=CATEGORIES[4])
    assert (late["status"], late["state"]) == ("duplicate", "released"), "old news observes nobody anew"
    assert (await home.at.ledger.get("/observation/counts", who="coordinator"))["people"] == 9


async def test_released_while_a_delivery_is_under_way_and_whoever_brings_it_hears(home: Stage) -> None:
    """Kept apart while he is observed, and what his neighbour gets is not."""
    (before, other) = await home.request(
        [world.groceries("1"), world.for_mrs_li("2", address={"building": "2", "unit": "1", "room": "101"})]
    )
    await told(home, MR_WANG, "wang")
    await eventually(lambda: apart(home, [before]))
    (after,) = await home.request([world.groceries("3", items=[{"name": "药"}])])
    assert await apart(home, [before, after])
    assert not (await home.task(other))["apart"]
    for verb in ("accept", "start"):
        await home.all_do(verb, [(task, world.ZHAO) for task in (before, after)])
    shown = await home.at.dispatch.get(f"/tasks/{before}", who="grid_worker")
    assert (shown["contactless"], shown["apart"]) == (True, True)
    await home.all_do("complete", [(after, world.ZHAO)], told="phone")

    assert (await released(home, "wang")).status_code == 200
    await eventually(lambda: free(home, before))
    line = await eventually(lambda: [one for one in home.heard("DeliveryApart") if one["task_id"] == before][1:])
    assert line[0]["worker"] == world.ZHAO
    await home.all_do("complete", [(before, world.ZHAO)], told="door")
    await eventually(lambda: home.entered("DeliveryCompleted", 2))
    done = {one["task_id"]: one["contactless"] for one in await home.entries("DeliveryCompleted")}
    assert done == {after: True, before: False}


async def apart(home: Stage, tasks: list[str]) -> bool:
    return all([(await home.task(task))["apart"] for task in tasks])


async def free(home: Stage, task: str) -> bool:
    return not await apart(home, [task])


async def test_the_last_day_comes_by_itself_and_the_longer_list_counts(home: Stage) -> None:
    """Found by the community two days later: two days longer. Before it begins, nobody is released."""
    early = await told(home, MR_WANG, "wang", starts="2026-11-25")
    assert (early["last_day"], (await released(home, "wang")).json()["code"]) == ("2026-12-02", "before_start")
    longer = await told(home, MR_WANG, "wang-2", listing=LISTS[1], starts="2026-11-27")
    assert (longer["observation_id"], longer["last_day"]) == ("wang", "2026-12-04")
    home.clock.forward(days=10, hours=13)
    await eventually(lambda: home.entered("FollowUpsPlanned", 2))
    assert (await home.at.ledger.get("/observation/counts", who="coordinator"))["people"] == 1
    home.clock.forward(hours=1)
    (heard,) = await eventually(lambda: home.heard("PersonReleased"))
    (entry,) = await home.entries("PersonReleased")
    assert (entry["reason"], heard["building"]) == ("last_day", "2")
