"""HTTP in: who helps, who is away, who covers."""

from typing import Any

from fastapi import FastAPI, Request

from services.dispatch.domain.roster import Worker
from services.dispatch.house import Dispatch
from services.dispatch.workers import handlers as workers
from shared.access import LEADERS, Principal
from shared.contracts.ledger import RegistrationAnswer
from shared.contracts.refusal import refusal
from shared.contracts.workers import Abilities, ApproveWorker, CoverGrid, RegisterWorker, ReportAbsence, SignUpVolunteer
from shared.pages import decode_cursor, page
from shared.web import After, Limit, Somebody, body, http_meta, takes

PREFIX = "/api/dispatch"


def add_worker_routes(app: FastAPI, house: Dispatch) -> None:
    """Put the routes about workers on the application."""

    @app.post(
        f"{PREFIX}/workers",
        response_model=RegistrationAnswer,
        status_code=202,
        openapi_extra=takes(RegisterWorker),
        tags=["workers"],
    )
    async def register(who: Somebody, request: Request) -> RegistrationAnswer:
        """Enter somebody who helps."""
        who.require(*LEADERS)
        command = await body(request, RegisterWorker)
        _within(who, command.community)
        return await workers.register_worker(
            house, command, http_meta(request, RegisterWorker.wire, house.runtime.clock())
        )

    @app.post(
        f"{PREFIX}/grids/{{community}}/{{grid}}/cover",
        response_model=RegistrationAnswer,
        openapi_extra=takes(CoverGrid),
        tags=["workers"],
    )
    async def cover(who: Somebody, community: str, grid: str, request: Request) -> RegistrationAnswer:
        """Hand a whole grid to another worker in one step, open work included; to its own worker: hand it back."""
        who.require(*LEADERS)
        _within(who, community)
        command = await body(request, CoverGrid, community=community, grid=grid)
        return await workers.cover_grid(house, command, http_meta(request, CoverGrid.wire, house.runtime.clock()))

    @app.get(f"{PREFIX}/workers", tags=["workers"])
    async def list_workers(who: Somebody, limit: Limit = 50, after: After = None) -> dict[str, Any]:
        """Who helps within the token's place, with what, and since when somebody is away. No names."""
        who.require(*LEADERS)
        place = decode_cursor(after, (str, str))
        found = await house.store.page_of_workers(who.community, limit + 1, (place[0], place[1]) if place else None)
        return page(
            found,
            limit,
            lambda one: (one["state"]["community"], one["_id"]),
            lambda one: _show_worker(house.store.workers.state(one)),
        )

    @app.post(
        f"{PREFIX}/volunteers",
        response_model=RegistrationAnswer,
        status_code=202,
        openapi_extra=takes(SignUpVolunteer),
        tags=["workers"],
    )
    async def sign_up(who: Somebody, request: Request) -> RegistrationAnswer:
        """Offer to help. Nobody is asked for anything before a coordinator has approved."""
        who.require(*LEADERS, "source")
        command = await body(request, SignUpVolunteer)
        _within(who, command.community)
        return await workers.sign_up(house, command, http_meta(request, SignUpVolunteer.wire, house.runtime.clock()))

    @app.post(
        f"{PREFIX}/workers/{{worker_id}}/approve",
        response_model=RegistrationAnswer,
        openapi_extra=takes(ApproveWorker),
        tags=["workers"],
    )
    async def approve(who: Somebody, worker_id: str, request: Request) -> RegistrationAnswer:
        """Say yes or no to somebody who signed up."""
        await _theirs(who, worker_id)
        command = await body(request, ApproveWorker, worker_id=worker_id)
        return await workers.approve(house, command, http_meta(request, ApproveWorker.wire, house.runtime.clock()))

    @app.post(
        f"{PREFIX}/workers/{{worker_id}}/absence",
        response_model=RegistrationAnswer,
        openapi_extra=takes(ReportAbsence),
        tags=["workers"],
    )
    async def absence(who: Somebody, worker_id: str, request: Request) -> RegistrationAnswer:
        """Somebody is away from now on, all his grids with another; with an `until` that has passed, he is back."""
        await _theirs(who, worker_id)
        command = await body(request, ReportAbsence, worker_id=worker_id)
        return await workers.be_absent(house, command, http_meta(request, ReportAbsence.wire, house.runtime.clock()))

    async def _theirs(who: Principal, worker_id: str) -> None:
        """Whoever leads decides on those of his own place."""
        who.require(*LEADERS)
        worker = await house.store.workers.get(worker_id)
        if worker is None or not who.covers(worker.community, None):
            raise refusal("worker_id", "unknown_worker", "nobody is entered under this id", status=404)


def _show_worker(worker: Worker) -> dict[str, Any]:
    told = worker.model_dump(mode="json", include={"worker_id", "community", "role", "grids", "buildings", "standing"})
    abilities = worker.model_dump(mode="json", include=set(Abilities.model_fields) - {"sex"})
    return {**told, **abilities, "away": worker.away, "away_until": worker.away_until}


def _within(who: Principal, community: str) -> None:
    if not who.covers(community, None):
        raise refusal("community", "forbidden", "not within this token's place", status=403)
