"""S1: an 89-year-old cannot get to the market. Somebody calls every three days; what she asks for is at her door."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.dispatch.handlers import task_id_of
from shared.identity import derived_id
from tests import world
from tests.running import Town, eventually
from tests.stories.stage import Stage, stage

MRS_LI = derived_id("person", world.MRS_LI["source"], world.MRS_LI["source_id"])
LIST = ("白菜", "甘蓝", "芹菜", "砂糖橘")


@pytest.fixture
async def calls(town: Town) -> AsyncIterator[Stage]:
    """Mrs Li is on the books, and called every three days at half past ten."""
    async with stage(town) as one:
        await one.enter(
            {"1": "g1"},
            [
                {"worker_id": world.ZHAO, "role": "grid_worker", "grids": ["g1"]},
                {"worker_id": world.ZHOU, "role": "coordinator"},
            ],
        )
        await world.accepted(one.at.ledger, "/people", world.MRS_LI)
        plan = {"plan_id": "li", "kind": "care_call", "begins": "2026-11-24T10:30", "rule": "FREQ=DAILY;INTERVAL=3"}
        answer = await one.at.ledger.post(f"/people/{MRS_LI}/plans", plan, who="coordinator")
        assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
        yield one


async def due(calls: Stage, count: int = 1) -> list[dict[str, Any]]:
    """What is due, as the worker's list shows it."""
    found: list[dict[str, Any]] = await calls.at.ledger.items("/follow-ups", who="grid_worker")
    return found if len(found) == count else []


async def recorded(calls: Stage, one: dict[str, Any], outcome: str, **more: Any) -> dict[str, Any]:
    body = {"command_id": f"{outcome}-{one['tries']}-{one['at']}", "outcome": outcome, **more}
    answer = await calls.at.ledger.post(f"/follow-ups/{one['follow_up_id']}/record", body, who="grid_worker")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_what_she_asks_for_on_the_phone_is_left_at_her_door(calls: Stage) -> None:
    """Four items, said once, entered once; and three days later she is called again."""
    calls.clock.forward(minutes=30)
    (first,) = await eventually(lambda: due(calls))
    assert (first["how"], first["person_id"]) == ("call", MRS_LI)
    need = {"kind": "groceries", "items": [{"name": name} for name in LIST]}
    assert (await recorded(calls, first, "reached", need=need))["state"] == "reached"
    assert (await recorded(calls, first, "reached", need=need))["status"] == "duplicate"

    request_id = derived_id("request", "follow-up", first["follow_up_id"])
    task = task_id_of(request_id)
    await eventually(lambda: calls.known([task]))
    state = await calls.task(task)
    assert (state["facts"]["first_line"], state["facts"]["contactless"], state["worker"]) == (True, True, world.ZHAO)
    for verb in ("accept", "start"):
        await calls.all_do(verb, [(task, world.ZHAO)])
    shown = await calls.at.dispatch.get(f"/tasks/{task}", who="grid_worker")
    assert [item["name"] for item in shown["details"]["items"]] == list(LIST)
    assert shown["details"]["resident"]["name"] == world.MRS_LI["name"]
    await calls.all_do("buy", [(task, world.ZHAO)], amount=3_180)
    await calls.all_do("arrive", [(task, world.ZHAO)])
    await calls.all_do("complete", [(task, world.ZHAO)], told="phone")
    await eventually(lambda: calls.entered("DeliveryCompleted", 1))
    assert len(await calls.at.intake.stored("requests")) == 1

    calls.clock.forward(days=3)
    (second,) = await eventually(lambda: due(calls))
    assert second["follow_up_id"] != first["follow_up_id"]
    await recorded(calls, second, "reached")
    await eventually(lambda: calls.entered("FollowUpRecorded", 2))
    assert (await calls.at.ledger.get("/chain"))["broken"] == []


async def test_nobody_answers_so_it_is_tried_again_then_visited_then_her_daughter_is_asked(calls: Stage) -> None:
    """Each try is told; the last goes to a coordinator, and then she is missed by name of her follow-up."""
    calls.clock.forward(minutes=30)
    (first,) = await eventually(lambda: due(calls))
    await recorded(calls, first, "not_reached")
    (waiting,) = await eventually(lambda: due(calls))
    assert (waiting["how"], waiting["waits"]) == ("call", True)
    calls.clock.forward(hours=3)
    await eventually(lambda: tried(calls, ["call", "call"]))
    for how in ("visit", "family", "coordinator"):
        (one,) = await eventually(lambda: due(calls))
        await recorded(calls, one, "not_reached")
        await eventually(lambda how=how: last_try(calls, how))  # type: ignore[misc]
        (one,) = await due(calls)
        whom = (await calls.at.ledger.get(f"/follow-ups/{one['follow_up_id']}", who="grid_worker"))["whom"]
        assert (whom["name"], whom["phone"]) == (world.MRS_LI["name"], world.MRS_LI["phone"])
        assert whom["call"] == world.MRS_LI["contacts"], "the daughter is next"
    (one,) = await eventually(lambda: due(calls))
    assert (await recorded(calls, one, "not_reached"))["state"] == "missed"
    (missed,) = await eventually(lambda: calls.heard("FollowUpMissed"))
    assert missed["role"] == "coordinator"
    late = await recorded(calls, {**one, "tries": 9}, "reached")
    assert late["state"] == "reached", "she was at her daughter's"


