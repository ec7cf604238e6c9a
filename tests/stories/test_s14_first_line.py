"""S14, in part: the first line for old people living alone. Their requests stand on top of every list."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests import world
from tests.running import Amqp, Clock, Ear, Running, Town, eventually

ALL = ("intake", "dispatch", "notification", "ledger")
OTHERS = 12
"""Requests of others, all urgent and all there before hers."""
NIGHT_MEDICINE = {"kind": "medicine", "items": [{"name": "降压药", "quantity": 1, "unit": "盒"}], "urgency": "urgent"}


@dataclass(frozen=True, slots=True)
class Street:
    """The whole system, on a clock that stands still, and who uses it."""

    at: Running
    source: Amqp
    staff: Ear
    clock: Clock

    async def submit_others(self) -> None:
        """Neighbours, all of them urgent, one of them deaf."""
        bodies = [
            world.groceries(f"other-{number}", urgency="urgent", resident={"needs": ["deaf"]})
            for number in range(OTHERS)
        ]
        answers = await asyncio.gather(*(self.source.ask("request.submit", body) for body in bodies))
        assert {one["status"] for one in answers} <= world.TAKEN, answers
        await eventually(lambda: self.offered(OTHERS))

    async def offered(self, count: int) -> bool:
        """Whether so many tasks are offered."""
        return len(await self.at.dispatch.items("/tasks", open=True)) == count

    async def on_top(self, request_id: str) -> None:
        """She stands on top of every list of work, whoever reads it and however it is filtered."""
        dispatch, notification = self.at.dispatch, self.at.notification
        for who in ("operator", "coordinator", "grid_worker", "volunteer"):
            for params in ({}, {"open": True}, {"state": "offered"}, {"grid": "g1"}, {"worker": world.ZHAO}):
                first = (await dispatch.get("/tasks", who=who, limit=1, **params))["items"][0]
                assert (first["request_id"], first["first_line"]) == (request_id, True), (who, params)
        walk = (await dispatch.get("/walks", who="grid_worker"))["items"][0]
        assert walk["tasks"][0]["request_id"] == request_id
        for who in ("coordinator", "grid_worker"):
            unread = (await notification.get("/messages", who=who, limit=1, unread=True))["items"][0]
            assert (unread["request_id"], unread["first_line"]) == (request_id, True), who

    async def entries(self, request_id: str, *types: str) -> list[dict[str, Any]]:
        """The ledger's entries about a request, once it has all of these."""
        return await eventually(lambda: self._entries(request_id, types))

    async def _entries(self, request_id: str, types: tuple[str, ...]) -> list[dict[str, Any]] | None:
        found = await self.at.ledger.items("/entries", request_id=request_id)
        return found if set(types) <= {one["type"] for one in found} else None

    def told(self, request_id: str) -> list[dict[str, Any]]:
        """What staff heard of a request."""
        return [one for one in map(_body, self.staff.heard) if one["request_id"] == request_id]


