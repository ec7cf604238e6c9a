"""A small community with rounds: 24 people in three buildings."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from shared.identity import derived_id, new_id
from tests import world
from tests.running import Clock, Running, Service, Town, eventually

ROUND = "r1"


def person(number: int, **more: Any) -> dict[str, Any]:
    """Two in each household, eight in each building."""
    return {
        "source": "list",
        "source_id": str(number),
        "community": world.TIEBEI,
        "address": {"building": str(number // 8 + 1), "unit": "1", "room": f"{number // 2}01"},
        "name": f"居民{number}",
        "phone": f"1390000{number:04d}",
        **more,
    }


def id_of(number: int) -> str:
    return derived_id("person", "list", str(number))


@asynccontextmanager
async def three_buildings(town: Town) -> AsyncIterator[Running]:
    """The ledger with these people; the clock stands still."""
    async with town.up("ledger", clock=Clock()) as running:
        for building, grid in (("1", "g1"), ("2", "g2"), ("3", "g2")):
            body = {"community": world.TIEBEI, "building": building, "grid": grid}
            await world.accepted(running.ledger, "/buildings", body)
        await asyncio.gather(*(world.accepted(running.ledger, "/people", person(number)) for number in range(24)))
        yield running


async def opened(ledger: Service, round_id: str = ROUND, **more: Any) -> dict[str, Any]:
    """A round, once its roster is taken down."""
    closes = (ledger.runtime.clock() + timedelta(hours=4)).isoformat()
    told = {"round_id": round_id, "community": world.TIEBEI, "kind": "testing", "title": "核酸", "closes": closes}
    await world.accepted(ledger, "/rounds", {**told, **more})
    return dict(await eventually(lambda: is_open(ledger, round_id)))


async def is_open(ledger: Service, round_id: str) -> dict[str, Any] | None:
    found = await ledger.get(f"/rounds/{round_id}")
    return dict(found) if found["state"] == "open" else None


async def record(ledger: Service, *records: dict[str, Any], round_id: str = ROUND, who: str = "operator") -> Any:
    at = ledger.runtime.clock().isoformat()
    body = {"command_id": new_id(), "records": [{"at": at, **one} for one in records]}
    return await ledger.post(f"/rounds/{round_id}/records", body, who=who)


async def counts(ledger: Service, round_id: str = ROUND) -> dict[str, int]:
    return dict((await ledger.get(f"/rounds/{round_id}"))["counts"])


async def close(ledger: Service, round_id: str = ROUND) -> Any:
    return await ledger.post(f"/rounds/{round_id}/close", {"command_id": new_id()}, who="coordinator")


async def is_in(ledger: Service, state: str, round_id: str = ROUND) -> bool:
    return bool((await ledger.get(f"/rounds/{round_id}"))["state"] == state)
