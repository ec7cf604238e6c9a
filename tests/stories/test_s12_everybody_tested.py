"""S12 whole: a building closes at once with strangers in it; everybody inside is tested, or has a reason.

From the closing to the last reason: open work goes to the gate, who lives elsewhere is on the list, the heating company
comes in with somebody beside it, five teams test 298 households between 14:30 and 18:00, and so it is in a second
building the same evening.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest

from services.dispatch.handlers import task_id_of
from shared.contracts.rounds import RECORDS
from shared.identity import new_id
from tests import world
from tests.running import Town, eventually, problems
from tests.stories.compound import (
    COUPLE,
    FIRST,
    IN_SECOND,
    SECOND,
    STRANGERS,
    TEAMS,
    THEIR_PHONE,
    afternoon,
    at,
    china,
    guest,
    households,
    id_of,
    inhabitant,
    line,
    unit_of,
)
from tests.stories.stage import Stage


@pytest.fixture
async def evening(town: Town) -> AsyncIterator[Stage]:
    """398 people of 298 households in one building, 24 in another; five teams, the heating company."""
    async with afternoon(town) as one:
        yield one


async def closed(evening: Stage, building: str) -> None:
    path = f"/buildings/{world.TIEBEI}/{building}/close"
    answer = await evening.at.ledger.post(path, {"command_id": f"close-{building}"}, who="coordinator")
    assert (answer.status_code, answer.json()["status"]) == (202, "accepted")


async def present(evening: Stage, presence_id: str, building: str, room: str, name: str, **more: Any) -> None:
    """Somebody who lives elsewhere is found inside."""
    place = {"community": world.TIEBEI, "building": building, "unit": "1", "room": room}
    body = {"presence_id": presence_id, **place, "name": name, "home": "外区某小区", **more}
    await world.accepted(evening.at.ledger, "/presences", body)


async def pinned(evening: Stage, need_id: str, kind: str, presence_id: str, **more: Any) -> str:
    """What somebody inside needs; the task that it becomes."""
    body = {"need_id": need_id, "kind": kind, "presence_id": presence_id, **more}
    answer = await evening.at.ledger.post("/needs", body, who="grid_worker")
    assert answer.status_code == 202, answer.text
    task = task_id_of(answer.json()["request_id"])
    await eventually(lambda: evening.known([task]))
    return task


async def given_to(evening: Stage, task: str, worker: str) -> None:
    """In a closed building Zhou decides who goes in."""
    body = {"command_id": new_id(), "worker": worker}
    answer = await evening.at.dispatch.post(f"/tasks/{task}/accept", body, who="coordinator")
    assert answer.status_code == 200, answer.text


async def opened(evening: Stage, building: str, opens: datetime, closes: datetime) -> str:
    """A round of everybody inside."""
    round_id = f"testing-{building}"
    told = {
        "round_id": round_id,
        "community": world.TIEBEI,
        "kind": "testing",
        "title": f"{building}号楼全员核酸",
        "roster": {"buildings": [building]},
        "present": True,
        "points": list(TEAMS),
        "opens": opens.isoformat(),
        "closes": closes.isoformat(),
        "walks": True,
    }
    answer = await evening.at.ledger.post("/rounds", told, who="coordinator")
    assert answer.status_code == 202, answer.text
    evening.clock.now = opens
    await eventually(lambda: is_state(evening, round_id, "open"))
    return round_id


async def is_state(evening: Stage, round_id: str, state: str) -> bool:
    return bool((await evening.at.ledger.get(f"/rounds/{round_id}"))["state"] == state)


async def counts(evening: Stage, round_id: str) -> dict[str, int]:
    return dict((await evening.at.ledger.get(f"/rounds/{round_id}"))["counts"])


async def recorded(evening: Stage, round_id: str, records: list[dict[str, Any]]) -> int:
    """As a team's telephone sends them; how many were of nobody on the roster."""
    strangers = 0
    for start in range(0, len(records), RECORDS):
        body = {"command_id": new_id(), "records": records[start : start + RECORDS]}
        answer = await evening.at.ledger.post(f"/rounds/{round_id}/records", body, who="grid_worker")
        assert answer.status_code == 200, answer.text
        strangers += answer.json()["strangers"]
    return strangers


