"""HTTP in: people, for those who look after them."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request

from services.ledger.api import PREFIX, Name, within
from services.ledger.domain import people as rules
from services.ledger.domain.people import Portrait
from services.ledger.domain.register import Person
from services.ledger.house import Ledger, today
from services.ledger.people import handlers as people
from services.ledger.people.history import as_it_was
from services.ledger.people.households_api import AT_THE_DOOR
from services.ledger.people.portraits import opened
from services.ledger.people.store import among
from shared.access import INSIDERS, LEADERS, Principal
from shared.contracts.envelope import BODY_LIMIT, Command, Contract, Day, Meta, Phone, Slug
from shared.contracts.ledger import RegisterPerson, RegistrationAnswer
from shared.contracts.people import CorrectPerson, ErasePerson, MergePeople, MovePerson, RecordDeath, UnmergePeople
from shared.contracts.refusal import refusal
from shared.documents import Document
from shared.pages import decode_cursor, page
from shared.problems import parse
from shared.web import After, Limit, Somebody, body, http_meta, limited, takes

OnDay = Annotated[Day | None, Query(description="As it was at the end of this day, where the community is.")]
Handler = Callable[[Ledger, Any, Meta], Awaitable[RegistrationAnswer]]
VERBS: dict[str, tuple[type[Command], Handler]] = {
    "move": (MovePerson, people.move),
    "correct": (CorrectPerson, people.correct),
    "death": (RecordDeath, people.record_death),
    "merge": (MergePeople, people.merge),
    "unmerge": (UnmergePeople, people.unmerge),
    "erase": (ErasePerson, people.erase),
}


_NOT_SHOWN = ("sealed", "lookups", "person_id", "kept")
"""Of the facts."""


class FindPeople(Contract, extra="forbid"):
    """Whom to look for: exactly one of phone and identity number. In a body, as neither may stand in an address."""

    community: Slug | None = None
    phone: Phone | None = None
    id_number: str | None = None


def add_people_routes(app: FastAPI, house: Ledger) -> None:
    """Put the routes of people on the application."""

    @app.get(f"{PREFIX}/people", tags=["people"])
    async def listed(
        who: Somebody,
        limit: Limit = 50,
        after: After = None,
        community: Name = None,
        building: Name = None,
        category: Name = None,
        in_list: Annotated[str | None, Query(alias="list", max_length=128)] = None,
        first_line: bool = False,
    ) -> dict[str, Any]:
        """People within the token's place, without their personal data; for volunteers no more than where they are."""
        who.require(*(AT_THE_DOOR if category or in_list or first_line else INSIDERS))
        place = decode_cursor(after, (str,))
        query = among(
            community=who.community or community,
            grids=who.grids,
            building=building,
            category=category,
            in_list=in_list,
            first_line=first_line,
        )
        found = await house.store.register.page(query, limit=limit + 1, after=place[0] if place else None)
        return page(found, limit, lambda one: (one["_id"],), lambda one: _show(who, one))

    @app.post(f"{PREFIX}/people:find", openapi_extra=_takes(FindPeople), tags=["people"])
    async def find(who: Somebody, request: Request) -> dict[str, Any]:
        """Who has this phone or this identity number, without their personal data; each who is found is noted."""
        who.require(*INSIDERS)
        asked = parse(FindPeople, await limited(request, BODY_LIMIT))
        community = who.community or asked.community
        if community is None:
            raise refusal("community", "required", "say in which community")
        query = {**among(community=community, grids=who.grids), **_by(house, asked, community)}
        found = await house.store.register.page(query, limit=50, after=None)
        await asyncio.gather(*(note(house, who, house.store.people.state(one), "find") for one in found))
        return {"items": [_show(who, one) for one in found]}

    @app.get(f"{PREFIX}/people/{{person_id}}", tags=["people"])
    async def person(who: Somebody, person_id: str, on: OnDay = None) -> dict[str, Any]:
        """One person with what is sealed: all of it for who leads, name and phone in part for the grid's worker."""
        who.require(*AT_THE_DOOR)
        known = await person_of(house, who, person_id)
        if on is not None:
            known = await as_it_was(house, person_id, on)
        await note(house, who, known, "people")
        portrait = await opened(house, known)
        details = portrait.details.model_dump(mode="json") if who.leads() else _in_part(portrait)
        return {**shown(known), "floor": rules.floor_of(portrait.details.address.room), "details": details}

    @app.get(f"{PREFIX}/people/{{person_id}}/emergency-card", tags=["people"])
    async def emergency_card(who: Somebody, person_id: str) -> dict[str, Any]:
        """One look: who this is, what to know, whom to call in which order, what is due. Needs the database alone."""
        who.require(*AT_THE_DOOR)
        known = await person_of(house, who, person_id)
        await note(house, who, known, "emergency")
        ids = await house.store.register.ids_of(known.facts.person_id) if known.absorbed else (known.facts.person_id,)
        portrait, observed, due = await asyncio.gather(
            opened(house, known), house.store.observations.of_person(ids), house.store.due_of(ids)
        )
        return {
            **_card(known, portrait, today(house)),
            "observed": {"since": observed.starts, "until": observed.last_day} if observed else None,
            "due": [{"kind": one.kind, "at": one.at} for one in due],
        }

    @app.post(
        f"{PREFIX}/people",
        status_code=202,
        response_model=RegistrationAnswer,
        openapi_extra=takes(RegisterPerson),
        tags=["people"],
    )
    async def register(who: Somebody, request: Request) -> RegistrationAnswer:
        """Enter somebody who lives here, or add to what is known of him: by number, phone or door with the name."""
        who.require(*LEADERS)
        command = await body(request, RegisterPerson)
        within(who, command.community)
        return await people.register(house, command, http_meta(request, RegisterPerson.wire, house.runtime.clock()))

    for verb, (contract, handler) in VERBS.items():
        _add_verb(app, house, verb, contract, handler)


