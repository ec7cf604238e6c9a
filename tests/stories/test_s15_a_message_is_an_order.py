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
from tests.world import groceries, settle

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


def test_the_community_has_its_size() -> None:
    """The figures of the story."""
    community = demonstration()
    people = [command for command in community.commands() if isinstance(command, RegisterPerson)]
    doors = {(one.address.building, one.address.unit, one.address.room) for one in people}
    assert (len(people), len(doors)) == (7_000, 2_265)


@pytest.mark.timeout(1_500)
async def test_a_day_of_400_orders_ends_with_every_one_accounted_for(tmp_path: Path) -> None:
    """Ordered by phone or message, accepted, declined, forgotten, finished; entered once, told once, lost never."""
    closing = await play(ORDERS, 20.0, 7, tmp_path / "nothing-runs-here", Console(quiet=True))
    assert list(closing.findings) == []
    assert (closing.accounted, closing.orders) == (ORDERS, ORDERS)
    assert closing.events["RequestCreated"] == ORDERS
    assert closing.events["DeliveryCompleted"] + closing.events.get("DeliveryFailed", 0) >= sum(
        count for state, count in closing.states.items() if state in ("completed", "failed")
    )
    # The unhappy turns were played, too.
    assert closing.events["DeliveryReleased"] > 0
    grids = {row.name for row in closing.waiting if row.name.startswith("g")}
    assert grids == {f"g{number}" for number in range(1, 7)}


async def entered(running: Running, kind: str, count: int) -> list[object]:
    """The ledger's entries of one type, once there are so many."""
    found = await running.ledger.items("/entries", type=kind)
    return found if len(found) >= count else []


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