async def heating_comes(evening: Stage, task: str) -> None:
    """It was agreed when, Zhao goes in beside it, and at the gate somebody looks."""
    assert (await evening.task(task))["worker"] == world.ZHOU, "nobody goes in by himself"
    case = {
        "case_id": "heating",
        "community": world.TIEBEI,
        "building": FIRST,
        "kind": "outside_company",
        "title": "供热公司进楼检修",
        "owner": world.ZHAO,
        "parties": ["heating"],
    }
    await world.accepted(evening.at.ledger, "/cases", case)
    agreed = {
        "agreement_id": "heating-1",
        "partner": "示例供热公司",
        "terms": [{"place": "3号楼门口", "times": ["13:45"]}],
        "begins": "2026-11-24",
        "ends": "2026-11-24",
    }
    await world.accepted(evening.at.ledger, "/cases/heating/agreements", agreed)
    escort = {"command_id": new_id(), "step_id": "escort", "text": "陪同进302", "due": china(14, 15).isoformat()}
    assert (await evening.at.ledger.post("/cases/heating/step", escort, who="grid_worker")).status_code == 200
    await given_to(evening, task, "heating")
    evening.clock.now = china(13, 50)
    look = {"check_id": "heating-in", "community": world.TIEBEI, "grid": "g1", "gate": "3号楼门口"}
    seen = {"at": china(13, 50).isoformat(), "case_id": "heating", "temperature": 36.5, "pass_shown": True}
    checked = await evening.at.ledger.post("/gate-checks", {**look, **seen}, who="grid_worker")
    assert (checked.status_code, checked.json()["applies"]) == (202, "2026-11-24T13:45"), checked.text
    await evening.all_do("start", [(task, "heating")])
    await evening.all_do("complete", [(task, "heating")], called_back=True)
    for verb, body in (("done", {"step_id": "escort"}), ("answer", {"text": "302暖气已热"}), ("close", {})):
        answer = await evening.at.ledger.post(f"/cases/heating/{verb}", {"command_id": new_id(), **body})
        assert answer.json()["status"] == "accepted", answer.text


async def sheets(evening: Stage) -> dict[str, dict[str, Any]]:
    """Walks of the round that wait for a team."""
    found = await evening.tasks(state="offered")
    return {task: one for task, one in found.items() if one["facts"]["kind"] == "testing"}


async def walked(evening: Stage, count: int) -> None:
    """Each sheet is given to a team, which goes; so many of them come."""
    offered = await eventually(lambda: all_offered(evening, count))
    team_of = {task: f"team-{number % len(TEAMS)}" for number, task in enumerate(sorted(offered))}
    await asyncio.gather(*(given_to(evening, task, team) for task, team in team_of.items()))
    await evening.all_do("start", team_of.items())


async def all_offered(evening: Stage, count: int) -> dict[str, dict[str, Any]] | None:
    found = await sheets(evening)
    return found if len(found) == count else None


async def back(evening: Stage) -> None:
    """The teams have been at every door of their sheets."""
    walks = [one for one in (await evening.tasks(state="under_way")).items() if one[1]["facts"]["kind"] == "testing"]
    await evening.all_do("complete", [(task, one["worker"]) for task, one in walks], told="phone")


async def missing(evening: Stage, round_id: str) -> dict[str, dict[str, Any]]:
    """Who is, by the name on the roster, with what whoever calls must know."""
    found = await evening.at.ledger.items(f"/rounds/{round_id}/missing", who="grid_worker", names=True)
    return {one["member_id"]: one for one in found}


async def sought(evening: Stage, how: str, count: int) -> list[dict[str, Any]]:
    """Follow-ups, once so many are at that try."""
    found = [one for one in await evening.at.ledger.items("/follow-ups", who="grid_worker") if one["how"] == how]
    return found if len(found) == count else []


async def strangers_and_their_needs(evening: Stage) -> None:
    """Two workers in 502, an agent and a client in 302: on the list; heating, food, water, bedding are pinned."""
    for name, (room, called) in STRANGERS.items():
        phone = {"phone": THEIR_PHONE} if name == "agent" else {}
        await present(evening, name, FIRST, room, called, **phone)
    await pinned(evening, "food", "groceries", "worker-1", items=[{"name": "方便面"}, {"name": "饮用水"}])
    await pinned(evening, "bed", "bedding", "worker-2", text="两床被子")
    await heating_comes(evening, await pinned(evening, "heat", "repair", "agent", text="302暖气不热"))


