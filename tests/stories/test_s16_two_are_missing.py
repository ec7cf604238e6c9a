"""S16: 334 on the ledger, 332 tested by half past eleven, and two are missing: an old couple minding a grandchild."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.identity import derived_id, new_id
from tests import world
from tests.running import Town, eventually
from tests.stories.stage import Stage, parts, stage

PEOPLE = 334
HALF_PAST_SEVEN = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)
"""In China."""
POINTS = ("南门", "北门", "活动室", "小学")
ROUND = "testing-20261124"
FEW = 16
COUPLE = (332, 333)
"""They share a phone and a door."""


def somebody(number: int) -> dict[str, Any]:
    """One of those who live in buildings 1 to 4."""
    room = f"{number // 8 % 6 + 1}0{number % 2 + 1}"
    phone = f"1390000{5000 + min(number, 332)}"
    return {
        "source": "household-list",
        "source_id": f"{number:04d}",
        "community": world.TIEBEI,
        "address": {"building": str(number % 4 + 1) if number < 332 else "2", "unit": "1", "room": room},
        "name": f"居民{number}",
        "phone": phone,
    }


def id_of(number: int) -> str:
    return derived_id("person", "household-list", f"{number:04d}")


def line(number: int, minutes: float = 10, point: str | None = None, **more: Any) -> dict[str, Any]:
    """As the list of a test point has it."""
    person = somebody(number)
    at = HALF_PAST_SEVEN + timedelta(minutes=minutes)
    who = {"name": person["name"], "phone": person["phone"]}
    return {**who, "at": at.isoformat(), "point": point or POINTS[number % 4], **more}


@asynccontextmanager
async def morning_of(town: Town, people: list[int]) -> AsyncIterator[Stage]:
    """These are on the books; the round is opened at half past seven."""
    async with stage(town) as one:
        one.clock.now = HALF_PAST_SEVEN
        await one.enter(
            {str(number): f"g{(number + 1) // 2}" for number in range(1, 5)},
            [
                {"worker_id": world.ZHAO, "role": "grid_worker", "grids": ["g1"]},
                {"worker_id": world.QIAN, "role": "grid_worker", "grids": ["g2"]},
                {"worker_id": world.ZHOU, "role": "coordinator"},
            ],
        )
        for part in parts([somebody(number) for number in people]):
            answers = await asyncio.gather(*(one.desk.ask("person.register", body) for body in part))
            assert {answer["status"] for answer in answers} == {"accepted"}
        closes = (HALF_PAST_SEVEN + timedelta(hours=4)).isoformat()
        told = {"round_id": ROUND, "community": world.TIEBEI, "kind": "testing", "title": "11月24日核酸检测"}
        answer = await one.at.ledger.post(
            "/rounds", {**told, "points": list(POINTS), "closes": closes}, who="coordinator"
        )
        assert answer.status_code == 202, answer.text
        await eventually(lambda: state_is(one, "open"))
        one.clock.forward(hours=2)
        yield one


@pytest.fixture
async def morning(town: Town) -> AsyncIterator[Stage]:
    """Sixteen, the couple among them."""
    async with morning_of(town, [*range(FEW - 2), *COUPLE]) as one:
        yield one


async def shown(morning: Stage) -> dict[str, Any]:
    return dict(await morning.at.ledger.get(f"/rounds/{ROUND}"))


async def state_is(morning: Stage, state: str) -> bool:
    return (await shown(morning))["state"] == state


async def counts(morning: Stage) -> dict[str, int]:
    return dict((await shown(morning))["counts"])


async def missing(morning: Stage, who: str = "operator", **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await morning.at.ledger.items(f"/rounds/{ROUND}/missing", who=who, **params)
    return found


async def members(morning: Stage, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await morning.at.ledger.items(
        f"/rounds/{ROUND}/members", who="coordinator", **{"limit": 50, **params}
    )
    return found


async def recorded(morning: Stage, *records: dict[str, Any], command_id: str | None = None) -> dict[str, Any]:
    """Over HTTP, as a program at a desk does it."""
    body = {"command_id": command_id or new_id(), "records": list(records)}
    answer = await morning.at.ledger.post(f"/rounds/{ROUND}/records", body, who="grid_worker")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def record_all_but_the_couple(morning: Stage, people: int) -> None:
    """Over AMQP, as they come."""
    for part in parts([line(number) for number in range(people - 2)]):
        body = {"round_id": ROUND, "command_id": new_id(), "records": list(part)}
        assert (await morning.desk.ask("round.record", body))["status"] == "accepted"


async def sought(morning: Stage, how: str) -> list[dict[str, Any]]:
    """The couple, once that is what is tried."""
    found = [one for one in await morning.at.ledger.items("/follow-ups", who="operator") if one["how"] == how]
    return found if len(found) == 2 else []


async def test_332_are_tested_two_are_called_then_visited_and_nobody_is_missing(town: Town) -> None:
    """At any moment everyone is in one state; in the end it is 334 of 334."""
    async with morning_of(town, list(range(PEOPLE))) as morning:
        assert (await counts(morning))["missing"] == PEOPLE
        await record_all_but_the_couple(morning, PEOPLE)
        so_far = await counts(morning)
        assert (so_far["members"], so_far["done"], so_far["missing"]) == (PEOPLE, 332, 2)
        numbers = await morning.at.ledger.get(f"/rounds/{ROUND}/numbers")
        assert numbers["points"] == dict.fromkeys(POINTS, 83)
        assert sum(one["members"] for one in numbers["buildings"]) == PEOPLE

        morning.clock.forward(hours=4)
        await eventually(lambda: state_is(morning, "closed"))
        assert {one["person_id"] for one in await missing(morning, limit=1)} == {id_of(number) for number in COUPLE}
        named = await missing(morning, who="grid_worker", names=True)
        assert sorted(one["details"]["name"] for one in named) == ["居民332", "居民333"]
        await eventually(lambda: len(morning.heard("PersonMissing")) == 2)
        assert {line["grid"] for line in morning.heard("PersonMissing")} == {"g1"}

        for one in await eventually(lambda: sought(morning, "call")):
            body = {"command_id": new_id(), "outcome": "not_reached"}
            await morning.at.ledger.post(f"/follow-ups/{one['follow_up_id']}/record", body)
        await eventually(lambda: sought(morning, "visit"))
        for number in COUPLE:
            who = {"member_id": id_of(number), "point": "小学"}
            at = (HALF_PAST_SEVEN + timedelta(hours=4, minutes=5)).isoformat()
            await recorded(morning, {**who, "at": at, "note": "在女儿家带孩子，上门采样"})
        done = await counts(morning)
        assert (done["done"], done["missing"]) == (PEOPLE, 0)
        assert await state_is(morning, "settled")
        assert await morning.at.ledger.items("/follow-ups") == []
        assert await missing(morning) == []
        await eventually(lambda: len(morning.heard("RoundSettled")) == 1)
        await eventually(lambda: morning.entered("RoundSettled", 1))
        (settled,) = await morning.entries("RoundSettled")
        assert (settled["counts"]["done"], settled["counts"]["members"]) == (PEOPLE, PEOPLE)
        assert (await morning.at.ledger.get("/chain"))["broken"] == []


async def test_a_building_is_swept_door_by_door_and_who_was_not_at_home_is_visited_again(morning: Stage) -> None:
    """A sheet of the roster is a worker's task; when that is done and somebody is left, it is a task again."""
    closes = (morning.clock() + timedelta(hours=8)).isoformat()
    told = {"round_id": "sweep", "community": world.TIEBEI, "kind": "testing", "title": "扫楼", "closes": closes}
    sweep = {**told, "walks": True, "roster": {"buildings": ["1"]}}
    assert (await morning.at.ledger.post("/rounds", sweep, who="coordinator")).status_code == 202
    (first,) = await eventually(lambda: morning.tasks(state="offered"))
    assert (await morning.task(first))["facts"]["building"] == "1"
    for verb in ("accept", "start"):
        await morning.all_do(verb, [(first, world.ZHAO)])
    path = "/rounds/sweep/missing"
    theirs = await morning.at.ledger.items(path, who="grid_worker", building="1", names=True)
    assert [one["details"]["name"] for one in theirs if one["member_id"] == id_of(0)] == ["居民0"]
    away, *met = theirs
    at = morning.clock().isoformat()
    body = {"command_id": new_id(), "records": [{"member_id": one["member_id"], "at": at} for one in met]}
    await morning.at.ledger.post("/rounds/sweep/records", body, who="grid_worker")
    await morning.all_do("complete", [(first, world.ZHAO)], told="phone")
    (again,) = await eventually(lambda: morning.tasks(state="offered"))
    assert (again != first, (await morning.task(again))["facts"]["building"]) == (True, "1")
    (left,) = await morning.at.ledger.items(path)
    assert left["member_id"] == away["member_id"]


