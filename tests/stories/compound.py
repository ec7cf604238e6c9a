"""A building with 298 households, one with 24 people, five teams, the heating company: for stories of a closed door."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.identity import derived_id
from tests import world
from tests.running import Town
from tests.stories.stage import Stage, parts, stage

FIRST, SECOND = "3", "4"
HOUSEHOLDS, IN_SECOND = 298, 24
TEAMS = ("一队", "二队", "三队", "四队", "五队")
ONE = datetime(2026, 11, 24, 5, 0, tzinfo=UTC)
"""In the afternoon, in China."""
STRANGERS = {
    "worker-1": ("502", "装修工甲"),
    "worker-2": ("502", "装修工乙"),
    "agent": ("302", "中介"),
    "client": ("302", "看房人"),
}
THEIR_PHONE = "+86 100 0000 0009"
"""The agent's; the others have none with them."""
COUPLE = (296, HOUSEHOLDS + 98)
"""Two of one household in the second entrance."""


def china(hour: int, minute: int = 0) -> datetime:
    return ONE + timedelta(hours=hour - 13, minutes=minute)


def households() -> list[int]:
    """By number, those of 298 households; of each third one there are two."""
    return [*range(HOUSEHOLDS), *range(HOUSEHOLDS, HOUSEHOLDS + 100)]


def household_of(number: int) -> int:
    return number if number < HOUSEHOLDS else (number - HOUSEHOLDS) * 3 + 2


def unit_of(number: int) -> int:
    """Of five entrances, the one with this team."""
    return household_of(number) % 5


def inhabitant(number: int, building: str = FIRST) -> dict[str, Any]:
    household = household_of(number)
    room = f"{household // 10 + 1}0{household // 5 % 2 + 1}"
    return {
        "source": f"list-{building}",
        "source_id": f"{number:04d}",
        "community": world.TIEBEI,
        "address": {"building": building, "unit": str(household % 5 + 1), "room": room},
        "name": f"住户{number}",
        "phone": f"139000{building}{number:04d}",
    }


def id_of(number: int, building: str = FIRST) -> str:
    return derived_id("person", f"list-{building}", f"{number:04d}")


def line(number: int, building: str = FIRST) -> dict[str, Any]:
    person = inhabitant(number, building)
    return {"name": person["name"], "address": person["address"], "point": TEAMS[unit_of(number)]}


def guest(name: str, building: str = FIRST) -> dict[str, Any]:
    """Told by name and door, as a list has it."""
    room, called = STRANGERS[name]
    return {"name": called, "address": {"building": building, "unit": "1", "room": room}, "point": TEAMS[0]}


def at(moment: datetime, *records: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**one, "at": moment.isoformat()} for one in records]


@asynccontextmanager
async def afternoon(town: Town) -> AsyncIterator[Stage]:
    """At one o'clock: 398 people of 298 households in one building, 24 in another; five teams, the heating company."""
    async with stage(town) as one:
        one.clock.now = ONE
        await one.enter(
            {FIRST: "g1", SECOND: "g1"},
            [
                {"worker_id": world.ZHAO, "role": "grid_worker", "grids": ["g1"]},
                *({"worker_id": f"team-{n}", "role": "volunteer", "kinds": ["testing"]} for n in range(len(TEAMS))),
                {"worker_id": "heating", "role": "partner", "kinds": ["repair"]},
                {"worker_id": world.ZHOU, "role": "coordinator"},
            ],
        )
        people = [inhabitant(number) for number in households()]
        people += [inhabitant(number, SECOND) for number in range(IN_SECOND)]
        for part in parts(people):
            answers = await asyncio.gather(*(one.desk.ask("person.register", body) for body in part))
            assert {answer["status"] for answer in answers} == {"accepted"}
        yield one