@pytest.mark.timeout(400)
async def test_from_the_closing_until_everybody_inside_was_tested_or_has_a_reason(evening: Stage) -> None:
    """402 on one roster, a courier put on it later, three missing at 18:00; a second building the same evening."""
    bodies = [world.groceries(f"o{n}", address=inhabitant(n)["address"], resident={}) for n in range(8)]
    goods = await evening.request(bodies)
    await evening.all_do("accept", [(task, world.ZHAO) for task in goods[:3]])
    await closed(evening, FIRST)
    await eventually(lambda: len(evening.heard("DeliveryReplanned")) == len(goods))
    assert [one["grid"] for one in evening.heard("BuildingClosed")] == ["g1"]
    await strangers_and_their_needs(evening)

    round_id = await opened(evening, FIRST, china(14, 30), china(18))
    everybody = len(households()) + len(STRANGERS)
    assert (await counts(evening, round_id))["missing"] == everybody == 402
    sheets_of = await evening.at.ledger.stored("sheets", {"state.round_id": round_id})
    on_roster = [one for sheet in sheets_of for one in sheet["state"]["members"]]
    assert {one["member_id"] for one in on_roster if one.get("presence")} == set(STRANGERS)
    await walked(evening, len(sheets_of))
    others = await evening.tasks(state="under_way")
    assert Counter(one["worker"] for one in others.values()).keys() == {f"team-{n}" for n in range(5)}

    evening.clock.now = china(16)
    await courier_is_found(evening, round_id)
    met = [number for number in households() if number not in COUPLE]
    for unit in range(len(TEAMS)):
        lines = at(china(15, unit), *(line(number) for number in met if unit_of(number) == unit))
        assert await recorded(evening, round_id, lines) == 0
    inside = at(china(15), *(guest(name) for name in ("worker-1", "worker-2", "client")))
    assert await recorded(evening, round_id, inside) == 0, "who lives elsewhere is on the roster, not beside it"
    numbers = await evening.at.ledger.get(f"/rounds/{round_id}/numbers")
    assert numbers["points"].keys() == set(TEAMS)
    evening.clock.now = china(17)
    await back(evening)
    for _ in range(2):
        await walked(evening, 2)
        await back(evening)

    evening.clock.now = china(18)
    await eventually(lambda: is_state(evening, round_id, "closed"))
    await the_last_three(evening, round_id)
    await second_building(evening, round_id)
    assert len(await evening.entries("PersonMissing")) == 3
    assert (await evening.at.ledger.get("/chain"))["broken"] == []
    assert "中介" not in str(await evening.entries("PersonMissing")) + str(evening.lines())


async def courier_is_found(evening: Stage, round_id: str) -> None:
    """At 16:00 somebody more is found: on the list, on the roster, a team is sent, tested."""
    await present(evening, "courier", FIRST, "101", "骑手", phone="+86 100 0000 0008")
    added = {"command_id": new_id(), "presence_id": "courier"}
    for status in ("accepted", "duplicate"):
        answer = await evening.at.ledger.post(f"/rounds/{round_id}/members", added, who="coordinator")
        assert answer.json()["status"] == status, answer.text
    assert (await counts(evening, round_id))["members"] == 403
    await walked(evening, 1)
    by_phone = {"phone": "+86 100 0000 0008", "point": TEAMS[0]}
    assert await recorded(evening, round_id, at(china(15, 50), by_phone)) == 0


