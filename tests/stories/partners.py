"""Four parties of one compound, each with its token, for stories of what others do for residents."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.access import fingerprint
from shared.identity import new_id
from tests import world
from tests.running import Service, Town, eventually
from tests.stories.stage import Stage, stage

ABLE = {
    "property": ["plumber", "electrician"],
    "developer": ["plumber"],
    "builder": ["plumber"],
    "committee": ["electrician"],
}
"""The four parties, and what each knows."""


@asynccontextmanager
async def four_parties(town: Town) -> AsyncIterator[Stage]:
    """Four buildings, four parties that every service knows, a grid worker, and a coordinator."""
    async with stage(town) as one:
        parties = [
            {"worker_id": name, "role": "partner", "kinds": ["leak", "power_cut"], "skills": skills, "cap": 20}
            for name, skills in ABLE.items()
        ]
        staff = [
            {"worker_id": world.ZHAO, "role": "grid_worker", "grids": ["g1"]},
            {"worker_id": world.ZHOU, "role": "coordinator"},
        ]
        await one.enter({f"{number}": "g1" for number in range(1, 5)}, [*parties, *staff])
        for name in ABLE:
            token = {"token_hash": fingerprint(token_of(name)), "name": name, "worker": name, "role": "partner"}
            await world.accepted(one.at.ledger, "/access", {"command_id": new_id(), "community": world.TIEBEI, **token})
        for service in one.at.services.values():
            for name in ABLE:
                await eventually(lambda service=service, name=name: comes_in(service, name))
        yield one


def token_of(name: str) -> str:
    """What the party's program signs in with."""
    return f"ds_{name}"


async def comes_in(service: Service, name: str) -> bool:
    """Whether the service knows the token, whatever it may."""
    path = {"intake": "/requests", "dispatch": "/tasks", "notification": "/messages", "ledger": "/cases"}[service.name]
    return (await service.call("GET", path, who=token_of(name))).status_code != 401