def _body(message: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(message.body)
    return body


@pytest.fixture
async def street(town: Town) -> AsyncIterator[Street]:
    """Everything runs, Mrs Li is on the books as old and alone, and others wait already."""
    clock = Clock()
    async with town.up(*ALL, clock=clock) as at, town.amqp() as source, town.staff() as staff:
        await world.settle(*at.services.values())
        one = Street(at, source, staff, clock)
        await one.submit_others()
        yield one


async def by_herself(street: Street) -> str:
    """On the form, without a token."""
    body = world.for_mrs_li("li-1", source="form")
    return str((await street.at.intake.post("/requests", body, who=None)).json()["request_id"])


async def by_her_daughter(street: Street) -> str:
    """Medicine at night, through a system that speaks HTTP; she gives her mother's name and door."""
    body = world.for_mrs_li("li-1", **NIGHT_MEDICINE, on_behalf_of=world.PING, resident={"name": "李奶奶"})
    return str((await street.at.intake.post("/requests", body, who="source")).json()["request_id"])


async def by_another_system(street: Street) -> str:
    """Over RabbitMQ; it knows no name, only her phone."""
    body = world.for_mrs_li("li-1", resident={"phone": "10000000001"}, address={"building": "1"})
    return str((await street.source.ask("request.submit", body))["request_id"])


@pytest.mark.parametrize("way", [by_herself, by_her_daughter, by_another_system])
async def test_her_request_stands_on_top_of_every_list_whoever_sends_it(street: Street, way: Any) -> None:
    """Above a dozen that came before and are more urgent; answered first; in the ledger and on the streams as hers."""
    request_id = await way(street)
    await eventually(lambda: street.offered(OTHERS + 1))
    await eventually(lambda: any(one["event"] == "DeliveryOffered" for one in street.told(request_id)))
    await eventually(lambda: street.at.notification.stored("messages", {"state.request_id": request_id}))
    await street.on_top(request_id)
    (task,) = await street.at.dispatch.items("/tasks", request_id=request_id)
    for verb in ("accept", "start", "complete"):
        answer = await street.at.dispatch.post(f"/tasks/{task['id']}/{verb}", {"command_id": verb}, who="grid_worker")
        assert answer.status_code == 200
    entries = await street.entries(request_id, "RequestCreated", "DeliveryCompleted")
    assert entries[0]["type"] == "RequestCreated"
    await eventually(lambda: any(one["event"] == "DeliveryCompleted" for one in street.told(request_id)))
    assert {one["first_line"] for one in street.told(request_id)} == {True}
    assert await street.offered(OTHERS), "the others are next"


async def test_however_long_the_others_wait_she_stays_on_top(street: Street) -> None:
    """Hours in which nobody answers anything: they rise, and she stands above them."""
    request_id = await by_herself(street)
    await eventually(lambda: street.offered(OTHERS + 1))
    for _ in range(6):
        street.clock.forward(minutes=61)
        await eventually(lambda: nothing_due(street))
        first = (await street.at.dispatch.get("/tasks", limit=1, open=True))["items"][0]
        assert first["request_id"] == request_id


async def nothing_due(street: Street) -> bool:
    """Whether all that had come due was dealt with."""
    return bool((await street.at.dispatch.get("/status"))["timers_due"] == 0)


async def test_a_neighbour_at_another_door_is_not_taken_for_her(street: Street) -> None:
    """Same building and same name, another door and phone."""
    body = world.for_mrs_li(
        "n-1",
        address={"building": "1", "unit": "1", "room": "102"},
        resident={"name": "李奶奶", "phone": "10000000009"},
    )
    answer = await street.source.ask("request.submit", body)
    await eventually(lambda: street.offered(OTHERS + 1))
    (task,) = await street.at.dispatch.items("/tasks", request_id=answer["request_id"])
    assert task["first_line"] is False


async def test_who_has_been_alone_since_yesterday_is_first_from_then_on(street: Street) -> None:
    """The register changes, and intake hears of it."""
    old = {**world.MR_WANG, "birth_year": 1950, "lives_alone": True}
    assert (await street.at.ledger.post("/people", old)).json()["status"] == "accepted"
    await eventually(lambda: street.at.intake.stored("people", {"first_line": True, "person": {"$ne": None}, "v": 2}))
    answer = await street.source.ask("request.submit", world.groceries("w-1"))
    await eventually(lambda: street.offered(OTHERS + 1))
    (task,) = await street.at.dispatch.items("/tasks", request_id=answer["request_id"])
    assert task["first_line"] is True


async def test_whoever_goes_to_her_door_sees_who_asked_and_the_look_is_entered(street: Street) -> None:
    """Her daughter's number, opened for the worker who has the task."""
    request_id = await by_her_daughter(street)
    await eventually(lambda: street.offered(OTHERS + 1))
    (task,) = await street.at.dispatch.items("/tasks", request_id=request_id)
    await street.at.dispatch.post(f"/tasks/{task['id']}/accept", {"command_id": "a"}, who="grid_worker")
    shown = await street.at.dispatch.get(f"/tasks/{task['id']}", who="grid_worker")
    assert shown["details"]["on_behalf_of"] == world.PING
    assert shown["details"]["items"][0]["name"] == "降压药"
    await street.entries(request_id, "PersonalDataOpened")
