"""HTTP in: rounds, how far they are, and who is missing."""

import asyncio
from datetime import datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from fastapi import FastAPI, Query, Request, Response
from pydantic import BaseModel, StringConstraints

from services.ledger.domain.imports import Imports
from services.ledger.domain.rounds import Round
from services.ledger.domain.strangers import Stranger
from services.ledger.files.export import Form, sent
from services.ledger.files.receiving import received
from services.ledger.house import Ledger
from services.ledger.imports.api import TAKES, Purpose
from services.ledger.keeping import Sealers
from services.ledger.rounds import handlers as rounds
from services.ledger.rounds import lines as round_lines
from services.ledger.rounds import record_lists, rosters
from shared.access import INSIDERS, LEADERS, Principal
from shared.contracts.duties import ZONE
from shared.contracts.envelope import Day
from shared.contracts.refusal import refusal
from shared.contracts.rounds import (
    AddToRound,
    CloseRound,
    Ending,
    OpenRound,
    RecordRound,
    RoundAnswer,
    RoundRecord,
)
from shared.documents import Document
from shared.pages import decode_cursor, page
from shared.web import After, Limit, Somebody, body, http_meta, takes

PREFIX = "/api/ledger"
OnDay = Annotated[Day | None, Query(description="The day of a list that has times only.")]
Building = Annotated[str | None, Query(max_length=16)]
OfTeam = Annotated[str | None, Query(max_length=32)]
State = Literal["missing"] | Ending


class Asked(BaseModel):
    """Whom a list shall have, and what for."""

    purpose: Purpose
    state: State | None = None
    building: Annotated[str | None, StringConstraints(max_length=16)] = None
    team: Annotated[str | None, StringConstraints(max_length=32)] = None


