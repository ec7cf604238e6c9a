"""S15: a message is an order. Six grid workers, six grids, 2,265 households, 7,000 people, 400 orders in one day."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rich.console import Console

from deploy.demo.community import demonstration
from deploy.demo.play import play
from services.dispatch.handlers import task_id_of
from shared.contracts.ledger import RegisterPerson
from tests.running import Clock, Running, Town, eventually, listening
from tests.world import QIAN, TIEBEI, ZHAO, accepted, groceries, settle

SERVICES = ("intake", "dispatch", "notification", "ledger")
ORDERS = 400


@pytest.fixture
async def tiebei(town: Town) -> AsyncIterator[Running]:
    """All four services, in a community that is settled."""
    async with town.up(*SERVICES, clock=Clock()) as running:
        await settle(running.ledger, running.dispatch, running.intake, running.notification)
        yield running


async def submit(running: Running, source_id: str, **changes: object) -> str:
    """An order comes in; its request, once somebody is asked."""
    answer = await running.intake.post("/requests", groceries(source_id, **changes), who="source")
    assert answer.status_code == 202, answer.text
    request_id = str(answer.json()["request_id"])
    await eventually(lambda: state_of(running, request_id, "offered"))
    return request_id


async def state_of(running: Running, request_id: str, state: str) -> bool:
    """Whether intake says so."""
    return bool((await running.intake.get(f"/requests/{request_id}"))["state"] == state)


async def asked(running: Running, *request_ids: str) -> list[str | None]:
    """Who is asked for, or has, each request's task."""
    found = [(await running.dispatch.get("/tasks", request_id=one))["items"][0]["worker"] for one in request_ids]
    return list(found)


def test_the_community_has_its_size() -> None:
    """The figures of the story."""
    community = demonstration()
    people = [command for command in community.commands() if isinstance(command, RegisterPerson)]
    doors = {(one.address.building, one.address.unit, one.address.room) for one in people}
    assert (len(people), len(doors)) == (7_000, 2_265)


@pytest.mark.timeout(1_500)
async def test_a_day_of_400_orders_ends_with_every_one_accounted_for(tmp_path: Path) -> None:
    """Ordered by phone or message, accepted, declined, forgotten, finished; entered once, told once, lost never."""
    closing = await play(ORDERS, 60.0, 7, tmp_path / "nothing-runs-here", Console(quiet=True))
    assert closing.findings == []
    assert (closing.accounted, closing.orders) == (ORDERS, ORDERS)
    assert closing.events["RequestCreated"] == ORDERS
    assert closing.events["DeliveryCompleted"] + closing.events.get("DeliveryFailed", 0) >= sum(
        count for state, count in closing.states.items() if state in ("completed", "failed")
    )
    # The unhappy turns were played, too.
    assert closing.events["DeliveryReleased"] > 0
    grids = {row.name for row in closing.waiting if row.name.startswith("g")}
    assert grids == {f"g{number}" for number in range(1, 7)}


async def test_a_worker_off_sick_hands_the_whole_grid_over_in_one_step_and_gets_it_back(tiebei: Running) -> None:
    """Open work goes along in the order of the list, and what comes in meanwhile goes to whoever covers."""
    orders = [await submit(tiebei, f"sick-{number}") for number in range(3)]
    assert await asked(tiebei, *orders) == [ZHAO] * 3
    before = [task["request_id"] for task in await tiebei.dispatch.items("/tasks", grid="g1", open=True)]

    cover = {"command_id": "off-sick", "worker": QIAN}
    answer = await tiebei.dispatch.post(f"/grids/{TIEBEI}/g1/cover", cover, who="coordinator")
    assert answer.json()["status"] == "accepted"
    await eventually(lambda: all_asked(tiebei, orders, QIAN))
    after = [task["request_id"] for task in await tiebei.dispatch.items("/tasks", grid="g1", open=True)]
    assert after == before
    assert await asked(tiebei, await submit(tiebei, "while-sick")) == [QIAN]

    back = {"command_id": "well-again", "worker": ZHAO}
    assert (await tiebei.dispatch.post(f"/grids/{TIEBEI}/g1/cover", back, who="coordinator")).status_code == 200
    await eventually(lambda: all_asked(tiebei, orders, ZHAO))
    entries = await eventually(lambda: entered(tiebei, "GridCovered", 2))
    assert len(entries) == 2


async def all_asked(running: Running, orders: list[str], worker: str) -> bool:
    """Whether one worker is asked for all of them."""
    return await asked(running, *orders) == [worker] * len(orders)


