"""Due dates rest in documents: no replica deals with one twice, none is lost, and no clock is believed too much."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from shared.contracts.intake import RequestCreated
from shared.documents import Database
from shared.timers import Leases, Periodic
from tests import world
from tests.running import Clock, Ear, Service, Town, eventually

MANY = 40


@asynccontextmanager
async def leases(town: Town, holder: str, clock: Clock) -> AsyncIterator[Leases]:
    """The leases of dispatch, as one replica sees them."""
    settings = town.engines.settings()
    database = Database(
        settings.mongo_url, "doorstep_dispatch", user="dispatch", password=town.engines.secrets.mongo["dispatch"]
    )
    try:
        yield Leases(database.collection("leases"), holder, clock)
    finally:
        database.close()


async def test_a_lease_has_one_holder_until_it_runs_out_or_is_given_back(town: Town) -> None:
    """Ten seconds after it was last kept, another may have it."""
    clock = Clock()
    async with leases(town, "a", clock) as a, leases(town, "b", clock) as b:
        assert await a.hold("x")
        assert not await b.hold("x")
        clock.forward(seconds=9)
        assert await a.hold("x"), "whoever has it keeps it"
        clock.forward(seconds=9)
        assert not await b.hold("x")
        clock.forward(seconds=2)
        assert await b.hold("x")
        assert not await a.hold("x")
        await a.release("x")
        assert not await a.hold("x"), "nobody gives back what another has"
        await b.release("x")
        assert await a.hold("x")


async def test_of_many_who_ask_at_once_one_gets_a_new_lease(town: Town) -> None:
    """Making it is one step."""
    clock = Clock()
    async with leases(town, "a", clock) as a, leases(town, "b", clock) as b, leases(town, "c", clock) as c:
        for round_ in range(10):
            held = await asyncio.gather(*(one.hold(f"lease-{round_}") for one in (a, b, c)))
            assert sorted(held) == [False, False, True]


async def test_a_periodic_task_goes_on_after_a_mistake(town: Town) -> None:
    """What is due stays due."""
    rounds = 0

    async def work() -> int:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise ZeroDivisionError
        return 0

    async with leases(town, "a", Clock()) as one:
        periodic = Periodic(one, "work", work, pause=0.01)
        periodic.start()
        await eventually(lambda: rounds >= 3)
        await periodic.stop()
        assert await one.hold("work")


async def offer_many(town: Town, dispatch: Service) -> None:
    """Forty requests, each offered to Zhao."""
    async with town.amqp("operator") as operator:
        for number in range(MANY):
            await operator.happen(RequestCreated(**world.created(f"r{number}")))
    await eventually(lambda: at_step(dispatch, 0))


async def at_step(dispatch: Service, step: int) -> bool:
    """Whether all tasks stand there."""
    return len(await dispatch.stored("tasks", {"state.step": step})) == MANY


def released(events: Ear) -> Counter[tuple[str, str]]:
    """How often each task was released, and why; one event may be sent twice, by a sweeper whose clock went on."""
    told = {one.message_id: json.loads(one.body) for one in events.heard if one.type == "doorstep.delivery.released.v1"}
    return Counter((one["request_id"], one["reason"]) for one in told.values())


@pytest.mark.parametrize("ahead", [0, 30, -30])
async def test_two_replicas_with_clocks_apart_deal_with_each_due_date_once(town: Town, ahead: int) -> None:
    """Half a minute either way: no offer lapses twice, and none is forgotten."""
    first, second = Clock(), Clock()
    second.forward(seconds=ahead)
    async with town.up("dispatch", clock=first) as one, town.up("dispatch", clock=second), town.ear() as events:
        await world.settle(one.dispatch)
        await offer_many(town, one.dispatch)
        for step in (1, 2):
            for clock in (first, second):
                clock.forward(minutes=21)
            await eventually(lambda step=step: at_step(one.dispatch, step))  # type: ignore[misc]
        await eventually(lambda: sum(released(events).values()) >= 2 * MANY)
        assert released(events) == {(f"r{number}", "offer_lapsed"): 2 for number in range(MANY)}
        for document in await one.dispatch.stored("tasks"):
            types = [event["type"].split(".")[2] for event in document["history"]]
            assert types == ["offered", "released", "offered", "released", "escalated", "offered"]


async def test_when_the_replica_that_watches_goes_another_takes_over(town: Town) -> None:
    """It gives its lease back, and what comes due is dealt with by the other."""
    clock = Clock()
    async with town.up("dispatch", clock=clock) as stays:
        await world.settle(stays.dispatch)
        async with town.up("dispatch", clock=clock), town.ear() as events:
            await offer_many(town, stays.dispatch)
        clock.forward(minutes=21)
        await eventually(lambda: at_step(stays.dispatch, 1))
        assert len(events.heard) >= MANY


async def test_a_replica_that_died_with_the_lease_is_replaced_when_it_runs_out(town: Town) -> None:
    """Nobody gave it back."""
    clock = Clock()
    async with leases(town, "dead", clock) as dead:
        assert await dead.hold("due dates")
    async with town.up("dispatch", clock=clock) as at, town.ear():
        await world.settle(at.dispatch)
        await offer_many(town, at.dispatch)
        clock.forward(minutes=20)
        await eventually(lambda: at_step(at.dispatch, 1))


async def test_what_came_due_while_nobody_ran_is_dealt_with_at_the_start(town: Town) -> None:
    """A night without power, and one step for each task, not one for each hour."""
    clock = Clock()
    async with town.up("dispatch", clock=clock) as at, town.ear():
        await world.settle(at.dispatch)
        await offer_many(town, at.dispatch)
    clock.forward(hours=10)
    async with town.ear() as events, town.up("dispatch", clock=clock) as at:
        await eventually(lambda: at_step(at.dispatch, 1))
        await eventually(lambda: sum(released(events).values()) >= MANY)
        assert set(released(events).values()) == {1}
        status: dict[str, Any] = await at.dispatch.get("/status")
        assert status["timers_due"] == 0
        (task, *_) = await at.dispatch.stored("tasks")
        assert task["state"]["due_at"] == clock() + timedelta(minutes=20)
