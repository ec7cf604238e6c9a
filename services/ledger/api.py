"""HTTP in: the book, for those who may read it."""

from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request
from pydantic import ValidationError

from services.ledger import handlers
from services.ledger.domain.entry import Link, Sought, chain, shown, stored_link
from services.ledger.domain.registers import about
from services.ledger.house import Ledger
from services.ledger.rebuilding.store import event_of
from services.ledger.store import fact_of
from shared.access import INSIDERS, LEADERS, Principal
from shared.contracts.envelope import UNKNOWN
from shared.contracts.ledger import (
    CloseBuilding,
    GrantAccess,
    OpenBuilding,
    RegisterBuilding,
    RegistrationAnswer,
    RevokeAccess,
)
from shared.contracts.refusal import refusal
from shared.documents import Document
from shared.pages import decode_cursor, page
from shared.web import After, Limit, Somebody, body, http_meta, takes

PREFIX = "/api/ledger"
Name = Annotated[str | None, Query(max_length=128)]
MOST_BROKEN = 100
"""Entries named at once."""
BUILDING_VERBS: dict[str, tuple[type[CloseBuilding | OpenBuilding], Any]] = {
    "close": (CloseBuilding, handlers.close_building),
    "open": (OpenBuilding, handlers.open_building),
}


class Asked(Sought):
    """A page of entries."""

    limit: Limit = 50
    after: After = None


def add_routes(app: FastAPI, house: Ledger) -> None:
    """Put the ledger's routes on the application."""

    @app.get(f"{PREFIX}/entries", tags=["entries"])
    async def entries(who: Somebody, asked: Annotated[Asked, Query()]) -> dict[str, Any]:
        """Entries within the token's place: those of one request from its beginning, else the newest first."""
        who.require(*LEADERS)
        place = decode_cursor(asked.after, (str,))
        sought = asked.model_copy(update={"community": who.community or asked.community})
        found = await house.store.page(sought, who.grids, asked.limit + 1, place[0] if place else None)
        return page(found, asked.limit, lambda one: (one["_id"],), _show_entry)

    @app.get(f"{PREFIX}/statistics", tags=["numbers"])
    async def statistics(who: Somebody) -> dict[str, Any]:
        """How many there are of everything in the token's community; of people, those who are here."""
        who.require(*INSIDERS)
        return await house.store.statistics(who.community)

    @app.post(
        f"{PREFIX}/buildings",
        status_code=202,
        response_model=RegistrationAnswer,
        openapi_extra=takes(RegisterBuilding),
        tags=["people"],
    )
    async def register_building(who: Somebody, request: Request) -> RegistrationAnswer:
        """Enter a building and its grid."""
        who.require(*LEADERS)
        command = await body(request, RegisterBuilding)
        within(who, command.community)
        return await handlers.register_building(
            house, command, http_meta(request, RegisterBuilding.wire, house.runtime.clock())
        )

    @app.post(
        f"{PREFIX}/buildings/{{community}}/{{building}}/{{verb}}",
        status_code=202,
        response_model=RegistrationAnswer,
        openapi_extra=takes(CloseBuilding),
        tags=["people"],
    )
    async def close_building(
        who: Somebody, community: str, building: str, verb: Literal["close", "open"], request: Request
    ) -> RegistrationAnswer:
        """Close a building at once, or open it again: staff are told, and what is under way to it is planned anew."""
        who.require(*LEADERS)
        within(who, community)
        contract, handler = BUILDING_VERBS[verb]
        command = await body(request, contract, community=community, building=building)
        meta = http_meta(request, contract.wire, house.runtime.clock())
        answer: RegistrationAnswer = await handler(house, command, meta)
        return answer

    @app.post(
        f"{PREFIX}/access",
        status_code=202,
        response_model=RegistrationAnswer,
        openapi_extra=takes(GrantAccess),
        tags=["operation"],
    )
    async def grant(who: Somebody, request: Request) -> RegistrationAnswer:
        """Let the bearer of a token in; only its SHA-256 is sent."""
        who.require("operator")
        command = await body(request, GrantAccess)
        return await handlers.grant(house, command, http_meta(request, GrantAccess.wire, house.runtime.clock()))

    @app.post(
        f"{PREFIX}/access/{{token_hash}}/revoke",
        status_code=202,
        response_model=RegistrationAnswer,
        openapi_extra=takes(RevokeAccess),
        tags=["operation"],
    )
    async def revoke(who: Somebody, token_hash: str, request: Request) -> RegistrationAnswer:
        """Let the bearer of a token in no more."""
        who.require("operator")
        command = await body(request, RevokeAccess, token_hash=token_hash)
        return await handlers.revoke(house, command, http_meta(request, RevokeAccess.wire, house.runtime.clock()))

    @app.get(f"{PREFIX}/chain", tags=["operation"])
    async def verify_chain(who: Somebody) -> dict[str, Any]:
        """Compute every hash anew and name the entries that do not fit; without an id: those up to there are gone."""
        who.require("operator")
        broken: list[dict[str, Any]] = []
        # Read before the entries: each chain has at least what its head speaks of.
        missing = await house.store.heads.kept()
        count, community, link = 0, "", Link()
        async for document in house.store.chained():
            count += 1
            if (place := str(document.get("community"))) != community:
                community, link = place, Link()
            stored = stored_link(document)
            if not _fits(document, link):
                sequence = None if stored is None else stored.sequence
                broken.append({"id": str(document["_id"]), "community": community, "sequence": sequence})
            link = stored or link
            if missing.get(community) == link:
                del missing[community]
        broken += [{"id": None, "community": name, "sequence": head.sequence} for name, head in missing.items()]
        return {"entries": count, "broken": broken[:MOST_BROKEN]}

    @app.get(f"{PREFIX}/reconciliation", tags=["operation"])
    async def reconciliation(who: Somebody, limit: Limit = 500, after: After = None) -> dict[str, Any]:
        """Which events are entered, by request; `doorstep verify` compares."""
        who.require("operator")
        place = decode_cursor(after, (str,))
        found = await house.store.reconciliation(place[0] if place else "", limit + 1)
        return page(
            found, limit, lambda one: (one["_id"],), lambda one: {"request_id": one["_id"], "events": one["events"]}
        )


