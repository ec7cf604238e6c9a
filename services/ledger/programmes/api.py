"""HTTP in: everybody of a category, a list, a building or a grid is looked after."""

from typing import Any

from fastapi import FastAPI, Request

from services.ledger.api import PREFIX, within
from services.ledger.house import Ledger
from services.ledger.programmes import handlers as programmes
from shared.access import LEADERS
from shared.contracts.programmes import BeginProgramme, EndProgramme, ProgrammeAnswer
from shared.contracts.refusal import refusal
from shared.pages import decode_cursor, page
from shared.web import After, Limit, Somebody, body, http_meta, takes


def add_programme_routes(app: FastAPI, house: Ledger) -> None:
    """Put the routes of programmes on the application."""

    @app.post(
        f"{PREFIX}/programmes",
        status_code=202,
        response_model=ProgrammeAnswer,
        openapi_extra=takes(BeginProgramme),
        tags=["follow-ups"],
    )
    async def begin(who: Somebody, request: Request) -> ProgrammeAnswer:
        """Look after everybody who is all of these, at these times."""
        who.require(*LEADERS)
        command = await body(request, BeginProgramme)
        within(who, command.community)
        return await programmes.begin(house, command, http_meta(request, BeginProgramme.wire, house.runtime.clock()))

    @app.get(f"{PREFIX}/programmes", tags=["follow-ups"])
    async def all_of_them(who: Somebody, limit: Limit = 50, after: After = None) -> dict[str, Any]:
        """Programmes, by id."""
        who.require(*LEADERS)
        place = decode_cursor(after, (str,))
        found = await house.store.programmes.page(who.community, who.grids, limit + 1, place[0] if place else "")
        return page(found, limit, lambda one: (one["_id"],), lambda one: one["state"])

    @app.post(
        f"{PREFIX}/programmes/{{programme_id}}/end",
        response_model=ProgrammeAnswer,
        openapi_extra=takes(EndProgramme),
        tags=["follow-ups"],
    )
    async def end(who: Somebody, programme_id: str, request: Request) -> ProgrammeAnswer:
        """Look after them no more; what is due already goes on."""
        who.require(*LEADERS)
        command = await body(request, EndProgramme, programme_id=programme_id)
        known = await house.store.programmes.all.get(programme_id)
        if known is None or not who.covers(known.community, known.everybody.grid):
            raise refusal("programme_id", "unknown_programme", "there is no programme of this id", status=404)
        return await programmes.end(house, command, http_meta(request, EndProgramme.wire, house.runtime.clock()))
