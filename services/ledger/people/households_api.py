"""HTTP in: buildings, and the households in them."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI

from services.ledger.api import PREFIX, Name
from services.ledger.house import Ledger
from services.ledger.people.portraits import portrait_of
from services.ledger.people.store import among
from shared.access import INSIDERS, LEADERS, Principal, Role
from shared.contracts.refusal import Refusal, refusal
from shared.documents import Document
from shared.pages import decode_cursor, page
from shared.web import After, Limit, Somebody

AT_THE_DOOR: tuple[Role, ...] = (*LEADERS, "grid_worker")
"""Whoever is told which door it is."""

MOST = 5_000
"""Buildings of the grids that are asked for."""


def add_household_routes(app: FastAPI, house: Ledger) -> None:
    """Put the routes of buildings and households on the application."""

    @app.get(f"{PREFIX}/buildings", tags=["people"])
    async def buildings(
        who: Somebody, limit: Limit = 50, after: After = None, community: Name = None, grid: Name = None
    ) -> dict[str, Any]:
        """Buildings within the token's place, each with its grid."""
        who.require(*INSIDERS)
        place = decode_cursor(after, (str,))
        found = await house.store.buildings_page(
            who.community or community, _grids(who, grid), limit + 1, place[0] if place else ""
        )
        return page(found, limit, lambda one: (one["_id"],), _building)

    @app.get(f"{PREFIX}/households", tags=["people"])
    async def households(
        who: Somebody,
        limit: Limit = 50,
        after: After = None,
        community: Name = None,
        building: Name = None,
        grid: Name = None,
    ) -> dict[str, Any]:
        """Households of a community, building by building, with the ids of who is here.

        Whoever leads, and the grid's worker, is told the door; that it was opened is noted once for the page.
        """
        who.require(*INSIDERS)
        community = who.community or community
        if community is None:
            raise refusal("community", "required", "say in which community")
        place = decode_cursor(after, (str, str))
        grids = _grids(who, grid)
        within = await house.store.buildings_page(community, grids, MOST, "") if grids else ()
        numbers = [one["state"]["building"] for one in within if building in (None, one["state"]["building"])]
        query = among(community=community, building={"$in": numbers} if grids else building)
        found = await house.store.register.households_page(query, grids, limit + 1, place)
        doors = await _doors(house, who, community, found[:limit])
        return page(
            found, limit, lambda one: (one["building"], one["id"]), lambda one: {**one, **doors.get(one["id"], {})}
        )


def _grids(who: Principal, grid: str | None) -> Sequence[str]:
    """The grids that are asked for, within the token's; one of another place is in no building."""
    if grid is None:
        return who.grids
    return (grid,) if not who.grids or grid in who.grids else ("",)


def _building(document: Document) -> dict[str, Any]:
    return {name: document["state"].get(name, False) for name in ("community", "building", "grid", "closed")}


async def _doors(
    house: Ledger, who: Principal, community: str, households: Sequence[Document]
) -> dict[str, dict[str, Any]]:
    """By household: its door, as one of those who live there has it; nothing for whoever may not see it."""
    if who.role not in AT_THE_DOOR or not households:
        return {}
    record = f"households:{community}:{len(households)}"
    await house.runtime.openings.note(who, record, "households", community=community)
    people = await house.store.people_by_id([one["people"][0] for one in households])
    found: dict[str, dict[str, Any]] = {}
    for person, sealer in await house.store.register.with_sealers(list(people.values())):
        try:
            door = portrait_of(person, sealer).details.address.model_dump()
        except Refusal:  # Erased at this very moment.
            door = None
        found[person.facts.household] = {"door": door}
    return found
