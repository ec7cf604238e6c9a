"""S12: a building closes with people in it who live elsewhere; who is inside, and what they need."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.dispatch.handlers import task_id_of
from tests import world
from tests.running import Town, eventually, problems
from tests.stories.stage import Stage, stage

CLOSED, SECOND = "3", "4"
LIVING = 30
STRANGERS = {
    "worker-1": ("502", "装修工甲"),
    "worker-2": ("502", "装修工乙"),
    "agent": ("302", "中介"),
    "client": ("302", "看房人"),
}


@pytest.fixture
async def sealed(town: Town) -> AsyncIterator[Stage]:
    """Thirty people live in the building; it closes while four are there who do not."""
    async with stage(town) as one:
        await one.enter(
            {CLOSED: "g1", SECOND: "g1"},
            [
                {"worker_id": world.ZHAO, "role": "grid_worker", "grids": ["g1"]},
                {"worker_id": "heating", "role": "partner", "kinds": ["repair"]},
                {"worker_id": world.ZHOU, "role": "coordinator"},
            ],
        )
        for number in range(LIVING):
            person = {**world.MR_WANG, "source_id": f"p{number}", "name": f"某{number}", "phone": None}
            await world.accepted(
                one.at.ledger, "/people", {**person, "address": {"building": CLOSED, "room": f"{number}"}}
            )
        path = f"/buildings/{world.TIEBEI}/{CLOSED}/close"
        assert (await one.at.ledger.post(path, {"command_id": "close"}, who="coordinator")).status_code == 202
        yield one


def stranger(name: str, building: str = CLOSED) -> dict[str, Any]:
    room, called = STRANGERS[name]
    place = {"community": world.TIEBEI, "building": building, "room": room}
    return {
        "presence_id": f"{building}-{name}",
        **place,
        "name": called,
        "phone": "+86 100 0000 0009",
        "home": "外区某小区",
    }


async def registered(sealed: Stage, building: str = CLOSED) -> None:
    for name in STRANGERS:
        for status in ("accepted", "duplicate"):
            answer = await sealed.at.ledger.post("/presences", stranger(name, building), who="grid_worker")
            assert (answer.status_code, answer.json()["status"]) == (202, status), answer.text


async def pinned(sealed: Stage, need_id: str, kind: str, who: str = "grid_worker", **more: Any) -> dict[str, Any]:
    body = {"need_id": need_id, "kind": kind, **more}
    answer = await sealed.at.ledger.post("/needs", body, who=who)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def inside(sealed: Stage, building: str = CLOSED) -> dict[str, Any]:
    path = f"/buildings/{world.TIEBEI}/{building}/inside"
    return dict(await sealed.at.ledger.get(path, who="grid_worker"))


async def test_those_who_cannot_go_home_are_on_the_list_and_what_they_need_becomes_requests(sealed: Stage) -> None:
    """Heating, food and water, bedding; to the gate, and the heating company with an escort."""
    await registered(sealed)
    heating = await pinned(sealed, "heat", "repair", presence_id="3-agent", text="302暖气不热")
    food = await pinned(
        sealed, "food", "groceries", presence_id="3-worker-1", items=[{"name": "方便面"}, {"name": "饮用水"}]
    )
    bedding = await pinned(sealed, "bed", "bedding", presence_id="3-worker-1", text="两床被子")
    again = await pinned(sealed, "bed", "bedding", presence_id="3-worker-1", text="两床被子")
    assert (bedding["status"], again["status"], again["request_id"]) == ("accepted", "duplicate", bedding["request_id"])

    now = await inside(sealed)
    assert (now["residents"]["count"], len(now["residents"]["ids"]), now["present"]["count"]) == (LIVING, LIVING, 4)
    assert now["closed"] is True
    assert {one["kind"] for one in now["needs"]} == {"repair", "groceries", "bedding"}
    assert "装修" not in str(now)
    shown = await sealed.at.ledger.get("/presences/3-worker-1", who="grid_worker")
    assert shown["details"] == {
        "name": "装修工甲",
        "unit": None,
        "room": "502",
        "phone": "+86 100 0000 0009",
        "home": "外区某小区",
    }

    tasks = [task_id_of(one["request_id"]) for one in (heating, food, bedding)]
    await eventually(lambda: sealed.known(tasks))
    states = [await sealed.task(task) for task in tasks]
    assert {one["gate"] for one in states} == {True}
    assert states[0]["worker"] == world.ZHOU, "the heating company needs an escort"
    await sealed.all_do("accept", [(tasks[1], world.ZHAO)])
    opened = await sealed.at.dispatch.get(f"/tasks/{tasks[1]}", who="grid_worker")
    assert [item["name"] for item in opened["details"]["items"]] == ["方便面", "饮用水"]
    assert opened["details"]["resident"]["name"] == "装修工甲"
    assert len(await sealed.at.intake.stored("requests")) == 3
    await eventually(lambda: len(sealed.heard("PresenceRegistered")) == 4)
    await eventually(lambda: sealed.entered("NeedRaised", 3))
    assert "被子" not in str(await sealed.entries("NeedRaised")) + str(await sealed.entries("PresenceRegistered"))


async def test_a_second_building_the_same_evening_has_a_list_of_its_own_until_they_leave(sealed: Stage) -> None:
    """Who has left needs nothing there any more; who lives there can need something, too."""
    await registered(sealed)
    await registered(sealed, SECOND)
    assert [(await inside(sealed, one))["present"]["count"] for one in (CLOSED, SECOND)] == [4, 4]
    for name in STRANGERS:
        for status in ("accepted", "duplicate"):
            path = f"/presences/{CLOSED}-{name}/end"
            answer = await sealed.at.ledger.post(path, {"command_id": f"end-{status}"}, who="grid_worker")
            assert answer.json()["status"] == status
    assert [(await inside(sealed, one))["present"]["count"] for one in (CLOSED, SECOND)] == [0, 4]
    gone = {"need_id": "n1", "kind": "groceries", "presence_id": f"{CLOSED}-agent"}
    refused = await sealed.at.ledger.post("/needs", gone, who="grid_worker")
    assert (refused.status_code, problems(refused)) == (409, [("presence_id", "wrong_state")])
    (somebody, *_) = (await inside(sealed))["residents"]["ids"]
    answer = await pinned(sealed, "n2", "medicine", person_id=somebody)
    await eventually(lambda: sealed.known([task_id_of(answer["request_id"])]))
    other = {"need_id": "n2", "kind": "groceries", "person_id": somebody}
    assert (await sealed.at.ledger.post("/needs", other)).json()["code"] == "known_need"


async def test_nobody_is_registered_where_there_is_no_building_or_in_anothers_place(sealed: Stage) -> None:
    """And whoever needs something is one person or one presence, not both."""
    for building, who in (("99", "coordinator"), (CLOSED, "volunteer")):
        answer = await sealed.at.ledger.post("/presences", {**stranger("agent"), "building": building}, who=who)
        assert answer.status_code == (404 if who == "coordinator" else 403)
    both = {"need_id": "n", "kind": "groceries", "presence_id": "a", "person_id": "b"}
    for body in (both, {"need_id": "n", "kind": "groceries"}):
        assert (await sealed.at.ledger.post("/needs", body)).status_code == 422
    changed = {**stranger("agent"), "name": "另一人"}
    await registered(sealed)
    answer = await sealed.at.ledger.post("/presences", changed)
    assert (answer.status_code, problems(answer)) == (409, [("presence_id", "known_presence")])
