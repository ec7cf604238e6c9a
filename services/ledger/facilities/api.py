"""HTTP in: what stands in a community, and who answers for it."""

from typing import Any

from fastapi import FastAPI, Request

from services.ledger.api import PREFIX, Name, within
from services.ledger.facilities import handlers as facilities
from services.ledger.house import Ledger
from shared.access import LEADERS, STAFF
from shared.contracts.facilities import RegisterFacility
from shared.contracts.ledger import RegistrationAnswer
from shared.pages import decode_cursor, page
from shared.web import After, Limit, Somebody, body, http_meta, takes


def add_facility_routes(app: FastAPI, house: Ledger) -> None:
    """Put the routes of facilities on the application."""

    @app.post(
        f"{PREFIX}/facilities",
        status_code=202,
        response_model=RegistrationAnswer,
        openapi_extra=takes(RegisterFacility),
        tags=["facilities"],
    )
    async def register(who: Somebody, request: Request) -> RegistrationAnswer:
        """Enter what stands here; told again, all of it is as it is told now."""
        who.require(*LEADERS)
        command = await body(request, RegisterFacility)
        within(who, command.community)
        return await facilities.register(
            house, command, http_meta(request, RegisterFacility.wire, house.runtime.clock())
        )

    @app.get(f"{PREFIX}/facilities", tags=["facilities"])
    async def listed(
        who: Somebody,
        limit: Limit = 50,
        after: After = None,
        community: Name = None,
        kind: Name = None,
        building: Name = None,
    ) -> dict[str, Any]:
        """What stands in the token's community, by id; what was taken away says since when (`until`)."""
        who.require(*STAFF)
        place = decode_cursor(after, (str,))
        found = await house.store.facilities.page(
            who.community or community, limit + 1, place[0] if place else "", kind=kind, building=building
        )
        return page(found, limit, lambda one: (one["_id"],), lambda one: one["state"])
