"""S8: leaks and power cuts go to the partner that can do them, and are followed until the resident confirms the end."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from shared.identity import new_id
from tests import world
from tests.lists import HEADER, as_csv
from tests.running import Town, eventually, listening, problems
from tests.stories.partners import ABLE, four_parties, token_of
from tests.stories.stage import Stage

HOUSEHOLDS, LEAKS, POWER_CUTS = 1_688, 36, 12
PLUMBERS = ("property", "developer", "builder")
ELECTRICIANS = ("property", "committee")
ONCE = ["RequestCreated", "DeliveryOffered", "DeliveryAssigned", "DeliveryStarted", "DeliveryCompleted"]


@pytest.fixture
async def repairs(town: Town) -> AsyncIterator[Stage]:
    """Four buildings, four parties with a token each, a grid worker, and a coordinator."""
    async with four_parties(town) as one:
        yield one


def door(number: int) -> dict[str, str]:
    """Of one of 1,688 households."""
    return {"building": f"{number % 4 + 1}", "unit": "1", "room": f"{number // 4 + 101}"}


def trouble(number: int) -> dict[str, Any]:
    """Water in the kitchen, or no light."""
    kind = "leak" if number < LEAKS else "power_cut"
    household = number * HOUSEHOLDS // (LEAKS + POWER_CUTS)
    return world.groceries(f"{kind}-{number}", kind=kind, address=door(household), resident={}, items=[])


def able(number: int) -> tuple[str, ...]:
    return PLUMBERS if number < LEAKS else ELECTRICIANS


async def whole_compound(repairs: Stage) -> None:
    """1,688 households, as the property company's list has them."""
    doors = [door(number).values() for number in range(HOUSEHOLDS)]
    rows = [[f"户主{number}", "", f"1390000{number:04d}", *at] for number, at in enumerate(doors)]
    content = as_csv(HEADER, *rows)
    path = f"/people:import?community={world.TIEBEI}"
    answer = await repairs.at.ledger.call("POST", path, who="coordinator", content=content)
    assert answer.status_code == 202, answer.text
    await eventually(lambda: all_there(repairs))


async def all_there(repairs: Stage) -> bool:
    return bool((await repairs.at.ledger.get("/statistics"))["households"] == HOUSEHOLDS)


async def shown(repairs: Stage, name: str, **params: Any) -> set[str]:
    """Tasks that a party's token sees."""
    found = await repairs.at.dispatch.items("/tasks", who=token_of(name), **params)
    return {one["id"] for one in found}


async def done(repairs: Stage, who: Iterable[tuple[str, str]]) -> None:
    """Set out, and done; the resident was called and says so."""
    pairs = list(who)
    await repairs.all_do("start", pairs)
    await repairs.all_do("complete", pairs, called_back=True)


@pytest.mark.timeout(300)
async def test_every_leak_and_power_cut_comes_to_an_end_that_the_resident_confirmed(repairs: Stage) -> None:
    """One refuses, one lets the time pass, one is looked at and not fixed, of one the resident says so: all end."""
    await whole_compound(repairs)
    async with AsyncExitStack() as stack:
        streams = {
            name: await stack.enter_async_context(listening(repairs.at.notification, token_of(name), -1))
            for name in ABLE
        }
        tasks = await repairs.request([trouble(number) for number in range(LEAKS + POWER_CUTS)])
        asked = [set((await repairs.task(task))["asked"]) for task in tasks]
        assert asked == [set(able(number)) for number in range(len(tasks))], "only those who can do it"
        has = {task: able(number)[number % len(able(number))] for number, task in enumerate(tasks)}
        await repairs.all_do("claim", has.items())
        for name in ABLE:
            mine = {task for task, who in has.items() if who == name}
            assert await shown(repairs, name, open=True) == mine
            foreign = next(task for task, who in has.items() if who != name)
            assert (await repairs.at.dispatch.call("GET", f"/tasks/{foreign}", who=token_of(name))).status_code == 404
        forgotten, others = await two_come_back(repairs, tasks, has)

        early = await repairs.command("complete", others[0][0], others[0][1])
        assert (early["status"], problems(early)) == ("refused", [("called_back", "proof_required")])
        await repairs.all_do("complete", others, called_back=True)
        await repairs.all_do("claim", [(forgotten, "builder")])
        await done(repairs, [(forgotten, "builder")])

        not_fixed = await looked_at(repairs)
        said_so = next(task for task, _ in others if task not in (*not_fixed, tasks[0]))
        answer = await repairs.at.dispatch.post(
            f"/tasks/{said_so}/reopen", {"command_id": "not-fixed"}, who="grid_worker"
        )
        assert (answer.status_code, answer.json()["state"]) == (200, "offered"), answer.text
        again = [(task, "property") for task in (*not_fixed, said_so)]
        await repairs.all_do("claim", again)
        await done(repairs, again)
        for task in await repairs.at.dispatch.items("/tasks", who="coordinator", check=True):
            await repairs.all_do("check", [(task["id"], world.ZHAO)], confirmed=True)

        await eventually(lambda: repairs.entered("DeliveryCompleted", len(tasks) + len(again)))
        completed = await repairs.entries("DeliveryCompleted")
        assert {one["task_id"] for one in completed} == set(tasks)
        assert all("call_back" in one["proof"] for one in completed)
        assert {one["state"] for one in (await repairs.tasks()).values()} == {"completed"}
        assert await repairs.at.dispatch.items("/tasks", who="coordinator", check=True) == []
        for task in (said_so, *not_fixed):
            await same_history(repairs, task)
        for name, stream in streams.items():
            await eventually(lambda name=name, stream=stream: hears_its_own(repairs, name, stream.events))
        assert (await repairs.at.ledger.get("/chain"))["broken"] == []