async def test_who_was_tested_elsewhere_or_moved_away_is_not_missing_and_has_a_reason(morning: Stage) -> None:
    """Each in one state of his own."""
    body = {"command_id": new_id(), "records": [line(3, outcome="refused"), line(4, outcome="excused")]}
    silent = await morning.at.ledger.post(f"/rounds/{ROUND}/records", body, who="grid_worker")
    assert silent.status_code == 422
    assert [one["field"] for one in silent.json()["problems"]] == ["records.0.note", "records.1.note"]
    refused = line(3, outcome="refused", note="昨天刚测过")
    await recorded(morning, line(1, outcome="elsewhere"), line(2, outcome="moved"), refused)
    found = await counts(morning)
    assert [found[name] for name in ("elsewhere", "moved", "refused", "done")] == [1, 1, 1, 0]
    assert found["missing"] == FEW - 3
    for state, number in (("elsewhere", 1), ("moved", 2), ("refused", 3)):
        (one,) = await members(morning, state=state)
        assert (one["member_id"], "昨天" in str(one)) == (id_of(number), False)
    (one,) = await members(morning, state="refused", names=True)
    assert (one["details"]["name"], [met["note"] for met in one["records"]]) == ("居民3", ["昨天刚测过"])
    assert len(await members(morning, limit=3)) == FEW
    noted = await eventually(lambda: morning.entries("PersonalDataOpened"))
    assert [(one["record"], one["purpose"]) for one in noted] == [(f"round:{ROUND}", "members")]
    await recorded(morning, line(3, minutes=90))
    assert await members(morning, state="refused") == []
    found = await counts(morning)
    assert (found["refused"], found["done"]) == (0, 1), "he came after all"


