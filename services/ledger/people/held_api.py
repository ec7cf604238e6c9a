"""HTTP in: all that the ledger holds on one person."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI

from services.ledger.api import PREFIX
from services.ledger.cases import api as cases_api
from services.ledger.domain.follow_ups import FollowUp
from services.ledger.domain.needs import Need
from services.ledger.domain.people_retold import Lived, lived
from services.ledger.domain.register import Person
from services.ledger.domain.rounds import Round
from services.ledger.domain.sheets import RoundFacts
from services.ledger.domain.strangers import Stranger
from services.ledger.follow_ups import handlers as follow_ups
from services.ledger.house import Ledger
from services.ledger.money import api as money_api
from services.ledger.money import handlers as money
from services.ledger.needs import request_id_of
from services.ledger.people.api import note, person_of, shown
from services.ledger.people.history import events_of
from services.ledger.people.portraits import opened
from services.ledger.rounds import lines as round_lines
from services.ledger.rounds import rosters
from shared.access import LEADERS
from shared.documents import Document
from shared.web import Somebody


def add_held_routes(app: FastAPI, house: Ledger) -> None:
    """Put the route on the application."""

    @app.get(f"{PREFIX}/people/{{person_id}}/export", tags=["people"])
    async def export(who: Somebody, person_id: str) -> dict[str, Any]:
        """All that the ledger holds on one person."""
        who.require(*LEADERS)
        known = await person_of(house, who, person_id)
        await note(house, who, known, "export")
        portrait = await opened(house, known)
        return {**shown(known), "details": portrait.details.model_dump(mode="json"), **await _beside(house, known)}


async def _beside(house: Ledger, person: Person) -> dict[str, Any]:
    """What is kept beside the register's own word, under every id that was this person's; texts with it."""
    store, facts = house.store, person.facts
    ids = await store.register.ids_of(facts.person_id)
    histories = await store.register.histories(ids)
    doors = [one for history in histories.values() for one in lived(events_of(history))]
    aliases, about, looked_after, rounds = await asyncio.gather(
        store.register.held(facts.person_id),
        store.register.about(ids),
        store.follow_ups_of(ids),
        store.rounds.of_members(facts.community, {*ids, facts.household, *(one.household for one in doors)}),
    )
    theirs = {*ids, facts.household}
    matters = [store.money.all.state(one) for one in about["money"]]
    notes = await money.notes(house, matters)
    return {
        "aliases": aliases,
        "history": _shown(histories),
        "plans": [one["state"] for one in about["plans"]],
        "observations": [one["state"] for one in about["observations"]],
        "cases": await asyncio.gather(*(cases_api.opened(house, store.cases.all.state(one)) for one in about["cases"])),
        "money": [money_api.show(one, notes) for one in matters],
        "follow_ups": await asyncio.gather(*(_follow_up(house, one) for one in looked_after)),
        "rounds": await asyncio.gather(
            *(
                _round(house, known.facts, member)
                for known, member in rounds
                if member["member_id"] in theirs or _was_behind(doors, member["member_id"], known)
            )
        ),
        "strangers": await asyncio.gather(
            *(_stranger(house, store.rounds.strangers.state(one)) for one in about["strangers"])
        ),
        "needs": [_need(store.needs.state(one)) for one in about["needs"]],
    }


def _shown(histories: Mapping[str, Sequence[Document]]) -> list[Document]:
    """What happened to each of the documents, and when, in the order of time."""
    told = [{"id": name, "event": one["type"], "at": one["at"]} for name, some in histories.items() for one in some]
    return sorted(told, key=lambda one: one["at"])


def _was_behind(doors: Sequence[Lived], household: str, known: Round) -> bool:
    """Whether somebody lived behind a door while a round went by: before and after, it was others who were met."""
    return any(
        one.household == household
        and one.since <= known.told.closes
        and (one.until is None or known.created_at < one.until)
        for one in doors
    )


async def _stranger(house: Ledger, known: Stranger) -> Document:
    """Somebody who was recorded in a round, and was not on its roster."""
    of = await house.store.rounds.all.get(known.round_id)
    assert of is not None
    sealers = await round_lines.sealers(house, of.facts, [known.person_id])
    met = [one.model_dump() for one in known.met]
    recorded = rosters.recorded(met, round_lines.context_of(known.round_id), sealers(known.person_id))
    shown = known.model_dump(include={"round_id", "at", "added"})
    return {**shown, "kind": of.told.kind, "title": of.told.title, "met": recorded}


def _need(known: Need) -> Document:
    """What it was stands in the request."""
    told = known.told.model_dump(include={"need_id", "kind", "building", "person_id"})
    return {**told, "request_id": request_id_of(known.need_id)}


async def _follow_up(house: Ledger, known: FollowUp) -> Document:
    return {**known.model_dump(), "records": await follow_ups.records_of(house, known)}


async def _round(house: Ledger, facts: RoundFacts, member: Document) -> Document:
    (met,) = await rosters.records(house, facts, [member], names=True)
    return {**facts.model_dump(include={"round_id", "kind", "title"}), **member, "met": met}
