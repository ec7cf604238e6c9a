"""HTTP in: what outsiders agreed to, and who came through a gate."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request

from services.ledger.cases.api import seen
from services.ledger.domain.gates import Agreement, Check
from services.ledger.gates import handlers as gates
from services.ledger.house import Ledger, today
from shared.access import LEADERS, Role
from shared.contracts.envelope import Day
from shared.contracts.gates import (
    AgreementAnswer,
    EndAgreement,
    GateCheckAnswer,
    RecordAgreement,
    RecordGateCheck,
)
from shared.contracts.refusal import refusal
from shared.documents import Document
from shared.pages import decode_cursor, page
from shared.web import After, Limit, Somebody, body, http_meta, takes

PREFIX = "/api/ledger"
GATE: tuple[Role, ...] = ("operator", "coordinator", "grid_worker", "volunteer")
"""Who stands at a gate, and who leads them."""
Name = Annotated[str | None, Query(max_length=128)]
OnDay = Annotated[Day | None, Query()]


def add_gate_routes(app: FastAPI, house: Ledger) -> None:
    """Put the routes of agreements and gate checks on the application."""

    @app.post(
        f"{PREFIX}/cases/{{case_id}}/agreements",
        status_code=202,
        response_model=AgreementAnswer,
        openapi_extra=takes(RecordAgreement),
        tags=["cases"],
    )
    async def record(who: Somebody, case_id: str, request: Request) -> AgreementAnswer:
        """What an outsider agreed to: places, times, from when until when."""
        who.require(*LEADERS)
        command = await body(request, RecordAgreement, case_id=case_id)
        await seen(house, who, case_id)
        return await gates.record(house, command, http_meta(request, RecordAgreement.wire, house.runtime.clock()))

    @app.get(f"{PREFIX}/agreements", tags=["cases"])
    async def in_force(who: Somebody, limit: Limit = 50, after: After = None, on: OnDay = None) -> dict[str, Any]:
        """What outsiders agreed to that applies on a day, today if none is told: whom to expect where and when."""
        who.require(*GATE)
        day = (on or today(house)).isoformat()
        place = decode_cursor(after, (str,))
        found = await house.store.cases.in_force(who.community, day, limit + 1, place[0] if place else "")
        if found:
            await house.runtime.openings.note(who, f"agreements:{day}", "gate", community=who.community)
        known = {one["_id"]: house.store.cases.agreements.state(one) for one in found}
        partners = await gates.partners_of(house, list(known.values()))
        return page(
            found,
            limit,
            lambda one: (one["_id"],),
            lambda one: {**_agreement(known[one["_id"]]), "partner": partners[one["_id"]]},
        )

    @app.post(
        f"{PREFIX}/agreements/{{agreement_id}}/end",
        response_model=AgreementAnswer,
        openapi_extra=takes(EndAgreement),
        tags=["cases"],
    )
    async def end(who: Somebody, agreement_id: str, request: Request) -> AgreementAnswer:
        """It applies no more. One that is past its last day need not be ended."""
        who.require(*LEADERS)
        command = await body(request, EndAgreement, agreement_id=agreement_id)
        known = await house.store.cases.agreements.get(agreement_id)
        if known is None or not who.covers(known.community, known.grid):
            raise refusal("agreement_id", "unknown_agreement", "there is no agreement of this id", status=404)
        return await gates.end(house, command, http_meta(request, EndAgreement.wire, house.runtime.clock()))

    @app.post(
        f"{PREFIX}/gate-checks",
        status_code=202,
        response_model=GateCheckAnswer,
        openapi_extra=takes(RecordGateCheck),
        tags=["cases"],
    )
    async def check(who: Somebody, request: Request) -> GateCheckAnswer:
        """Somebody came through a gate: temperature, pass, and the agreed stop that it belongs to, if any."""
        who.require(*GATE)
        name = who.worker or who.name
        command = await body(request, RecordGateCheck, **({} if who.leads() else {"worker": name}))
        if who.community not in (None, command.community):
            raise refusal("community", "forbidden", f"{command.community} is not within this token's place", status=403)
        command = command.model_copy(update={"worker": command.worker or name})
        return await gates.check(house, command, http_meta(request, RecordGateCheck.wire, house.runtime.clock()))

    @app.get(f"{PREFIX}/gate-checks", tags=["cases"])
    async def checks(
        who: Somebody, limit: Limit = 50, after: After = None, agreement_id: Name = None, case_id: Name = None
    ) -> dict[str, Any]:
        """Checks at gates within the token's place, newest first; vehicle and person are not opened."""
        who.require(*GATE)
        place = decode_cursor(after, (datetime, str))
        found = await house.store.cases.checks_page(
            community=who.community,
            grids=who.grids,
            limit=limit + 1,
            after=(place[0], place[1]) if place else None,
            agreement_id=agreement_id,
            case_id=case_id,
        )
        return page(found, limit, _place_of, lambda one: _show(house.store.cases.checks.state(one)))


def _agreement(known: Agreement) -> dict[str, Any]:
    return known.model_dump(exclude={"sealed", "fingerprint", "owner", "ended_at"})


def _show(known: Check) -> dict[str, Any]:
    return known.model_dump(exclude={"sealed", "fingerprint"})


def _place_of(document: Document) -> tuple[datetime, str]:
    return document["state"]["at"], document["_id"]
