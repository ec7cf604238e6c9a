"""Every safeguard, tested by its absence: the check holds, and fails when the safeguard is taken away."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import aio_pika
import pytest

from shared.documents import Collection, Document, Write
from shared.runtime import Runtime
from shared.timers import Periodic
from tests.faults import absence
from tests.faults.world import QUEUES, START_SECONDS, World, eventually, keys
from tests.world import groceries

SOME = 20
Check = Callable[[World], Awaitable[None]]


class Broken(AssertionError):
    """What a safeguard is there for did not hold."""


async def nothing_acknowledged_is_unwritten(world: World, *without: str) -> None:
    """A consumer dies before its write: the broker still has what has no effect yet."""
    await world.start("intake")
    process = world.process("dispatch", "before-write", 1, *without)
    await eventually(lambda: world.engines.consumed("doorstep.dispatch.events"), what="the process consumes")
    await world.submit_all(keys("unwritten", SOME))
    await world.services["intake"].runtime.outbox.drain()
    await process.ended()

    async def given_up() -> bool:
        return not await world.engines.consumed("doorstep.dispatch.events")

    await eventually(given_up, what="the broker has noticed that the process is gone")
    await world.start("dispatch")

    async def all_dealt_with() -> bool:
        registry = world.services["dispatch"].runtime.telemetry.registry
        wire = {"type": "doorstep.request.created.v1", "outcome": "handled"}
        handled = registry.get_sample_value("doorstep_messages_total", wire) or 0
        depth, _ = (await world.engines.queues())["doorstep.dispatch.events"]
        return not depth and (handled >= SOME or bool(without))

    await eventually(all_dealt_with, what="dispatch has dealt with what the broker had")
    tasks = len((await world.engines.books()).tasks)
    if tasks != SOME:
        raise Broken(f"{SOME} requests, {tasks} tasks")


async def test_write_before_acknowledge(world: World) -> None:
    """Without it, what a dying process had in hand is lost."""
    await nothing_acknowledged_is_unwritten(world)
    await world.stop()
    await world.engines.clean()
    with pytest.raises(Broken):
        await nothing_acknowledged_is_unwritten(world, "write-before-acknowledge")


async def one_effect_for_a_cause_that_comes_twice(world: World) -> None:
    """The same submit twice, then every event of it twice: one request, one task, one message each."""
    await world.start()
    for _ in range(2):
        await world.post("intake", "/requests", groceries("twice"), "source")

    async def told() -> bool:
        return len((await world.engines.books()).messages) >= 3

    await eventually(told, what="staff have been told of creation, offer and escalation")
    for name in ("intake", "dispatch"):
        runtime = world.services[name].runtime
        await runtime.outbox.drain()
        await runtime.outbox.replay(runtime.clock() - timedelta(days=1), runtime.clock() + timedelta(days=1))

    async def heard_twice() -> bool:
        registry = world.services["notification"].runtime.telemetry.registry
        wire = {"type": "doorstep.request.created.v1", "outcome": "handled"}
        return (registry.get_sample_value("doorstep_messages_total", wire) or 0) >= 2

    await eventually(heard_twice, what="the second time has come to notification")
    await world.stop()
    books = await world.engines.books()
    requests, tasks, messages = len(books.requests), len(books.tasks), len(books.messages)
    if (requests, tasks, messages) != (1, 1, 3):
        raise Broken(f"{requests} requests, {tasks} tasks, {messages} messages")


@pytest.mark.parametrize("what", ["derived_request_id", "derived_task_id", "derived_notification_id"])
async def test_an_id_derived_from_its_cause(world: World, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, the second time is not recognised."""
    await holds_only_with(world, one_effect_for_a_cause_that_comes_twice, what, monkeypatch)


async def nothing_counts_as_sent_that_the_broker_has_not_confirmed(world: World) -> None:
    """The broker freezes: what is published then stays unsent."""
    await world.start()
    intake = world.services["intake"]
    world.engines.rabbit.pause()
    try:
        answer = await intake.post("/requests", groceries("frozen"), who="source")
        assert answer.status_code == 202
        await intake.runtime.outbox.drain()
        await intake.runtime.database.drain()
        (document,) = await intake.stored("requests")
        if not document["unsent"]:
            raise Broken("an event counts as sent, and the broker has not said so")
    finally:
        world.engines.rabbit.resume()
        await world.ready()
        await world.stop()


