"""HTTP in: duties, who has a place there, and the hours that come of it."""

import asyncio
from datetime import datetime, timedelta
from string import Template
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request, Response

from services.dispatch.domain import duties as rules
from services.dispatch.domain.duties import Duty, Hours
from services.dispatch.domain.roster import Worker
from services.dispatch.duties import certificate
from services.dispatch.duties import handlers as duties
from services.dispatch.house import Dispatch
from shared.access import LEADERS, STAFF, Principal
from shared.contracts.duties import (
    AttestDuty,
    BookDuty,
    CancelDuty,
    DutyAnswer,
    PostDuty,
    WithdrawFromDuty,
)
from shared.contracts.envelope import Moment
from shared.contracts.refusal import refusal
from shared.contracts.workers import WorkerDetails
from shared.documents import Document
from shared.pages import decode_cursor, page
from shared.web import After, Limit, Somebody, body, http_meta, takes

PREFIX = "/api/dispatch"
LONGEST = timedelta(days=366)
"""Of the time that one account of hours covers."""
Since = Annotated[Moment | None, Query(alias="from", description="Duties that began then or later.")]
Until = Annotated[Moment | None, Query(description="Duties that began before; now, unless told.")]
VERBS: dict[str, tuple[type[BookDuty | WithdrawFromDuty], Any]] = {
    "book": (BookDuty, duties.book),
    "withdraw": (WithdrawFromDuty, duties.withdraw),
}


