"""HTTP in: who owes whom, for those who lead, and for each worker what is his."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request

from services.ledger.domain import money as rules
from services.ledger.domain.money import Matter
from services.ledger.house import Ledger
from services.ledger.money import handlers as money
from services.ledger.people.api import known_as
from shared.access import LEADERS, STAFF, Principal
from shared.contracts.money import MoneyAnswer, RecordMoney
from shared.contracts.refusal import refusal
from shared.documents import Document
from shared.pages import decode_cursor, page
from shared.web import After, Limit, Somebody, body, http_meta, takes

PREFIX = "/api/ledger"
Name = Annotated[str | None, Query(max_length=128)]
IsOpen = Annotated[bool | None, Query(alias="open")]


def add_money_routes(app: FastAPI, house: Ledger) -> None:
    """Put the routes of money on the application."""

    @app.post(
        f"{PREFIX}/money", status_code=202, response_model=MoneyAnswer, openapi_extra=takes(RecordMoney), tags=["money"]
    )
    async def record(who: Somebody, request: Request) -> MoneyAnswer:
        """Money went from one to the other, or was spent for somebody; a worker says so of himself."""
        who.require(*STAFF)
        command = await body(request, RecordMoney, **({} if who.leads() else {"worker": who.worker or who.name}))
        if who.community not in (None, command.community):
            raise refusal("community", "forbidden", f"{command.community} is not within this token's place", status=403)
        return await money.record(house, command, http_meta(request, RecordMoney.wire, house.runtime.clock()))

    @app.get(f"{PREFIX}/money", tags=["money"])
    async def matters(
        who: Somebody,
        limit: Limit = 50,
        after: After = None,
        worker: Name = None,
        person: Name = None,
        is_open: IsOpen = None,
        notes: bool = False,
    ) -> dict[str, Any]:
        """Matters with their postings, those with the newest first; `open`: in which anybody owes anything.

        `notes`: with what was noted with each posting, for those who lead; the opening is noted.
        """
        who.require(*(LEADERS if notes else STAFF))
        place = decode_cursor(after, (datetime, str))
        found = await house.store.money.page(
            **_theirs(who, worker),
            person=await known_as(house, person),
            is_open=is_open,
            limit=limit + 1,
            after=(place[0], place[1]) if place else None,
        )
        if notes and found:
            record = f"money:{len(found[:limit])}"
            await house.runtime.openings.note(who, record, "money", community=who.community)
        matters = {one["_id"]: house.store.money.all.state(one) for one in found}
        noted = await money.notes(house, list(matters.values())) if notes else None
        return page(found, limit, _place_of, lambda one: show(matters[one["_id"]], noted))

    @app.get(f"{PREFIX}/money/balances", tags=["money"])
    async def balances(who: Somebody, worker: Name = None, person: Name = None) -> dict[str, Any]:
        """What each owes in fen, added up over the postings; below zero: is owed. All together it is nothing."""
        who.require(*STAFF)
        found = await house.store.money.open_matters(**_theirs(who, worker), person=await known_as(house, person))
        counting = await house.store.register.counting(one.person_id for one in found if one.person_id is not None)
        sums = rules.balances(rules.of_whom(one, counting) for one in found)
        items = [{"kind": kind, "id": name, "owes": owes} for (kind, name), owes in sorted(sums.items()) if owes]
        return {"items": items, "total": sum(sums.values())}


def _theirs(who: Principal, worker: str | None) -> dict[str, Any]:
    """Who leads sees the place; everybody else, what is his."""
    if who.leads():
        return {"community": who.community, "grids": who.grids, "worker": worker}
    return {"community": who.community, "grids": (), "worker": who.worker or who.name}


def show(known: Matter, notes: Mapping[tuple[str, str], str | None] | None) -> dict[str, Any]:
    """A matter with its postings; `notes`: with what was noted."""
    postings = [one.model_dump(exclude={"sealed"}) for one in known.postings]
    if notes is not None:
        postings = [{**one, "note": notes.get((known.matter_id, one["posting_id"]), "")} for one in postings]
    matter = known.model_dump(exclude={"postings", "is_open"})
    return {**matter, "open": known.is_open, "owed": known.owed(), "postings": postings}


def _place_of(document: Document) -> tuple[datetime, str]:
    return document["state"]["changed_at"], document["_id"]