async def entered(running: Running, kind: str, count: int) -> list[object]:
    """The ledger's entries of one type, once there are so many."""
    found = await running.ledger.items("/entries", type=kind)
    return found if len(found) >= count else []


async def test_several_orders_of_one_stairwell_become_one_walk(tiebei: Running) -> None:
    """Three doors on one stair are one walk; a door next door is another."""
    doors = [("1", "101"), ("1", "202"), ("1", "303"), ("2", "101")]
    orders = [
        await submit(tiebei, f"walk-{unit}-{room}", address={"building": "2", "unit": unit, "room": room})
        for unit, room in doors
    ]
    for number, order in enumerate(orders):
        accept = {"command_id": f"accept-{number}"}
        answer = await tiebei.dispatch.post(f"/tasks/{task_id_of(order)}/accept", accept, who="grid_worker")
        assert answer.status_code == 200, answer.text
    walks = (await tiebei.dispatch.get("/walks", who="grid_worker"))["items"]
    found = sorted(({task["request_id"] for task in walk["tasks"]} for walk in walks), key=len, reverse=True)
    assert found == [set(orders[:3]), set(orders[3:])]


async def test_messages_from_dozens_of_chat_groups_stand_in_one_list_until_none_is_unread(tiebei: Running) -> None:
    """Each worker sees those of his grid; whoever reads one takes it off; the ledger knows who read."""
    groups = 36
    orders = {await submit(tiebei, f"group{number:02}-0001") for number in range(groups)}
    unread = await eventually(lambda: unread_of(tiebei, "grid_worker", groups))
    assert {message["request_id"] for message in unread} == orders
    for message in unread:
        read = {"command_id": f"read-{message['id']}"}
        answer = await tiebei.notification.post(f"/messages/{message['id']}/acknowledge", read, who="grid_worker")
        assert answer.json()["status"] == "accepted", answer.text
    assert await tiebei.notification.items("/messages", who="grid_worker", unread=True) == []
    entries = await eventually(lambda: entered(tiebei, "NotificationAcknowledged", groups))
    assert len(entries) == groups


async def unread_of(running: Running, who: str, count: int) -> list[dict[str, object]]:
    """What nobody has read yet, once there are so many."""
    found = await running.notification.items("/messages", who=who, unread=True)
    return found if len(found) == count else []


async def test_an_order_goes_from_the_message_to_the_door_the_stream_and_the_ledger(tiebei: Running) -> None:
    """Ordered, accepted, bought, left at the door: each once on the staff's stream and once in the book."""
    async with listening(tiebei.notification, "grid_worker") as stream:
        order = await submit(tiebei, "one-order", contactless=True)
        for verb in ("accept", "start", "complete"):
            body = {"command_id": verb, "at": "2026-11-24T10:00:00+08:00"}
            answer = await tiebei.dispatch.post(f"/tasks/{task_id_of(order)}/{verb}", body, who="grid_worker")
            assert answer.status_code == 200, answer.text
        life = ["RequestCreated", "DeliveryOffered", "DeliveryAssigned", "DeliveryStarted", "DeliveryCompleted"]
        await eventually(lambda: Counter(stream.heard(order)) == Counter(life))
    await eventually(lambda: state_of(tiebei, order, "completed"))
    await eventually(lambda: entered(tiebei, "DeliveryCompleted", 1))
    entries = await tiebei.ledger.items("/entries", request_id=order)
    assert [entry["type"] for entry in entries] == life


async def test_a_new_household_can_be_registered_on_the_day(tiebei: Running) -> None:
    """Somebody moves in, and the first order finds the person."""
    person = {
        "source": "register",
        "source_id": "p-new",
        "community": TIEBEI,
        "address": {"building": "3", "unit": "1", "room": "101"},
        "name": "新住户",
        "phone": "+86 100 0000 0099",
    }
    await accepted(tiebei.ledger, "/people", person)
    await eventually(lambda: knows(tiebei, 6))
    order = await submit(
        tiebei, "first-order", address=person["address"], resident={"name": "新住户", "phone": "+86 100 0000 0099"}
    )
    found = [one for one in await tiebei.intake.items("/requests") if one["id"] == order]
    assert found[0]["person"] is not None


async def knows(running: Running, lookups: int) -> bool:
    """Whether intake can recognise people by so many marks."""
    return len(await running.intake.stored("people")) == lookups
