"""The database is killed with -9 under load, again and again: fault 12."""

import asyncio

from tests.faults.world import START_SECONDS, World, command, eventually, keys

ROUNDS = 3
SOME = 5
BY_HTTP, BY_AMQP = 20, 10
GOOD = {200, 202}
NOT_NOW = 503


async def test_killing_the_database_under_load_again_and_again_loses_no_acknowledged_write(world: World) -> None:
    """Fault 12: who was answered has it for good; whoever could not be served was told 503 and nothing else."""
    await world.start()
    await world.settle()
    requests: set[str] = set()
    done = 0

    async with world.broker() as broker:

        async def life(request: str) -> None:
            nonlocal done
            requests.add(request)
            await world.deliver(request)
            done += 1

        async def life_over_http(key: str) -> None:
            await life(await world.submit(key))

        async def life_over_amqp(key: str) -> None:
            answer, _ = await broker.ask(command(key))
            await life(str(answer["request_id"]))

        lives: list[asyncio.Future[None]] = []
        for number in range(ROUNDS):
            before = done
            lives += [asyncio.ensure_future(life_over_http(key)) for key in keys(f"http-{number}", BY_HTTP)]
            lives += [asyncio.ensure_future(life_over_amqp(key)) for key in keys(f"amqp-{number}", BY_AMQP)]

            async def some_more(before: int = before) -> bool:
                return done >= before + SOME

            await eventually(some_more, what="some more lives are over, and others under way", pause=0.01)
            await asyncio.to_thread(world.engines.mongo.kill)
            await everybody_says_not_now(world, f"probe-{number}")
            await asyncio.to_thread(world.engines.mongo.start, START_SECONDS)
        await asyncio.gather(*lives)
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
