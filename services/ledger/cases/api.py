"""HTTP in: cases, for those who answer for them, who lead, or who take part."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request

from services.ledger.cases import handlers as cases
from services.ledger.domain.cases import Case, Step
from services.ledger.domain.gates import Agreement
from services.ledger.gates import handlers as gates
from services.ledger.house import Ledger
from services.ledger.people.api import known_as
from shared.access import PARTIES, STAFF, Principal
from shared.contracts.cases import (
    AddStep,
    AnswerCase,
    AssignCase,
    CaseAnswer,
    CaseCommand,
    CaseDetails,
    CaseState,
    CloseCase,
    DoneStep,
    OpenCase,
    ReopenCase,
)
from shared.contracts.refusal import refusal
from shared.documents import Document
from shared.pages import decode_cursor, page
from shared.sealing import Sealer
from shared.web import After, Limit, Somebody, body, http_meta, takes

PREFIX = "/api/ledger"
Name = Annotated[str | None, Query(max_length=128)]
IsOpen = Annotated[bool | None, Query(alias="open")]
VERBS: dict[str, tuple[type[CaseCommand], Any]] = {
    "assign": (AssignCase, cases.assign),
    "step": (AddStep, cases.add_step),
    "done": (DoneStep, cases.done_step),
    "answer": (AnswerCase, cases.answer),
    "close": (CloseCase, cases.close),
    "reopen": (ReopenCase, cases.reopen),
}
Verb = Literal["assign", "step", "done", "answer", "close", "reopen"]
_SEALED = {"sealed", "fingerprint", "topic"}


def add_case_routes(app: FastAPI, house: Ledger) -> None:
    """Put the routes of cases on the application."""

    @app.post(
        f"{PREFIX}/cases", status_code=202, response_model=CaseAnswer, openapi_extra=takes(OpenCase), tags=["cases"]
    )
    async def open_case(who: Somebody, request: Request) -> CaseAnswer:
        """Somebody answers for something from now on. A topic that was opened before is the case that it was then."""
        who.require("operator", "coordinator", "grid_worker")
        command = await body(request, OpenCase)
        if who.community not in (None, command.community):
            raise refusal("community", "forbidden", f"{command.community} is not within this token's place", status=403)
        return await cases.open_case(house, command, http_meta(request, OpenCase.wire, house.runtime.clock()))

    @app.get(f"{PREFIX}/cases", tags=["cases"])
    async def list_cases(
        who: Somebody,
        limit: Limit = 50,
        after: After = None,
        owner: Name = None,
        kind: Name = None,
        is_open: IsOpen = None,
        person_id: Name = None,
        building: Name = None,
    ) -> dict[str, Any]:
        """Cases within the token's place, newest first, without their texts.

        Partners see those that they answer for or take part in.
        """
        who.require(*STAFF)
        place = decode_cursor(after, (datetime, str))
        state: CaseState | None = None if is_open is None else "open" if is_open else "closed"
        found = await house.store.cases.page(
            limit=limit + 1,
            after=(place[0], place[1]) if place else None,
            **{"owner": owner, **part_of(who, owner)},
            kind=kind,
            state=state,
            person=await known_as(house, person_id),
            building=building,
        )
        return page(found, limit, _place_of, lambda one: show(house.store.cases.all.state(one)))

    @app.get(f"{PREFIX}/cases/{{case_id}}", tags=["cases"])
    async def one_case(who: Somebody, case_id: str) -> dict[str, Any]:
        """One case. Its texts are opened for who answers for it and who leads, and a party's steps for the party.

        The opening is noted. `agreements` say how many checks at a gate belong to them.
        """
        who.require(*STAFF)
        case = await seen(house, who, case_id)
        agreements = await house.store.cases.agreements_of(case_id)
        counts = await house.store.cases.counts([one.agreement_id for one in agreements]) if agreements else {}
        opens = _answers_for(who, case)
        name = who.worker or who.name
        if opens or any(one.who == name for one in case.steps):
            await house.runtime.openings.note(who, f"case:{case_id}", "cases", community=case.community, grid=case.grid)
        shown = show(case)
        sealer = await cases.sealer_of(house, case)
        if opens:
            shown |= _details(sealer, case)
        shown["steps"] = [_step(sealer, case, one, opens or one.who == name) for one in case.steps]
        partners = await gates.partners_of(house, agreements) if opens else {}
        shown["agreements"] = [_agreement(one, counts.get(one.agreement_id), partners) for one in agreements]
        return shown

    @app.post(
        f"{PREFIX}/cases/{{case_id}}/{{verb}}",
        response_model=CaseAnswer,
        openapi_extra=takes(CaseCommand),
        tags=["cases"],
    )
    async def act(who: Somebody, case_id: str, verb: Verb, request: Request) -> CaseAnswer:
        """What is done with a case, by who answers for it and who leads; a party says when its own step is done."""
        who.require(*STAFF)
        contract, handler = VERBS[verb]
        given = {"case_id": case_id, **({} if who.leads() else {"worker": who.worker or who.name})}
        command = await body(request, contract, **given)
        case = await seen(house, who, case_id)
        if not _may(who, case, command):
            raise refusal("authorization", "forbidden", f"{case.owner} answers for it", status=403)
        command = command.model_copy(update={"worker": command.worker or who.worker or who.name})
        answer: CaseAnswer = await handler(house, command, http_meta(request, contract.wire, house.runtime.clock()))
        return answer


async def seen(house: Ledger, who: Principal, case_id: str) -> Case:
    """A case that somebody may know of; to others it is as if there were none.

    Raises:
        Refusal: 404.
    """
    case = await house.store.cases.all.get(case_id)
    if case is None or not knows(who, case):
        raise refusal("case_id", "unknown_case", "there is no case of this id", status=404)
    return case


def knows(who: Principal, case: Case) -> bool:
    name = who.worker or who.name
    if name in (case.owner, *case.parties):
        return who.community in (None, case.community)
    return (who.leads() or who.role == "grid_worker") and who.covers(case.community, case.grid)


def _answers_for(who: Principal, case: Case) -> bool:
    return who.leads() or (who.worker or who.name) == case.owner


def _may(who: Principal, case: Case, command: CaseCommand) -> bool:
    if _answers_for(who, case):
        return True
    name = who.worker or who.name
    mine = {one.step_id for one in case.steps if one.who == name}
    return isinstance(command, DoneStep) and command.step_id in mine


def part_of(who: Principal, owner: str | None) -> dict[str, Any]:
    """Which cases a token sees: whose it is to see the place, those of the place; else those that are his."""
    name = who.worker or who.name
    if who.role in PARTIES:
        return {"community": who.community, "grids": (), "party": name}
    if who.role == "volunteer" or owner == name:
        return {"community": who.community, "grids": (), "owner": name}
    return {"community": who.community, "grids": who.grids}


def show(case: Case) -> dict[str, Any]:
    shown = case.model_dump(exclude={*_SEALED, "said", "steps", "due_at"})
    steps = [one.model_dump(exclude={"sealed", "fingerprint"}) for one in case.steps]
    return {**shown, "next_due": case.due_at, "steps": steps}


async def opened(house: Ledger, case: Case) -> dict[str, Any]:
    """The whole of a case, with its texts."""
    sealer = await cases.sealer_of(house, case)
    return {**show(case), **_details(sealer, case), "steps": [_step(sealer, case, one, True) for one in case.steps]}


def _details(sealer: Sealer, case: Case) -> dict[str, Any]:
    """Its texts; None instead of each that was erased."""
    context = cases.context_of(case.case_id)
    opened = sealer.left(case.sealed, context)
    details = None if opened is None else CaseDetails.model_validate_json(opened, extra="ignore").model_dump()
    said = [{**one.model_dump(exclude={"sealed"}), "text": sealer.left(one.sealed, context)} for one in case.said]
    return {"details": details, "said": said}


def _step(sealer: Sealer, case: Case, step: Step, opens: bool) -> dict[str, Any]:
    shown = step.model_dump(exclude={"sealed", "fingerprint"})
    return {**shown, "text": sealer.left(step.sealed, cases.context_of(case.case_id))} if opens else shown


def _agreement(known: Agreement, counted: Document | None, partners: Mapping[str, str | None]) -> dict[str, Any]:
    shown = known.model_dump(exclude={"sealed", "fingerprint", "owner", "kind"})
    shown |= counted or {"checks": 0, "stops": 0, "fevers": 0}
    return {**shown, "partner": partners[known.agreement_id]} if known.agreement_id in partners else shown


def _place_of(document: Document) -> tuple[datetime, str]:
    return document["state"]["opened_at"], document["_id"]
