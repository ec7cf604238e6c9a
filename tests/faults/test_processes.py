"""A service is killed with -9 at an exact point, and another takes over: faults 1 to 5."""

import asyncio
from collections import Counter

import httpx
import pytest

from tests.faults.world import Process, World, command, eventually, keys
from tests.world import groceries

SOME = 40
KILLED = -9
LIFE = ("RequestCreated", "DeliveryOffered", "DeliveryAssigned", "DeliveryStarted", "DeliveryCompleted")


async def test_all_is_accounted_for_when_nothing_goes_wrong(world: World) -> None:
    """The yardstick itself: a day without faults has no differences."""
    await world.start()
    await world.settle()
    requests = await world.submit_all(keys("calm", SOME))
    await asyncio.gather(*(world.deliver(request) for request in requests))
    books = await world.engines.settled(requests)
    counts = Counter(entry["type"] for entry in books.entries)
    assert [counts[name] for name in LIFE] == [SOME] * len(LIFE)


@pytest.mark.parametrize("fault", ["before-write", "after-write"])
async def test_a_client_of_an_intake_that_died_asks_again_and_has_one_request(world: World, fault: str) -> None:
    """Faults 1 and 2: killed before its write, nothing is there; after it, before the answer, the retry finds it."""
    child = world.process("intake", fault)
    async with client_of(child) as client:
        await eventually(lambda: ready(client, "intake"), what="the process that will die is ready")
        with pytest.raises(httpx.TransportError):
            await client.post("/api/intake/requests", json=groceries("k-1"))
    assert await child.ended() == KILLED
    before = (await world.engines.books()).requests
    assert len(before) == (1 if fault == "after-write" else 0)

    await world.start()
    answer = (await world.post("intake", "/requests", groceries("k-1"), "source")).json()
    assert answer["status"] == ("duplicate" if before else "needs_review")
    assert not before or answer["request_id"] == before[0]["_id"]
    await world.engines.settled({answer["request_id"]})


@pytest.mark.parametrize("fault", ["before-write", "after-write"])
async def test_a_command_in_the_hands_of_an_intake_that_died_is_answered_by_the_next(world: World, fault: str) -> None:
    """Faults 1 and 2 over AMQP: the broker sends again by itself, and each sender has an answer in the end."""
    await world.start("dispatch", "notification", "ledger")
    child = world.process("intake", fault, SOME // 2)
    await eventually(
        lambda: world.engines.consumed("doorstep.intake.commands"), what="the process that will die consumes"
    )
    async with world.broker() as broker:
        asking = [asyncio.ensure_future(broker.ask(command(key))) for key in keys("amqp", SOME)]
        assert await child.ended() == KILLED
        await world.start("intake")
        answers = [answer for answer, _ in await asyncio.gather(*asking)]
    assert {answer["status"] for answer in answers} <= {"needs_review", "duplicate"}
    requests = {str(answer["request_id"]) for answer in answers}
    assert len(requests) == SOME
    await world.engines.settled(requests)


async def test_a_relay_that_died_between_confirm_and_mark_sends_twice_and_has_one_effect(world: World) -> None:
    """Fault 3."""
    await world.start("dispatch", "notification", "ledger")
    child = world.process("intake", "after-confirm", 5)
    async with client_of(child) as client:
        await eventually(lambda: ready(client, "intake"), what="the process that will die is ready")
        sending = [client.post("/api/intake/requests", json=groceries(key)) for key in keys("relay", SOME)]
        await asyncio.gather(*sending, return_exceptions=True)
    assert await child.ended() == KILLED

    async def heard_and_not_marked() -> bool:
        books = await world.engines.books()
        entered = {entry["_id"] for entry in books.entries}
        return sum(one.id in entered and not one.sent for one in books.events) >= 5

    await eventually(heard_and_not_marked, what="what the broker had confirmed is in the ledger, and not marked")
    await world.start("intake")
    requests = await world.submit_all(keys("relay", SOME))
    await world.engines.settled(requests)
    # All were sent: those that had been confirmed before, too. The ledger counts a message after its effect.
    again = SOME + 5
    await eventually(
        lambda: handled(world, "doorstep.request.created.v1", again), what="those that had been confirmed came again"
    )


@pytest.mark.parametrize("fault", ["before-write", "after-write"])
async def test_consumers_that_died_over_a_message_have_its_effect_once(world: World, fault: str) -> None:
    """Faults 4 and 5, in all three consumers at once: before their write, and after it before the acknowledgement."""
    victims = ("dispatch", "notification", "ledger")
    await world.start("intake")
    children = {name: world.process(name, fault, SOME // 2) for name in victims}
    for name in victims:
        await eventually(
            lambda name=name: world.engines.consumed(f"doorstep.{name}.events"),  # type: ignore[misc]
            what=f"{name} consumes",
        )
    requests = await world.submit_all(keys("consumer", SOME))
    assert [await child.ended() for child in children.values()] == [KILLED] * len(victims)
    await world.start(*victims)
    await world.engines.settled(requests)


def client_of(process: Process) -> httpx.AsyncClient:
    """Another system's way to a process."""
    return httpx.AsyncClient(base_url=process.origin, headers=process.bearer, trust_env=False, timeout=30)


async def handled(world: World, wire: str, count: int) -> bool:
    """Whether the ledger here has dealt with so many messages of a type, repetitions included."""
    registry = world.services["ledger"].runtime.telemetry.registry
    return (registry.get_sample_value("doorstep_messages_total", {"type": wire, "outcome": "handled"}) or 0) >= count


async def ready(client: httpx.AsyncClient, service: str) -> bool:
    """Whether a process serves."""
    try:
        return (await client.get(f"/api/{service}/readyz")).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
