"""The database is killed with -9 under load, again and again: fault 12."""

import asyncio

from tests.faults.world import START_SECONDS, World

ROUNDS = 3
BY_HTTP, BY_AMQP = 20, 10
GOOD = {200, 202}
NOT_NOW = 503


async def test_killing_the_database_under_load_again_and_again_loses_no_acknowledged_write(world: World) -> None:
    """Fault 12: who was answered has it for good; whoever could not be served was told 503 and nothing else."""
    await world.start()
    await world.settle()

    async def kill(number: int) -> None:
        await asyncio.to_thread(world.engines.mongo.kill)
        await everybody_says_not_now(world, f"probe-{number}")
        await asyncio.to_thread(world.engines.mongo.start, START_SECONDS)

    requests = await world.live_through(kill, rounds=ROUNDS, by_http=BY_HTTP, by_amqp=BY_AMQP)
    await world.ready()
    assert set(world.answers) <= GOOD | {NOT_NOW}, f"answers by status: {world.answers}"
    assert len(requests) == ROUNDS * (BY_HTTP + BY_AMQP)
    await world.engines.settled(requests)


async def everybody_says_not_now(world: World, key: str) -> None:
    """Reading and writing, in each service: 503, with a problem that has a code, and when to come again."""
    reads = {
        "intake": "/requests",
        "dispatch": "/tasks",
        "notification": "/messages",
        "ledger": "/entries",
    }
    answers = await asyncio.gather(
        *(service.call("GET", reads[name]) for name, service in world.services.items()),
        *(service.call("GET", "/readyz") for service in world.services.values()),
        world.services["ledger"].post("/buildings", {"community": "tiebei", "building": key, "grid": "g1"}),
    )
    for answer in answers:
        assert answer.status_code == NOT_NOW, answer.text
    for answer in answers[:4]:
        assert answer.json()["code"] == "unavailable"
        assert answer.headers["Retry-After"]