async def two_come_back(repairs: Stage, tasks: list[str], has: dict[str, str]) -> tuple[str, list[tuple[str, str]]]:
    """Property gives one back, the developer lets the time of another pass; both come back, with a reason."""
    refused, forgotten = tasks[0], tasks[1]
    await repairs.all_do("decline", [(refused, has[refused])], reason="not_able")
    await repairs.all_do("claim", [(refused, "developer")])
    others = [(task, who) for task, who in has.items() if task not in (refused, forgotten)]
    others.append((refused, "developer"))
    await repairs.all_do("start", others)
    repairs.clock.forward(minutes=31)
    await eventually(lambda: came_back(repairs, forgotten, has[forgotten]))
    await eventually(lambda: repairs.entered("DeliveryReleased", 2))
    reasons = {one["task_id"]: one["reason"] for one in await repairs.entries("DeliveryReleased")}
    assert reasons == {refused: "given_back", forgotten: "lease_lapsed"}
    return forgotten, others


async def came_back(repairs: Stage, task: str, who: str) -> bool:
    """Whether others are asked, and not whoever forgot it."""
    state = await repairs.task(task)
    return state["state"] == "offered" and who in state["declined"] and state["worker"] is None


async def looked_at(repairs: Stage) -> list[str]:
    """Zhao calls the residents of those that were drawn; the first of them says that it still leaks."""
    drawn = await repairs.at.dispatch.items("/tasks", who="coordinator", check=True)
    assert 4 <= len(drawn) <= 24, "about a quarter"
    first, *rest = [one["id"] for one in drawn]
    own = await repairs.at.dispatch.post(
        f"/tasks/{first}/check", {"command_id": "own", "confirmed": True}, who=token_of(drawn[0]["worker"])
    )
    assert (own.status_code, problems(own)) == (409, [("worker", "own_work")])
    await repairs.all_do("check", [(first, world.ZHAO)], confirmed=False)
    await repairs.all_do("check", [(task, world.ZHAO) for task in rest], confirmed=True)
    return [first]


async def same_history(repairs: Stage, task: str) -> None:
    """What is not fixed is opened again under its own number: intake and the ledger tell one history of it."""
    request_id = (await repairs.task(task))["request_id"]
    await eventually(lambda: ended(repairs, request_id))
    told = await repairs.at.intake.get(f"/requests/{request_id}", who="coordinator")
    events = [one["event"] for one in told["history"]]
    assert events == [*ONCE, "DeliveryReopened", *ONCE[1:]]
    entries = await repairs.at.ledger.items("/entries", request_id=request_id)
    entered = Counter(one["type"] for one in entries)
    assert {name: entered[name] for name in events} == Counter(events)
    assert len(await repairs.at.dispatch.stored("tasks", {"state.request_id": request_id})) == 1


async def ended(repairs: Stage, request_id: str) -> bool:
    """Whether intake has heard both ends."""
    told = await repairs.at.intake.get(f"/requests/{request_id}", who="coordinator")
    return [one["event"] for one in told["history"]].count("DeliveryCompleted") == 2


def hears_its_own(repairs: Stage, name: str, events: list[dict[str, Any]]) -> bool:
    """Whether a party's stream has every line that names it, and no other."""
    wanted = {one["id"] for one in repairs.lines() if name in (one["worker"], *one["asked"])}
    heard = {one["id"] for one in events}
    assert heard <= wanted, f"{name} hears of others"
    return bool(heard) and heard == wanted


async def test_a_dispute_is_seen_by_the_parties_that_take_part_and_by_nobody_else(repairs: Stage) -> None:
    """What was not fixed twice is a case of builder and developer; each sees its own step, the others nothing."""
    dispute = {
        "case_id": "roof",
        "community": world.TIEBEI,
        "building": "3",
        "kind": "repair_dispute",
        "title": "顶层漏水，修了两次",
        "owner": world.ZHAO,
        "parties": ["developer", "builder"],
    }
    await world.accepted(repairs.at.ledger, "/cases", dispute)
    for name in ("developer", "builder"):
        step = {"command_id": new_id(), "step_id": f"look-{name}", "who": name, "text": f"{name}上门查看"}
        assert (await repairs.at.ledger.post("/cases/roof/step", step, who="grid_worker")).status_code == 200
    listed = {name: await repairs.at.ledger.items("/cases", who=token_of(name)) for name in ABLE}
    assert {name: len(found) for name, found in listed.items()} == {
        "property": 0,
        "developer": 1,
        "builder": 1,
        "committee": 0,
    }
    for name in ("developer", "builder"):
        seen = await repairs.at.ledger.get("/cases/roof", who=token_of(name))
        assert [one["step_id"] for one in seen["steps"] if "text" in one] == [f"look-{name}"]
        finished = {"command_id": new_id(), "step_id": f"look-{name}"}
        assert (await repairs.at.ledger.post("/cases/roof/done", finished, who=token_of(name))).status_code == 200
    assert (await repairs.at.ledger.call("GET", "/cases/roof", who=token_of("property"))).status_code == 404
    await eventually(lambda: len(repairs.heard("CaseStepDone")) == 2)
    assert {tuple(one["asked"]) for one in repairs.heard("CaseOpened")} == {("developer", "builder")}
