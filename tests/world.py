"""The story world: one small community, and the people in it. Everybody is invented.

Tiebei has three buildings in two grids. Mrs Li is old and lives alone in building 1; her daughter Ping lives elsewhere.
The Wangs are a family in building 2. Zhao answers for grid g1, Qian for g2, Sun helps anywhere, Zhou coordinates.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from services.ledger.store import Store
from shared.access import fingerprint
from shared.contracts.ledger import BuildingRegistered, PersonRegistered
from tests.running import Amqp, Service, eventually

TIEBEI = "tiebei"
GRID_OF = {"1": "g1", "2": "g1", "3": "g2"}
"""Each building's grid."""
NO_BUILDING = "99"

ZHAO = "tiebei-g1-1"
"""Grid worker of g1; the token `grid_worker` is his."""
QIAN = "tiebei-g2-1"
SUN = "tiebei-v01"
"""Volunteer; the token `volunteer` is hers."""
WU = "tiebei-v02"
ZHOU = "tiebei-c01"
"""Coordinator; the token `coordinator` is hers."""

MRS_LI = {
    "source": "register",
    "source_id": "p-li",
    "community": TIEBEI,
    "address": {"building": "1", "unit": "1", "room": "101"},
    "name": "李奶奶",
    "phone": "+86 100 0000 0001",
    "birth_year": 1937,
    "lives_alone": True,
    "language": "zh",
    "contacts": [{"name": "李萍", "phone": "+86 100 0000 0002", "relation": "daughter"}],
}
"""89 years old in 2026, and alone: the first line."""
MR_WANG = {
    "source": "register",
    "source_id": "p-wang",
    "community": TIEBEI,
    "address": {"building": "2", "unit": "1", "room": "502"},
    "name": "王先生",
    "phone": "+86 100 0000 0003",
    "birth_year": 1980,
}
TAKEN = {"accepted", "duplicate"}
"""How a request may be answered that was told once: `duplicate` if database or broker hesitated after the write."""
PING = {"relation": "daughter", "name": "李萍", "phone": "+86 100 0000 0002"}
"""On whose word Mrs Li's requests sometimes come."""

WORKERS: tuple[dict[str, Any], ...] = (
    {"worker_id": ZHAO, "community": TIEBEI, "role": "grid_worker", "grids": ["g1"], "name": "赵"},
    {"worker_id": QIAN, "community": TIEBEI, "role": "grid_worker", "grids": ["g2"], "name": "钱"},
    {"worker_id": SUN, "community": TIEBEI, "role": "volunteer", "name": "孙"},
    {"worker_id": WU, "community": TIEBEI, "role": "volunteer", "name": "吴"},
    {"worker_id": ZHOU, "community": TIEBEI, "role": "coordinator", "name": "周"},
)


def groceries(source_id: str, /, **changes: Any) -> dict[str, Any]:
    """Mr Wang wants cabbage; `changes` replace fields of the body, None takes one away."""
    body = {
        "source": "wecom",
        "source_id": source_id,
        "kind": "groceries",
        "community": TIEBEI,
        "address": {"building": "2", "unit": "1", "room": "502"},
        "resident": {"name": "王先生", "phone": "+86 100 0000 0003"},
        "items": [{"name": "白菜", "quantity": 2, "unit": "颗"}],
        **changes,
    }
    return {name: value for name, value in body.items() if value is not None}


def for_mrs_li(source_id: str, /, **changes: Any) -> dict[str, Any]:
    """Mrs Li wants something."""
    return groceries(
        source_id,
        **{
            "address": {"building": "1", "unit": "1", "room": "101"},
            "resident": {"name": "李奶奶", "phone": "+86 100 0000 0001"},
            **changes,
        },
    )


def created(request_id: str, /, **changes: Any) -> dict[str, Any]:
    """`RequestCreated` as intake publishes it; its seal cannot be opened."""
    return {
        "community": TIEBEI,
        "grid": "g1",
        "request_id": request_id,
        "kind": "groceries",
        "building": "2",
        "stairwell": "stairwell-2-1",
        "household": "household-2-1-502",
        "urgency": "normal",
        "priority": 10,
        "source": "wecom",
        "sealed": "k1.AAAA",
        **changes,
    }


async def tell_ledger_of_workers(ledger: Service) -> None:
    """What it hears of dispatch, where that does not run."""
    store = Store(ledger.runtime).cases
    await asyncio.gather(*(store.note_worker(one["worker_id"], None, (), 1) for one in WORKERS))


async def settle(*services: Service) -> None:
    """Register buildings, workers and people with those of the services that run, and wait until all have heard."""
    at = {service.name: service for service in services}
    if "ledger" in at:
        for building, grid in GRID_OF.items():
            await accepted(at["ledger"], "/buildings", {"community": TIEBEI, "building": building, "grid": grid})
        for person in (MRS_LI, MR_WANG):
            await accepted(at["ledger"], "/people", person)
        if "dispatch" not in at:
            await tell_ledger_of_workers(at["ledger"])
    if "dispatch" in at:
        for worker in WORKERS:
            await accepted(at["dispatch"], "/workers", worker)
        await eventually(lambda: knows_workers(at["dispatch"]))
    if {"intake", "ledger"} <= at.keys():
        await eventually(lambda: knows_places(at["intake"]))


async def accepted(service: Service, path: str, body: Mapping[str, Any]) -> None:
    """Send a registration, which must be taken."""
    answer = await service.post(path, body)
    assert answer.status_code == 202, answer.text


async def knows_workers(dispatch: Service) -> bool:
    """Whether dispatch knows who answers for the grids and for the community."""
    found = {document["_id"] for document in await dispatch.stored("grids")}
    return {f"{TIEBEI}/g1", f"{TIEBEI}/g2", f"{TIEBEI}/_"} <= found


async def knows_places(intake: Service) -> bool:
    """Whether intake knows the buildings and recognises both residents."""
    return len(await intake.stored("buildings")) == len(GRID_OF) and len(await intake.stored("people")) == 2


async def tell_intake_of_places(intake: Service, operator: Amqp) -> None:
    """Let intake hear of buildings and residents without a ledger."""
    for building, grid in GRID_OF.items():
        await operator.happen(BuildingRegistered(community=TIEBEI, grid=grid, building=building))
    lookup = intake.runtime.lookup
    for person in (MRS_LI, MR_WANG):
        address: Any = person["address"]
        household = lookup.household(TIEBEI, address["building"], address["unit"], address["room"])
        lookups = lookup.resident(household, str(person["name"])), lookup.phone(TIEBEI, str(person["phone"]))
        await operator.happen(
            PersonRegistered(
                community=TIEBEI,
                person_id=str(person["source_id"]),
                building=address["building"],
                household=household,
                lookups=lookups,
                first_line=person is MRS_LI,
                sealed="k1.AAAA",
            )
        )
    await eventually(lambda: knows_places(intake))


async def leader_of(ledger: Service, *grids: str) -> str:
    """A token of somebody who coordinates these grids alone."""
    token = f"ds_{'_'.join(grids)}"
    told = {"token_hash": fingerprint(token), "name": token, "role": "coordinator", "community": TIEBEI}
    await accepted(ledger, "/access", {"command_id": token, **told, "grids": grids})
    await eventually(lambda: knows(ledger, token))
    return token


async def knows(ledger: Service, token: str) -> bool:
    """Whether the token counts."""
    return (await ledger.call("GET", "/statistics", who=token)).status_code == 200