def add_duty_routes(app: FastAPI, house: Dispatch, sheet: Template) -> None:
    """Put the routes about duties on the application."""

    @app.post(
        f"{PREFIX}/duties", response_model=DutyAnswer, status_code=202, openapi_extra=takes(PostDuty), tags=["duties"]
    )
    async def post(who: Somebody, request: Request) -> DutyAnswer:
        """Look for volunteers who stand somewhere for some hours."""
        who.require(*LEADERS)
        command = await body(request, PostDuty)
        if not who.covers(command.community, None):
            raise refusal("community", "forbidden", "not within this token's place", status=403)
        return await duties.post(house, command, http_meta(request, PostDuty.wire, house.runtime.clock()))

    @app.get(f"{PREFIX}/duties", tags=["duties"])
    async def list_duties(
        who: Somebody, limit: Limit = 50, after: After = None, mine: bool = False, over: bool = False
    ) -> dict[str, Any]:
        """Duties to come or under way in the token's community, the first to begin first.

        `mine`: those for which the token's worker has a place; `over`: those that are over and wait to be attested.
        """
        who.require(*STAFF)
        place = decode_cursor(after, (datetime, str))
        found = await house.store.duties.page(
            house.runtime.clock(),
            community=who.community,
            worker=_himself(who) if mine else None,
            over=over,
            limit=limit + 1,
            after=(place[0], place[1]) if place else None,
        )
        return page(found, limit, _place_of, lambda one: _show(house.store.duties.all.state(one), who))

    @app.get(f"{PREFIX}/duties/{{duty_id}}", tags=["duties"])
    async def one_duty(who: Somebody, duty_id: str) -> dict[str, Any]:
        """One duty; those who lead see who has a place and who was there."""
        who.require(*STAFF)
        return _show(await _theirs(who, duty_id), who)

    @app.post(
        f"{PREFIX}/duties/{{duty_id}}/cancel",
        response_model=DutyAnswer,
        openapi_extra=takes(CancelDuty),
        tags=["duties"],
    )
    async def cancel(who: Somebody, duty_id: str, request: Request) -> DutyAnswer:
        """Nobody is needed there any more; those who have a place are told."""
        who.require(*LEADERS)
        command = await body(request, CancelDuty, duty_id=duty_id)
        await _theirs(who, duty_id)
        return await duties.cancel(house, command, http_meta(request, CancelDuty.wire, house.runtime.clock()))

    @app.post(
        f"{PREFIX}/duties/{{duty_id}}/attest",
        response_model=DutyAnswer,
        openapi_extra=takes(AttestDuty),
        tags=["duties"],
    )
    async def attest(who: Somebody, duty_id: str, request: Request) -> DutyAnswer:
        """Say who was there, from when till when. Whoever has a place and is not named was not."""
        who.require(*LEADERS)
        command = await body(request, AttestDuty, duty_id=duty_id)
        await _theirs(who, duty_id)
        return await duties.attest(house, command, http_meta(request, AttestDuty.wire, house.runtime.clock()))

    @app.post(
        f"{PREFIX}/duties/{{duty_id}}/{{verb}}",
        response_model=DutyAnswer,
        openapi_extra=takes(BookDuty),
        tags=["duties"],
    )
    async def act(who: Somebody, duty_id: str, verb: Literal["book", "withdraw"], request: Request) -> DutyAnswer:
        """Take a place, or give it back. Sent again with the same `command_id`, it changes nothing."""
        who.require(*STAFF)
        contract, handler = VERBS[verb]
        given = {"duty_id": duty_id}
        if not who.leads():
            given["worker"] = _himself(who)
        command = await body(request, contract, **given)
        if command.worker is None:
            command = command.model_copy(update={"worker": who.worker})
        await _theirs(who, duty_id)
        answer: DutyAnswer = await handler(house, command, http_meta(request, contract.wire, house.runtime.clock()))
        return answer

    @app.get(f"{PREFIX}/workers/{{worker_id}}/hours", tags=["duties"])
    async def hours(who: Somebody, worker_id: str, since: Since = None, until: Until = None) -> dict[str, Any]:
        """What somebody did: attested minutes, by kind and duty by duty, and tasks completed, by kind."""
        await _of_himself_or_led(who, worker_id)
        first, last = _span(since, until, house.runtime.clock())
        done, tasks = await _done(worker_id, first, last)
        return {"worker_id": worker_id, "from": first, "until": last, **_show_hours(done), "tasks": tasks}

    @app.get(f"{PREFIX}/workers/{{worker_id}}/certificate", tags=["duties"], response_class=Response)
    async def hours_certificate(who: Somebody, worker_id: str, since: Since = None, until: Until = None) -> Response:
        """The same as a sheet to print, in Chinese and English. The name is opened for it, and that is noted."""
        worker = await _of_himself_or_led(who, worker_id)
        first, last = _span(since, until, house.runtime.clock())
        done, tasks = await _done(worker_id, first, last)
        record = f"worker:{worker_id}"
        await house.runtime.openings.note(who, record, "certificate", community=worker.community)
        details = WorkerDetails.model_validate_json(house.runtime.sealer.open(worker.sealed, record), extra="ignore")
        text = certificate.write(
            sheet,
            house.kinds,
            name=details.name,
            worker=worker_id,
            hours=done,
            tasks=sum(tasks.values()),
            since=first,
            until=last,
            now=house.runtime.clock(),
        )
        return Response(text, media_type="text/html")

    async def _done(worker_id: str, first: datetime, last: datetime) -> tuple[Hours, dict[str, int]]:
        """Duties attested, and tasks completed by kind."""
        attested, tasks = await asyncio.gather(
            house.store.duties.attested(worker_id, first, last), house.store.done_by_kind(worker_id, first, last)
        )
        return rules.hours_of(worker_id, attested), tasks

    async def _theirs(who: Principal, duty_id: str) -> Duty:
        """A duty of the token's community."""
        duty = await house.store.duties.all.get(duty_id)
        if duty is None or who.community not in (None, duty.community):
            raise refusal("duty_id", "unknown_duty", "there is no duty of this id", status=404)
        return duty

    async def _of_himself_or_led(who: Principal, worker_id: str) -> Worker:
        """Somebody's hours are for himself and for those who lead where he helps."""
        who.require(*STAFF)
        worker = await house.store.workers.get(worker_id)
        led = worker is not None and who.leads() and who.covers(worker.community, None)
        if worker is None or not (led or who.worker == worker_id):
            raise refusal("worker_id", "unknown_worker", "nobody is entered under this id", status=404)
        return worker


def _show(duty: Duty, who: Principal) -> dict[str, Any]:
    told = duty.model_dump(mode="json", exclude={"booked", "taken", "attended", "due_at"})
    names = duty.model_dump(mode="json", include={"booked", "attended"}) if who.leads() else {}
    return {**told, "left": duty.left, "mine": who.worker in duty.booked, **names}


def _show_hours(hours: Hours) -> dict[str, Any]:
    return {
        "minutes": hours.minutes,
        "by_kind": hours.by_kind(),
        "duties": [
            {
                "duty_id": row.duty.duty_id,
                "kind": row.duty.kind,
                "place": row.duty.place,
                "building": row.duty.building,
                "begins": row.attended.begins,
                "ends": row.attended.ends,
                "minutes": row.attended.minutes,
            }
            for row in hours.rows
        ],
    }


def _himself(who: Principal) -> str:
    if who.worker is None:
        raise refusal("worker", "required", "this token belongs to no worker; say which worker is meant")
    return who.worker


def _span(since: datetime | None, until: datetime | None, now: datetime) -> tuple[datetime, datetime]:
    last = until or now
    first = since or last - timedelta(days=365)
    if not first < last <= first + LONGEST:
        raise refusal("from", "not_allowed", "say a time before until, at most a year before it")
    return first, last


def _place_of(document: Document) -> tuple[datetime, str]:
    return document["state"]["begins"], document["_id"]
