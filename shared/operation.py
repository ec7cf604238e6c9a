"""What every service tells its operators over HTTP: probes, status, dead letters, replay."""

from datetime import datetime
from typing import Any

from fastapi import FastAPI, Request, Response

from shared.bus import Unroutable
from shared.contracts.envelope import Contract, Moment
from shared.contracts.refusal import refusal
from shared.pages import decode_cursor, page
from shared.runtime import Runtime
from shared.web import After, JSONResponse, Limit, Operator, body


class ReplaySpan(Contract):
    """Which events are to be sent again."""

    since: Moment
    until: Moment | None = None
    types: tuple[str, ...] = ()
    queue: str | None = None


def add_operator_routes(app: FastAPI, runtime: Runtime) -> None:
    """Put the routes that all services have on the application."""
    prefix = f"/api/{runtime.name}"

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(await runtime.condition.metrics(), media_type="text/plain; version=0.0.4")

    @app.get(f"{prefix}/healthz", tags=["probes"])
    async def healthz() -> dict[str, str]:
        """The process is alive."""
        return {"status": "alive"}

    @app.get(f"{prefix}/readyz", tags=["probes"])
    async def readyz() -> Response:
        """Database and broker answer, and consumers are really there."""
        reason = await runtime.condition.not_ready()
        return JSONResponse({"status": reason or "ready"}, 503 if reason else 200)

    @app.get(f"{prefix}/status", tags=["operation"])
    async def status(_: Operator) -> dict[str, Any]:
        """Queues, dead letters, unsent events, due timers."""
        return await runtime.condition.status()

    @app.get(f"{prefix}/dead-letters", tags=["operation"])
    async def dead_letters(_: Operator, limit: Limit = 50, after: After = None) -> dict[str, Any]:
        """Messages set aside, newest first."""
        place = decode_cursor(after, (datetime, str))
        found = await runtime.dead_letters.page(limit + 1, (place[0], place[1]) if place else None)
        return page(found, limit, lambda one: (one["at"], one["_id"]), _show_dead_letter)

    @app.get(f"{prefix}/dead-letters/{{dead_id}}", tags=["operation"])
    async def dead_letter(who: Operator, dead_id: str) -> dict[str, Any]:
        """One, with its body opened; the opening is noted."""
        found = await runtime.dead_letters.get(dead_id)
        await runtime.openings.note(who, f"dead-letter:{dead_id}", "operation")
        return _show_dead_letter(found)

    @app.post(f"{prefix}/dead-letters/{{dead_id}}:replay", tags=["operation"], status_code=202)
    async def replay_dead_letter(_: Operator, dead_id: str) -> dict[str, str]:
        """Put it back into its queue."""
        await runtime.dead_letters.replay(dead_id)
        return {"status": "accepted"}

    @app.delete(f"{prefix}/dead-letters/{{dead_id}}", tags=["operation"])
    async def drop_dead_letter(_: Operator, dead_id: str) -> dict[str, str]:
        """Forget it."""
        await runtime.dead_letters.drop(dead_id)
        return {"status": "accepted"}

    @app.post(f"{prefix}/events:replay", tags=["operation"])
    async def replay(_: Operator, request: Request) -> dict[str, int]:
        """Send the events of a span again; consumers notice nothing new in what they know."""
        span = await body(request, ReplaySpan)
        until = span.until or runtime.clock()
        if until <= span.since:
            raise refusal("until", "not_allowed", "until must be later than since")
        try:
            sent = await runtime.outbox.replay(span.since, until, types=span.types, queue=span.queue)
        except Unroutable as error:
            if span.queue is None:
                raise
            raise refusal("queue", "unknown_queue", str(error)) from None
        return {"sent": sent}


def _show_dead_letter(document: dict[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in document.items() if name not in ("_id", "v")}
    return {"id": document["_id"], **shown}
