"""HTTP in: who is observed at home."""

from typing import Annotated, Any

from fastapi import FastAPI, Query, Request

from services.ledger.domain.observation import Observation
from services.ledger.house import Ledger
from services.ledger.observation import handlers as observation
from services.ledger.people.api import known_as, person_of
from shared.access import LEADERS, Role
from shared.contracts.observation import (
    ObservationAnswer,
    ObservationState,
    ReleaseObservation,
    StartObservation,
)
from shared.contracts.refusal import refusal
from shared.documents import Document
from shared.pages import decode_cursor, page
from shared.web import After, Limit, Somebody, body, http_meta, takes

PREFIX = "/api/ledger"
READERS: tuple[Role, ...] = (*LEADERS, "grid_worker")
Name = Annotated[str | None, Query(max_length=128)]


def add_observation_routes(app: FastAPI, house: Ledger) -> None:
    """Put the routes of observation on the application."""

    @app.post(
        f"{PREFIX}/people/{{person_id}}/observation",
        status_code=202,
        response_model=ObservationAnswer,
        openapi_extra=takes(StartObservation),
        tags=["observation"],
    )
    async def start(who: Somebody, person_id: str, request: Request) -> ObservationAnswer:
        """Somebody stays at home; who does already is put on the other list, too, and stays one person."""
        who.require(*LEADERS)
        command = await body(request, StartObservation, person_id=person_id)
        await person_of(house, who, person_id, erased=True)
        return await observation.start(house, command, http_meta(request, StartObservation.wire, house.runtime.clock()))

    @app.post(
        f"{PREFIX}/observation/{{observation_id}}/release",
        response_model=ObservationAnswer,
        openapi_extra=takes(ReleaseObservation),
        tags=["observation"],
    )
    async def release(who: Somebody, observation_id: str, request: Request) -> ObservationAnswer:
        """They need not stay at home any more: at once, or from a day on."""
        who.require(*LEADERS)
        command = await body(request, ReleaseObservation, observation_id=observation_id)
        known = await house.store.observations.told(observation_id)
        if known is None or not who.covers(known.community, known.grid):
            raise refusal("observation_id", "unknown_observation", "there is no observation of this id", status=404)
        return await observation.release(
            house, command, http_meta(request, ReleaseObservation.wire, house.runtime.clock())
        )

    @app.get(f"{PREFIX}/observation", tags=["observation"])
    async def list_observations(
        who: Somebody,
        limit: Limit = 50,
        after: After = None,
        state: ObservationState = "observed",
        building: Name = None,
        person_id: Name = None,
    ) -> dict[str, Any]:
        """Who is observed within the token's place, without personal data."""
        who.require(*READERS)
        place = decode_cursor(after, (str, str))
        found = await house.store.observations.page(
            community=who.community,
            grids=who.grids,
            limit=limit + 1,
            after=(place[0], place[1]) if place else None,
            state=state,
            building=building,
            person=await known_as(house, person_id),
        )
        return page(found, limit, _place_of, lambda one: _show(house.store.observations.all.state(one)))

    @app.get(f"{PREFIX}/observation/counts", tags=["observation"])
    async def counts(who: Somebody) -> dict[str, Any]:
        """How many are observed: each person once in `people`, and once on each list that names them."""
        who.require(*READERS)
        people, by_list = await house.store.observations.counts(who.community, who.grids)
        lists = {
            listing: {"total": sum(categories.values()), "categories": dict(sorted(categories.items()))}
            for listing, categories in sorted(by_list.items())
        }
        return {"people": people, "lists": lists}


def _show(known: Observation) -> dict[str, Any]:
    shown = known.model_dump(exclude={"under", "due_at", "entries", "zone", "household"})
    current = [
        one.model_dump(include={"listing", "category", "starts", "last_day"})
        for one in known.entries
        if not one.replaced
    ]
    case = observation.case_id(known.observation_id) if known.case else None
    return {**shown, "lists": current, "case": case, "until": known.due_at}


def _place_of(document: Document) -> tuple[str, str]:
    return document["state"]["starts"], document["_id"]
