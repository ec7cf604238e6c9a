"""HTTP in: for residents, other systems, staff."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import FastAPI, Header, Query, Request

from services.intake import handlers
from services.intake.domain import request as rules
from services.intake.handlers import Intake
from shared.access import INSIDERS, LEADERS, PARTIES, Principal
from shared.contracts import EVENTS
from shared.contracts.intake import AmendRequest, CancelRequest, RequestAnswer, SubmitRequest
from shared.contracts.refusal import refusal
from shared.documents import Document
from shared.identity import derived_id
from shared.pages import decode_cursor, page
from shared.web import After, Anybody, JSONResponse, Limit, Somebody, body, http_meta, takes

PREFIX = "/api/intake"
Tracking = Annotated[str | None, Header(alias="X-Tracking-Code", max_length=32)]


def add_routes(app: FastAPI, house: Intake) -> None:
    """Put intake's routes on the application."""

    @app.post(
        f"{PREFIX}/requests",
        status_code=202,
        response_model=RequestAnswer,
        openapi_extra=takes(SubmitRequest),
        tags=["requests"],
    )
    async def submit(
        who: Anybody, request: Request, idempotency_key: Annotated[str | None, Header(max_length=128)] = None
    ) -> JSONResponse:
        """A need. Without a token only what comes from the form (`source` = `form`)."""
        command = await body(request, SubmitRequest)
        if who is None and command.source != "form":
            raise refusal("source", "token_required", "without a token only `form` may submit", status=401)
        name = who.name if who else "form"
        if idempotency_key is not None:
            await _same_request(house, f"{name}\x1f{idempotency_key}", handlers.request_id_of(command))
        answer = await handlers.submit(
            house, command, http_meta(request, SubmitRequest.wire, house.runtime.clock()), by=name
        )
        return JSONResponse(answer, 202, {"Location": f"{PREFIX}/requests/{answer.request_id}"})

    @app.get(f"{PREFIX}/requests", tags=["requests"])
    async def requests(
        who: Somebody,
        limit: Limit = 50,
        after: After = None,
        community: Annotated[str | None, Query(max_length=32)] = None,
        grid: Annotated[str | None, Query(max_length=32)] = None,
        needs_review: bool = False,
    ) -> dict[str, Any]:
        """Requests within the token's place, newest first."""
        who.require(*INSIDERS)
        place = decode_cursor(after, (datetime, str))
        found = await house.store.page(
            community=who.community or community,
            grids=_grids(who, grid),
            needs_review=needs_review,
            limit=limit + 1,
            after=(place[0], place[1]) if place else None,
        )
        return page(found, limit, lambda one: (one["state"]["created_at"], one["_id"]), _show)

    @app.get(f"{PREFIX}/requests/{{request_id}}", tags=["requests"])
    async def one_request(who: Anybody, request_id: str, code: Tracking = None) -> dict[str, Any]:
        """State and history of one request: for staff of its place, its sender, or who has its tracking code."""
        document = await house.store.requests.collection.get(request_id)
        request = rules.known(house.store.requests.state(document) if document else None)
        _may_see(who, request, code)
        shown = _state_and_history(request, document or {})
        if who is None or who.role == "source":
            # Who asked for help tells it at the door; staff must hear it there.
            shown["door_code"] = house.runtime.lookup.door_code(request_id)
        return shown

    @app.post(
        f"{PREFIX}/requests/{{request_id}}/cancel",
        status_code=202,
        response_model=RequestAnswer,
        openapi_extra=takes(CancelRequest),
        tags=["requests"],
    )
    async def cancel(who: Anybody, request_id: str, request: Request, code: Tracking = None) -> RequestAnswer:
        """The need is gone."""
        _may_see(who, rules.known(await house.store.requests.get(request_id)), code)
        command = await body(request, CancelRequest, request_id=request_id)
        return await handlers.cancel(house, command, http_meta(request, CancelRequest.wire, house.runtime.clock()))

    @app.patch(
        f"{PREFIX}/requests/{{request_id}}",
        status_code=202,
        response_model=RequestAnswer,
        openapi_extra=takes(AmendRequest),
        tags=["requests"],
    )
    async def amend(who: Somebody, request_id: str, request: Request) -> RequestAnswer:
        """The need changed."""
        _may_see(who, rules.known(await house.store.requests.get(request_id)), None)
        command = await body(request, AmendRequest, request_id=request_id)
        return await handlers.amend(house, command, http_meta(request, AmendRequest.wire, house.runtime.clock()))

    @app.get(f"{PREFIX}/reconciliation", tags=["operation"])
    async def reconciliation(who: Somebody, limit: Limit = 500, after: After = None) -> dict[str, Any]:
        """Every request by id, with its state and the events that it raised; `doorstep verify` compares."""
        who.require("operator")
        place = decode_cursor(after, (str,))
        found = await house.store.reconciliation(place[0] if place else "", limit + 1)
        return page(found, limit, lambda one: (one["_id"],), _reconciled)


async def _same_request(house: Intake, key: str, request_id: str) -> None:
    """Raises:
    Refusal: the idempotency key stands for another request.
    """
    known = await house.store.request_of_key(derived_id("idempotency key", key), request_id)
    if known != request_id:
        raise refusal("Idempotency-Key", "key_used", "this key was used for another request; take a new one")


def _may_see(who: Principal | None, request: rules.Request, code: str | None) -> None:
    """Raises:
    Refusal: as if there were none, so that ids cannot be tried out.
    """
    facts = request.facts
    if who is None:
        allowed = code is not None and code == request.tracking_code
    elif who.role == "source":
        allowed = request.submitted_by in (who.name, "amqp")
    elif who.role in PARTIES:
        # What is theirs they see in dispatch.
        allowed = False
    else:
        needs_review = bool(facts and facts.needs_review) and who.role in LEADERS
        allowed = facts is not None and (who.covers(facts.community, facts.grid) or needs_review)
    if not allowed:
        raise refusal("request_id", "unknown_request", "there is no request of this id", status=404)


def _grids(who: Principal, grid: str | None) -> tuple[str, ...]:
    if grid is None:
        return who.grids
    if who.grids and grid not in who.grids:
        raise refusal("grid", "forbidden", f"grid {grid} is not within this token's place", status=403)
    return (grid,)


def _show(document: Document) -> dict[str, Any]:
    state = document["state"]
    facts = {name: value for name, value in state["facts"].items() if name not in ("sealed", "stairwell", "household")}
    return {
        "id": document["_id"],
        "state": state["state"],
        "source": state["source"],
        "created_at": state["created_at"],
        **facts,
    }


def _state_and_history(request: rules.Request, document: Document) -> dict[str, Any]:
    own = [(one["at"], EVENTS[one["type"]].__name__) for one in document["history"]]
    heard = [(one.at, one.event) for one in request.observed]
    history = sorted([*own, *heard], key=lambda one: one[0])
    return {
        "id": request.request_id,
        "state": request.state,
        "history": [{"event": event, "at": at} for at, event in history],
    }


def _reconciled(document: Document) -> dict[str, Any]:
    return {
        "request_id": document["_id"],
        "state": document["state"]["state"],
        "known": "facts" in document["state"] and document["state"]["facts"] is not None,
        "events": [{"id": one["id"], "type": one["type"]} for one in document["history"]],
        "unsent": len(document["unsent"]),
    }
