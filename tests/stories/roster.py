"""Households of a community, and rounds over them, for stories of campaigns and hand-outs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from shared.identity import new_id
from tests import world
from tests.running import Town, eventually
from tests.stories.stage import Stage, parts, stage

GRIDS = {"1": "g1", "2": "g1", "3": "g2", "4": "g2"}


def door(number: int) -> dict[str, str]:
    return {"building": str(number % 4 + 1), "unit": str(number // 4 % 3 + 1), "room": f"{number // 12 + 1}01"}


def householder(number: int, **more: Any) -> dict[str, Any]:
    """Who answers for the household behind that door."""
    return {
        "source": "household-list",
        "source_id": f"{number:04d}",
        "community": world.TIEBEI,
        "address": door(number),
        "name": f"户主{number}",
        "phone": f"1390000{number:04d}",
        **more,
    }


@asynccontextmanager
async def households(town: Town, count: int, deaf: int = 0) -> AsyncIterator[Stage]:
    """So many are on the books; the first of them cannot hear."""
    async with stage(town) as one:
        await one.enter(
            GRIDS,
            [
                {"worker_id": world.ZHAO, "role": "grid_worker", "grids": ["g1"]},
                {"worker_id": world.QIAN, "role": "grid_worker", "grids": ["g2"]},
                {"worker_id": world.ZHOU, "role": "coordinator"},
            ],
        )
        people = [householder(number, needs=["deaf"] if number < deaf else []) for number in range(count)]
        for part in parts(people):
            answers = await asyncio.gather(*(one.desk.ask("person.register", body) for body in part))
            assert {answer["status"] for answer in answers} == {"accepted"}
        yield one


async def open_round(at: Stage, round_id: str, kind: str, title: str, **more: Any) -> None:
    """Of households, for a week."""
    closes = (at.clock() + timedelta(days=7)).isoformat()
    told = {"round_id": round_id, "community": world.TIEBEI, "kind": kind, "title": title, "of": "household"}
    answer = await at.at.ledger.post("/rounds", {**told, "closes": closes, **more}, who="coordinator")
    assert answer.status_code == 202, answer.text
    await eventually(lambda: is_open(at, round_id))


async def is_open(at: Stage, round_id: str) -> bool:
    return bool((await at.at.ledger.get(f"/rounds/{round_id}"))["state"] == "open")


async def record(at: Stage, round_id: str, *records: dict[str, Any], code: int = 200) -> dict[str, Any]:
    """As somebody with a list tells it."""
    now = at.clock().isoformat()
    body = {"command_id": new_id(), "records": [{"at": now, **one} for one in records]}
    answer = await at.at.ledger.post(f"/rounds/{round_id}/records", body, who="grid_worker")
    assert answer.status_code == code, answer.text
    return dict(answer.json())


async def counts(at: Stage, round_id: str) -> dict[str, int]:
    return dict((await at.at.ledger.get(f"/rounds/{round_id}"))["counts"])
