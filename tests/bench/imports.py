"""Measures how long it takes to import people: `python -m tests.bench.imports [--people N …]`.

Against parsing the same files and a bare bulk insert of the same documents, in the same run on the same database, when
nothing else is done there any more. Told are the seconds until everybody is entered, and until all have been told of
and are in the book as well; of more than one file, the latter is not waited for.
"""

import argparse
import asyncio
import csv
import io
import logging
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import psutil
import structlog
import uvloop
from stdnum.cn import ric

from services.ledger.domain.headings import words
from services.ledger.domain.imports import Imports
from services.ledger.domain.people import PeopleCatalogue
from services.ledger.imports.reading import Reading
from shared.catalogue import load
from shared.service import spare_the_collector
from tests import world
from tests.bench import engines
from tests.running import Running, Town, eventually

HEADER = ("姓名", "身份证号", "联系电话", "楼号", "单元", "房号", "独居", "人员类别", "备注")
BUILDINGS = 300
BATCH = 1000
OF_FILE = 100_000
"""People in one file at most: 32 MiB are taken."""
HOURS = 3600.0


def listed(first: int, count: int) -> bytes:
    """A committee's list of so many invented people from that one on, as CSV in GB18030."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(HEADER)
    for number in range(first, first + count):
        day = f"{1930 + number % 70}{number % 12 + 1:02d}{number // 12 % 28 + 1:02d}"
        body = f"11010{number // 420_000 + 1}{day}{number // 420 % 1000:03d}"
        row = (
            f"{'王李张刘陈'[number % 5]}{chr(0x4E00 + number % 5000)}{chr(0x4E00 + number // 5000)}",
            body + ric.calc_check_digit(body + "0"),
            f"100{number:08d}",
            f"{number % BUILDINGS + 1}号楼",
            f"{number % 4 + 1}单元",
            f"{number // 1200 % 20 + 1}{number % 4 + 1:02d}",
            "是" if number % 40 == 0 else "否",
            "独居老人" if number % 40 == 0 else "",
            "无" if number % 3 else "门铃坏了，请敲门",
        )
        writer.writerow(row)
    return out.getvalue().encode("gb18030")


class Memory:
    """The most memory that this process held, in MiB, while it was watched."""

    def __init__(self) -> None:
        self.before = self.peak = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Memory":
        self.before = self.peak = self._now()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            self.peak = max(self.peak, self._now())

    @staticmethod
    def _now() -> float:
        return float(psutil.Process().memory_info().rss) / 2**20


def parsed(at: Running, content: bytes) -> Iterator[int]:
    """Read the list; how many rows are good, chunk by chunk."""
    folder = at.ledger.runtime.settings.catalogue_dir
    people = load(folder / "people.yaml", PeopleCatalogue)
    reading = Reading(
        community=world.TIEBEI,
        source="import",
        words=words(load(folder / "imports.yaml", Imports), people, "usual"),
        people=people,
        buildings=dict.fromkeys(str(number + 1) for number in range(BUILDINGS)),
        today=at.ledger.runtime.clock().date(),
        lookup=at.ledger.runtime.lookup,
    )
    for some in reading.chunks(content):
        yield len(some)
    assert reading.wrong == 0, reading.problems[:3]


async def inserted(at: Running, name: str, count: int) -> float:
    """Seconds that it takes to insert a collection's documents into one with the same indexes, and nothing else."""
    made = at.ledger.runtime.database.collection(name)
    bare = at.ledger.runtime.database.collection(f"bare_{name}", made.indexes)
    await bare.prepare()
    seconds, seen, documents = 0.0, 0, list[dict[str, Any]]()

    async def insert() -> None:
        nonlocal seconds, seen
        began = time.perf_counter()
        await bare.raw.insert_many(documents, ordered=False)
        seconds, seen = seconds + time.perf_counter() - began, seen + len(documents)
        documents.clear()

    async with aclosing(made.stream({})) as found:
        async for document in found:
            documents.append(document)
            if len(documents) == BATCH:
                await insert()
    if documents:
        await insert()
    assert seen >= count, f"{seen} {name}"
    return seconds


async def measure(town: Town, count: int) -> None:
    """Import, then do the bare work with what came of it."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    files = [listed(first, min(OF_FILE, count - first)) for first in range(0, count, OF_FILE)]
    async with town.up("ledger") as at:
        for number in range(BUILDINGS):
            body = {"community": world.TIEBEI, "building": str(number + 1), "grid": f"g{number % 6 + 1}"}
            await world.accepted(at.ledger, "/buildings", body)
        began = time.perf_counter()
        # In a thread: of a million it takes longer than a broker waits for a sign of life.
        assert await asyncio.to_thread(lambda: sum(sum(parsed(at, content)) for content in files)) == count
        parsing = time.perf_counter() - began
        with Memory() as memory:
            began, used = time.perf_counter(), time.process_time()
            kept = 0.0
            for content in files:
                kept += await imported(at, content)
            entering = time.perf_counter() - began
            busy = time.process_time() - used
            telling = None
            if len(files) == 1:
                await eventually(lambda: _told(at, count), HOURS)
                telling = time.perf_counter() - began
        people = await inserted(at, "people", count)
        beside = await inserted(at, "aliases", count) + await inserted(at, "person_keys", count)
    print(f"{count} people, {sum(map(len, files)) / 2**20:.1f} MiB in {len(files)} files")
    print(f"  parsing {parsing:.1f} s + bare insert of people {people:.1f} s = {parsing + people:.1f} s")
    bare, all_of_it = parsing + people, parsing + people + beside
    print(f"  with aliases and keys, which an import writes too: + {beside:.1f} s = {all_of_it:.1f} s")
    print(f"  import {entering:.1f} s (answered after {kept:.1f} s), processor time here {busy:.1f} s")
    print(f"  ratio {entering / bare:.2f}; with aliases and keys {entering / all_of_it:.2f}")
    if telling is not None:
        print(f"  told of and in the book after {telling:.1f} s")
    print(
        f"  memory {memory.before:.0f} MiB before, at most {memory.peak:.0f} MiB; of this process ever "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:.0f} MiB",
        flush=True,
    )


async def imported(at: Running, content: bytes) -> float:
    """Import one file; seconds until that was answered."""
    began = time.perf_counter()
    answer = await at.ledger.call("POST", f"/people:import?community={world.TIEBEI}", content=content)
    assert answer.status_code == 202, answer.text
    kept, import_id = time.perf_counter() - began, answer.json()["id"]
    await eventually(lambda: _through(at, import_id), HOURS)
    return kept


async def _through(at: Running, import_id: str) -> bool:
    # Straight from the database: a client of HTTP for each look would cost more than the import.
    await asyncio.sleep(0.2)
    (known,) = await at.ledger.stored("imports", {"_id": import_id})
    return not known["state"]["open"]


async def _told(at: Running, count: int) -> bool:
    await asyncio.sleep(0.5)
    return await at.ledger.runtime.database.collection("entries").count({"type": "PersonRegistered"}) >= count


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--people", type=int, nargs="+", default=[10_000, 100_000])
    spare_the_collector()
    for count in options.parse_args().people:
        with engines.town() as town:
            uvloop.run(measure(town, count))


if __name__ == "__main__":
    main()
