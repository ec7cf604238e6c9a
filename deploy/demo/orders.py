"""One day of story S15: who asks for what, when, and by which way. Pure and told by the seed."""

import random
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from deploy.demo import words
from deploy.demo.community import COMMUNITY, Community, Household
from deploy.demo.people import SOURCE
from shared.contracts.intake import Address, Item, OnBehalfOf, Resident, SubmitRequest, Urgency
from shared.contracts.ledger import RegisterPerson

Way = Literal["amqp", "http"]

DAY = 24 * 60
"""Minutes in the day that is played."""

HOURS = (1, 1, 1, 1, 1, 2, 6, 9, 8, 6, 7, 11, 10, 5, 4, 4, 6, 10, 10, 6, 4, 3, 2, 1)
"""How many orders come in each hour of the day, relative to the others; peaks before meals."""

KINDS = {
    "groceries": 30,
    "parcel": 18,
    "rubbish": 12,
    "medicine": 12,
    "takeaway": 9,
    "gas_top_up": 6,
    "repair": 5,
    "care_call": 5,
    "company": 3,
}
"""What is asked for, and how common that is."""

GOODS = {"groceries": words.GROCERIES, "medicine": words.MEDICINES, "takeaway": words.MEALS}

RESENT = 0.06
"""Share of the orders whose sender sends them once more although all went well."""
ASTRAY = 0.015
"""Share of the orders that name a building which does not exist."""
NO_BUILDING = "99"


@dataclass(frozen=True, slots=True)
class Order:
    """One need and the behaviour of the system that sends it."""

    body: SubmitRequest
    grid: str
    minute: float
    """Minute of the day at which it is sent."""
    way: Way
    resent: tuple[float, Way] | None = None
    """After how many minutes, and by which way, it is sent again."""
    amended: Address | None = None
    """The right address, where the order names a wrong one."""

    @property
    def key(self) -> str:
        """What names the order for ever."""
        return self.body.source_id


def plan_day(
    rng: random.Random, community: Community, *, count: int, label: str, known: Collection[str] = tuple(KINDS)
) -> tuple[Order, ...]:
    """As many orders as asked for, each from another door, in the order in which they are sent.

    `label` tells one day from another on the same system. `known` are the kinds that the system knows. The old people
    living alone all ask for something.
    """
    if count > len(community.households):
        raise ValueError(f"{count} orders, but only {len(community.households)} households")
    doors = _doors(rng, community, count)
    kinds = {kind: weight for kind, weight in KINDS.items() if kind in known} or dict.fromkeys(sorted(known), 1)
    minutes = sorted(rng.choices(range(24), HOURS)[0] * 60 + rng.random() * 60 for _ in range(count))
    resent = set(rng.sample(range(count), round(count * RESENT)))
    astray = set(rng.sample(sorted(set(range(count)) - resent), round(count * ASTRAY)))
    ways = _ways(rng, count)
    orders = []
    for index, (door, minute, way) in enumerate(zip(doors, minutes, ways, strict=True)):
        kind = rng.choices(tuple(kinds), tuple(kinds.values()))[0]
        body = _body(rng, door, kind, minute, f"{label}-{index + 1:04d}")
        order = Order(body, door.grid, minute, way)
        if index in resent:
            order = Order(body, door.grid, minute, way, resent=(rng.uniform(5, 90), rng.choice(("amqp", "http"))))
        if index in astray:
            wrong = body.model_copy(update={"address": Address(building=NO_BUILDING, unit="1", room="101")})
            order = Order(wrong, door.grid, minute, way, amended=door.home.address())
        orders.append(order)
    return tuple(orders)


def _doors(rng: random.Random, community: Community, count: int) -> list[Household]:
    first_line = [household for household in community.households if household.first_line][:count]
    others = [household for household in community.households if not household.first_line]
    doors = first_line + rng.sample(others, count - len(first_line))
    rng.shuffle(doors)
    return doors


def _ways(rng: random.Random, count: int) -> list[Way]:
    """Half of them each way."""
    ways: list[Way] = ["amqp" if number < count // 2 else "http" for number in range(count)]
    rng.shuffle(ways)
    return ways


def _body(rng: random.Random, door: Household, kind: str, minute: float, source_id: str) -> SubmitRequest:
    resident = door.people[0]
    return SubmitRequest(
        source=SOURCE,
        source_id=source_id,
        kind=kind,
        community=COMMUNITY,
        address=door.home.address(),
        resident=Resident(name=resident.name, phone=resident.phone, language=resident.language, needs=resident.needs),
        on_behalf_of=_family(rng, resident),
        items=_items(rng, kind),
        note=rng.choice(words.NOTES),
        urgency=_urgency(rng, door, kind, minute),
        contactless=rng.random() < 0.4,
    )


def _family(rng: random.Random, resident: RegisterPerson) -> OnBehalfOf | None:
    """Children who live elsewhere ask for about half of the old people living alone."""
    if not resident.contacts or rng.random() < 0.5:
        return None
    contact = resident.contacts[0]
    return OnBehalfOf(relation=contact.relation, name=contact.name, phone=contact.phone)


def _items(rng: random.Random, kind: str) -> tuple[Item, ...]:
    goods = GOODS.get(kind, ())
    chosen = rng.sample(goods, rng.randint(1, min(4, len(goods)))) if goods else []
    return tuple(Item(name=name, quantity=Decimal(quantity), unit=unit) for name, quantity, unit in chosen)


def _urgency(rng: random.Random, door: Household, kind: str, minute: float) -> Urgency | None:
    """Medicine at night for somebody alone is urgent; most senders leave it to the catalogue."""
    night = minute < 6 * 60 or minute > 22 * 60
    if kind == "medicine" and (door.first_line or night):
        return "urgent"
    return rng.choices((None, "soon", "urgent"), (88, 9, 3))[0]
