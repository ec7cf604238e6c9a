"""HTTP for every service: one origin, problems per RFC 9457, tokens, bounds, probes."""

from datetime import datetime
from typing import Annotated, Any, TypeVar

import orjson
import structlog
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.access import STAFF, Principal, TokenRegister
from shared.bus import BrokerUnavailable, NotTaken, Unroutable
from shared.contracts import COMMANDS
from shared.contracts.cases import CaseCommand
from shared.contracts.dispatch import TaskCommand
from shared.contracts.envelope import BODY_LIMIT, Contract, Meta, Problem
from shared.contracts.refusal import Refusal, refusal
from shared.documents import StorageConflict, StorageUnavailable
from shared.pages import DEFAULT_LIMIT, MOST
from shared.problems import as_json, parse
from shared.telemetry import Telemetry, new_trace

log = structlog.get_logger(__name__)

C = TypeVar("C", bound=Contract)

PROBLEM = "application/problem+json"
_SCHEMA = "#/components/schemas/{model}"
_PER_SECOND = 500
_ANONYMOUS_PER_SECOND = 10

Limit = Annotated[int, Query(ge=1, le=MOST, description="Items on a page.")]
After = Annotated[str | None, Query(max_length=1024, description="`next` of the page before.")]
DEFAULT = DEFAULT_LIMIT


class JSONResponse(Response):
    """JSON, as fast as it gets."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Dates in ISO 8601."""
        return orjson.dumps(content, default=_plain)


def problem(status: int, code: str, title: str, problems: list[dict[str, Any]] | None = None) -> Response:
    """An error as RFC 9457 has it, with a stable code."""
    content = {
        "type": f"urn:doorstep:problem:{code}",
        "title": title,
        "status": status,
        "code": code,
        "problems": problems or [],
    }
    headers = {"Retry-After": "2"} if status in (429, 503) else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(orjson.dumps(content), status, headers, media_type=PROBLEM)


def create_app(service: str, guard: "Guard", telemetry: Telemetry, **options: Any) -> FastAPI:
    """A FastAPI application under `/api/<service>`, with our errors and bounds."""
    prefix = f"/api/{service}"
    app = FastAPIOffline(
        title=f"Doorstep {service}",
        openapi_url=f"{prefix}/openapi.json",
        docs_url=f"{prefix}/docs",
        redoc_url=None,
        static_url=f"{prefix}/docs-files",
        swagger_ui_oauth2_redirect_url=f"{prefix}/docs/oauth2-redirect",
        default_response_class=JSONResponse,
        **options,
    )

    app.state.guard = guard
    _describe_bodies(app)

    @app.exception_handler(Refusal)
    async def refused(_: Request, error: Refusal) -> Response:
        first = error.problems[0] if error.problems else Problem(field="", code="refused", message="refused")
        return problem(error.status, first.code, first.message, as_json(error.problems))

    @app.exception_handler(RequestValidationError)
    async def not_valid(_: Request, error: RequestValidationError) -> Response:
        found = [
            {"field": ".".join(str(part) for part in one["loc"][1:]), "code": one["type"], "message": one["msg"]}
            for one in error.errors()[:20]
        ]
        return problem(422, "not_valid", "a parameter is not acceptable", found)

    @app.exception_handler(HTTPException)
    async def other(_: Request, error: HTTPException) -> Response:
        codes = {404: "not_found", 405: "method_not_allowed"}
        return problem(error.status_code, codes.get(error.status_code, "http_error"), str(error.detail))

    async def unavailable(_: Request, error: Exception) -> Response:
        log.warning("not available", reason=str(error))
        return problem(503, "unavailable", "not available just now; send the same again in a moment")

    @app.exception_handler(Exception)
    async def mistake(request: Request, error: Exception) -> Response:
        log.error("failed", path=request.url.path, exc_info=error)
        return problem(500, "internal", "this is our mistake; it is written down")

    for kind in (StorageUnavailable, StorageConflict, BrokerUnavailable, Unroutable, NotTaken):
        app.add_exception_handler(kind, unavailable)

    app.add_middleware(_CountRequests, telemetry=telemetry)
    return app


