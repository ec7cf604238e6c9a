"""Sheets of a roster as work: somebody is sent from door to door, and again for those who are left."""

from collections.abc import Sequence

from services.ledger.domain.sheets import Member, RoundFacts
from services.ledger.house import Ledger
from services.ledger.needs import SOURCE, raise_need, request_id_of
from services.ledger.people.portraits import opened
from services.ledger.rounds.guests import behind, details_of
from shared.contracts.dispatch import DeliveryEvent
from shared.contracts.envelope import Meta
from shared.contracts.intake import Address, SubmitRequest
from shared.identity import derived_id

MOST = 3
"""Walks of one sheet; whoever is missing after that is looked for when the round closes."""


async def send(house: Ledger, facts: RoundFacts, sheet_id: str, number: int, cause: Meta) -> None:
    """Have somebody walk a sheet, for the first time or again, if anybody on it is missing. Safe to repeat."""
    sheet = await house.store.rounds.sheets.get(sheet_id)
    missing = [] if sheet is None or sheet.closed else [one for one in sheet.members if one.state == "missing"]
    address = await _entrance(house, sheet.building, missing) if sheet is not None and missing else None
    if sheet is None or address is None:
        return
    need_id = derived_id("walk", sheet_id, str(number))
    request = SubmitRequest(
        source=SOURCE,
        source_id=need_id,
        kind=facts.kind,
        community=facts.community,
        address=address.model_copy(update={"building": sheet.building, "room": None}),
        note=f"{facts.title} ({len(missing)})",
    )
    await house.store.rounds.put_walk(request_id_of(need_id), facts.round_id, sheet_id, number)
    await raise_need(house, need_id, request, cause, grid=sheet.grid)


async def _entrance(house: Ledger, building: str, missing: Sequence[Member]) -> Address | None:
    """Behind which entrance these are found, as one tells who still is there; None: that is not known any more."""
    residents = [one.person_id for one in missing if not one.presence]
    known_as = await house.store.register.counting(residents)
    people = await house.store.people_by_id([known_as.get(one, one) for one in residents])
    for person in people.values():
        if person.living and person.facts.building == building:
            return (await opened(house, person)).details.address
    present = await house.store.presences.by_id([one.person_id for one in missing if one.presence])
    found = await details_of(house, list(present.values()))
    return next((behind(present[name], guest) for name, guest in found.items()), None)


async def come_back(house: Ledger, event: DeliveryEvent, meta: Meta) -> None:
    """A walk is over: those who are left are somebody's work again."""
    walk = await house.store.rounds.walk(event.request_id)
    known = await house.store.rounds.all.get(walk["round"]) if walk is not None else None
    if walk is None or known is None or walk["number"] >= MOST or known.state != "open":
        return
    await send(house, known.facts, walk["sheet"], walk["number"] + 1, meta)
