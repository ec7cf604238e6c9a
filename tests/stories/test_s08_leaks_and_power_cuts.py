"""S8, dispatch's part: repairs go to the partner that can do them, each sees its own, and are followed to the end."""

from collections.abc import AsyncIterator

import pytest

from shared.access import fingerprint
from shared.identity import new_id
from tests import world
from tests.running import Town, eventually
from tests.stories.stage import Stage, stage

HOUSEHOLDS, PARTNERS, LEAKS = 1_688, 4, 48
NAMES = ("property", "developer", "builder", "committee")


@pytest.fixture
async def repairs(town: Town) -> AsyncIterator[Stage]:
    """Four buildings, four parties with somebody each, and a coordinator."""
    async with stage(town) as one:
        await one.enter(
            {f"{number}": "g1" for number in range(1, 5)},
            [
                *({"worker_id": name, "role": "partner", "kinds": ["repair"], "cap": 20} for name in NAMES),
                {"worker_id": world.ZHOU, "role": "coordinator"},
            ],
        )
        yield one


def leak(number: int) -> dict[str, object]:
    """One of 1,688 households has water in its kitchen."""
    room = number * HOUSEHOLDS // LEAKS
    address = {"building": f"{number % 4 + 1}", "unit": "1", "room": f"{room}"}
    return world.groceries(f"leak-{number}", kind="repair", address=address, resident={}, items=[])


async def token_of(repairs: Stage, name: str) -> str:
    """What the partner's program signs in with."""
    token = f"ds_{name}_{new_id()}"
    grant = {
        "command_id": new_id(),
        "token_hash": fingerprint(token),
        "name": name,
        "role": "partner",
        "community": world.TIEBEI,
        "worker": name,
    }
    assert (await repairs.at.ledger.post("/access", grant)).status_code == 202
    await eventually(lambda: comes_in(repairs, token))
    return token


async def comes_in(repairs: Stage, token: str) -> bool:
    return (await repairs.at.dispatch.call("GET", "/tasks", who=token)).status_code == 200


@pytest.mark.timeout(300)
async def test_each_partner_sees_and_does_its_own_and_what_is_not_fixed_is_opened_again(repairs: Stage) -> None:
    """One refuses, one lets the time pass; both come back with a reason, and another has it."""
    tasks = await repairs.request([leak(number) for number in range(LEAKS)])
    has = {task: NAMES[number % PARTNERS] for number, task in enumerate(tasks)}
    await repairs.all_do("claim", has.items())
    for name in NAMES[:2]:
        token = await token_of(repairs, name)
        shown = (await repairs.at.dispatch.call("GET", "/tasks?limit=500", who=token)).json()["items"]
        assert {one["id"] for one in shown} == {task for task, who in has.items() if who == name}
        foreign = next(task for task, who in has.items() if who != name)
        assert (await repairs.at.dispatch.call("GET", f"/tasks/{foreign}", who=token)).status_code == 404

    refused, forgotten = tasks[0], tasks[1]
    await repairs.all_do("decline", [(refused, has[refused])], reason="not_able")
    await repairs.all_do("claim", [(refused, "committee")])
    await repairs.all_do("start", [(refused, "committee")])
    others = [(task, who) for task, who in has.items() if task not in (refused, forgotten)]
    await repairs.all_do("start", others)
    repairs.clock.forward(minutes=61)
    await eventually(lambda: came_back(repairs, forgotten))
    await eventually(lambda: repairs.entered("DeliveryReleased", 2))
    reasons = {one["task_id"]: one for one in await repairs.entries("DeliveryReleased")}
    assert {reasons[task]["reason"] for task in (refused, forgotten)} == {"given_back", "lease_lapsed"}

    await repairs.all_do("complete", others)
    await repairs.all_do("claim", [(forgotten, "committee")])
    await repairs.all_do("complete", [(task, "committee") for task in (refused, forgotten)])

    again = tasks[2]
    history = len(await repairs.at.dispatch.stored("tasks", {"_id": again}))
    answer = await repairs.at.dispatch.post(
        f"/tasks/{again}/reopen", {"command_id": "not-fixed", "worker": world.ZHOU}, who="coordinator"
    )
    assert answer.json()["state"] == "offered"
    assert len(await repairs.at.dispatch.stored("tasks", {"_id": again})) == history == 1
    await repairs.all_do("claim", [(again, has[again])])
    for verb in ("start", "complete"):
        await repairs.all_do(verb, [(again, has[again])])
    await eventually(lambda: repairs.entered("DeliveryCompleted", LEAKS + 1))
    entries = await repairs.at.ledger.items("/entries", request_id=(await repairs.task(again))["request_id"])
    assert [one["type"] for one in entries].count("DeliveryReopened") == 1


async def came_back(repairs: Stage, task: str) -> bool:
    """Whether others are asked, and not whoever forgot it."""
    state = await repairs.task(task)
    return state["state"] == "offered" and "developer" in state["declined"]