def takes(contract: type[Contract]) -> dict[str, Any]:
    """For a route's `openapi_extra`: the body that it takes."""
    schema = {"$ref": _SCHEMA.format(model=contract.__name__)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _describe_bodies(app: FastAPI) -> None:
    """Bodies are parsed from their bytes, as messages are, so FastAPI does not know their shapes by itself."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        known = app.openapi_schema is not None
        document = made()
        if not known:
            contracts: list[type[Contract]] = [*COMMANDS.values(), TaskCommand, CaseCommand]
            models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(contract, "validation") for contract in contracts]
            _, schemas = models_json_schema(models, ref_template=_SCHEMA)
            document.setdefault("components", {}).setdefault("schemas", {}).update(schemas["$defs"])
        return document

    setattr(app, "openapi", openapi)  # noqa: B010


class _CountRequests:
    """Counts answers by route, without touching what streams through."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app = app
        self._requests = telemetry.requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "none")
                self._requests.labels(scope["method"], route, str(message["status"])).inc()
            await send(message)

        await self._app(scope, receive, counted if scope["type"] == "http" else send)


async def limited(request: Request, limit: int) -> bytes:
    """The request's body.

    Raises:
        Refusal: it has more bytes than that.
    """
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > limit:
            raise refusal("", "too_large", f"the body is larger than {limit} bytes", status=413)
    return bytes(content)


async def body(request: Request, contract: type[C], **given: str | None) -> C:
    """The request's body as a contract; `given` are fields that the path or the token tells.

    Raises:
        Refusal: too large, not JSON, or not of that shape.
    """
    raw = await limited(request, BODY_LIMIT)
    if not given:
        return parse(contract, raw)
    try:
        fields = orjson.loads(raw or b"{}")
    except (orjson.JSONDecodeError, RecursionError):
        return parse(contract, raw)
    if not isinstance(fields, dict):
        return parse(contract, raw)
    for name, value in given.items():
        if name in fields and fields[name] != value:
            raise refusal(name, "not_allowed", f"{name} differs from the one in the path or of the token")
        fields[name] = value
    return parse(contract, orjson.dumps(fields))


def http_meta(request: Request, wire: str, now: datetime) -> Meta:
    """The attributes of a command over HTTP, from whoever the route asked for; its trace goes on, or begins here."""
    trace = request.headers.get("traceparent") or new_trace()
    return Meta("", wire, "http", now, "", actor=request.state.actor, traceparent=trace)


class Guard:
    """Finds out who asks, and how often.

    Args:
        tokens: the tokens that count.
    """

    def __init__(self, tokens: TokenRegister) -> None:
        self._tokens = tokens
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def who(self, request: Request) -> Principal | None:
        """Who asks; None without a token.

        Raises:
            Refusal: 401 a token that does not count, 429 too often.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not scheme:
            address = request.headers.get("x-forwarded-for", request.client.host if request.client else "")
            await self._not_too_often(f"address:{address}", _ANONYMOUS_PER_SECOND)
            return None
        principal = await self._tokens.principal(token) if scheme.lower() == "bearer" else None
        if principal is None:
            raise refusal("authorization", "bad_token", "this token does not count; ask for a new one", status=401)
        await self._not_too_often(f"name:{principal.name}", _PER_SECOND)
        return principal

    async def _not_too_often(self, who: str, per_second: int) -> None:
        if not await self._limiter.hit(RateLimitItemPerSecond(per_second), who):
            raise refusal("", "too_many_requests", f"more than {per_second} requests a second", status=429)


async def _anybody(request: Request) -> Principal | None:
    guard: Guard = request.app.state.guard
    who = await guard.who(request)
    request.state.actor = who.name if who else ""
    return who


Anybody = Annotated[Principal | None, Depends(_anybody)]
"""A route's argument: who asks; None without a token."""


async def _somebody(who: Anybody) -> Principal:
    if who is None:
        raise refusal("authorization", "token_required", "send a token: `Authorization: Bearer <token>`", status=401)
    return who


Somebody = Annotated[Principal, Depends(_somebody)]
"""A route's argument: who asks; 401 without a token."""


async def _staff(who: Somebody) -> Principal:
    who.require(*STAFF)
    return who


Staff = Annotated[Principal, Depends(_staff)]
"""A route's argument: who asks; 403 if he is not one of the staff."""


async def _operator(who: Somebody) -> Principal:
    who.require("operator")
    return who


Operator = Annotated[Principal, Depends(_operator)]
"""A route's argument: who asks; 403 if he is no operator."""


def _plain(value: Any) -> Any:
    if isinstance(value, Contract):
        return value.model_dump(mode="json", by_alias=True)
    raise TypeError(f"{type(value).__name__} is not plain data")
