"""S6: temperature at 9:30 and 15:30 of everyone observed in a building; a door that stays shut is not forgotten."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests import world
from tests.running import Town, eventually
from tests.stories.stage import Stage, stage

OBSERVED = 12
"""In building 2."""
WORKERS = 4


@pytest.fixture
async def building(town: Town) -> AsyncIterator[Stage]:
    """Everybody told to stay in yesterday; it is ten in the morning, and the first round is at half past three."""
    async with stage(town) as one:
        await one.enter(
            {"2": "g1"},
            [
                {"worker_id": world.ZHAO, "role": "grid_worker", "grids": ["g1"]},
                {"worker_id": world.ZHOU, "role": "coordinator"},
                *({"worker_id": f"v{n}", "role": "volunteer"} for n in range(WORKERS - 1)),
            ],
        )
        for number in range(OBSERVED):
            person = {**world.MR_WANG, "source_id": f"p{number}", "name": f"某{number}", "phone": None}
            person["address"] = {"building": "2", "unit": "1", "room": f"{number}02"}
            name = (await one.at.ledger.post("/people", person)).json()["id"]
            told = {"observation_id": f"o{number}", "listing": "assigned_by_city", "category": "close_contact"}
            body = {**told, "starts": "2026-11-23", "owner": world.ZHAO}
            await world.accepted(one.at.ledger, f"/people/{name}/observation", body)
        await eventually(lambda: one.entered("FollowUpsPlanned", 2 * OBSERVED))
        yield one


async def due(building: Stage, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await building.at.ledger.items("/follow-ups", who="grid_worker")
    return found if len(found) == count else []


async def recorded(building: Stage, one: dict[str, Any], outcome: str, **more: Any) -> dict[str, Any]:
    body = {"command_id": f"{outcome}-{one['tries']}", "outcome": outcome, **more}
    answer = await building.at.ledger.post(f"/follow-ups/{one['follow_up_id']}/record", body, who="grid_worker")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def records(building: Stage, one: dict[str, Any]) -> list[dict[str, Any]]:
    """What was measured and heard, as the grid worker is shown it."""
    shown = await building.at.ledger.get(f"/follow-ups/{one['follow_up_id']}", who="grid_worker")
    return [{name: record[name] for name in ("outcome", "how", "temperature", "note")} for record in shown["records"]]


async def test_everybody_is_measured_twice_a_day_at_half_past(building: Stage) -> None:
    """Half past three, half past nine, half past three: each person once a round, until the last day is over."""
    times = Counter[str]()
    building.clock.forward(hours=5, minutes=30)
    for hours in (18, 6, 18):
        found = await eventually(lambda: due(building, OBSERVED))
        assert {one["how"] for one in found} == {"visit"}
        times.update(one["at"] for one in found)
        for number, one in enumerate(found):
            await recorded(building, one, "reached", temperature=36.4 + number / 100, note=f"精神好 {number}")
        measured = [await records(building, one) for one in found]
        assert measured == [
            [{"outcome": "reached", "how": "visit", "temperature": 36.4 + number / 100, "note": f"精神好 {number}"}]
            for number in range(OBSERVED)
        ]
        building.clock.forward(hours=hours)
    assert times == {
        "2026-11-24T07:30:00Z": OBSERVED,
        "2026-11-25T01:30:00Z": OBSERVED,
        "2026-11-25T07:30:00Z": OBSERVED,
    }
    await eventually(lambda: building.entered("FollowUpRecorded", 3 * OBSERVED))
    held = await building.at.ledger.get(f"/people/{found[0]['person_id']}/export", who="coordinator")
    heard = [record["note"] for one in held["follow_ups"] for record in one["records"]]
    assert len(heard) == 3, "the person's export has it all"
    assert all(note.startswith("精神好") for note in heard)
    for where in (await building.at.ledger.stored("follow_ups"), await building.at.ledger.stored("entries")):
        assert "精神好" not in str(where), "what was measured and heard rests sealed"
    assert not any(one["alarm"] for one in await building.entries("FollowUpRecorded"))


async def test_nobody_opens_for_half_an_hour_so_the_corridor_is_looked_at_and_then_a_coordinator(
    building: Stage,
) -> None:
    """Recorded as not reached; a task for whoever answers for the grid; and at the end somebody must look."""
    building.clock.forward(hours=5, minutes=30)
    shut, *others = await eventually(lambda: due(building, OBSERVED))
    for one in others:
        await recorded(building, one, "reached", temperature=36.5)
    building.clock.forward(minutes=29)
    assert (await recorded(building, shut, "not_reached"))["state"] == "due"
    (task,) = await eventually(lambda: building.tasks(state="offered"))
    state = (await building.tasks())[task]
    assert (state["facts"]["kind"], state["facts"]["building"], state["worker"]) == ("corridor_check", "2", world.ZHAO)
    assert state["apart"], "whoever goes there stands before an observed door"
    for verb in ("accept", "start", "complete"):
        await building.all_do(verb, [(task, world.ZHAO)])
    building.clock.forward(minutes=31)
    (waiting,) = await eventually(lambda: last(building, "coordinator"))
    asked = await eventually(lambda: [one for one in building.heard("FollowUpDue") if one["role"] == "coordinator"])
    assert [one["text"]["zh"] for one in asked] == ["该随访了（请协调员处理）：测体温，2号楼"]
    assert await recorded(building, waiting, "not_reached") == {
        "status": "accepted",
        "id": shut["follow_up_id"],
        "state": "missed",
    }
    (missed,) = await eventually(lambda: building.heard("FollowUpMissed"))
    assert (missed["role"], missed["building"]) == ("coordinator", "2")
    outcomes = Counter(one["outcome"] for one in await building.entries("FollowUpRecorded"))
    assert outcomes == {"reached": OBSERVED - 1, "not_reached": 2}
    assert len(await building.at.intake.stored("requests")) == 1, "the corridor is looked at once"


async def last(building: Stage, how: str) -> list[dict[str, Any]]:
    return [one for one in await due(building, 1) if one["how"] == how]


async def test_a_door_of_which_nobody_says_anything_goes_the_same_way(building: Stage) -> None:
    """Half an hour, half an hour, an hour."""
    building.clock.forward(hours=5, minutes=30)
    shut, *others = await eventually(lambda: due(building, OBSERVED))
    for one in others:
        await recorded(building, one, "excused", note="下楼做检查")
    building.clock.forward(minutes=30)
    await eventually(lambda: len_of(building, 1))
    building.clock.forward(minutes=30)
    await eventually(lambda: last(building, "coordinator"))
    building.clock.forward(minutes=60)
    await eventually(lambda: building.entered("FollowUpMissed", 1))
    assert (await building.entries("FollowUpMissed"))[0]["follow_up_id"] == shut["follow_up_id"]


async def len_of(building: Stage, count: int) -> bool:
    return len(await building.tasks()) == count


async def test_the_floors_are_disinfected_at_noon_and_the_rubbish_is_fetched(building: Stage) -> None:
    """For the building itself: each time a task that somebody does, with proof where the kind asks for it."""
    for name, kind, rule in (
        ("floors", "disinfection", "FREQ=DAILY;BYHOUR=8,12,18"),
        ("rubbish", "rubbish", "FREQ=DAILY;BYHOUR=19"),
    ):
        told = {"programme_id": name, "community": world.TIEBEI, "everybody": {"building": "2"}, "kind": kind}
        body = {**told, "each": "building", "begins": "2026-11-25T00:00", "rule": rule, "note": "楼道"}
        assert (await building.at.ledger.post("/programmes", body, who="coordinator")).status_code == 202
    times = Counter[str]()
    for count, hours in ((1, 22), (2, 4), (3, 6), (4, 1)):
        building.clock.forward(hours=hours)
        found = await eventually(lambda count=count: all_tasks(building, count))  # type: ignore[misc]
        times = Counter(one["facts"]["kind"] for one in found.values())
    assert times == {"disinfection": 3, "rubbish": 1}
    assert {one["facts"]["building"] for one in found.values()} == {"2"}
    (rubbish,) = (task for task, one in found.items() if one["facts"]["kind"] == "rubbish")
    for verb in ("accept", "start", "complete"):
        await building.all_do(verb, [(rubbish, world.ZHAO)])
    await eventually(lambda: building.entered("DeliveryCompleted", 1))


async def all_tasks(building: Stage, count: int) -> dict[str, Any]:
    """Those of the building itself; follow-ups at doors have theirs, too."""
    found = {name: one for name, one in (await building.tasks()).items() if one["facts"]["kind"] != "corridor_check"}
    return found if len(found) >= count else {}


async def test_a_fever_at_the_door_is_an_urgent_case_with_an_owner(building: Stage) -> None:
    """Once, and a coordinator hears of it."""
    building.clock.forward(hours=5, minutes=30)
    first, *_ = await eventually(lambda: due(building, OBSERVED))
    for _ in range(2):
        await recorded(building, first, "reached", temperature=38.1, note="咳嗽")
    (case,) = await eventually(lambda: building.at.ledger.items("/cases", kind="fever", open=True))
    assert (case["urgent"], case["owner"], case["person_id"]) == (True, world.ZHOU, first["person_id"])
    await eventually(lambda: [one for one in building.heard("CaseOpened") if one["kind"] == "fever"])
    shown = await building.at.ledger.get(f"/cases/{case['case_id']}", who="coordinator")
    assert (shown["details"]["title"], shown["details"]["text"]) == ("发热 38.1 °C", "咳嗽")