async def waits(calls: Stage) -> bool:
    """Whether the second call has its time."""
    return [one["waits"] for one in await due(calls)] == [True]


async def tried(calls: Stage, how: list[str]) -> bool:
    return [one["how"] for one in await calls.entries("FollowUpDue")] == how


async def last_try(calls: Stage, how: str) -> bool:
    found = await calls.entries("FollowUpDue")
    return bool(found) and found[-1]["how"] == how


async def test_a_day_that_nobody_looked_is_not_lost(calls: Stage) -> None:
    """The tries go on by themselves until a coordinator has it."""
    calls.clock.forward(minutes=30)
    await eventually(lambda: tried(calls, ["call"]))
    calls.clock.forward(minutes=60)
    await eventually(lambda: waits(calls))
    calls.clock.forward(hours=3)
    how = ["call", "call"]
    for following, minutes in (("visit", 60), ("family", 120), ("coordinator", 120)):
        await eventually(lambda: tried(calls, how))
        calls.clock.forward(minutes=minutes)
        how.append(following)
    await eventually(lambda: tried(calls, how))
    calls.clock.forward(hours=4)
    await eventually(lambda: calls.entered("FollowUpMissed", 1))


async def test_whoever_has_died_is_called_no_more_and_nor_is_the_family(calls: Stage) -> None:
    """What is due has its end at once; the plan, too, though she was not due."""
    calls.clock.forward(minutes=30)
    (first,) = await eventually(lambda: due(calls))
    await recorded(calls, first, "not_reached")
    answer = await calls.at.ledger.post(f"/people/{MRS_LI}/death", {"command_id": "d"}, who="coordinator")
    assert answer.status_code == 202, answer.text
    await eventually(lambda: calls.entered("FollowUpsEnded", 1))
    await eventually(lambda: ended(calls, "excused"))
    shown = await calls.at.ledger.get(f"/follow-ups/{first['follow_up_id']}")
    assert [(one["outcome"], one["why"]) for one in shown["records"]] == [("not_reached", None), ("excused", "gone")]
    person = await calls.at.ledger.post("/people", {**world.MR_WANG, "address": world.MRS_LI["address"]})
    plan = {"plan_id": "wang", "kind": "care_call", "begins": "2026-11-27T10:30"}
    assert (await calls.at.ledger.post(f"/people/{person.json()['id']}/plans", plan)).status_code == 202
    calls.clock.forward(days=3)
    await eventually(lambda: calls.entered("FollowUpDue", 2))
    assert [one["plan_id"] for one in await calls.entries("FollowUpDue")] == ["li", "wang"]
    for span, found in (({"until": "2026-11-26"}, 0), ({"since": "2026-11-27"}, 1), ({"since": "2026-11-28"}, 0)):
        assert len(await calls.at.ledger.items("/follow-ups", **span)) == found


async def ended(calls: Stage, state: str) -> bool:
    return [one["state"]["state"] for one in await calls.at.ledger.stored("follow_ups")] == [state]


async def test_a_plan_follows_her_to_another_door(calls: Stage) -> None:
    """She moves to her daughter's building; whoever answers for it calls her there."""
    body = {"community": world.TIEBEI, "building": "9", "grid": "g9"}
    await world.accepted(calls.at.ledger, "/buildings", body)
    move = {"command_id": "m", "address": {"building": "9", "unit": "1", "room": "101"}}
    answer = await calls.at.ledger.post(f"/people/{MRS_LI}/move", move, who="coordinator")
    assert answer.status_code == 202, answer.text
    calls.clock.forward(minutes=30)
    (told,) = await eventually(lambda: calls.entries("FollowUpDue"))
    assert (told["building"], told["grid"]) == ("9", "g9")


async def test_a_plan_that_was_ended_calls_nobody(calls: Stage) -> None:
    """Nor does one for somebody who is not on the books."""
    for _ in range(2):
        answer = await calls.at.ledger.post("/plans/li/end", {"command_id": "end"}, who="coordinator")
    assert answer.json()["status"] == "duplicate"
    calls.clock.forward(days=4)
    plan = {"plan_id": "x", "kind": "care_call", "begins": "2026-11-24T10:30"}
    unknown = await calls.at.ledger.post("/people/nobody/plans", plan)
    assert unknown.status_code == 404
    await eventually(lambda: calls.entered("FollowUpsEnded", 1))
    assert await calls.at.ledger.items("/follow-ups") == []
