"""S14: the first line for old people living alone, as far as it puts their requests on top and answers them first."""

from collections.abc import AsyncIterator

import pytest

from services.dispatch.handlers import task_id_of
from tests.running import Clock, Running, Town, eventually
from tests.world import PING, SUN, ZHAO, for_mrs_li, groceries, settle

SERVICES = ("intake", "dispatch", "notification", "ledger")
OTHERS = 24


@pytest.fixture
async def tiebei(town: Town) -> AsyncIterator[tuple[Running, Clock]]:
    """All four services on a clock that stands still, in a community that is settled."""
    clock = Clock()
    async with town.up(*SERVICES, clock=clock) as running:
        await settle(running.ledger, running.dispatch, running.intake, running.notification)
        yield running, clock


async def submit(running: Running, body: dict[str, object]) -> str:
    """A request comes in; its id, once somebody is asked."""
    answer = await running.intake.post("/requests", body, who="source")
    assert answer.status_code == 202, answer.text
    request_id = str(answer.json()["request_id"])
    await eventually(lambda: listed(running, request_id))
    return request_id


async def listed(running: Running, request_id: str) -> bool:
    """Whether the request's task is on the list."""
    return bool((await running.dispatch.get("/tasks", request_id=request_id))["items"])


async def top(running: Running, who: str) -> dict[str, object]:
    """The first of the list that somebody works from."""
    page = await running.dispatch.get("/tasks", who=who, open=True, limit=1)
    task: dict[str, object] = page["items"][0]
    return task


async def test_her_request_stands_on_top_of_every_list_whoever_asks_for_her(
    tiebei: tuple[Running, Clock], town: Town
) -> None:
    """A normal need of hers goes before everybody else's urgent one: by herself, by her daughter, by another system."""
    running, _ = tiebei
    for number in range(OTHERS):
        await submit(running, groceries(f"other-{number}", urgency="urgent", kind="medicine"))
    daughter = await submit(running, for_mrs_li("by-daughter", on_behalf_of=PING, urgency="normal"))
    for who in ("grid_worker", "volunteer", "coordinator", "operator"):
        first = await top(running, who)
        assert (first["request_id"], first["first_line"]) == (daughter, True)

    async with town.amqp("source") as source:
        answer = await source.ask("request.submit", for_mrs_li("by-system", kind="medicine", urgency="urgent"))
    await eventually(lambda: listed(running, answer["request_id"]))
    tasks = await running.dispatch.items("/tasks", who="grid_worker", open=True)
    assert [task["request_id"] for task in tasks[:2]] == [answer["request_id"], daughter]
    assert not any(task["first_line"] for task in tasks[2:])
    assert len(tasks) == OTHERS + 2


async def test_however_long_others_wait_she_stays_on_top(tiebei: tuple[Running, Clock]) -> None:
    """Waiting raises a task's place, but never above the first line."""
    running, clock = tiebei
    other = await submit(running, groceries("waits", urgency="urgent", kind="medicine"))
    for _ in range(8):
        clock.forward(hours=2)
        waited = (await running.dispatch.get("/tasks", request_id=other))["items"][0]["priority"]
        await eventually(lambda waited=waited: has_risen(running, other, waited))  # type: ignore[misc]
    hers = await submit(running, for_mrs_li("late", urgency="normal"))
    assert (await top(running, "coordinator"))["request_id"] == hers


async def has_risen(running: Running, request_id: str, priority: int) -> bool:
    """Whether a task moved up the list, or cannot any more."""
    task = (await running.dispatch.get("/tasks", request_id=request_id))["items"][0]
    return bool(task["priority"] > priority or task["priority"] >= 59)


async def test_staff_are_told_that_it_is_the_first_line_and_the_ledger_keeps_it(
    tiebei: tuple[Running, Clock], town: Town
) -> None:
    """On the stream the flag is there, in the clear no name is; at the end her life with us is in the book."""
    running, _ = tiebei
    async with town.staff() as staff:
        hers = await submit(running, for_mrs_li("told"))
        for verb in ("accept", "start", "complete"):
            answer = await running.dispatch.post(
                f"/tasks/{task_id_of(hers)}/{verb}", {"command_id": verb}, who="grid_worker"
            )
            assert answer.status_code == 200, answer.text
        await eventually(lambda: len([one for one in staff.bodies() if one["request_id"] == hers]) == 5)
        told = [one for one in staff.bodies() if one["request_id"] == hers]
    assert all(one["first_line"] for one in told if one["event"] != "RequestAmended")
    assert not any("李奶奶" in message.body.decode() for message in staff.heard)
    entries = await eventually(lambda: book_of(running, hers, 5))
    assert [one["type"] for one in entries][-1] == "DeliveryCompleted"


async def book_of(running: Running, request_id: str, count: int) -> list[dict[str, object]]:
    """A request's entries, once there are so many."""
    found = await running.ledger.items("/entries", request_id=request_id)
    return found if len(found) >= count else []


async def test_when_her_worker_does_not_answer_a_volunteer_can_take_it_at_once_after(
    tiebei: tuple[Running, Clock],
) -> None:
    """The offer lapses, the pool is asked, one claims, and it still stands on top."""
    running, clock = tiebei
    hers = await submit(running, for_mrs_li("lapses", urgency="urgent"))
    assert (await running.dispatch.get("/tasks", request_id=hers))["items"][0]["worker"] == ZHAO
    clock.forward(minutes=6)
    await eventually(lambda: offered_to_pool(running, hers))
    assert (await top(running, "volunteer"))["request_id"] == hers
    answer = await running.dispatch.post(f"/tasks/{task_id_of(hers)}/claim", {"command_id": "mine"}, who="volunteer")
    assert answer.json()["worker"] == SUN


async def offered_to_pool(running: Running, request_id: str) -> bool:
    """Whether every volunteer of the grid may claim it."""
    task = (await running.dispatch.get("/tasks", request_id=request_id))["items"][0]
    return bool(task["state"] == "offered" and task["worker"] is None)
