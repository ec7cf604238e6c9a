"""HTTP in: what partners owe every day, for those who lead and for the partners themselves."""

from typing import Annotated, Any

from fastapi import FastAPI, Query, Request

from services.ledger.domain import evidence as rules
from services.ledger.domain.evidence import Day, Owing
from services.ledger.evidence import handlers as evidence
from services.ledger.house import Ledger
from shared.access import LEADERS, PARTIES, STAFF, Principal
from shared.contracts.evidence import EvidenceAnswer, ForgiveEvidence, OweEvidence, RecordEvidence
from shared.contracts.refusal import refusal
from shared.contracts.workers import LocalDay
from shared.documents import Document
from shared.pages import decode_cursor, page
from shared.web import After, Limit, Somebody, body, http_meta, takes

PREFIX = "/api/ledger"
Name = Annotated[str | None, Query(max_length=128)]


def add_evidence_routes(app: FastAPI, house: Ledger) -> None:
    """Put the routes of evidence on the application."""

    @app.post(
        f"{PREFIX}/evidence/owed",
        status_code=202,
        response_model=EvidenceAnswer,
        openapi_extra=takes(OweEvidence),
        tags=["evidence"],
    )
    async def owe(who: Somebody, request: Request) -> EvidenceAnswer:
        """A partner owes a report with pictures of each of these places, every day."""
        who.require(*LEADERS)
        command = await body(request, OweEvidence)
        if not who.covers(command.community, None):
            raise refusal("community", "forbidden", f"{command.community} is not within this token's place", status=403)
        return await evidence.owe(house, command, http_meta(request, OweEvidence.wire, house.runtime.clock()))

    @app.post(
        f"{PREFIX}/evidence/owed/{{owing_id}}/forgive",
        response_model=EvidenceAnswer,
        openapi_extra=takes(ForgiveEvidence),
        tags=["evidence"],
    )
    async def forgive(who: Somebody, owing_id: str, request: Request) -> EvidenceAnswer:
        """Nothing is owed any more from the next day on."""
        who.require(*LEADERS)
        command = await body(request, ForgiveEvidence, owing_id=owing_id)
        await _seen(who, owing_id)
        return await evidence.forgive(house, command, http_meta(request, ForgiveEvidence.wire, house.runtime.clock()))

    @app.post(
        f"{PREFIX}/evidence/owed/{{owing_id}}/reports",
        status_code=202,
        response_model=EvidenceAnswer,
        openapi_extra=takes(RecordEvidence),
        tags=["evidence"],
    )
    async def record(who: Somebody, owing_id: str, request: Request) -> EvidenceAnswer:
        """What was done at one place on one day, by the partner who owes it or by staff."""
        who.require(*STAFF)
        given = {"owing_id": owing_id, **({} if who.leads() else {"worker": who.worker or who.name})}
        command = await body(request, RecordEvidence, **given)
        await _seen(who, owing_id)
        command = command.model_copy(update={"worker": command.worker or who.worker or who.name})
        return await evidence.record(house, command, http_meta(request, RecordEvidence.wire, house.runtime.clock()))

    @app.get(f"{PREFIX}/evidence", tags=["evidence"])
    async def days(
        who: Somebody,
        limit: Limit = 50,
        after: After = None,
        owing_id: Name = None,
        partner: Name = None,
        day: LocalDay | None = None,
    ) -> dict[str, Any]:
        """What was owed day by day, the last first: reported, still missing, named. Partners see what is theirs."""
        who.require(*STAFF)
        place = decode_cursor(after, (str, str))
        found = await house.store.evidence.page(
            community=who.community,
            limit=limit + 1,
            after=(place[0], place[1]) if place else None,
            owing_id=owing_id,
            partner=(who.worker or who.name) if who.role in PARTIES else partner,
            day=day,
        )
        return page(found, limit, _place_of, lambda one: _show(house.store.evidence.days.state(one)))

    async def _seen(who: Principal, owing_id: str) -> Owing:
        owing = rules.existing(await house.store.evidence.owing.get(owing_id))
        theirs = who.role not in PARTIES or (who.worker or who.name) == owing.partner
        if not theirs or who.community not in (None, owing.community):
            raise refusal("owing_id", "unknown_owing", "nothing is owed under this id", status=404)
        return owing


def _show(known: Day) -> dict[str, Any]:
    reports = [one.model_dump(exclude={"pictures"}) | {"pictures": len(one.pictures)} for one in known.reports]
    shown = known.model_dump(exclude={"reports", "due_at", "places"})
    return {**shown, "places": len(known.places), "missing": known.missing(), "reports": reports}


def _place_of(document: Document) -> tuple[str, str]:
    return document["state"]["day"], document["_id"]