async def the_last_three(evening: Stage, round_id: str) -> None:
    """The agent and a couple: called, then visited; two are tested at the door, one refuses and says why."""
    left = await missing(evening, round_id)
    assert left.keys() == {"agent", *(id_of(number) for number in COUPLE)}
    assert (left["agent"]["presence_id"], left["agent"]["person_id"]) == ("agent", None)
    assert left["agent"]["details"] == {
        "name": "中介",
        "phone": THEIR_PHONE,
        "address": {"building": FIRST, "unit": "1", "room": "302"},
    }
    await eventually(lambda: len(evening.heard("PersonMissing")) == 3)
    told = {one["member_id"]: one["presence_id"] for one in await evening.entries("PersonMissing")}
    assert told["agent"] == "agent"
    for one in await eventually(lambda: sought(evening, "call", 3)):
        outcome = "reached" if one["member_id"] == "agent" else "not_reached"
        body: dict[str, Any] = {"command_id": new_id(), "outcome": outcome}
        if outcome == "reached":
            body["need"] = {"kind": "groceries", "items": [{"name": "饮用水"}]}
        answer = await evening.at.ledger.post(f"/follow-ups/{one['follow_up_id']}/record", body, who="grid_worker")
        assert answer.status_code == 200, answer.text
    await eventually(lambda: evening.at.intake.stored("requests", {"state.source": "follow-up"}))
    await eventually(lambda: sought(evening, "visit", 3))
    evening.clock.now = china(18, 20)
    await recorded(evening, round_id, at(china(18, 15), guest("agent"), line(COUPLE[0])))
    assert (await counts(evening, round_id))["missing"] == 1
    reason = {**line(COUPLE[1]), "outcome": "refused", "note": "卧床，明早上门"}
    await recorded(evening, round_id, at(china(18, 18), reason))
    await eventually(lambda: is_state(evening, round_id, "settled"))
    found = await counts(evening, round_id)
    assert (found["members"], found["done"], found["refused"], found["missing"]) == (403, 402, 1, 0)
    assert await evening.at.ledger.items("/follow-ups", who="grid_worker") == []
    await eventually(lambda: len(evening.heard("RoundSettled")) == 1)


async def second_building(evening: Stage, first_round: str) -> None:
    """Closed at 18:30, with a round of its own, which nobody is missing from."""
    before = await counts(evening, first_round)
    evening.clock.now = china(18, 30)
    await closed(evening, SECOND)
    await present(evening, "visitor", SECOND, "101", "访客")
    round_id = await opened(evening, SECOND, china(19), china(20, 30))
    assert (await counts(evening, round_id))["missing"] == IN_SECOND + 1
    visitor = {"name": "访客", "address": {"building": SECOND, "unit": "1", "room": "101"}, "point": TEAMS[0]}
    lines = at(china(19), visitor, *(line(number, SECOND) for number in range(IN_SECOND)))
    assert await recorded(evening, round_id, lines) == 0
    evening.clock.now = china(20, 30)
    await eventually(lambda: is_state(evening, round_id, "settled"))
    assert (await counts(evening, round_id))["done"] == IN_SECOND + 1
    assert await counts(evening, first_round) == before
    await eventually(lambda: len(evening.heard("RoundSettled")) == 2)
    await eventually(lambda: evening.entered("RoundSettled", 2))
    assert len(evening.heard("BuildingClosed")) == 2


ALONE: tuple[dict[str, Any], ...] = ({"buildings": [FIRST], "lives_alone": True}, {})


async def test_those_present_are_told_by_their_building_alone(evening: Stage) -> None:
    """Nothing else is known of them; nor are they put on a roster that is not for them."""
    told = {"round_id": "r", "community": world.TIEBEI, "kind": "testing", "title": "核酸"}
    times = {"closes": china(18).isoformat()}
    for roster in ALONE:
        answer = await evening.at.ledger.post(
            "/rounds", {**told, **times, "roster": roster, "present": True}, who="coordinator"
        )
        assert problems(answer) == [("present", "not_allowed")]
    await world.accepted(evening.at.ledger, "/rounds", {**told, **times, "roster": {"buildings": [SECOND]}})
    await eventually(lambda: is_state(evening, "r", "open"))
    await present(evening, "visitor", SECOND, "101", "访客")
    for body, problem in (
        ({"presence_id": "visitor"}, ("presence_id", "not_allowed")),
        ({"presence_id": "visitor", "person_id": id_of(0)}, ("presence_id", "not_allowed")),
        ({}, ("presence_id", "required")),
    ):
        answer = await evening.at.ledger.post("/rounds/r/members", {"command_id": new_id(), **body}, who="coordinator")
        assert problems(answer) == [problem]
