"""S3: a bus drives into the compound unchecked. It becomes a case, an agreement, and two checks a day."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.identity import new_id
from tests import world
from tests.running import Town, eventually
from tests.stories.stage import Stage, stage

GATE = "南门"
CASE = {
    "case_id": "bus",
    "community": world.TIEBEI,
    "building": "1",
    "kind": "outside_company",
    "title": "大巴进院无人检查",
    "text": "李奶奶反映，每天早晚各一趟",
    "owner": world.ZHAO,
    "parties": ["bus-company"],
    "source": "hotline",
    "source_id": "20261124-7",
}
AGREEMENT = {
    "agreement_id": "bus-1",
    "partner": "示例客运公司",
    "terms": [{"place": GATE, "times": ["07:00", "17:40"]}],
    "begins": "2026-11-25",
    "ends": "2026-11-27",
}


@pytest.fixture
async def gate(town: Town) -> AsyncIterator[Stage]:
    """Zhao answers for the grid at the gate; Zhou coordinates."""
    async with stage(town) as one:
        await one.enter(
            {"1": "g1"},
            [
                {"worker_id": world.ZHAO, "role": "grid_worker", "grids": ["g1"]},
                {"worker_id": world.ZHOU, "role": "coordinator"},
            ],
        )
        yield one


async def opened(gate: Stage) -> None:
    """The report is a case, and what the company agreed to is recorded."""
    for body in (CASE, CASE, {**CASE, "case_id": "bus-again", "text": "又来了"}):
        answer = await gate.at.ledger.post("/cases", body, who="grid_worker")
        assert (answer.status_code, answer.json()["case_id"]) == (202, "bus"), answer.text
    assert answer.json()["status"] == "duplicate", "the same topic is one case"
    recorded = await gate.at.ledger.post("/cases/bus/agreements", AGREEMENT, who="coordinator")
    assert (recorded.status_code, recorded.json()["status"]) == (202, "accepted"), recorded.text


def china(day: int, hour: int, minute: int) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC) - timedelta(hours=8)


async def checked(gate: Stage, at: datetime, temperature: float = 36.6, **more: Any) -> dict[str, Any]:
    """A volunteer at the gate looks at the driver, now."""
    gate.clock.now = max(gate.clock.now, at)
    body = {
        "check_id": f"check-{at:%d-%H%M}",
        "community": world.TIEBEI,
        "grid": "g1",
        "gate": GATE,
        "at": at.isoformat(),
        "case_id": "bus",
        "temperature": temperature,
        "pass_shown": True,
        "text": "黑A00000，司机",
        **more,
    }
    answer = await gate.at.ledger.post("/gate-checks", body, who="volunteer")
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def act(gate: Stage, verb: str, token: str = "grid_worker", **more: Any) -> Any:
    return await gate.at.ledger.post(f"/cases/bus/{verb}", {"command_id": new_id(), **more}, who=token)


async def test_two_stops_a_day_are_checked_against_what_was_agreed_until_it_expires(gate: Stage) -> None:
    """From a date until a date; nothing has to be ended."""
    await opened(gate)
    applied = []
    for day in (24, 25, 26, 27, 28):
        for hour, minute in ((7, 5), (17, 38)):
            if (day, hour) != (24, 7):
                applied.append((await checked(gate, china(day, hour, minute)))["applies"])
    times = [f"2026-11-{day}T{time}" for day in (25, 26, 27) for time in ("07:00", "17:40")]
    assert applied == ["no_agreement", *times, "no_agreement", "no_agreement"]
    off_hours = await checked(gate, china(28, 19, 0), agreement_id="bus-1")
    assert off_hours["applies"] == "no_agreement"

    shown = await gate.at.ledger.get("/cases/bus", who="grid_worker")
    (agreement,) = shown["agreements"]
    assert (agreement["checks"], agreement["stops"], agreement["fevers"]) == (6, 6, 0)
    assert (agreement["partner"], shown["details"]["title"]) == (AGREEMENT["partner"], CASE["title"])
    listed = await gate.at.ledger.items("/gate-checks", who="coordinator", agreement_id="bus-1")
    assert [one["applies"] for one in listed] == times[::-1]
    assert "黑A" not in str(listed)
    await eventually(lambda: gate.entered("GateChecked", 10))
    assert "黑A" not in str(await gate.entries("GateChecked"))


async def test_whoever_stands_at_the_gate_finds_whom_to_expect(gate: Stage) -> None:
    """On the days on which it applies, until it is ended; each look is noted."""
    await opened(gate)

    async def expected(**on: str) -> list[tuple[str, str, Any]]:
        found = await gate.at.ledger.items("/agreements", who="volunteer", **on)
        return [(one["agreement_id"], one["partner"], one["terms"]) for one in found]

    bus = ("bus-1", AGREEMENT["partner"], AGREEMENT["terms"])
    for day, whom in (("24", []), ("25", [bus]), ("27", [bus]), ("28", [])):
        assert await expected(on=f"2026-11-{day}") == whom
    assert await expected() == [], "it is the 24th"
    ((name, *_),) = await expected(on="2026-11-25")
    check = await checked(gate, china(25, 7, 5), case_id=None, agreement_id=name)
    assert check["applies"] == "2026-11-25T07:00"
    await gate.at.ledger.post("/agreements/bus-1/end", {"command_id": "e"}, who="coordinator")
    assert await expected(on="2026-11-26") == []
    await eventually(lambda: gate.entered("PersonalDataOpened", 3))


async def test_a_fever_at_the_gate_is_an_urgent_case_at_once_and_coordinators_hear_of_it(gate: Stage) -> None:
    """37.3 is none, 37.4 is one; told twice, it is one."""
    await opened(gate)
    assert (await checked(gate, china(25, 7, 0), 37.3))["case_id"] is None
    first, again = [await checked(gate, china(25, 17, 40), 37.4) for _ in range(2)]
    assert (first["status"], again["status"]) == ("accepted", "duplicate")
    assert first["case_id"] == again["case_id"]
    (heard,) = await eventually(lambda: [one for one in gate.heard("CaseOpened") if one["kind"] == "fever"])
    assert (heard["role"], heard["worker"], heard["urgency"]) == ("coordinator", world.ZHOU, "urgent")
    assert "发热" in heard["text"]["zh"]
    fever = await gate.at.ledger.get(f"/cases/{first['case_id']}", who="coordinator")
    assert (fever["urgent"], fever["owner"], "37.4" in fever["details"]["title"]) == (True, world.ZHOU, True)
    assert len(await gate.at.ledger.items("/cases", kind="fever", open=True)) == 1
    (agreement,) = (await gate.at.ledger.get("/cases/bus"))["agreements"]
    assert agreement["fevers"] == 1


async def test_a_check_of_tomorrow_is_refused_and_an_ended_agreement_applies_no_more(gate: Stage) -> None:
    """Whose clock is a day ahead hears of it."""
    await opened(gate)
    await checked(gate, china(25, 7, 0))
    body = {"check_id": "x", "community": world.TIEBEI, "gate": GATE, "pass_shown": True}
    late = await gate.at.ledger.post("/gate-checks", {**body, "at": china(26, 7, 0).isoformat()}, who="volunteer")
    assert (late.status_code, late.json()["code"]) == (422, "not_yet")
    ended = await gate.at.ledger.post("/agreements/bus-1/end", {"command_id": "e"}, who="coordinator")
    assert ended.json()["status"] == "accepted"
    assert (await checked(gate, china(25, 17, 40)))["applies"] == "no_agreement"


async def test_what_was_promised_is_late_once_and_the_case_ends_with_an_answer(gate: Stage) -> None:
    """Who answers for it hears of it, and so does the company; everything said stays when it is opened again."""
    await opened(gate)
    due = (gate.clock.now + timedelta(hours=3)).isoformat()
    added = await act(gate, "step", step_id="meet", due=due, text="和客运公司商定时间")
    assert added.status_code == 200, added.text
    gate.clock.forward(hours=4)
    (late,) = await eventually(lambda: gate.heard("CaseStepLate"))
    assert (late["worker"], late["asked"]) == (world.ZHAO, ["bus-company"])
    assert (await act(gate, "close", outcome="已约定")).json()["code"] == "open_steps"
    assert (await act(gate, "done", step_id="meet")).json()["status"] == "accepted"
    assert (await act(gate, "close")).json()["code"] == "required"
    assert (await act(gate, "answer", text="每天两个时间进院，门口测温")).json()["status"] == "accepted"
    assert (await act(gate, "close")).json() == {"status": "accepted", "case_id": "bus", "state": "closed"}
    assert (await act(gate, "reopen", "volunteer", reason="又来了")).status_code == 404
    assert (await act(gate, "reopen", "coordinator", reason="又来了")).json()["state"] == "open"
    shown = await gate.at.ledger.get("/cases/bus", who="coordinator")
    assert [(one["what"], one["by"]) for one in shown["said"]] == [("answer", world.ZHAO), ("reason", world.ZHOU)]
    assert shown["steps"][0]["late"] is True
    await eventually(lambda: gate.entered("CaseReopened", 1))
    assert len(await gate.entries("CaseStepLate")) == 1
    assert "商定" not in str(await gate.entries("CaseStepAdded"))
    assert (await gate.at.ledger.get("/chain"))["broken"] == []
