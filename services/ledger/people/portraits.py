"""What is known of a person: opened for a rule, and sealed again under the person's own key."""

from collections.abc import Mapping

from services.ledger.domain import people as rules
from services.ledger.domain.people import Portrait
from services.ledger.domain.register import Person, first_line
from services.ledger.house import Ledger, today
from services.ledger.people.recognition import household_of, identities_of
from services.ledger.people.store import context_of
from shared.contracts.intake import Resident
from shared.contracts.ledger import PersonDetails, PersonRegistered
from shared.contracts.refusal import refusal
from shared.sealing import CannotOpen, Sealer


def portrait_of(person: Person, sealer: Sealer) -> Portrait:
    """All that is known of somebody, opened for a rule; whoever shows it to people notes it.

    Raises:
        Refusal: 410, it was erased: the key is gone.
    """
    facts = person.facts
    try:
        opened = sealer.open(facts.sealed, context_of(facts.person_id))
    except CannotOpen:
        raise refusal("person_id", "erased", "what was known of this person was erased", status=410) from None
    return Portrait(
        facts.community or "",
        PersonDetails.model_validate_json(opened, extra="ignore"),
        facts.lives_alone,
        facts.language,
        facts.needs,
        facts.categories,
        dict(person.listed),
    )


async def sealer_of(house: Ledger, person: Person) -> Sealer:
    """What opens what is known of somebody: the own key; the service's, for who was entered before there were such."""
    return await house.store.keys.sealer(person.facts.person_id) or house.runtime.sealer


async def opened(house: Ledger, person: Person) -> Portrait:
    """All that is known of somebody, opened.

    Raises:
        Refusal: 410, it was erased.
    """
    rules.known_person(person)
    return portrait_of(person, await sealer_of(house, person))


def resident_of(portrait: Portrait) -> Resident:
    """Somebody as a request names them."""
    details = portrait.details
    return Resident(name=details.name, phone=details.phone, language=portrait.language, needs=portrait.needs)


def drawn(
    house: Ledger,
    person_id: str,
    grid: str | None,
    known: Portrait,
    sealer: Sealer,
    sources: dict[str, str],
    identities: Mapping[str, str] | None = None,
) -> Person:
    """The person's document: in the clear ids and flags, all else sealed."""
    lookup, details = house.runtime.lookup, known.details
    identities = identities or identities_of(lookup, known)
    household = household_of(lookup, known)
    lookups = [identities.get("door") or lookup.resident(household, details.name)]
    lookups += (lookup.phone(known.community, one) for one in (details.phone, *details.other_phones) if one)
    facts = PersonRegistered.model_construct(
        community=known.community,
        grid=grid,
        person_id=person_id,
        building=details.address.building,
        household=household,
        lookups=tuple(lookups),
        lives_alone=known.lives_alone,
        first_line=first_line(today(house).year, details.birth_year, lives_alone=known.lives_alone),
        language=known.language,
        needs=known.needs,
        sealed=sealer.seal(details.model_dump_json(), context_of(person_id)),
        categories=known.categories,
        lists=tuple(known.listed),
        here=True,
    )
    return Person(
        facts=facts,
        fingerprint=next(reversed(sources.values())),
        sources=sources,
        stairwell=lookup.stairwell(known.community, details.address.building, details.address.unit),
        floor=rules.floor_of(details.address.room),
        identities=dict(identities),
        listed=known.listed,
    )
