"""Measures how long one round of choosing takes, and what it saves: `python -m tests.bench.planning [--tasks N] …`.

No broker and no database. The rounds are invented in the demonstration's places, always the same ones. Each is planned
by the solver, by the greedy rule, and with every task for whoever answers for its grid.
"""

import argparse
import asyncio
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

from deploy.demo.community import BUILDINGS, COMMUNITY, FLOORS, GRIDS, UNITS, grid_of
from services.dispatch.domain.choosing import greedy
from services.dispatch.domain.places import Door, Places, distances
from services.dispatch.domain.walks import Hands, Plan, Round, Waiting
from services.dispatch.planning import Planner
from shared.catalogue import load
from shared.contracts.intake import Urgency
from shared.settings import Settings

STARTS = ("south-gate", "north-gate", "office")
SHOPS = (None, None, None, "supermarket", "supermarket", "pharmacy", "canteen")
URGENCIES: Sequence[Urgency] = ("normal", "normal", "normal", "normal", "soon", "urgent")


def invented(tasks: int, workers: int, seed: int) -> Round:
    """A round of the demonstration: one worker in six answers for a grid, the others help in two or three."""
    rng = random.Random(seed)
    places = load(Settings().catalogue_dir / "places.yaml", Places)
    hands, grids = [], {}
    for number in range(workers):
        name = f"w{number:02d}"
        own = number < len(GRIDS)
        at = Door(rng.choice(STARTS)) if rng.random() < 0.4 else Door(rng.choice(BUILDINGS), floor=rng.randint(1, 16))
        hands.append(Hands(name, at, 40 if own else rng.randint(4, 12), rng.randint(0, 3), rng.randint(0, 30)))
        grids[name] = {GRIDS[number]} if own else set(rng.sample(GRIDS, rng.choice((2, 2, 3))))
    waiting = []
    for number in range(tasks):
        building, unit = rng.choice(BUILDINGS), rng.choice(UNITS)
        floor = rng.randint(1, FLOORS)
        stairwell = f"{building}/{unit}"
        able = {name: 0.0 if len(mine) == 1 else 30.0 for name, mine in grids.items() if grid_of(building) in mine}
        urgency = rng.choice(URGENCIES)
        waiting.append(
            Waiting(
                task_id=f"t{number:03d}",
                building=building,
                stairwell=stairwell,
                able=able,
                household=f"{stairwell}/{floor}0{rng.randint(1, 2)}",
                floor=floor if rng.random() < 0.9 else None,
                shop=rng.choice(SHOPS),
                priority=rng.randint(0, 100),
                urgency=urgency,
                waited=rng.uniform(0, 60),
            )
        )
    return Round(tuple(waiting), tuple(hands), distances(places.communities[COMMUNITY]))


def responsible_only(round_: Round) -> Round:
    """The same, with each task for the one who answers for its grid, however much that is."""
    own = {f"w{number:02d}": grid for number, grid in enumerate(GRIDS)}
    waiting = [
        replace(one, able={name: 0.0 for name in one.able if own.get(name) == grid_of(one.building)})
        for one in round_.waiting
    ]
    hands = [replace(one, free=len(waiting)) for one in round_.hands]
    return replace(round_, waiting=tuple(waiting), hands=tuple(hands))


async def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--tasks", type=int, default=200)
    options.add_argument("--workers", type=int, default=40)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=1.5, help="for the solver; the default is the planner's")
    given = options.parse_args()
    planner = Planner(seconds=given.seconds)
    begun = time.perf_counter()
    await planner.warm_up()
    print(f"{given.tasks} tasks, {given.workers} workers; the solver's process started in {_since(begun)}")
    try:
        for seed in range(given.rounds):
            round_ = invented(given.tasks, given.workers, seed)
            begun, ticks = time.perf_counter(), asyncio.create_task(_longest_gap())
            plan = await planner.plan(round_)
            taken = _since(begun)
            ticks.cancel()
            print(f"round {seed}: {_row(round_, plan)} in {taken}, event loop stood still {await ticks * 1000:.0f} ms")
            begun = time.perf_counter()
            print(f"  {_row(round_, greedy(round_))} in {_since(begun)}")
            alone = responsible_only(round_)
            print(f"  {_row(alone, greedy(alone), 'responsible only')}")
    finally:
        await planner.stop()


async def _longest_gap() -> float:
    """Seconds, until it is cancelled."""
    longest, before = 0.0, time.perf_counter()
    try:
        while True:
            await asyncio.sleep(0.001)
            longest, before = max(longest, time.perf_counter() - before), time.perf_counter()
    except asyncio.CancelledError:
        return longest


def _row(round_: Round, plan: Plan, name: str | None = None) -> str:
    loads = {one.worker_id: one.load for one in round_.hands}
    for walk in plan.walks:
        loads[walk.worker] += len(walk.tasks)
    placed = sum(len(walk.tasks) for walk in plan.walks)
    return (
        f"{name or plan.by:16} {placed} placed in {len(plan.walks)} walks, {plan.metres:6.0f} m, "
        f"cost {plan.cost:7.0f}, highest load {max(loads.values())} of {_mean(loads.values()):.1f} on average"
    )


def _mean(values: Iterable[int]) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers)


def _since(begun: float) -> str:
    return f"{time.perf_counter() - begun:.2f} s"


if __name__ == "__main__":
    asyncio.run(main())
