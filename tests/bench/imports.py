"""Measures how long it takes to import people: `python -m tests.bench.imports [count]`.

Against parsing the same file and a bare bulk insert of the same documents, in the same run on the same database, when
nothing else is done there any more. Told are the seconds until everybody is entered, and until all have been told of
and are in the book as well.
"""

import argparse
import asyncio
import csv
import io
import logging
import resource
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import structlog
import uvloop
from stdnum.cn import ric

from deploy.engines import MongoNode, RabbitNode
from deploy.local.secrets import Secrets
from services.ledger.domain.imports import Imports, words
from services.ledger.domain.people import PeopleCatalogue
from services.ledger.imports.reading import Reading
from shared.catalogue import load
from shared.service import spare_the_collector
from tests import world
from tests.running import Engines, Running, Town, eventually

HEADER = ("姓名", "身份证号", "联系电话", "楼号", "单元", "房号", "独居", "人员类别", "备注")
BUILDINGS = 300
BATCH = 1000
HOURS = 3600.0


def listed(count: int) -> bytes:
    """A committee's list of invented people, as CSV in GB18030."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(HEADER)
    for number in range(count):
        day = f"{1930 + number % 70}{number % 12 + 1:02d}{number // 12 % 28 + 1:02d}"
        body = f"110101{day}{number // 420 % 1000:03d}"
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
    documents = await at.ledger.stored(name)
    assert len(documents) >= count, f"{len(documents)} {name}"
    made = at.ledger.runtime.database.collection(name)
    bare = at.ledger.runtime.database.collection(f"bare_{name}", made.indexes)
    await bare.prepare()
    began = time.perf_counter()
    for start in range(0, len(documents), BATCH):
        await bare.raw.insert_many(documents[start : start + BATCH], ordered=False)
    return time.perf_counter() - began


async def measure(town: Town, count: int) -> None:
    """Import, then do the bare work with what came of it."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    content = listed(count)
    async with town.up("ledger") as at:
        for number in range(BUILDINGS):
            body = {"community": world.TIEBEI, "building": str(number + 1), "grid": f"g{number % 6 + 1}"}
            await world.accepted(at.ledger, "/buildings", body)
        began = time.perf_counter()
        assert sum(parsed(at, content)) == count
        parsing = time.perf_counter() - began
        with Memory() as memory:
            began, used = time.perf_counter(), time.process_time()
            path = f"/people:import?community={world.TIEBEI}"
            answer = await at.ledger.call("POST", path, content=content)
            assert answer.status_code == 202, answer.text
            kept = time.perf_counter() - began
            import_id = answer.json()["id"]
            await eventually(lambda: _through(at, import_id), HOURS)
            entering = time.perf_counter() - began
            busy = time.process_time() - used
            await eventually(lambda: _told(at, count), HOURS)
            telling = time.perf_counter() - began
        people = await inserted(at, "people", count)
        beside = await inserted(at, "aliases", count) + await inserted(at, "person_keys", count)
    print(f"{count} people, {len(content) / 2**20:.1f} MiB")
    print(f"  parsing {parsing:.1f} s + bare insert of people {people:.1f} s = {parsing + people:.1f} s")
    bare, all_of_it = parsing + people, parsing + people + beside
    print(f"  with aliases and keys, which an import writes too: + {beside:.1f} s = {all_of_it:.1f} s")
    print(f"  import {entering:.1f} s (answered after {kept:.1f} s), processor time here {busy:.1f} s")
    print(f"  ratio {entering / bare:.2f}; with aliases and keys {entering / all_of_it:.2f}")
    print(f"  told of and in the book after {telling:.1f} s")
    print(
        f"  memory {memory.before:.0f} MiB before, at most {memory.peak:.0f} MiB; of this process ever "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:.0f} MiB"
    )


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
    options.add_argument("count", type=int, nargs="?", default=20_000)
    given = options.parse_args()
    spare_the_collector()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        secrets = Secrets(folder / "secrets")
        rabbit = RabbitNode(folder / "rabbitmq", passwords=secrets.rabbit)
        mongo = MongoNode(folder / "mongodb", passwords=secrets.mongo, keyfile=secrets.mongo_keyfile)
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda engine: engine.start(120.0), (rabbit, mongo)))
        try:
            uvloop.run(measure(Town(Engines(rabbit, mongo, secrets, folder)), given.count))
        finally:
            with ThreadPoolExecutor(2) as threads:
                list(threads.map(lambda engine: engine.stop(), (rabbit, mongo)))


if __name__ == "__main__":
    main()
