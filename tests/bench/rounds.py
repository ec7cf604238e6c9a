"""Measures rounds over many people: `python -m tests.bench.rounds [--people N]`.

One person of real size is registered and copied. Then a round over all of them is opened, read and recorded, through
the handlers and the store; HTTP and AMQP come on top.
"""

import argparse
import asyncio
import random
import resource
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from copy import deepcopy
from datetime import timedelta
from typing import Any

import uvloop

from services.ledger.app import furnished
from services.ledger.house import Ledger
from services.ledger.rebuilding import sheets
from services.ledger.rebuilding.store import Registers
from services.ledger.rounds import handlers as rounds
from shared.contracts.envelope import Meta
from shared.contracts.rounds import OpenRound, RecordRound, RoundRecord
from shared.service import spare_the_collector
from shared.telemetry import configure_logs
from tests import world
from tests.bench import engines
from tests.running import Running, Town, eventually

OF_BUILDING = 400
PART = 1_000
ROUND = "bench"
LISTS = 200
"""Lists sent in, each of a hundred records."""
READS = 200


def people_like(sample: dict[str, Any], first: int, count: int) -> list[dict[str, Any]]:
    """Copies of one document as so many people, three to a household."""
    made = []
    for number in range(first, first + count):
        copy = deepcopy(sample)
        copy["_id"] = f"p{number:07d}"
        facts = copy["state"]["facts"]
        building, door = number // OF_BUILDING + 1, number // 3
        facts.update(
            person_id=copy["_id"],
            building=str(building),
            grid=f"g{building // 10 + 1}",
            household=f"h{door}",
            lookups=[f"l{number}"],
        )
        copy["state"].update(stairwell=f"s{building}-{number % OF_BUILDING // 60}", floor=door % 6 + 1)
        copy["unsent"] = []
        made.append(copy)
    return made


async def populate(at: Running, count: int) -> None:
    """Register one, copy him."""
    await world.accepted(at.ledger, "/people", world.MRS_LI)
    (sample,) = await at.ledger.stored("people")
    raw = at.ledger.runtime.database.collection("people").raw
    for first in range(0, count, PART):
        await raw.insert_many(people_like(sample, first, min(PART, count - first)), ordered=False)
    await raw.delete_one({"_id": sample["_id"]})


async def timed(times: int, work: Callable[[], Awaitable[Any]]) -> list[float]:
    """Milliseconds of each time."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        await work()
        found.append((time.perf_counter() - began) * 1000)
    return sorted(found)


async def recorded(house: Ledger, lists: Sequence[Sequence[int]], name: str) -> float:
    """Send these lists in, four at a time; records a second."""
    now, gate = house.runtime.clock(), asyncio.Semaphore(4)

    async def one(number: int, members: Sequence[int]) -> None:
        records = tuple(RoundRecord(member_id=f"p{member:07d}", at=now) for member in members)
        command = RecordRound(round_id=ROUND, command_id=f"{name}{number}", records=records)
        async with gate:
            await rounds.record(house, command, Meta("", RecordRound.wire, "bench", now, ROUND))

    began = time.perf_counter()
    await asyncio.gather(*(one(number, members) for number, members in enumerate(lists)))
    return sum(map(len, lists)) / (time.perf_counter() - began)


async def measure(town: Town, count: int) -> None:
    """Tell each figure as soon as it is there."""
    async with town.up("ledger") as at:
        await populate(at, count)
        runtime = at.ledger.runtime
        house = furnished(runtime)
        now, store = runtime.clock(), house.store.rounds
        told = OpenRound(
            round_id=ROUND, community=world.TIEBEI, kind="testing", title="核酸", closes=now + timedelta(days=1)
        )
        began = time.perf_counter()
        await rounds.open_round(house, told, Meta("", OpenRound.wire, "bench", now, ROUND))
        await eventually(lambda: at.ledger.stored("rounds", {"_id": ROUND, "state.state": "open"}), 600.0)
        tell("opened", f"{time.perf_counter() - began:.1f} s for {count:,} people")
        pages = await timed(READS, lambda: store.members(ROUND, "missing", (), 51, None))
        tell("first page of missing", f"median {statistics.median(pages):.1f} ms, 99th percentile {pages[-3]:.1f} ms")
        sums = await timed(20, lambda: store.tallies.counts(ROUND))
        tell("counts", f"median {statistics.median(sums):.1f} ms, longest {sums[-1]:.1f} ms")
        chance = random.Random(1)
        orderly = [range(first, first + 100) for first in range(0, min(LISTS * 100, count // 2), 100)]
        tell("records, door by door", f"{await recorded(house, orderly, 'orderly'):,.0f} a second")
        scattered = [chance.sample(range(count // 2, count), 100) for _ in range(LISTS)]
        tell("records, scattered", f"{await recorded(house, scattered, 'scattered'):,.0f} a second")
        counts = await store.tallies.counts(ROUND)
        assert counts.done == len({one for part in (*orderly, *scattered) for one in part}), counts
        registers, lists = Registers(house.store), len(orderly) + len(scattered)
        await eventually(lambda: _entered(house, lists), 600.0)
        began = time.perf_counter()
        equal = await _compared(registers)
        tell("sheets and entries", f"{equal:,} beside what was entered in {time.perf_counter() - began:.1f} s")
        tell("memory, most", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


async def _entered(house: Ledger, lists: int) -> bool:
    """Whether every list of the round is entered; its roster was before."""
    return await house.store.entries.count({"type": "RoundRecorded"}) == lists


async def _compared(registers: Registers) -> int:
    """How many sheets are as it was told, which must be all."""
    after, equal = "", 0
    while True:
        found, end = await sheets.compared(registers, after, 200)
        assert all(one.verdict == "equal" for one in found), found
        equal += len(found)
        if end is None:
            return equal
        after = end


def tell(label: str, figure: str) -> None:
    """One line."""
    print(f"{label:24} {figure}", flush=True)


def main() -> None:
    """Start engines, measure, tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--people", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    configure_logs("ledger", "warning")
    spare_the_collector()
    for count in parser.parse_args().people:
        with engines.town() as town:
            uvloop.run(measure(town, count))


if __name__ == "__main__":
    main()
