"""Rosters as people read them: who it is, and what was recorded. Whoever shows them notes it first."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from services.ledger.domain.imports import Imports
from services.ledger.domain.presence import Presence
from services.ledger.domain.record_lists import LISTED
from services.ledger.domain.register import Person
from services.ledger.domain.rounds import Round
from services.ledger.export import Listing
from services.ledger.guests import as_requested
from services.ledger.house import Ledger
from services.ledger.portraits import opened
from services.ledger.rounds import unsealed
from shared.documents import Document

_AT_ONCE = 200


def listing(
    house: Ledger, imports: Imports, known: Round, state: str | None, grids: Sequence[str], building: str | None
) -> Listing:
    """A roster in the columns in which a desk's list comes in, so that it can be filled in and come back."""
    headings = [imports.records.columns[name][0] for name in LISTED]
    rows = _rows(house, imports, known, state, grids, building)
    return Listing(known.told.title, headings, rows, imports.totals[0])


async def _rows(
    house: Ledger, imports: Imports, known: Round, state: str | None, grids: Sequence[str], building: str | None
) -> AsyncIterator[list[list[str]]]:
    zone, place = ZoneInfo(house.kinds.hours.zone), None
    while found := await house.store.rounds.members(known.told.round_id, state, grids, _AT_ONCE, place, building):
        place = (found[-1]["order"], found[-1]["place"])
        details = await named(house, found)
        yield [
            _row(imports, one, who or {}, records(house, known.told.round_id, one["met"]), zone)
            for one, who in zip(found, details, strict=True)
        ]


def _row(imports: Imports, one: Document, who: Document, met: Sequence[Document], zone: ZoneInfo) -> list[str]:
    address = who.get("address") or {"building": one["building"]}
    # What says how it went: the latest that ended so.
    counts = max((each for each in met if each["outcome"] == one["state"]), key=lambda each: each["at"], default=None)
    told = {**address, "name": who.get("name"), "phone": who.get("phone")}
    if counts is not None:
        told |= {name: counts[name] for name in ("point", "card", "note")}
        told["at"] = f"{counts['at'].astimezone(zone):%Y-%m-%d %H:%M}"
        told["outcome"] = imports.records.outcomes[counts["outcome"]][0]
    return [told.get(name) or "" for name in LISTED]


def records(house: Ledger, round_id: str, met: Sequence[Document]) -> list[Document]:
    """What was recorded of somebody, with what was noted."""
    return [{**shown(one), "note": unsealed(house, round_id, one["sealed"]) if one["sealed"] else ""} for one in met]


def shown(met: Document) -> Document:
    """A record without what was noted."""
    return {name: value for name, value in met.items() if name != "sealed"}


async def named(house: Ledger, members: Sequence[Document]) -> list[dict[str, Any] | None]:
    """Name, phone and address of each member of a roster; None: erased."""
    ids = {True: [], False: []}
    for one in members:
        ids[one["presence"]].append(one["person_id"])
    people, present = await asyncio.gather(house.store.people_by_id(ids[False]), house.store.presences.by_id(ids[True]))
    return list(
        await asyncio.gather(
            *(
                _guest(house, present.get(one["person_id"]))
                if one["presence"]
                else _resident(house, people.get(one["person_id"]))
                for one in members
            )
        )
    )


async def _guest(house: Ledger, known: Presence | None) -> dict[str, Any] | None:
    if known is None:
        return None
    address, resident = as_requested(house, known)
    return {"name": resident.name, "phone": resident.phone, "address": address.model_dump(mode="json")}


async def _resident(house: Ledger, person: Person | None) -> dict[str, Any] | None:
    if person is None or person.erased:
        return None
    known = (await opened(house, person)).details
    return known.model_dump(mode="json", include={"name", "phone", "address"})
