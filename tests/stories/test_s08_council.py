"""S8: each topic of the weekly residents' council (居民议事厅) is a case with an owner and an answer."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.identity import new_id
from tests import world
from tests.running import Town, eventually, listening, problems
from tests.stories.partners import four_parties, token_of
from tests.stories.stage import Stage

WEEK = {"council_id": "2026-w47", "community": world.TIEBEI}
TOPICS = [
    {"topic_id": "lift", "title": "3号楼电梯常停", "owner": "property", "building": "3"},
    {"topic_id": "lights", "title": "楼道灯不亮", "owner": world.ZHAO, "parties": ["property"]},
    {"topic_id": "roof", "title": "顶层漏水", "owner": "builder", "parties": ["developer"], "building": "4"},
    {"topic_id": "bikes", "title": "电动车充电", "owner": world.ZHOU, "text": "希望加两个充电棚"},
]


@pytest.fixture
async def council(town: Town) -> AsyncIterator[Stage]:
    """Four buildings, four parties with a token each, a grid worker, and a coordinator."""
    async with four_parties(town) as one:
        yield one


async def meet(council: Stage, topics: list[dict[str, Any]], **more: Any) -> Any:
    """Zhao writes down what was raised."""
    return await council.at.ledger.post("/councils", {**WEEK, "topics": topics, **more}, who="grid_worker")


async def topics_of(council: Stage, who: str) -> dict[str, dict[str, Any]]:
    found = await council.at.ledger.get(f"/councils/{world.TIEBEI}/{WEEK['council_id']}", who=who)
    return {one["topic_id"]: one for one in found["items"]}


async def say(council: Stage, case_id: str, verb: str, who: str, **more: Any) -> Any:
    return await council.at.ledger.post(f"/cases/{case_id}/{verb}", {"command_id": new_id(), **more}, who=who)


async def test_each_topic_of_the_council_has_an_owner_and_is_answered_or_asked_for_after_a_week(
    council: Stage,
) -> None:
    """Entered at once, safe to send again; who has not answered hears of it, and so does the coordinator, once."""
    held = council.clock().isoformat()
    council.clock.forward(hours=20)
    first = await meet(council, TOPICS, held=held)
    assert (first.status_code, first.json()["status"]) == (202, "accepted"), first.text
    again = await asyncio.gather(*(meet(council, TOPICS, held=held) for _ in range(3)))
    assert {one.json()["status"] for one in again} == {"duplicate"}
    late = {"topic_id": "noise", "title": "夜间装修", "owner": world.ZHAO}
    more = (await meet(council, [*TOPICS, late])).json()
    assert [one["status"] for one in more["topics"]] == ["duplicate"] * 4 + ["accepted"]
    case = {one["topic_id"]: one["case_id"] for one in more["topics"]}
    everybody = await topics_of(council, "coordinator")
    assert everybody.keys() == case.keys()
    assert {one["owner"] for one in everybody.values()} == {"property", world.ZHAO, "builder", world.ZHOU}

    for who, wanted in (("property", {"lift", "lights"}), ("builder", {"roof"}), ("developer", {"roof"})):
        assert (await topics_of(council, token_of(who))).keys() == wanted
        listed = await council.at.ledger.items("/cases", who=token_of(who), limit=1)
        assert {one["case_id"] for one in listed} == {case[name] for name in wanted}
    assert await topics_of(council, token_of("committee")) == {}

    assert (await say(council, case["lift"], "answer", token_of("developer"), text="x")).status_code == 404
    unasked = await say(council, case["roof"], "answer", token_of("developer"), text="x")
    assert unasked.status_code == 403, "who takes part does not answer for it"
    early = await say(council, case["lift"], "close", token_of("property"), outcome="好了")
    assert (early.status_code, early.json()["code"]) == (409, "open_steps")
    for name, who in (("lift", token_of("property")), ("lights", "grid_worker"), ("noise", "grid_worker")):
        assert (await say(council, case[name], "answer", who, text="本周内修好")).json()["status"] == "accepted"
    assert (await say(council, case["lift"], "close", token_of("property"))).json()["state"] == "closed"

    council.clock.forward(days=6, hours=5)
    await eventually(lambda: len(council.heard("CaseStepLate")) == 2)
    told = {one["worker"]: (one["role"], one["kind"]) for one in council.heard("CaseStepLate")}
    assert told == dict.fromkeys(("builder", world.ZHOU), ("coordinator", "council_topic"))
    async with listening(council.at.notification, token_of("builder"), -1) as stream:
        await eventually(lambda: "CaseStepLate" in [one["event"] for one in stream.events])
    answered = await say(council, case["roof"], "answer", token_of("builder"), text="下周防水施工")
    assert answered.json()["status"] == "accepted"

    reopened = await say(council, case["lift"], "reopen", "coordinator", reason="又停了")
    assert reopened.json()["state"] == "open"
    (owed,) = (await council.at.ledger.get(f"/cases/{case['lift']}"))["steps"]
    assert (owed["step_id"], owed["state"], owed["who"], owed["late"]) == ("answer", "open", "property", False)
    await eventually(lambda: council.entered("CaseAnswered", 4))
    entered = await council.entries("CaseStepDone")
    assert Counter(one["late"] for one in entered if one["step_id"] == "answer") == {False: 3, True: 1}
    assert len(await council.entries("CaseOpened")) == 5
    assert "电梯" not in str(await council.entries("CaseOpened"))
    assert (await council.at.ledger.get("/chain"))["broken"] == []


async def test_a_topic_without_an_owner_who_is_known_stops_the_whole_list(council: Stage) -> None:
    """Every such topic is named, and no case is opened."""
    wrong = [TOPICS[0], {**TOPICS[1], "owner": "nobody"}, {**TOPICS[2], "topic_id": "lift"}]
    answer = await meet(council, wrong)
    assert answer.status_code == 422
    assert problems(answer) == [
        ("topics.0.topic_id", "twice"),
        ("topics.1.owner", "unknown_worker"),
        ("topics.2.topic_id", "twice"),
    ]
    tomorrow = council.clock().replace(day=25).isoformat()
    assert problems(await meet(council, TOPICS, held=tomorrow)) == [("held", "in_the_future")]
    assert await council.at.ledger.stored("cases") == []
    taken = {"case_id": "x", "community": world.TIEBEI, "kind": "complaint", "title": "x", "owner": "nobody"}
    assert problems(await council.at.ledger.post("/cases", taken)) == [("owner", "unknown_worker")]
