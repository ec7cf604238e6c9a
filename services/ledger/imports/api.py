"""HTTP in and out: whole lists of people."""

from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from pydantic import BaseModel, Field, StringConstraints

from services.ledger.api import PREFIX, around, within
from services.ledger.domain.imports import Import
from services.ledger.files.export import of_people, sent
from services.ledger.files.receiving import received
from services.ledger.imports.importing import Importing, Order
from services.ledger.people.store import among
from shared.access import LEADERS, Principal
from shared.contracts.envelope import UNKNOWN
from shared.contracts.refusal import refusal
from shared.web import JSONResponse, Somebody

Slug = Annotated[str | None, Query(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
Purpose = Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, max_length=200)]
TAKES = {
    "requestBody": {
        "required": True,
        "description": "The file itself: CSV in any encoding, or a spreadsheet without macros; at most 32 MiB.",
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


class Asked(BaseModel):
    """Whom a list shall have, and what for."""

    purpose: Purpose
    community: Slug = None
    building: Annotated[str | None, StringConstraints(max_length=16)] = None
    category: Slug = None
    in_list: Annotated[Slug, Field(alias="list")] = None


def add_import_routes(app: FastAPI, importing: Importing) -> None:
    """Put the routes of imports on the application."""

    @app.post(f"{PREFIX}/people:import", openapi_extra=TAKES, tags=["lists"], response_model=None)
    async def take_in(
        who: Somebody,
        request: Request,
        community: Slug = None,
        mapping: Slug = "usual",
        source: Slug = "import",
        in_list: Annotated[Slug, Query(alias="list")] = None,
        category: Slug = None,
        dry_run: bool = False,
        skip_wrong: bool = False,
    ) -> Response:
        """Take a list in; with `dry_run`, say what would come of it. The same file again goes on where it was."""
        who.require(*LEADERS)
        place = community or who.community
        if place is None:
            raise refusal("community", "required", "say into which community")
        within(who, place)
        async with received(request, importing.house.files) as content:
            order = Order(
                community=place,
                content=content,
                mapping=mapping or "usual",
                source=source or "import",
                lists=(in_list,) if in_list else (),
                categories=(category,) if category else (),
                skip_wrong=skip_wrong,
                by=who.name,
            )
            if not dry_run:
                return JSONResponse(_show(await importing.take_in(order)), 202)
            reading, counts = await importing.try_out(order)
        problems = [one.model_dump() for one in reading.problems]
        told = {name: counts[name] for name in ("new", "changed", "same")}
        columns = {"columns_unknown": reading.unknown, "sheets_unread": reading.unread}
        return JSONResponse({"rows": reading.rows, **told, "wrong": reading.wrong, "problems": problems, **columns})

    @app.get(f"{PREFIX}/imports/{{import_id}}", tags=["lists"])
    async def progress(who: Somebody, import_id: str) -> dict[str, Any]:
        """How far a list is, and which of its rows were wrong."""
        who.require(*LEADERS)
        known = await importing.store.imports.get(import_id)
        if known is None or not who.covers(known.community, None):
            raise refusal("import_id", "unknown_import", "there is no import of this id", status=404)
        return _show(known)

    @app.get(f"{PREFIX}/people.csv", tags=["lists"], response_class=Response)
    async def comma_separated(who: Somebody, asked: Annotated[Asked, Query()]) -> Response:
        """All who are here, with everything; one opening is noted, with the purpose."""
        query = await _opened(who, asked)
        return sent(of_people(importing, query, "csv"), "csv", "people")

    @app.get(f"{PREFIX}/people.xlsx", tags=["lists"], response_class=Response)
    async def spreadsheet(who: Somebody, asked: Annotated[Asked, Query()]) -> Response:
        """The same as a spreadsheet."""
        query = await _opened(who, asked)
        return sent(of_people(importing, query, "xlsx"), "xlsx", "people")

    @app.get(f"{PREFIX}/people.html", tags=["lists"], response_class=Response)
    async def printable(who: Somebody, asked: Annotated[Asked, Query()]) -> Response:
        """What fits on paper of it, as a page to print, with a box to tick for each."""
        query = await _opened(who, asked)
        return sent(of_people(importing, query, "html"), "html", "people")

    async def _opened(who: Principal, asked: Asked) -> dict[str, Any]:
        who.require(*LEADERS)
        house = importing.house
        community = asked.community or who.community
        if community is not None:
            around(who, community)
        query = among(
            community=community,
            grids=who.grids,
            building=asked.building,
            category=asked.category,
            in_list=asked.in_list,
        )
        count = await house.store.register.count(query)
        record = f"people:{community or UNKNOWN}:{count}"
        await house.runtime.openings.note(who, record, asked.purpose, community=community)
        return query


def _show(known: Import) -> dict[str, Any]:
    shown = known.model_dump(exclude={"import_id", "open", "chunks", "done"})
    return {"id": known.import_id, "state": "under_way" if known.open else "completed", **shown}
