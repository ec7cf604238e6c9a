"""HTTP in: who is looked after when, what is due, how it went."""

import asyncio
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request

from services.ledger.domain.follow_ups import FollowUp
from services.ledger.follow_ups import handlers as follow_ups
from services.ledger.house import Ledger, midnight
from services.ledger.people.api import known_as, person_of
from shared.access import INSIDERS, LEADERS, Principal
from shared.contracts.envelope import Day
from shared.contracts.follow_ups import EndPlan, FollowUpAnswer, FollowUpState, PlanFollowUps, RecordFollowUp
from shared.contracts.refusal import refusal
from shared.documents import Document
from shared.pages import decode_cursor, page
from shared.web import After, Limit, Somebody, body, http_meta, takes

PREFIX = "/api/ledger"
Since = Annotated[Day | None, Query(description="Due on this day or later, where the community is.")]
Until = Annotated[Day | None, Query(description="Due on this day or earlier.")]


def add_follow_up_routes(app: FastAPI, house: Ledger) -> None:
    """Put the routes of follow-ups on the application."""

    @app.post(
        f"{PREFIX}/people/{{person_id}}/plans",
        status_code=202,
        response_model=FollowUpAnswer,
        openapi_extra=takes(PlanFollowUps),
        tags=["follow-ups"],
    )
    async def plan(who: Somebody, person_id: str, request: Request) -> FollowUpAnswer:
        """Look after somebody at these times: called, visited, measured."""
        who.require(*LEADERS)
        command = await body(request, PlanFollowUps, person_id=person_id)
        await person_of(house, who, person_id, erased=True)
        meta = http_meta(request, PlanFollowUps.wire, house.runtime.clock())
        return await follow_ups.look_after(house, command, meta)

    @app.get(f"{PREFIX}/people/{{person_id}}/plans", tags=["follow-ups"])
    async def plans(who: Somebody, person_id: str, limit: Limit = 50, after: After = None) -> dict[str, Any]:
        """By what somebody is looked after, and was, when it is `ended`; `next_at` is when it is next time."""
        who.require(*LEADERS, "grid_worker")
        known = await person_of(house, who, person_id, erased=True)
        place = decode_cursor(after, (str,))
        ids = await house.store.register.ids_of(known.facts.person_id)
        found = await house.store.plans_page(ids, limit + 1, place[0] if place else None)
        return page(found, limit, lambda one: [one["_id"]], lambda one: house.store.plans.state(one).model_dump())

    @app.post(
        f"{PREFIX}/plans/{{plan_id}}/end",
        response_model=FollowUpAnswer,
        openapi_extra=takes(EndPlan),
        tags=["follow-ups"],
    )
    async def end(who: Somebody, plan_id: str, request: Request) -> FollowUpAnswer:
        """Look after somebody no more by this plan."""
        who.require(*LEADERS)
        command = await body(request, EndPlan, plan_id=plan_id)
        known = await house.store.plans.get(plan_id)
        if known is None or not who.covers(known.community, known.grid):
            raise refusal("plan_id", "unknown_plan", "there is no plan of this id", status=404)
        return await follow_ups.end(house, command, http_meta(request, EndPlan.wire, house.runtime.clock()))

    @app.get(f"{PREFIX}/follow-ups", tags=["follow-ups"])
    async def due(
        who: Somebody,
        limit: Limit = 50,
        after: After = None,
        state: FollowUpState = "due",
        person_id: str | None = None,
        since: Since = None,
        until: Until = None,
    ) -> dict[str, Any]:
        """Follow-ups within the token's place, those that were due first before the others. No personal data."""
        who.require(*INSIDERS)
        place = decode_cursor(after, (datetime, str))
        found = await house.store.follow_ups_page(
            community=who.community,
            grids=who.grids,
            state=state,
            person=await known_as(house, person_id),
            since=midnight(house, since) if since else None,
            until=midnight(house, until + timedelta(days=1)) if until else None,
            limit=limit + 1,
            after=(place[0], place[1]) if place else None,
        )
        return page(found, limit, _place_of, lambda one: _show(house, house.store.follow_ups.state(one)))

    @app.get(f"{PREFIX}/follow-ups/{{follow_up_id}}", tags=["follow-ups"])
    async def one(who: Somebody, follow_up_id: str) -> dict[str, Any]:
        """One follow-up, whom to call or to see, whom of the family, and what was measured and heard; noted."""
        who.require(*LEADERS, "grid_worker")
        known = await _known(house, who, follow_up_id)
        await house.runtime.openings.note(
            who, f"follow-up:{follow_up_id}", "follow-up", community=known.community, grid=known.grid
        )
        said, whom = await asyncio.gather(follow_ups.records_of(house, known), follow_ups.whom(house, known))
        return {**_show(house, known), "whom": whom, "records": said}

    @app.post(
        f"{PREFIX}/follow-ups/{{follow_up_id}}/record",
        response_model=FollowUpAnswer,
        openapi_extra=takes(RecordFollowUp),
        tags=["follow-ups"],
    )
    async def record(who: Somebody, follow_up_id: str, request: Request) -> FollowUpAnswer:
        """How it went; `need` becomes a request. Who was not reached is tried again, with more weight."""
        who.require(*INSIDERS)
        himself = who.worker or who.name
        # Whoever leads may record for others; everybody else speaks for himself.
        given = {"follow_up_id": follow_up_id, **({} if who.leads() else {"worker": himself})}
        command = await body(request, RecordFollowUp, **given)
        # Somebody answers for a fever, also where nobody coordinates.
        command = command.model_copy(update={"worker": command.worker or himself})
        await _known(house, who, follow_up_id)
        return await follow_ups.record(house, command, http_meta(request, RecordFollowUp.wire, house.runtime.clock()))


async def _known(house: Ledger, who: Principal, follow_up_id: str) -> FollowUp:
    known = await house.store.follow_ups.get(follow_up_id)
    if known is None or not who.covers(known.community, known.grid):
        raise refusal("follow_up_id", "unknown_follow_up", "there is no follow-up of this id", status=404)
    return known


def _place_of(document: Document) -> tuple[datetime, str]:
    return document["state"]["at"], document["_id"]


def _show(house: Ledger, known: FollowUp) -> dict[str, Any]:
    shown = known.model_dump(exclude={"step", "waits", "records"})
    return {**shown, "how": known.rung(house.rules, known.step).how, "waits": known.waits}
