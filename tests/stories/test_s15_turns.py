"""S15, its unhappy turns: off sick, several orders of one stairwell, dozens of chat groups."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from shared.identity import new_id
from tests import world
from tests.running import Amqp, Clock, Ear, Running, Town, eventually

ALL = ("intake", "dispatch", "notification", "ledger")
GROUPS = 36
"""Chat groups, each of which brings some orders."""
EACH = 3


@dataclass(frozen=True, slots=True)
class Round:
    """The whole system, on a clock that stands still, and who uses it."""

    at: Running
    source: Amqp
    staff: Ear
    clock: Clock

    async def order(self, source_id: str, **changes: Any) -> str:
        """An order by message; the id of its task, once it is offered."""
        answer = await self.source.ask("request.submit", world.groceries(source_id, **changes))
        assert answer["status"] in world.TAKEN
        self.clock.forward(seconds=1)
        (task,) = await eventually(lambda: self.at.dispatch.items("/tasks", request_id=answer["request_id"]))
        return str(task["id"])

    async def act(self, task_id: str, verb: str, who: str, **more: Any) -> None:
        """Somebody does something, and it is taken."""
        body = {"command_id": new_id(), **more}
        answer = await self.at.dispatch.post(f"/tasks/{task_id}/{verb}", body, who=who)
        assert answer.status_code == 200, answer.text

    async def holders(self) -> dict[str, str]:
        """Who is asked or has each open task."""
        return {one["id"]: one["worker"] for one in await self.at.dispatch.items("/tasks", open=True)}

    async def all_with(self, worker: str, tasks: list[str]) -> bool:
        """Whether these are all his."""
        holders = await self.holders()
        return all(holders[one] == worker for one in tasks)

    async def cover(self, worker: str, command_id: str) -> None:
        """One step hands grid g1 to another."""
        body = {"command_id": command_id, "worker": worker}
        answer = await self.at.dispatch.post("/grids/tiebei/g1/cover", body, who="coordinator")
        assert (answer.status_code, answer.json()["status"]) == (200, "accepted")

    async def in_order(self, worker: str) -> list[str]:
        """A worker's open tasks, as his list shows them."""
        walks = await self.at.dispatch.get("/walks", who="coordinator", worker=worker)
        return [task["id"] for walk in walks["items"] for task in walk["tasks"]]

    def told(self, event: str) -> list[dict[str, Any]]:
        """What staff heard of one kind of event."""
        bodies = (json.loads(message.body) for message in self.staff.heard)
        return [one for one in bodies if one["event"] == event]

    async def entered(self, event: str, count: int) -> list[dict[str, Any]]:
        """The ledger's entries of one type, once there are so many."""
        return await eventually(lambda: self._entered(event, count))

    async def _entered(self, event: str, count: int) -> list[dict[str, Any]] | None:
        found = await self.at.ledger.items("/entries", type=event)
        return found if len(found) >= count else None


@pytest.fixture
async def round_(town: Town) -> AsyncIterator[Round]:
    """Everything runs, and everybody is on the books."""
    clock = Clock()
    async with town.up(*ALL, clock=clock) as at, town.amqp() as source, town.staff() as staff:
        await world.settle(*at.services.values())
        yield Round(at, source, staff, clock)


async def test_a_worker_off_sick_hands_his_grid_to_another_in_one_step_and_gets_it_back(round_: Round) -> None:
    """What he carries he finishes; all else goes over in the order of the list, and what comes new, too."""
    urgencies = ("normal", "urgent", "soon", "normal", "urgent", "soon")
    tasks = [await round_.order(f"o{number}", urgency=urgency) for number, urgency in enumerate(urgencies)]
    await round_.act(tasks[0], "accept", "grid_worker")
    await round_.act(tasks[0], "start", "grid_worker")
    await round_.act(tasks[1], "accept", "grid_worker")
    before = [one for one in await round_.in_order(world.ZHAO) if one != tasks[0]]

    await round_.cover(world.QIAN, "sick")
    await eventually(lambda: round_.all_with(world.QIAN, tasks[1:]))
    assert await round_.in_order(world.QIAN) == before, "in the order of the list"
    assert await round_.all_with(world.ZHAO, tasks[:1]), "he is at the door already"
    later = await round_.order("o9")
    assert await round_.all_with(world.QIAN, [later])
    await round_.act(tasks[0], "complete", "grid_worker")
    await round_.act(tasks[1], "accept", "coordinator", worker=world.QIAN)

    await round_.cover(world.ZHAO, "well")
    open_now = [*tasks[1:], later]
    await eventually(lambda: round_.all_with(world.ZHAO, open_now))
    for task in open_now:
        for verb in ("accept", "start", "complete"):
            await round_.act(task, verb, "grid_worker")

    covers = await round_.entered("GridCovered", 2)
    assert len(covers) == 2
    assert len(await round_.entered("DeliveryCompleted", 7)) == 7
    await eventually(lambda: len(round_.told("DeliveryCompleted")) == 7)
    assert [one["worker"] for one in round_.told("GridCovered")] == [world.QIAN, world.ZHAO]
    asked = [one["worker"] for one in round_.told("DeliveryOffered")]
    assert asked.count(world.QIAN) == 6
    assert (await round_.at.ledger.get("/chain"))["broken"] == []


