"""S12: a building closes at once; what is open there is planned anew, and those inside come first."""

from collections import Counter
from collections.abc import AsyncIterator

import pytest

from tests import world
from tests.running import Town, eventually
from tests.stories.stage import Stage, stage

HOUSEHOLDS = 298
OPEN = 60
"""Needs of the building that are open when it closes."""
CLOSED, SECOND, ELSEWHERE = "3", "4", "5"


@pytest.fixture
async def sealed(town: Town) -> AsyncIterator[Stage]:
    """Three buildings of one grid, its worker, volunteers, the heating company."""
    async with stage(town) as one:
        await one.enter(
            {CLOSED: "g1", SECOND: "g1", ELSEWHERE: "g1"},
            [
                {"worker_id": world.ZHAO, "role": "grid_worker", "grids": ["g1"]},
                *({"worker_id": f"v{n}", "role": "volunteer"} for n in range(5)),
                {"worker_id": "heating", "role": "partner", "kinds": ["repair"]},
                {"worker_id": world.ZHOU, "role": "coordinator"},
            ],
        )
        yield one


def need(number: int, building: str, kind: str = "groceries") -> dict[str, object]:
    """What somebody in one of 298 households needs."""
    address = {"building": building, "unit": "1", "room": f"{number % HOUSEHOLDS}"}
    return world.groceries(f"{building}-{kind}-{number}", kind=kind, address=address, resident={}, items=[])


async def turn(sealed: Stage, building: str, verb: str) -> None:
    path = f"/buildings/{world.TIEBEI}/{building}/{verb}"
    answer = await sealed.at.ledger.post(path, {"command_id": f"{verb}-{building}"}, who="coordinator")
    assert (answer.status_code, answer.json()["status"]) == (202, "accepted")


@pytest.mark.timeout(300)
async def test_open_work_of_a_closed_building_goes_to_its_gate_and_staff_are_told(sealed: Stage) -> None:
    """Goods to the gate, what needs somebody inside to a coordinator, the rest of the grid as before."""
    goods = await sealed.request([need(number, CLOSED) for number in range(OPEN)])
    (repair,) = await sealed.request([need(0, CLOSED, "repair")])
    (other,) = await sealed.request([need(1, ELSEWHERE)])
    await sealed.all_do("accept", [(task, world.ZHAO) for task in goods[:20]])
    await sealed.all_do("start", [(task, world.ZHAO) for task in goods[:5]])
    before = {task: (await sealed.task(task))["priority"] for task in (goods[0], other)}

    await turn(sealed, CLOSED, "close")
    await eventually(lambda: at_the_gate(sealed, OPEN + 1))
    (told,) = await eventually(lambda: sealed.heard("BuildingClosed"))
    assert (told["grid"], CLOSED in told["text"]["zh"]) == ("g1", True)
    states = Counter(one["state"] for one in (await sealed.tasks(gate=True)).values())
    assert states == {"under_way": 5, "assigned": 15, "offered": OPEN - 20 + 1}, "who has it keeps it"
    await eventually(lambda: len(sealed.heard("DeliveryReplanned")) == OPEN + 1)
    assert (await sealed.task(goods[0]))["priority"] > before[goods[0]], "those inside stand on top"
    assert (await sealed.task(other))["priority"] == before[other]
    asked = await sealed.task(repair)
    assert (asked["role"], asked["worker"]) == ("coordinator", world.ZHOU), "the heating company needs an escort"

    await sealed.all_do("accept", [(task, world.ZHAO) for task in goods[20:]])
    await sealed.all_do("start", [(task, world.ZHAO) for task in goods[5:]])
    await sealed.all_do("complete", [(task, world.ZHAO) for task in goods], told="phone")
    await eventually(lambda: sealed.entered("DeliveryCompleted", OPEN))
    assert {one["point"] for one in await sealed.entries("DeliveryCompleted")} == {"gate"}

    escort = await sealed.command("accept", repair, world.ZHOU)
    assert escort["status"] == "accepted"


async def at_the_gate(sealed: Stage, count: int) -> bool:
    return len(await sealed.tasks(gate=True)) == count


async def test_what_comes_after_it_was_closed_goes_to_the_gate_until_it_is_opened(sealed: Stage) -> None:
    """A second building the same evening, and the first one opened again: each on its own."""
    await turn(sealed, CLOSED, "close")
    await turn(sealed, SECOND, "close")
    await eventually(lambda: gates(sealed, {CLOSED, SECOND}))
    late = await sealed.request([need(7, CLOSED), need(8, SECOND), need(9, ELSEWHERE)])
    assert [(await sealed.task(task))["gate"] for task in late] == [True, True, False]
    await turn(sealed, CLOSED, "open")
    await eventually(lambda: gates(sealed, {SECOND}))
    await eventually(lambda: at_the_gate(sealed, 1))
    assert (await sealed.task(late[0]))["gate"] is False
    await eventually(lambda: len(sealed.heard("BuildingOpened")) == 1)
    assert len(sealed.heard("BuildingClosed")) == 2
    again = f"/buildings/{world.TIEBEI}/{SECOND}/close"
    answer = await sealed.at.ledger.post(again, {"command_id": "again"}, who="coordinator")
    assert answer.json()["status"] == "duplicate"


async def gates(sealed: Stage, closed: set[str]) -> bool:
    """Whether dispatch knows these buildings as closed, and no other."""
    found = await sealed.at.dispatch.stored("gates", {"state.closed": True})
    return {one["state"]["building"] for one in found} == closed


async def test_a_building_that_nobody_entered_is_not_closed(sealed: Stage) -> None:
    """And nobody may who does not lead."""
    path = f"/buildings/{world.TIEBEI}/99/close"
    unknown = await sealed.at.ledger.post(path, {"command_id": "c"}, who="coordinator")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_building")
    assert (await sealed.at.ledger.post(path, {"command_id": "c"}, who="grid_worker")).status_code == 403
