"""Notification on a real broker and database: staff are told once, on three ways, from any point."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage

from shared.contracts.dispatch import DeliveryCompleted, DeliveryOffered
from shared.contracts.intake import RequestCreated
from shared.contracts.rounds import Counts, PersonMissing, RoundClosed, RoundOpened
from shared.runtime import utc_now
from tests import world
from tests.running import Amqp, Ear, Listening, Service, Town, eventually, listening, problems

FACTS = {"kind": "groceries", "building": "2", "urgency": "normal", "priority": 10, "community": world.TIEBEI}


@dataclass(frozen=True, slots=True)
class Office:
    """Notification, and who tells it what happens."""

    notification: Service
    operator: Amqp
    events: Ear

    async def offer(self, request_id: str, *, grid: str = "g1", worker: str | None = world.ZHAO, **more: Any) -> str:
        """Somebody is asked."""
        return await self.operator.happen(
            DeliveryOffered(
                **FACTS,
                grid=grid,
                task_id=f"t-{request_id}",
                request_id=request_id,
                step=0,
                role="grid_worker" if worker else "volunteer",
                worker=worker,
                until=utc_now(),
            ),
            **more,
        )

    async def complete(self, request_id: str, *, grid: str = "g1") -> str:
        """Done at the door."""
        return await self.operator.happen(
            DeliveryCompleted(**FACTS, grid=grid, task_id=f"t-{request_id}", request_id=request_id, worker=world.ZHAO)
        )

    async def told(self, count: int) -> list[dict[str, Any]]:
        """The whole list, once it is so long."""
        return await eventually(lambda: self._list(count))

    async def _list(self, count: int) -> list[dict[str, Any]] | None:
        found = await self.notification.items("/messages")
        return found if len(found) >= count else None


@pytest.fixture
async def office(town: Town) -> AsyncIterator[Office]:
    """Notification runs."""
    async with (
        town.up("notification") as at,
        town.amqp("operator") as operator,
        town.ear() as events,
    ):
        yield Office(at.notification, operator, events)


async def test_an_event_is_told_on_the_exchange_on_the_stream_and_in_the_list(town: Town, office: Office) -> None:
    """The same on each, and nothing personal."""
    async with town.staff() as staff, listening(office.notification, "grid_worker") as live:
        event_id = await office.offer("r1")
        await eventually(lambda: staff.heard and live.heard("r1"))
        (listed,) = await office.told(1)
    (message,) = staff.heard
    assert message.routing_key == f"grid_worker.tiebei.g1.{world.ZHAO}"
    told = json.loads(message.body)
    assert {name: told[name] for name in ("event", "event_id", "request_id", "task_id", "worker")} == {
        "event": "DeliveryOffered",
        "event_id": event_id,
        "request_id": "r1",
        "task_id": "t-r1",
        "worker": world.ZHAO,
    }
    assert told["text"]["zh"] == "请接单：买菜，2号楼"
    assert listed["id"] == told["id"]
    assert live.events[-1]["event_id"] == event_id


async def test_twenty_identical_deliveries_at_once_are_told_once(town: Town, office: Office) -> None:
    """On every way."""
    async with town.staff() as staff:
        await asyncio.gather(*(office.offer("r1", identity="e1") for _ in range(20)))
        await office.offer("r2")
        await eventually(lambda: len(staff.heard) == 2)
        assert {json.loads(one.body)["request_id"] for one in staff.heard} == {"r1", "r2"}
    assert len(await office.told(2)) == 2


async def test_an_event_that_nobody_need_know_is_told_to_nobody(office: Office) -> None:
    """The catalogue says which are told."""
    await office.operator.happen(RequestCreated(**world.created("r1")))
    assert [one["event"] for one in await office.told(1)] == ["RequestCreated"]


async def test_staff_bind_their_own_queue_to_what_concerns_them(town: Town, office: Office) -> None:
    """By role, grid or name, as the broker's user `staff`."""
    async with (
        town.staff("*.tiebei.g1.*") as grid_one,
        town.staff("volunteer.#") as volunteers,
        town.staff(f"*.*.*.{world.QIAN}") as qian,
        town.staff("#") as everything,
    ):
        await office.offer("r1")
        await office.offer("r2", grid="g2", worker=world.QIAN)
        await office.offer("r3", grid="g2", worker=None)
        await eventually(lambda: len(everything.heard) == 3)
        for ear, expected in ((grid_one, ["r1"]), (qian, ["r2"]), (volunteers, ["r3"])):
            await eventually(lambda ear=ear: ear.heard)  # type: ignore[misc]
            assert [json.loads(one.body)["request_id"] for one in ear.heard] == expected