async def test_several_orders_of_one_stairwell_become_one_walk(round_: Round) -> None:
    """Groceries for 502, medicine for 301, rubbish taken on the way down; and another stairwell is another walk."""
    door, neighbour = {"building": "2", "unit": "1", "room": "502"}, {"building": "2", "unit": "1", "room": "301"}
    other = {"building": "2", "unit": "2", "room": "502"}
    bought = await round_.order("a", address=door, contactless=True)
    medicine = await round_.order("b", address=neighbour, kind="medicine")
    elsewhere = await round_.order("c", address=other)
    rubbish = await round_.order("d", address=door, kind="rubbish", items=None)
    walks = (await round_.at.dispatch.get("/walks", who="grid_worker"))["items"]
    assert [[task["id"] for task in walk["tasks"]] for walk in walks] == [[medicine, bought, rubbish], [elsewhere]]
    assert {task["walk"] for task in walks[0]["tasks"]} == {walks[0]["walk"]}
    assert '"502"' not in json.dumps(walks), "a walk shows no door"
    for verb in ("accept", "start", "complete"):
        for task in walks[0]["tasks"]:
            await round_.act(task["id"], verb, "grid_worker")
    left = (await round_.at.dispatch.get("/walks", who="grid_worker"))["items"]
    assert [[task["id"] for task in walk["tasks"]] for walk in left] == [[elsewhere]]
    assert len(await round_.entered("DeliveryCompleted", 3)) == 3
    await eventually(lambda: len(round_.told("DeliveryCompleted")) == 3)


async def test_messages_of_dozens_of_chat_groups_stand_in_one_list_and_none_stays_unread(round_: Round) -> None:
    """From 36 groups, some sent twice: one list, read line by line until it is empty, and every reading is entered."""
    bodies = [
        world.groceries(f"group-{group:02d}/{number}", address={"building": "123"[group % 3]})
        for group in range(GROUPS)
        for number in range(EACH)
    ]
    sent = [*bodies, *bodies[::7]]
    answers = await asyncio.gather(*(round_.source.ask("request.submit", body) for body in sent))
    requests = {one["request_id"] for one in answers}
    assert len(requests) == len(bodies) == GROUPS * EACH

    unread = await eventually(lambda: whole_list(round_, len(bodies)))
    assert {one["request_id"] for one in unread} == requests
    zhao, zhou = [await unread_of(round_, who) for who in ("grid_worker", "coordinator")]
    assert {one["grid"] for one in zhao} == {"g1"}
    assert len(zhou) == len(bodies)

    read: list[str] = []
    while unread := (await round_.at.notification.get("/messages", who="coordinator", unread=True, limit=25))["items"]:
        for message in unread:
            path = f"/messages/{message['id']}/acknowledge"
            answer = await round_.at.notification.post(path, {"command_id": f"read-{message['id']}"}, who="coordinator")
            assert answer.json()["status"] == "accepted"
            read.append(message["request_id"])
    assert sorted(read) == sorted(requests), "each was read once"
    assert await unread_of(round_, "grid_worker") == [], "and for everybody"
    entries = await round_.entered("NotificationAcknowledged", len(bodies))
    assert {one["request_id"] for one in entries} == requests


async def whole_list(round_: Round, count: int) -> list[dict[str, Any]] | None:
    found = await unread_of(round_, "operator")
    return found if len(found) >= count else None


async def unread_of(round_: Round, who: str) -> list[dict[str, Any]]:
    """The list of what nobody has read, as somebody sees it."""
    return await round_.at.notification.items("/messages", who=who, unread=True)