def add_round_routes(app: FastAPI, house: Ledger, imports: Imports) -> None:
    """Put the routes of rounds on the application."""

    @app.post(
        f"{PREFIX}/rounds", status_code=202, response_model=RoundAnswer, openapi_extra=takes(OpenRound), tags=["rounds"]
    )
    async def open_round(who: Somebody, request: Request) -> RoundAnswer:
        """Work through a roster by a time."""
        who.require(*LEADERS)
        command = await body(request, OpenRound)
        if not who.covers(command.community, None):
            raise refusal("community", "forbidden", "not within this token's place", status=403)
        return await rounds.open_round(house, command, http_meta(request, OpenRound.wire, house.runtime.clock()))

    @app.get(f"{PREFIX}/rounds", tags=["rounds"])
    async def list_rounds(who: Somebody, limit: Limit = 50, after: After = None) -> dict[str, Any]:
        """Rounds within the token's community, those that close last before the others."""
        who.require(*INSIDERS)
        place = decode_cursor(after, (datetime, str))
        found = await house.store.rounds.page(who.community, limit + 1, (place[0], place[1]) if place else None)
        return page(found, limit, _place_of, lambda one: _show(house.store.rounds.all.state(one)))

    @app.get(f"{PREFIX}/rounds/{{round_id}}", tags=["rounds"])
    async def one_round(who: Somebody, round_id: str) -> dict[str, Any]:
        """A round, and how many are in which state."""
        known = await _theirs(who, round_id)
        counts = await house.store.rounds.tallies.counts(round_id)
        return {**_show(known), "counts": counts.model_dump()}

    @app.get(f"{PREFIX}/rounds/{{round_id}}/numbers", tags=["rounds"])
    async def numbers(who: Somebody, round_id: str) -> dict[str, Any]:
        """The same building by building and team by team, and how many were met at each point."""
        known, store = await _theirs(who, round_id), house.store.rounds
        buildings, points = await asyncio.gather(store.tallies.counts_by(round_id), store.points(round_id))
        everywhere = {**dict.fromkeys(known.told.points, 0), **points}
        return {"buildings": buildings, "teams": known.by_team(buildings), "points": everywhere}

    @app.get(f"{PREFIX}/rounds/{{round_id}}/missing", tags=["rounds"])
    async def missing(
        who: Somebody,
        round_id: str,
        limit: Limit = 50,
        after: After = None,
        building: Building = None,
        team: OfTeam = None,
        names: bool = False,
    ) -> dict[str, Any]:
        """Who is missing within the token's place, or in a building or the buildings of a team, in the order of doors.

        `names`: with name, phone and door, for whoever calls or visits them; the opening is noted.
        """
        return await _members(who, round_id, "missing", limit, after, (building, team), names)

    @app.get(f"{PREFIX}/rounds/{{round_id}}/members", tags=["rounds"])
    async def members(
        who: Somebody,
        round_id: str,
        limit: Limit = 50,
        after: After = None,
        state: State | None = None,
        building: Building = None,
        team: OfTeam = None,
        names: bool = False,
    ) -> dict[str, Any]:
        """How it went with each on the roster, or with those of one state, in the order of doors.

        `names`: with name, phone and door, and with what was noted, such as why somebody refused; the opening is noted.
        """
        return await _members(who, round_id, state, limit, after, (building, team), names)

    async def _members(
        who: Principal,
        round_id: str,
        state: str | None,
        limit: int,
        after: str | None,
        where: tuple[str | None, str | None],
        names: bool,
    ) -> dict[str, Any]:
        known = await _theirs(who, round_id)
        if names:
            who.require(*LEADERS, "grid_worker")
        place = decode_cursor(after, (str, int))
        found = await house.store.rounds.members(
            round_id, state, who.grids, limit + 1, (place[0], place[1]) if place else None, known.buildings(*where)
        )
        answer = page(found, limit, lambda one: (one["order"], one["place"]), lambda one: one)
        if names and found:
            purpose = "missing" if state == "missing" else "members"
            await house.runtime.openings.note(who, f"round:{round_id}", purpose, community=known.told.community)
        rows = answer["items"]
        told = await rosters.records(house, known.facts, rows, names=names)
        answer["items"] = [{**_show_member(one), "records": met} for one, met in zip(rows, told, strict=True)]
        if names:
            for one, details in zip(answer["items"], await rosters.named(house, rows), strict=True):
                one["details"] = details
        return answer

    @app.get(f"{PREFIX}/rounds/{{round_id}}/members.{{form}}", tags=["rounds"], response_class=Response)
    async def listed(who: Somebody, round_id: str, form: Form, asked: Annotated[Asked, Query()]) -> Response:
        """The same with names, as a file in the columns in which a desk's list comes in, or as a page to print.

        What a desk fills in there can come back as it is. One opening is noted, with the purpose.
        """
        who.require(*LEADERS, "grid_worker")
        known = await _theirs(who, round_id)
        buildings = known.buildings(asked.building, asked.team)
        await house.runtime.openings.note(who, f"round:{round_id}", asked.purpose, community=known.told.community)
        return sent(rosters.listing(house, imports, known, asked.state, who.grids, buildings), form, "members")

    @app.get(f"{PREFIX}/rounds/{{round_id}}/cards/{{card}}", tags=["rounds"])
    async def card_of(who: Somebody, round_id: str, card: str, names: bool = False) -> dict[str, Any]:
        """Who was given this card within the token's place.

        `names`: with name, phone and door, for those who lead and the grid's worker; the opening is noted.
        """
        known = await _theirs(who, round_id)
        if names:
            who.require(*LEADERS, "grid_worker")
        found = await house.store.rounds.cards.holder(round_id, card)
        if found is None or not who.covers(known.told.community, found.get("grid")):
            raise refusal("card", "unknown_card", "nobody was given this card", status=404)
        answer = {"card": card, "member_id": found["member_id"]}
        if not names or "person_id" not in found:
            return answer
        await house.runtime.openings.note(who, f"round:{round_id}", "card", community=known.told.community)
        (details,) = await rosters.named(house, [found])
        return {**answer, "details": details}

    @app.get(f"{PREFIX}/rounds/{{round_id}}/strangers", tags=["rounds"])
    async def strangers(
        who: Somebody, round_id: str, limit: Limit = 50, after: After = None, names: bool = False
    ) -> dict[str, Any]:
        """Those who were recorded and are not on the roster; `names`: as they were told, and the opening is noted."""
        who.require(*LEADERS)
        known = await _theirs(who, round_id)
        place = decode_cursor(after, (str,))
        found = await house.store.rounds.strangers_page(round_id, limit + 1, place[0] if place else "")
        if names and found:
            await house.runtime.openings.note(who, f"round:{round_id}", "strangers", community=known.told.community)
        strange = {one["_id"]: house.store.rounds.strangers.state(one) for one in found}
        sealers = await round_lines.sealers(
            house, known.facts, [one.person_id for one in strange.values()] if names else []
        )
        return page(found, limit, lambda one: (one["_id"],), lambda one: _stranger(strange[one["_id"]], sealers, names))

    def _stranger(known: Stranger, sealers: Sealers, names: bool) -> dict[str, Any]:
        context, sealer = round_lines.context_of(known.round_id), sealers(known.person_id)
        met = rosters.recorded([one.model_dump() for one in known.met], context, sealer if names else None)
        shown = {**known.model_dump(mode="json", exclude={"sealed", "met"}), "records": met}
        if not names or known.sealed is None:
            return shown
        told = sealer.left(known.sealed, context)
        if told is None:
            return {**shown, "details": None}
        record = RoundRecord.model_validate_json(told, extra="ignore")
        return {**shown, "details": record.model_dump(mode="json", include={"name", "phone", "address"})}

    @app.post(
        f"{PREFIX}/rounds/{{round_id}}/records",
        response_model=RoundAnswer,
        openapi_extra=takes(RecordRound),
        tags=["rounds"],
    )
    async def record(who: Somebody, round_id: str, request: Request) -> RoundAnswer:
        """How it went with some; the same record again changes nothing."""
        who.require(*INSIDERS)
        command = await body(request, RecordRound, round_id=round_id)
        await _theirs(who, round_id)
        return await rounds.record(house, command, http_meta(request, RecordRound.wire, house.runtime.clock()))

    @app.post(f"{PREFIX}/rounds/{{round_id}}/records:import", openapi_extra=TAKES, tags=["rounds"])
    async def take_in(who: Somebody, round_id: str, request: Request, day: OnDay = None) -> dict[str, Any]:
        """The list of a desk as a file; the same file again changes nothing.

        `day` holds where it has times only, today unless told. A list with a wrong row is refused whole.
        """
        who.require(*INSIDERS)
        known = await _theirs(who, round_id)
        if known.state in ("planned", "opening"):
            raise refusal("round_id", "not_open_yet", f"the round is {known.state}", status=409)
        async with received(request, house.files) as content:
            now = house.runtime.clock()
            meta = http_meta(request, RecordRound.wire, now)
            told = day or now.astimezone(ZoneInfo(ZONE)).date()
            taken = await record_lists.take_in(house, imports, known, content, told, meta)
        return {**taken, "counts": (await house.store.rounds.tallies.counts(round_id)).model_dump()}

    @app.post(
        f"{PREFIX}/rounds/{{round_id}}/members",
        response_model=RoundAnswer,
        openapi_extra=takes(AddToRound),
        tags=["rounds"],
    )
    async def add(who: Somebody, round_id: str, request: Request) -> RoundAnswer:
        """Put somebody on the roster who was not, with what was recorded of him since."""
        who.require(*LEADERS)
        command = await body(request, AddToRound, round_id=round_id)
        await _theirs(who, round_id)
        return await rounds.add(house, command, http_meta(request, AddToRound.wire, house.runtime.clock()))

    @app.post(
        f"{PREFIX}/rounds/{{round_id}}/close",
        response_model=RoundAnswer,
        openapi_extra=takes(CloseRound),
        tags=["rounds"],
    )
    async def close(who: Somebody, round_id: str, request: Request) -> RoundAnswer:
        """Look for those missing now, before its time."""
        who.require(*LEADERS)
        command = await body(request, CloseRound, round_id=round_id)
        await _theirs(who, round_id)
        return await rounds.close_round(house, command, http_meta(request, CloseRound.wire, house.runtime.clock()))

    async def _theirs(who: Principal, round_id: str) -> Round:
        who.require(*INSIDERS)
        known = await house.store.rounds.all.get(round_id)
        if known is None or who.community not in (None, known.told.community):
            raise refusal("round_id", "unknown_round", "there is no round of this id", status=404)
        return known


def _place_of(document: Document) -> tuple[datetime, str]:
    return document["state"]["told"]["closes"], document["_id"]


def _show(known: Round) -> dict[str, Any]:
    return {**known.told.model_dump(mode="json"), "state": known.state, "members": known.members}


def _show_member(found: Document) -> dict[str, Any]:
    """`presence_id` instead of `person_id`: somebody who lives elsewhere and is in the building."""
    shown = {name: found[name] for name in ("member_id", "grid", "building", "state")}
    present = found.get("presence", False)
    ids = {"person_id": None if present else found["person_id"], "presence_id": found["person_id"] if present else None}
    return {**shown, **ids, "how": "call" if found["hears"] else "visit"}