# The live stream


async def test_a_stream_begins_with_what_comes_or_where_one_left_off(office: Office) -> None:
    """With Last-Event-ID nothing is missed and nothing comes twice."""
    for number in range(5):
        await office.offer(f"old{number}")
    await office.told(5)
    async with listening(office.notification, "coordinator", 0) as from_the_start:
        await eventually(lambda: len(from_the_start.events) >= 4)
        places = [one["place"] for one in from_the_start.events]
        assert places == sorted(set(places))
    async with listening(office.notification, "coordinator") as fresh:
        await office.offer("new")
        await eventually(lambda: fresh.heard("new"))
        assert [one["request_id"] for one in fresh.events] == ["new"]
    async with listening(office.notification, "coordinator", places[1]) as again:
        await eventually(lambda: again.heard("new"))
        assert [one["place"] for one in again.events][: len(places) - 2] == places[2:]


async def test_a_stream_goes_on_from_the_log_after_the_service_was_restarted(town: Town) -> None:
    """What is no longer in memory is read from the log."""
    async with town.amqp("operator") as operator:
        async with town.up("notification") as at, town.ear() as events:
            office = Office(at.notification, operator, events)
            for number in range(30):
                await office.offer(f"r{number}")
            await office.told(30)
            async with listening(at.notification, "coordinator", 0) as live:
                await eventually(lambda: len(live.events) >= 29)
                place = live.events[9]["place"]
                expected = [one["request_id"] for one in live.events[10:]]
        async with town.up("notification") as at, town.ear() as events:
            await Office(at.notification, operator, events).offer("last")
            async with listening(at.notification, "coordinator", place) as live:
                await eventually(lambda: live.heard("last"))
                assert [one["request_id"] for one in live.events] == [*expected, "last"]


async def test_a_place_beyond_the_end_of_the_log_is_taken_as_now(office: Office) -> None:
    """A reader who comes with the place of another log neither stops the service nor hears nothing for ever."""
    await office.offer("old")
    await office.told(1)
    async with listening(office.notification, "coordinator") as before:
        await office.offer("sync")
        await eventually(lambda: before.heard("sync"))
        async with listening(office.notification, "coordinator", 10**9) as live:
            assert (await office.notification.call("GET", "/healthz", who=None)).status_code == 200
            await office.offer("new")
            await eventually(lambda: live.heard("new"))


async def test_everybody_hears_what_is_for_him_and_nothing_else(office: Office) -> None:
    """By place and role, or by name; who leads hears all of his place."""
    async with (
        listening(office.notification, "grid_worker") as zhao,
        listening(office.notification, "volunteer") as sun,
        listening(office.notification, "coordinator") as zhou,
        listening(office.notification, "operator") as operator,
    ):
        await office.offer("mine")
        await office.offer("elsewhere", grid="g2", worker=world.QIAN)
        await office.offer("anybody", worker=None)
        await office.offer("last", worker=world.ZHAO)
        for everything in (zhou, operator):
            await eventually(lambda everything=everything: len(everything.events) == 4)  # type: ignore[misc]
            assert about(everything) == {"mine", "elsewhere", "anybody", "last"}
        await eventually(lambda: len(zhao.events) == 2 and sun.events)
        assert about(zhao) == {"mine", "last"}
        assert about(sun) == {"anybody"}


async def test_what_is_of_the_whole_community_is_heard_in_every_grid(office: Office) -> None:
    """By those whom it is for: that a round was opened, by who works in its grids."""
    told = {"community": world.TIEBEI, "round_id": "r1", "kind": "testing", "title": "核酸"}
    opened = RoundOpened(**told, of="person", members=24, closes=utc_now())
    async with listening(office.notification, "grid_worker") as zhao:
        await office.operator.happen(opened.model_copy(update={"community": "elsewhere"}))
        await office.operator.happen(RoundClosed(**told, counts=Counts()))
        await office.operator.happen(PersonMissing(**told, grid="g2", building="3", member_id="p1", of="person"))
        await office.operator.happen(opened)
        await eventually(lambda: zhao.events)
        await office.offer("last")
        await eventually(lambda: zhao.heard("last"))
        assert [one["event"] for one in zhao.events] == ["RoundOpened", "DeliveryOffered"]
    listed = await office.notification.items("/messages", who="grid_worker")
    assert sorted(one["event"] for one in listed) == ["DeliveryOffered", "RoundOpened"]


