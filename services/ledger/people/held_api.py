"""HTTP in: all that the ledger holds on one person."""

import asyncio
from typing import Any

from fastapi import FastAPI

from services.ledger.api import PREFIX
from services.ledger.cases import api as cases_api
from services.ledger.domain.follow_ups import FollowUp
from services.ledger.domain.register import Person
from services.ledger.domain.sheets import RoundFacts
from services.ledger.follow_ups import handlers as follow_ups
from services.ledger.house import Ledger
from services.ledger.money import api as money_api
from services.ledger.money import handlers as money
from services.ledger.people.api import note, person_of, shown
from services.ledger.people.portraits import opened
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
    aliases, history, about, looked_after, rounds = await asyncio.gather(
        store.register.held(facts.person_id),
        store.register.history(facts.person_id),
        store.register.about(ids),
        store.follow_ups_of(ids),
        store.rounds.of_members(facts.community, [*ids, facts.household]),
    )
    matters = [store.money.all.state(one) for one in about["money"]]
    notes = await money.notes(house, matters)
    return {
        "aliases": aliases,
        "history": history,
        "plans": [one["state"] for one in about["plans"]],
        "observations": [one["state"] for one in about["observations"]],
        "cases": await asyncio.gather(*(cases_api.opened(house, store.cases.all.state(one)) for one in about["cases"])),
        "money": [money_api.show(one, notes) for one in matters],
        "follow_ups": await asyncio.gather(*(_follow_up(house, one) for one in looked_after)),
        "rounds": await asyncio.gather(*(_round(house, *one) for one in rounds)),
    }


async def _follow_up(house: Ledger, known: FollowUp) -> Document:
    return {**known.model_dump(), "records": await follow_ups.records_of(house, known)}


async def _round(house: Ledger, facts: RoundFacts, member: Document) -> Document:
    (met,) = await rosters.records(house, facts, [member], names=True)
    return {**facts.model_dump(include={"round_id", "kind", "title"}), **member, "met": met}