def _fits(document: Document, before: Link) -> bool:
    try:
        expected = chain(fact_of(document), before)
    except ValidationError:
        return False
    return stored_link(document) == expected and document.get("previous") == before.hash and _named_right(document)


def _named_right(document: Document) -> bool:
    """What an entry is about follows from its body, and is not chained."""
    if document.get("about") is None:
        return True
    event = event_of(document)
    return event is not None and about(event) == document["about"]


def _show_entry(document: Document) -> dict[str, Any]:
    # Somebody may have taken out what every entry has: the chain shows that, and all the others can still be read.
    known, event = document.get, event_of(document)
    return {
        "id": document["_id"],
        "type": known("type"),
        "at": known("at"),
        "request_id": known("request_id"),
        "community": None if known("community") == UNKNOWN else known("community"),
        "grid": known("grid"),
        "source": known("source"),
        "cause": known("cause"),
        "actor": known("actor") or None,
        "about": known("about"),
        "data": None if event is None else shown(event.model_dump(mode="json", by_alias=True)),
        "sequence": known("sequence"),
        "previous": known("previous"),
        "hash": known("hash"),
    }


def around(who: Principal, community: str) -> None:
    """Raises:
    Refusal: 403, nothing of this community is within the token's place.
    """
    if who.community not in (None, community):
        raise refusal("community", "forbidden", f"{community} is not within this token's place", status=403)


def within(who: Principal, community: str) -> None:
    """Raises:
    Refusal: 403, the community is not within the token's place as a whole.
    """
    around(who, community)
    if who.grids:
        message = f"this is for who leads all of {community}; this token's place is {', '.join(who.grids)}"
        raise refusal("community", "forbidden", message, status=403)