async def test_no_token_or_that_of_a_source_opens_no_stream(office: Office) -> None:
    """401 and 403, as problems."""
    nobody = await office.notification.call("GET", "/stream", who=None)
    source = await office.notification.call("GET", "/stream", who="source")
    assert [(one.status_code, one.headers["content-type"]) for one in (nobody, source)] == [
        (401, "application/problem+json"),
        (403, "application/problem+json"),
    ]


async def test_a_program_of_staff_reads_the_log_from_any_offset(town: Town, office: Office) -> None:
    """As the broker's user `staff`, with the stream's own offsets: all of it, or from a place in it."""
    for number in range(10):
        await office.offer(f"r{number}")
    await office.told(10)
    everything = await read_log(town, "first", 10)
    # Different requests are told side by side; each stands once, in one order for all readers.
    assert sorted(request for _, request in everything) == [f"r{number}" for number in range(10)]
    middle = everything[6][0]
    assert await read_log(town, middle, 4) == everything[6:]


def about(reader: Listening) -> set[str]:
    """The requests that somebody heard of."""
    return {one["request_id"] for one in reader.events}


async def read_log(town: Town, offset: int | str, count: int) -> list[tuple[int, str]]:
    """So many notifications from an offset on."""
    connection = await aio_pika.connect(town.engines.rabbit.url("staff"))
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=50)
        queue = await channel.get_queue("doorstep.notifications.log", ensure=False)
        found: list[tuple[int, str]] = []

        async def hear(message: AbstractIncomingMessage) -> None:
            place = message.headers["x-stream-offset"]
            assert isinstance(place, int)
            # A stream delivers whole chunks: what lies before the place is the reader's to pass over.
            if not isinstance(offset, int) or place >= offset:
                found.append((place, json.loads(message.body)["request_id"]))
            await message.ack()

        await queue.consume(hear, arguments={"x-stream-offset": offset})
        await eventually(lambda: len(found) >= count)
        return found[:count]


# The list of what nobody has read


async def test_what_waits_to_be_read_stands_in_the_list_until_somebody_reads_it(office: Office) -> None:
    """Once read, it is read for all, and says by whom."""
    await office.offer("r1")
    await office.complete("r2")
    await office.told(2)
    (unread,) = await office.notification.items("/messages", who="grid_worker", unread=True)
    assert (unread["event"], unread["request_id"]) == ("DeliveryOffered", "r1")
    path = f"/messages/{unread['id']}/acknowledge"
    answers = [await office.notification.post(path, {"command_id": c}, who="grid_worker") for c in ("c1", "c1", "c2")]
    assert [one.json()["status"] for one in answers] == ["accepted", "duplicate", "duplicate"]
    assert await office.notification.items("/messages", unread=True) == []
    assert {one["request_id"]: one["read_by"] for one in await office.told(2)} == {"r1": world.ZHAO, "r2": None}
    (told,) = await eventually(lambda: office.events.bodies("doorstep.notification.acknowledged.v1"))
    assert (told["notification_id"], told["worker"], told["request_id"]) == (unread["id"], world.ZHAO, "r1")


async def test_reading_over_amqp_is_answered(office: Office) -> None:
    """Accepted, duplicate, unknown."""
    await office.offer("r1")
    (message,) = await office.told(1)
    command = {"notification_id": message["id"], "command_id": "c1", "worker": world.ZHAO}
    ask = office.operator.ask
    assert (await ask("notification.acknowledge", command))["status"] == "accepted"
    assert (await ask("notification.acknowledge", command))["status"] == "duplicate"
    unknown = await ask("notification.acknowledge", {**command, "notification_id": "nothing"})
    assert problems(unknown) == [("notification_id", "unknown_notification")]


async def test_nobody_reads_what_is_not_for_his_place(office: Office) -> None:
    """As if it were not there."""
    await office.offer("r1", grid="g2", worker=None)
    (message,) = await office.told(1)
    path = f"/messages/{message['id']}/acknowledge"
    refused = await office.notification.post(path, {"command_id": "c1"}, who="grid_worker")
    assert (refused.status_code, problems(refused)) == (404, [("notification_id", "unknown_notification")])
    named = {"command_id": "c1", "worker": world.QIAN}
    as_another = await office.notification.post(path, named, who="volunteer")
    assert (as_another.status_code, problems(as_another)) == (422, [("worker", "not_allowed")])
    assert len(await office.notification.items("/messages", unread=True)) == 1


async def test_the_list_is_walked_page_by_page_newest_first(office: Office) -> None:
    """Without gap or double."""
    for number in range(12):
        await office.offer(f"r{number}")
    await office.told(12)
    pages = await office.notification.pages("/messages", limit=5)
    assert [len(page) for page in pages] == [5, 5, 2]
    assert len({one["id"] for page in pages for one in page}) == 12
