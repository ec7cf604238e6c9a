"""The broker is killed with -9 under load, again and again: fault 6."""

import asyncio

from tests.faults.world import START_SECONDS, World

ROUNDS = 3
BY_HTTP, BY_AMQP = 15, 15


async def test_killing_the_broker_under_load_again_and_again_loses_and_doubles_nothing(world: World) -> None:
    """Fault 6: whole lives are under way each time; everything comes back by itself."""
    await world.start()
    await world.settle()

    async def kill(_: int) -> None:
        await asyncio.to_thread(world.engines.rabbit.kill)
        await asyncio.to_thread(world.engines.rabbit.start, START_SECONDS)

    requests = await world.live_through(kill, rounds=ROUNDS, by_http=BY_HTTP, by_amqp=BY_AMQP)
    await world.ready()
    assert len(requests) == ROUNDS * (BY_HTTP + BY_AMQP)
    await world.engines.settled(requests)


async def test_a_service_is_not_ready_while_the_broker_is_away_and_ready_again_by_itself(world: World) -> None:
    """Readiness asks the broker whether the consumers are really there; no service is started again for it."""
    await world.start()
    await asyncio.to_thread(world.engines.rabbit.kill)
    try:
        for name, service in world.services.items():
            answer = await service.call("GET", "/readyz")
            assert answer.status_code == 503, f"{name} says {answer.text} without a broker"
            assert (await service.call("GET", "/healthz")).status_code == 200
        request = await world.submit("while-away")
    finally:
        await asyncio.to_thread(world.engines.rabbit.start, START_SECONDS)
    await world.ready()
    await world.engines.settled({request})