def _add_verb(app: FastAPI, house: Ledger, verb: str, contract: type[Command], handler: Handler) -> None:
    @app.post(
        f"{PREFIX}/people/{{person_id}}/{verb}",
        name=verb,
        status_code=202,
        response_model=RegistrationAnswer,
        openapi_extra=takes(contract),
        tags=["people"],
        description=(contract.__doc__ or "").strip(),
    )
    async def act(who: Somebody, person_id: str, request: Request) -> RegistrationAnswer:
        who.require(*LEADERS)
        command = await body(request, contract, person_id=person_id)
        for one in filter(None, (person_id, getattr(command, "other", None))):
            await person_of(house, who, one, erased=True)
        return await handler(house, command, http_meta(request, contract.wire, house.runtime.clock()))


async def known_as(house: Ledger, person_id: str | None) -> tuple[str, ...] | None:
    """All ids of somebody, where one is asked for."""
    return None if person_id is None else await house.store.register.ids_of(person_id)


async def person_of(house: Ledger, who: Principal, person_id: str, *, erased: bool = False) -> Person:
    """Somebody within the token's place, under whichever id he is known by now.

    Raises:
        Refusal: 404 nobody there has this id; 410 erased, unless that is no obstacle.
    """
    known = await house.store.register.current(person_id)
    if known is None or not who.covers(known.facts.community, known.facts.grid):
        raise refusal("person_id", "unknown_person", "there is no person of this id", status=404)
    return known if erased else rules.known_person(known)


async def note(house: Ledger, who: Principal, known: Person, purpose: str) -> None:
    """The opening, before anything is shown."""
    facts = known.facts
    record = f"person:{facts.person_id}"
    await house.runtime.openings.note(who, record, purpose, community=facts.community, grid=facts.grid)


def shown(known: Person) -> dict[str, Any]:
    """What is in the clear."""
    facts = known.facts.model_dump(exclude={*_NOT_SHOWN})
    more = {name: getattr(known, name) for name in ("floor", "listed", "died", "died_on", "merged_into")}
    return {"id": known.facts.person_id, **facts, **more, "merged": sorted(known.absorbed)}


def _show(who: Principal, document: Document) -> dict[str, Any]:
    state = document["state"]
    if who.role not in AT_THE_DOOR:
        return {"id": document["_id"], **{name: state["facts"][name] for name in ("community", "grid", "building")}}
    facts = {name: one for name, one in state["facts"].items() if name not in _NOT_SHOWN}
    return {"id": document["_id"], **facts, "floor": state.get("floor"), "listed": state.get("listed", {})}


def _in_part(portrait: Portrait) -> dict[str, Any]:
    details = portrait.details
    name, phone = rules.masked_name(details.name), rules.masked_number(details.phone)
    return {"address": details.address.model_dump(), "name": name, "phone": phone, "masked": True}


def _card(known: Person, portrait: Portrait, today: date) -> dict[str, Any]:
    details = portrait.details
    return {
        "id": known.facts.person_id,
        "name": details.name,
        "age": rules.age(details, today),
        "here": known.facts.here,
        "address": details.address.model_dump(),
        "phone": details.phone,
        "other_phones": details.other_phones,
        "lives_alone": portrait.lives_alone,
        "needs": portrait.needs,
        "illnesses": details.illnesses,
        "categories": portrait.categories,
        "language": portrait.language,
        "keys": details.keys,
        "call": [one.model_dump() for one in details.contacts],
    }


def _by(house: Ledger, asked: FindPeople, community: str) -> dict[str, Any]:
    lookup = house.runtime.lookup
    match asked.phone, asked.id_number:
        case str(phone), None:
            return {"state.facts.lookups": lookup.phone(community, phone)}
        case None, str(number):
            checked = rules.checked_id_number(number)
            return {"state.identities.id_number": lookup.blind("id number", community, checked)}
        case _:
            raise refusal("phone", "one_of_two", "look for a phone or for an identity number")


def _takes(contract: type[Contract]) -> dict[str, Any]:
    schema = contract.model_json_schema()
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
