"""HTTP in: who is inside a building, and what they need."""

import asyncio
from typing import Any

from fastapi import FastAPI, Request

from services.ledger import needs
from services.ledger.domain.needs import one_of_them
from services.ledger.domain.presence import Presence
from services.ledger.house import Ledger
from services.ledger.people.api import person_of
from services.ledger.presence import handlers as presence
from services.ledger.rounds.guests import details_of
from shared.access import LEADERS, Principal, Role
from shared.contracts.ledger import RegistrationAnswer
from shared.contracts.needs import NeedAnswer, PinNeed
from shared.contracts.presence import EndPresence, RegisterPresence
from shared.contracts.refusal import refusal
from shared.web import Somebody, body, http_meta, takes

PREFIX = "/api/ledger"
THERE: tuple[Role, ...] = (*LEADERS, "grid_worker")


def add_presence_routes(app: FastAPI, house: Ledger) -> None:
    """Put the routes of those inside a building on the application."""

    @app.get(f"{PREFIX}/buildings/{{community}}/{{building}}/inside", tags=["presence"])
    async def inside(who: Somebody, community: str, building: str) -> dict[str, Any]:
        """Who lives there, who is there besides, and what was pinned for them; ids only."""
        who.require(*THERE)
        known = await house.store.buildings.get(f"{community}/{building}")
        if known is None or not who.covers(community, known.grid):
            raise refusal("building", "unknown_building", "no building of this number is entered", status=404)
        store = house.store.presences
        living, present, needed = await asyncio.gather(
            store.living(community, building), store.present(community, building), store.needed(community, building)
        )
        return {
            "building": building,
            "grid": known.grid,
            "closed": known.closed,
            "residents": {"count": len(living), "ids": living},
            "present": {"count": len(present), "items": [_show(one) for one in present]},
            "needs": [
                {
                    "need_id": one.need_id,
                    "kind": one.told.kind,
                    "person_id": one.told.person_id,
                    "presence_id": one.told.presence_id,
                    "request_id": needs.request_id_of(one.need_id),
                }
                for one in needed
            ],
        }

    @app.post(
        f"{PREFIX}/presences",
        status_code=202,
        response_model=RegistrationAnswer,
        openapi_extra=takes(RegisterPresence),
        tags=["presence"],
    )
    async def register(who: Somebody, request: Request) -> RegistrationAnswer:
        """Somebody is here and does not live here."""
        who.require(*THERE)
        command = await body(request, RegisterPresence)
        building = await house.store.buildings.get(f"{command.community}/{command.building}")
        if building is None or not who.covers(command.community, building.grid):
            raise refusal("building", "unknown_building", "no building of this number is entered", status=404)
        return await presence.register(house, command, http_meta(request, RegisterPresence.wire, house.runtime.clock()))

    @app.get(f"{PREFIX}/presences/{{presence_id}}", tags=["presence"])
    async def one(who: Somebody, presence_id: str) -> dict[str, Any]:
        """Who it is, where, and where they live; the opening is noted. `details` are null once they were erased."""
        who.require(*THERE)
        known = await _seen(who, presence_id)
        await house.runtime.openings.note(
            who, f"presence:{presence_id}", "presence", community=known.community, grid=known.grid
        )
        details = (await details_of(house, [known])).get(presence_id)
        return {**_show(known), "details": None if details is None else details.model_dump()}

    @app.post(
        f"{PREFIX}/presences/{{presence_id}}/end",
        response_model=RegistrationAnswer,
        openapi_extra=takes(EndPresence),
        tags=["presence"],
    )
    async def end(who: Somebody, presence_id: str, request: Request) -> RegistrationAnswer:
        """They are not here any more."""
        who.require(*THERE)
        command = await body(request, EndPresence, presence_id=presence_id)
        await _seen(who, presence_id)
        return await presence.end(house, command, http_meta(request, EndPresence.wire, house.runtime.clock()))

    @app.post(
        f"{PREFIX}/needs", status_code=202, response_model=NeedAnswer, openapi_extra=takes(PinNeed), tags=["presence"]
    )
    async def pin(who: Somebody, request: Request) -> NeedAnswer:
        """Somebody who lives or is here needs something; it becomes a request."""
        who.require(*THERE)
        command = await body(request, PinNeed)
        one_of_them(command.presence_id, command.person_id)
        if command.presence_id is not None:
            await _seen(who, command.presence_id)
        else:
            await person_of(house, who, command.person_id or "", erased=True)
        return await presence.pin(house, command, http_meta(request, PinNeed.wire, house.runtime.clock()))

    async def _seen(who: Principal, presence_id: str) -> Presence:
        known = await house.store.presences.all.get(presence_id)
        building = known and await house.store.buildings.get(f"{known.community}/{known.building}")
        # Of the grid to which the building belongs by now.
        if known is None or not who.covers(known.community, building.grid if building else known.grid):
            raise refusal("presence_id", "unknown_presence", "nobody of this id is here", status=404)
        return known


def _show(known: Presence) -> dict[str, Any]:
    return known.model_dump(exclude={"sealed", "fingerprint", "lookups"})
