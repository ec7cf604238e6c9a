"""Those who are in a building and live elsewhere, on the roster of a round for everybody inside."""

from collections.abc import Sequence

from services.ledger.domain import presence as rules
from services.ledger.domain.presence import Presence
from services.ledger.domain.sheets import Entrance, Member
from services.ledger.house import Ledger
from shared.contracts.intake import Address, Resident
from shared.contracts.presence import PresenceDetails
from shared.contracts.refusal import refusal
from shared.contracts.rounds import OpenRound, RoundRecord


def context_of(presence_id: str) -> str:
    """What is sealed of somebody belongs to this, and its key to the same."""
    return f"presence:{presence_id}"


async def details_of(house: Ledger, presences: Sequence[Presence]) -> dict[str, PresenceDetails]:
    """What is sealed of these, of whom it was not erased, in one question."""
    own = await house.store.keys.sealers(context_of(one.presence_id) for one in presences)
    found = dict[str, PresenceDetails]()
    for one in presences:
        context = context_of(one.presence_id)
        opened = own[context].left(one.sealed, context)
        if opened is not None:
            found[one.presence_id] = PresenceDetails.model_validate_json(opened, extra="ignore")
    return found


async def as_requested(house: Ledger, presence: Presence) -> tuple[Address, Resident]:
    """Where somebody is and who it is, as a request names them.

    Raises:
        Refusal: 410, it was erased.
    """
    guest = (await details_of(house, [presence])).get(presence.presence_id)
    if guest is None:
        raise refusal("presence_id", "erased", "what was known of this person was erased", status=410)
    return behind(presence, guest), Resident(name=guest.name, phone=guest.phone)


def behind(presence: Presence, guest: PresenceDetails) -> Address:
    """The door behind which somebody is."""
    return Address(building=presence.building, unit=guest.unit, room=guest.room)


def marks_of(house: Ledger, community: str, building: str, told: PresenceDetails) -> tuple[str, list[str]]:
    """The household behind whose door they are, and by what they are known again: keyed hashes."""
    lookup = house.runtime.lookup
    household = lookup.household(community, building, told.unit, told.room)
    marks = [lookup.resident(household, told.name)]
    return household, [*marks, lookup.phone(community, told.phone)] if told.phone else marks


def member(presence: Presence) -> tuple[Entrance, Member]:
    """As they stand on a roster, with those who live behind the same entrance."""
    entrance = Entrance(grid=presence.grid, building=presence.building, stairwell=presence.stairwell)
    return entrance, Member(member_id=presence.presence_id, person_id=presence.presence_id, presence=True)


async def inside(house: Ledger, told: OpenRound, building: str) -> list[tuple[Entrance, Member]]:
    """Those who are in a building now and live elsewhere, if the round is for them, too."""
    if not told.present:
        return []
    here = await house.store.presences.present(told.community, building)
    return [member(one) for one in here if not told.roster.grids or one.grid in told.roster.grids]


async def meant(house: Ledger, told: OpenRound, records: Sequence[RoundRecord]) -> list[list[str]]:
    """For each record, who of them on the roster it may mean by name and door, or by phone."""
    if not told.present:
        return [[] for _ in records]
    marks = [_marks(house, told, one) for one in records]
    found = await house.store.presences.found_by({mark for each in marks for mark in each})
    places = await house.store.rounds.sheets_of(told.round_id, [one.presence_id for one in found])
    known = [one for one in found if one.presence_id in places]
    return [
        _best(house, one, [(each, [mark for mark in wanted if mark in each.lookups]) for each in known], wanted)
        for one, wanted in zip(records, marks, strict=True)
    ]


def _marks(house: Ledger, told: OpenRound, one: RoundRecord) -> list[str]:
    """By name and door first, then by phone, as a record has them."""
    lookup, address, marks = house.runtime.lookup, one.address, list[str]()
    if one.member_id is not None:
        return marks
    if address is not None and one.name is not None:
        household = lookup.household(told.community, address.building, address.unit, address.room)
        marks.append(lookup.resident(household, one.name))
    if one.phone is not None:
        marks.append(lookup.phone(told.community, one.phone))
    return marks


def _best(
    house: Ledger, one: RoundRecord, known: Sequence[tuple[Presence, list[str]]], wanted: Sequence[str]
) -> list[str]:
    """Those of the first mark that anybody has; where a name is told, of that name."""
    for mark in wanted:
        found = [each for each, marks in known if mark in marks]
        if one.name is not None:
            name = one.name
            found = [each for each in found if house.runtime.lookup.resident(each.household, name) in each.lookups]
        if found:
            return [each.presence_id for each in found]
    return []


async def on_roster(house: Ledger, presence_id: str, community: str) -> Presence:
    """Somebody who is there.

    Raises:
        Refusal: nobody of this id is in this community.
    """
    known = rules.existing(await house.store.presences.all.get(presence_id))
    return rules.existing(known if known.community == community else None)
