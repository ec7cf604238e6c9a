"""Measures what somebody at a desk waits for: `python -m tests.bench.reading [--people N]`.

The page of a person with ten years of history, the emergency card, and the numbers of a day and of a year; over HTTP,
with so many other people on the books.
"""

import argparse
import asyncio
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any

from services.ledger.app import furnished
from services.ledger.domain.entry import Fact
from services.ledger.house import Ledger
from shared.contracts.dispatch import DeliveryAssigned, DeliveryCompleted
from shared.contracts.envelope import Event
from shared.contracts.intake import RequestCreated
from shared.identity import new_id
from shared.telemetry import configure_logs
from tests import world
from tests.bench import engines
from tests.bench.rounds import populate, tell, timed
from tests.running import Clock, Running, Town, eventually

YEARS = 10
CALLED_EVERY = timedelta(days=3)
MOVES = 40
"""News of a person in ten years: a telephone, a contact, a move."""
ORDERS = 400
READS = 200


async def ten_years(at: Running) -> str:
    """Mrs Li, with a call every three days and some news a year; her id."""
    ledger = at.ledger
    person: str = (await ledger.post("/people", world.MRS_LI)).json()["id"]
    plan = {"plan_id": "calls", "kind": "care_call", "begins": "2026-11-24T17:30", "rule": "FREQ=DAILY;INTERVAL=3"}
    assert (await ledger.post(f"/people/{person}/plans", plan)).status_code == 202
    ledger.runtime.clock.now += timedelta(hours=1)  # type: ignore[attr-defined]
    (call,) = await eventually(lambda: ledger.stored("follow_ups", {"state.person_id": person}))
    now, database = ledger.runtime.clock(), ledger.runtime.database
    calls = []
    for number in range(YEARS * 365 // CALLED_EVERY.days):
        copy = deepcopy(call)
        copy.update(_id=f"call-{number}", unsent=[])
        copy["state"].update(state="reached", due_at=None, at=now - number * CALLED_EVERY)
        calls.append(copy)
    await database.collection("follow_ups").raw.insert_many(calls)
    (known,) = await ledger.stored("people", {"_id": person})
    told = known["history"][0]
    for number in range(MOVES):
        at_that_time = now - timedelta(days=YEARS * 365 * number // MOVES)
        known["history"].append({**told, "n": number + 2, "id": new_id(), "at": at_that_time})
    await database.collection("people").raw.replace_one({"_id": person}, known)
    return person


async def busy_day(house: Ledger, begins: datetime) -> None:
    """Four hundred orders, each asked for, taken and done."""

    def fact(event: Event, at: datetime, request_id: str) -> Fact:
        told: dict[str, Any] = {"community": world.TIEBEI, "grid": "g1", "request_id": request_id}
        body = event.model_dump_json(by_alias=True)
        return Fact(
            id=new_id(), type=type(event).__name__, wire=event.wire, at=at, data=body, source="bench", cause="", **told
        )

    facts = []
    for number in range(ORDERS):
        name, at = f"r{begins:%Y%m%d}-{number}", begins + number * timedelta(minutes=2)
        task = {
            "community": world.TIEBEI,
            "grid": "g1",
            "task_id": name,
            "request_id": name,
            "kind": "groceries",
            "building": f"{number % 60}",
            "urgency": "normal",
            "priority": 10,
            "worker": f"worker-{number % 6}",
        }
        facts += [
            fact(RequestCreated(**world.created(name, household=name)), at, name),
            fact(DeliveryAssigned(**task, until=at), at + timedelta(minutes=5), name),
            fact(DeliveryCompleted(**task), at + timedelta(minutes=40), name),
        ]
    await asyncio.gather(*(house.store.enter(one) for one in facts))


@asynccontextmanager
async def desk(town: Town, people: int) -> AsyncIterator[tuple[Running, str]]:
    """The ledger with so many people, and one of them with ten years of history."""
    async with town.up("ledger", clock=Clock()) as at:
        await populate(at, people)
        yield at, await ten_years(at)


async def measure(town: Town, count: int) -> None:
    """Tell each figure as soon as it is there."""
    async with desk(town, count) as (at, person):
        ledger, house = at.ledger, furnished(at.ledger.runtime)
        midnight = datetime.fromisoformat("2026-11-23T16:00:00+00:00")
        for days_ago in (0, 5):
            await busy_day(house, midnight - timedelta(days=days_ago))

        async def read(path: str, **params: Any) -> None:
            await ledger.get(path, who="coordinator", **params)

        for label, path, params in (
            ("person", f"/people/{person}", {}),
            ("person, some years ago", f"/people/{person}", {"on": "2020-11-24"}),
            ("all follow-ups, a page", "/follow-ups", {"state": "reached", "person_id": person}),
            ("emergency card", f"/people/{person}/emergency-card", {}),
            ("numbers of today", "/numbers", {"since": "2026-11-24"}),
            ("numbers of a kept day", "/numbers", {"since": "2026-11-19"}),
        ):
            times = await timed(READS, lambda path=path, params=params: read(path, **params))  # type: ignore[misc]
            tell(label, f"median {statistics.median(times):.1f} ms, 99th percentile {times[-3]:.1f} ms")


def main() -> None:
    """Start engines, measure, tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--people", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    configure_logs("ledger", "warning")
    for count in parser.parse_args().people:
        tell("people", f"{count:,}")
        with engines.town() as town:
            asyncio.run(measure(town, count))


if __name__ == "__main__":
    main()
