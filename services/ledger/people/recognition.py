"""Who is who: by what a person is recognised, whichever list tells of him."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from services.ledger.domain import people as rules
from services.ledger.domain.people import Portrait
from services.ledger.domain.register import Person
from services.ledger.house import Ledger
from shared.contracts.ledger import RegisterPerson
from shared.documents import Document
from shared.identity import derived_id
from shared.sealing import Lookup, half_width


@dataclass(frozen=True, slots=True)
class Aliases:
    """By what a person is recognised, in the order in which it counts."""

    source: str
    """What the source's own id stands for; also the id of whoever is entered by it."""
    others: tuple[str, ...]
    identities: Mapping[str, str]

    def all(self) -> tuple[str, ...]:
        """In the order in which they are claimed, which is the same for everybody: the first that two share decides."""
        return (*self.others, self.source)


async def identify(house: Ledger, aliases: Aliases) -> tuple[str, Person | None]:
    """Who that is, with all aliases claimed: somebody known, or the id under which somebody new will be entered.

    Aliases are claimed one after the other, in the same order by everybody: of two who tell of one new person at once,
    the first alias that they share decides, and the other one follows.
    """
    store = house.store.register
    while True:
        holders = await store.holders(aliases.all())
        person_id, known = await _recognised(house, aliases, holders)
        claimed: list[str] = []
        for alias in aliases.all():
            if alias in holders:
                continue
            holder = await store.claim(alias, person_id, aliases.identities)
            if holder["person"] == person_id:
                claimed.append(alias)
            elif known is None and rules.agree(holder, aliases.identities):
                await store.pass_on(claimed, person_id, holder["person"])
                break
        else:
            return person_id, known


async def _recognised(house: Ledger, aliases: Aliases, holders: Mapping[str, Document]) -> tuple[str, Person | None]:
    """The first whose alias counts: the source's own id, the identity number, phone and name, door and name.

    Those who are being entered at this moment follow each other in the order of claims, so the last of them stays.
    """
    entered = house.store.register.current
    names = [one for one in (aliases.source, *aliases.others) if one in holders]
    found = await asyncio.gather(*(entered(holders[one]["person"]) for one in names))
    for alias, known in zip(names, found, strict=True):
        if known is None or known.erased:
            continue
        if alias == aliases.source or rules.agree(known.identities, aliases.identities):
            return known.facts.person_id, known
    for alias in reversed(aliases.all()):
        if alias in names and found[names.index(alias)] is None and rules.agree(holders[alias], aliases.identities):
            return holders[alias]["person"], None
    own = aliases.source
    while (known := await entered(own)) is not None and known.erased:
        # Whoever was forgotten is somebody new when told of again.
        own = derived_id("person again", own)
    return (own, None) if known is None else (known.facts.person_id, known)


def fingerprint_of(lookup: Lookup, command: RegisterPerson) -> str:
    """Keyed hash of all that a registration says. To say that there is no phone is not to say nothing of it."""
    return lookup.blind("person", command.model_dump_json(exclude_unset=True))


def aliases_of(lookup: Lookup, known: Portrait, source: str) -> Aliases:
    """By what somebody can be recognised, hashed."""
    identities = identities_of(lookup, known)
    others = tuple(identities[name] for name in ("id_number", "phone", "door") if name in identities)
    return Aliases(source, others, identities)


def identities_of(lookup: Lookup, known: Portrait) -> dict[str, str]:
    """Blind indexes: identity number; phone with name; door with name, where the door is known; year of birth."""
    details, community = known.details, known.community
    found: dict[str, str] = {}
    if details.id_number:
        found["id_number"] = lookup.blind("id number", community, details.id_number)
    if details.phone:
        found["phone"] = lookup.blind(
            "phone and name", lookup.phone(community, details.phone), half_width(details.name)
        )
    if details.address.room:
        found["door"] = lookup.resident(household_of(lookup, known), details.name)
    if details.birth_year:
        found["born"] = lookup.blind("born", community, str(details.birth_year))
    return found


def household_of(lookup: Lookup, known: Portrait) -> str:
    """Id of the door."""
    address = known.details.address
    return lookup.household(known.community, address.building, address.unit, address.room)
