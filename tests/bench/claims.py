"""Measures how long three hundred claims of one task take: `python -m tests.bench.claims [--rounds N] [--claims N]`.

Against as many bare conditional updates of one document, in the same run on the same database, alternating. A claim
here is the handler's: who is asked, the cap, the place, the write with its event; HTTP and AMQP come on top of both.
"""

import argparse
import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Sequence

from services.dispatch.catalogues import catalogues
from services.dispatch.handlers import accept, task_id_of
from services.dispatch.house import Dispatch
from services.dispatch.store import Store
from shared.contracts.dispatch import ClaimTask, TaskAnswer
from shared.contracts.envelope import Meta
from shared.contracts.intake import RequestCreated
from shared.contracts.refusal import Refusal
from tests import world
from tests.bench import engines
from tests.running import Clock, Running, Town, eventually

CAP = 50
"""More than one of them can win in all rounds together."""


async def measure(town: Town, rounds: int, claims: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each round: of claims, and of bare updates."""
    names = [f"v{number:03d}" for number in range(claims)]
    found: tuple[list[float], list[float]] = ([], [])
    async with town.up("dispatch", clock=Clock()) as at, town.amqp("operator") as operator, town.ear():
        for name in names:
            body = {"worker_id": name, "community": world.TIEBEI, "role": "volunteer", "name": "志", "cap": CAP}
            await world.accepted(at.dispatch, "/workers", body)
        house = house_of(at)
        # The first of them pays for connections and plans.
        for number in range(-1, rounds):
            request_id = f"r{number}"
            await operator.happen(RequestCreated(**world.created(request_id, kind="parcel")))
            task_id = task_id_of(request_id)
            await eventually(lambda task_id=task_id: at.dispatch.stored("tasks", {"_id": task_id}))  # type: ignore[misc]
            taken = await claimed(house, task_id, names)
            bare = await updated(at, task_id, names)
            if number >= 0:
                found[0].append(taken)
                found[1].append(bare)
    return found


def house_of(at: Running) -> Dispatch:
    """Dispatch as its handlers know it, on the running service's connections."""
    runtime = at.dispatch.runtime
    known = catalogues(runtime.settings.catalogue_dir)
    return Dispatch(runtime, Store(runtime), known.kinds, known.abilities, known.distances)


async def claimed(house: Dispatch, task_id: str, names: Sequence[str]) -> float:
    """All of them claim at once; milliseconds until each knows."""

    async def one(name: str) -> TaskAnswer:
        command = ClaimTask(task_id=task_id, command_id=f"{task_id}:{name}", worker=name)
        return await accept(house, command, Meta("", ClaimTask.wire, "bench", house.runtime.clock(), task_id))

    began = time.perf_counter()
    answers = await asyncio.gather(*(one(name) for name in names), return_exceptions=True)
    taken = (time.perf_counter() - began) * 1000
    told = Counter(
        one.status if isinstance(one, TaskAnswer) else one.problems[0].code if isinstance(one, Refusal) else repr(one)
        for one in answers
    )
    assert told == {"accepted": 1, "taken": len(names) - 1}, told
    return taken


async def updated(at: Running, task_id: str, names: Sequence[str]) -> float:
    """As many bare conditional updates of one document; milliseconds until each knows."""
    raw = at.dispatch.runtime.database.collection("bare").raw
    await raw.insert_one({"_id": task_id, "worker": None})

    async def one(name: str) -> int:
        change = {"$set": {"worker": name}, "$push": {"history": {"type": "claimed", "worker": name}}}
        return int((await raw.update_one({"_id": task_id, "worker": None}, change)).modified_count)

    began = time.perf_counter()
    won = sum(await asyncio.gather(*(one(name) for name in names)))
    taken = (time.perf_counter() - began) * 1000
    assert won == 1, won
    return taken


def main() -> None:
    """Start engines, measure, tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=10, choices=range(1, CAP), metavar="N")
    parser.add_argument("--claims", type=int, default=300)
    given = parser.parse_args()
    with engines.town() as town:
        ours, bare = asyncio.run(measure(town, given.rounds, given.claims))
    ratios = [one / other for one, other in zip(ours, bare, strict=True)]
    for label, values, unit in (("claims", ours, "ms"), ("bare updates", bare, "ms"), ("ratio", ratios, "")):
        print(f"{label:14} median {statistics.median(values):7.2f}{unit}  {min(values):.2f} to {max(values):.2f}")


if __name__ == "__main__":
    main()