async def test_confirm(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, an event that the broker never got counts as sent and is never sent again."""
    await holds_only_with(world, nothing_counts_as_sent_that_the_broker_has_not_confirmed, "confirm", monkeypatch)


async def nothing_counts_as_sent_that_reached_no_queue(world: World) -> None:
    """Nobody's queue is there: what is published then stays unsent."""
    await world.engines.delete(*QUEUES)
    await world.start("intake")
    await world.submit("nowhere")
    intake = world.services["intake"]
    await intake.runtime.outbox.drain()
    await intake.runtime.database.drain()
    (document,) = await intake.stored("requests")
    await world.stop()
    if not document["unsent"]:
        raise Broken("an event counts as sent, and is in no queue")


async def test_mandatory(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, an event that reached no queue counts as sent."""
    await holds_only_with(world, nothing_counts_as_sent_that_reached_no_queue, "mandatory", monkeypatch)


async def a_confirmed_event_outlives_the_broker(world: World) -> None:
    """In a durable queue of the plain kind, as another system may have one; ours, quorum queues, persist anyway."""
    await world.start()
    async with world.engines.channel() as channel:
        queue = await channel.declare_queue("staff.kept", durable=True)
        await queue.purge()
        await queue.bind("doorstep.events", "request.created.#")
    request = await world.submit("kept")
    await world.engines.settled({request})
    await world.stop()
    await asyncio.to_thread(world.engines.rabbit.kill)
    await asyncio.to_thread(world.engines.rabbit.start, START_SECONDS)
    async with world.engines.channel() as channel:
        queue = await channel.get_queue("staff.kept")
        message: aio_pika.abc.AbstractIncomingMessage | None = await queue.get(fail=False)
        await channel.queue_delete("staff.kept")
    if message is None:
        raise Broken("a confirmed event did not outlive the broker")


async def test_persist(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, a broker that dies takes confirmed messages with it."""
    await holds_only_with(world, a_confirmed_event_outlives_the_broker, "persist", monkeypatch)


async def no_change_is_lost_between_two_replicas(world: World) -> None:
    """Two processes read the same document, then both write: both changes are in it."""
    meeting = asyncio.Barrier(2)
    replicas = [Runtime("dispatch", world.engines.settings()).database for _ in range(2)]

    async def add(collection: Collection, mark: str) -> None:
        met = False

        def decide(document: Document | None) -> tuple[Write, None]:
            return Write(set={"marks": [*(document or {}).get("marks", ()), mark]}), None

        class Together:
            """Both have read before one writes."""

            def __getattr__(self, name: str) -> object:
                return getattr(raw, name)

            async def bulk_write(self, operations: object, **options: object) -> object:
                nonlocal met
                if not met:
                    met = True
                    await meeting.wait()
                return await raw.bulk_write(operations, **options)  # type: ignore[arg-type]

        raw = collection.raw
        collection.raw = Together()  # type: ignore[assignment]
        await collection.update("one", decide)

    collections = [replica.collection("counters") for replica in replicas]
    await collections[0].update("one", lambda _: (Write(set={"marks": []}), None), new=True)
    await asyncio.gather(*(add(collection, f"m{number}") for number, collection in enumerate(collections)))
    found = await replicas[0].collection("counters").find({"_id": "one"})
    for replica in replicas:
        replica.close()
    if sorted(found[0]["marks"]) != ["m0", "m1"]:
        raise Broken(f"two replicas wrote, {found[0]['marks']} is left")


async def test_version_filter(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, the second of two writers takes away what the first wrote."""
    await holds_only_with(world, no_change_is_lost_between_two_replicas, "version_filter", monkeypatch)


async def one_replica_at_a_time_looks_for_what_is_due(world: World) -> None:
    """Two replicas look again and again while no time passes: only one of them works."""
    runtimes = [Runtime("dispatch", world.engines.settings(), clock=world.clock) for _ in range(2)]
    worked: list[int] = []

    def periodic(number: int) -> Periodic:
        async def work() -> int:
            worked.append(number)
            return 0

        return Periodic(runtimes[number].leases, "what is due", work, pause=0.05)

    periodics = [periodic(number) for number in range(2)]
    for one in periodics:
        one.start()

    async def often() -> bool:
        return len(worked) >= SOME

    await eventually(often, what="they have worked often", pause=0.05)
    for one in periodics:
        await one.stop()
    for runtime in runtimes:
        runtime.database.close()
    if len(set(worked)) > 1:
        raise Broken("two replicas worked at a time")


async def test_lease(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, every replica does what one should do."""
    world.clock.stand_still()
    await holds_only_with(world, one_replica_at_a_time_looks_for_what_is_due, "lease", monkeypatch)


async def holds_only_with(world: World, check: Check, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check holds as things are, and fails without the safeguard."""
    await check(world)
    await world.stop()
    await world.engines.clean()
    getattr(absence, what)(monkeypatch.setattr)
    with pytest.raises(Broken):
        await check(world)