async def test_whoever_is_tested_twice_counts_once_and_a_list_sent_twice_changes_nothing(morning: Stage) -> None:
    """A second test is seen as that; the same line again, in another command, is not one."""
    await recorded(morning, line(5), command_id="desk-1")
    assert (await recorded(morning, line(5), command_id="desk-1"))["status"] == "duplicate"
    assert (await recorded(morning, line(5), line(6), command_id="desk-2"))["status"] == "accepted"
    assert (await counts(morning))["again"] == 0
    await recorded(morning, line(5, minutes=100, point="北门"))
    found = await counts(morning)
    assert (found["done"], found["again"]) == (2, 1)
    assert len(await morning.entries("RoundRecorded")) <= 3


async def test_who_is_not_on_the_ledger_is_kept_beside_it_and_can_be_added(morning: Stage) -> None:
    """A visitor stays a stranger; a newcomer, once registered, is put on the roster with his test."""
    visitor = {**line(0), "name": "访客", "phone": "13700000001"}
    newcomer = {**line(0), "name": "居民400", "phone": "13700000400"}
    answer = await recorded(morning, visitor, newcomer)
    assert answer["strangers"] == 2
    await recorded(morning, visitor)
    path = f"/rounds/{ROUND}/strangers"
    assert "访客" not in str(await morning.at.ledger.items(path, who="coordinator"))
    strangers = await morning.at.ledger.items(path, who="coordinator", names=True)
    assert {one["details"]["name"] for one in strangers} == {"访客", "居民400"}
    person = {**somebody(400), "phone": "13700000400"}
    await world.accepted(morning.at.ledger, "/people", person)
    assert (await counts(morning))["members"] == FEW, "the roster is frozen"
    added = {"command_id": new_id(), "person_id": id_of(400)}
    for status in ("accepted", "duplicate"):
        answer = await morning.at.ledger.post(f"/rounds/{ROUND}/members", added, who="coordinator")
        assert answer.json()["status"] == status
    found = await counts(morning)
    assert (found["members"], found["done"]) == (FEW + 1, 1)


async def test_somebody_added_when_all_were_dealt_with_is_looked_for(morning: Stage) -> None:
    """A settled round has somebody missing again."""
    await record_all_but_the_couple(morning, FEW)
    await recorded(morning, *(line(number, outcome="excused", note="住院") for number in COUPLE))
    closing = {"command_id": new_id()}
    await morning.at.ledger.post(f"/rounds/{ROUND}/close", closing, who="coordinator")
    await eventually(lambda: state_is(morning, "settled"))
    await world.accepted(morning.at.ledger, "/people", somebody(401))
    body = {"command_id": new_id(), "person_id": id_of(401)}
    await morning.at.ledger.post(f"/rounds/{ROUND}/members", body, who="coordinator")
    assert await state_is(morning, "closed")
    (one,) = await missing(morning)
    assert one["person_id"] == id_of(401)
    (call,) = await morning.at.ledger.items("/follow-ups")
    assert call["how"] == "call"


WRONG: tuple[tuple[dict[str, Any], str, str], ...] = (
    ({"at": (HALF_PAST_SEVEN + timedelta(days=1)).isoformat()}, "at", "in_the_future"),
    ({"point": "火车站"}, "point", "unknown_point"),
    ({"checked": ["panes"]}, "checked", "unknown_check"),
    ({"name": None}, "phone", "ambiguous"),
)


async def test_a_line_that_cannot_be_is_named_and_nothing_is_taken(morning: Stage) -> None:
    """The couple share a phone: a line without a name could be either of them."""
    for change, field, code in WRONG:
        wrong = {name: value for name, value in {**line(333), **change}.items() if value is not None}
        body = {"command_id": new_id(), "records": [line(7), wrong]}
        answer = await morning.at.ledger.post(f"/rounds/{ROUND}/records", body, who="grid_worker")
        assert answer.status_code == 422
        assert [(one["field"], one["code"]) for one in answer.json()["problems"]] == [(f"records.1.{field}", code)]
    assert (await counts(morning))["missing"] == FEW
