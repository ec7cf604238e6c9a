"""HTTP in: the residents' council, and what became of its topics."""

from typing import Any

from fastapi import FastAPI, Request

from services.ledger.cases import council
from services.ledger.cases.api import knows, show
from services.ledger.domain.council import SOURCE, within
from services.ledger.house import Ledger
from shared.access import STAFF
from shared.contracts.council import CouncilAnswer, RecordCouncil
from shared.contracts.refusal import refusal
from shared.web import Somebody, body, http_meta, takes

PREFIX = "/api/ledger"


def add_council_routes(app: FastAPI, house: Ledger) -> None:
    """Put the routes of the council on the application."""

    @app.post(
        f"{PREFIX}/councils",
        status_code=202,
        response_model=CouncilAnswer,
        openapi_extra=takes(RecordCouncil),
        tags=["cases"],
    )
    async def record(who: Somebody, request: Request) -> CouncilAnswer:
        """What was raised in one meeting: each topic is a case with an owner, and owed an answer."""
        who.require("operator", "coordinator", "grid_worker")
        command = await body(request, RecordCouncil)
        if who.community not in (None, command.community):
            raise refusal("community", "forbidden", f"{command.community} is not within this token's place", status=403)
        return await council.record(house, command, http_meta(request, RecordCouncil.wire, house.runtime.clock()))

    @app.get(f"{PREFIX}/councils/{{community}}/{{council_id}}", tags=["cases"])
    async def topics(who: Somebody, community: str, council_id: str) -> dict[str, Any]:
        """The cases of one meeting that somebody may know of, without their texts: who answers, until when, whether."""
        who.require(*STAFF)
        first = within(community, council_id)
        found = [one for one in await house.store.cases.of_source(SOURCE, first) if knows(who, one)]
        items = [{"topic_id": (one.topic or "").rpartition("/")[2], **show(one)} for one in found]
        return {"items": items, "next": None}
