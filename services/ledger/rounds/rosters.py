"""Rosters as people read them: who it is, and what was recorded. Whoever shows them notes it first."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from zoneinfo import ZoneInfo

from services.ledger.domain.imports import Imports
from services.ledger.domain.record_lists import LISTED
from services.ledger.domain.register import Person
from services.ledger.domain.rounds import Round
from services.ledger.domain.sheets import RoundFacts, natural
from services.ledger.files.export import Listing
from services.ledger.house import Ledger
from services.ledger.people.portraits import opened
from services.ledger.rounds import lines as round_lines
from services.ledger.rounds.guests import behind, details_of
from shared.contracts.intake import Address
from shared.contracts.refusal import Refusal
from shared.documents import Document
from shared.sealing import Sealer

_AT_ONCE = 200
_BUILDING = LISTED.index("building")


def listing(
    house: Ledger,
    imports: Imports,
    known: Round,
    state: str | None,
    grids: Sequence[str],
    buildings: Sequence[str] | None,
) -> Listing:
    """A roster in the columns in which a desk's list comes in, so that it can be filled in and come back."""
    headings = [imports.records.columns[name][0] for name in LISTED]
    members = house.store.rounds.members

    def after(place: tuple[str, int] | None) -> Awaitable[list[Document]]:
        return members(known.told.round_id, state, grids, _AT_ONCE, place, buildings)

    return Listing(known.told.title, headings, _rows(house, imports, known, after), imports.totals[0])


async def _rows(
    house: Ledger,
    imports: Imports,
    known: Round,
    after: Callable[[tuple[str, int] | None], Awaitable[list[Document]]],
) -> AsyncIterator[list[list[str]]]:
    zone, place = ZoneInfo(house.kinds.hours.zone), None
    building_rows: list[list[str]] = []
    while found := await after(place):
        place = (found[-1]["order"], found[-1]["place"])
        details, told = await asyncio.gather(named(house, found), records(house, known.facts, found, names=True))
        for one, who, met in zip(found, details, told, strict=True):
            row = _row(imports, one, who or {}, met, zone)
            if building_rows and row[_BUILDING] != building_rows[0][_BUILDING]:
                yield sorted(building_rows, key=_door)
                building_rows = []
            building_rows.append(row)
    yield sorted(building_rows, key=_door)


def _door(row: list[str]) -> list[str]:
    """Where one comes by, one after the other: on the sheets, doors stand by hashes."""
    return [natural(row[LISTED.index(name)]) for name in ("unit", "room", "name")]


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


async def records(
    house: Ledger, facts: RoundFacts, members: Sequence[Document], *, names: bool
) -> list[list[Document]]:
    """What was recorded of each; `names`: with what was noted."""
    noted = [one["member_id"] for one in members if names and any(met["sealed"] for met in one["met"])]
    sealers, context = await round_lines.sealers(house, facts, noted), round_lines.context_of(facts.round_id)
    return [recorded(one["met"], context, sealers(one["member_id"]) if names else None) for one in members]


def recorded(met: Sequence[Document], context: str, sealer: Sealer | None) -> list[Document]:
    """What was recorded; what was noted with it only for whoever may read that, None once it was erased."""
    shown = [{name: value for name, value in one.items() if name != "sealed"} for one in met]
    if sealer is None:
        return shown
    notes = [sealer.left(one["sealed"], context) if one["sealed"] else "" for one in met]
    return [{**one, "note": note} for one, note in zip(shown, notes, strict=True)]


async def named(house: Ledger, members: Sequence[Document]) -> list[Document | None]:
    """Name, phone and address of each member of a roster; None: erased."""
    people, present = await asyncio.gather(
        house.store.people_by_id([one["person_id"] for one in members if not one["presence"]]),
        house.store.presences.by_id([one["person_id"] for one in members if one["presence"]]),
    )
    guests = await details_of(house, list(present.values()))
    found: dict[str, Document | None] = {
        name: _shown(guest.name, guest.phone, behind(present[name], guest)) for name, guest in guests.items()
    }
    details = await asyncio.gather(*(_resident(house, person) for person in people.values()))
    found |= zip(people, details, strict=True)
    return [found.get(one["person_id"]) for one in members]


async def _resident(house: Ledger, person: Person) -> Document | None:
    try:
        known = (await opened(house, person)).details
    except Refusal:  # Erased.
        return None
    return _shown(known.name, known.phone, known.address)


def _shown(name: str, phone: str | None, address: Address) -> Document:
    return {"name": name, "phone": phone, "address": address.model_dump(mode="json")}
