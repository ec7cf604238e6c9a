"""The orders of a simulated day: the same for the same dice, whoever does them."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from deploy.simulation.scenario import Scenario
from services.dispatch.domain.places import Door
from services.intake.domain.request import priority
from shared.contracts.catalogue import Kinds
from shared.contracts.intake import RequestFacts, Urgency


@dataclass(frozen=True, slots=True)
class Order:
    """A need, when it becomes known, and how high up the door is."""

    at: datetime
    floor: int
    facts: RequestFacts

    @property
    def task_id(self) -> str:
        """One request, one task."""
        return f"task-{self.facts.request_id}"

    @property
    def door(self) -> Door:
        return Door(self.facts.building, self.facts.stairwell, self.floor)


def draw(scenario: Scenario, kinds: Kinds, dice: random.Random) -> tuple[Order, ...]:
    """All orders, in the order in which they become known."""
    hours = range(scenario.hours)
    weights = [scenario.weight_of(hour) for hour in hours]
    moments = sorted(
        dice.choices(hours, weights)[0] * 3600 + dice.random() * 3600 for _ in range(scenario.orders.count)
    )
    begins = scenario.begins
    return tuple(
        _order(scenario, kinds, dice, number, begins + timedelta(seconds=moment))
        for number, moment in enumerate(moments, 1)
    )


def _order(scenario: Scenario, kinds: Kinds, dice: random.Random, number: int, at: datetime) -> Order:
    orders = scenario.orders
    buildings = tuple(scenario.buildings)
    name = dice.choices(buildings, [scenario.buildings[one].inhabited for one in buildings])[0]
    building = scenario.buildings[name]
    on_floor, door = divmod(dice.randrange(building.inhabited), building.doors)
    stairwell, floor = divmod(on_floor, building.floors)
    kind = dice.choices(tuple(orders.kinds), tuple(orders.kinds.values()))[0]
    urgency = _urgency(scenario, dice) or kinds.kinds[kind].urgency
    first_line = dice.random() < orders.first_line
    needs = tuple(need for need, share in orders.needs.items() if dice.random() < share)
    facts = RequestFacts(
        community=scenario.community,
        grid=building.grid,
        request_id=f"{number:06d}",
        kind=kind,
        building=name,
        stairwell=f"{name}/{stairwell + 1}",
        household=f"{name}/{stairwell + 1}/{floor + 1}{door + 1:02d}",
        urgency=urgency,
        priority=priority(urgency, first_line=first_line, needs=needs),
        first_line=first_line,
        needs=needs,
        language=_one_of(orders.languages, dice),
        sealed="",
    )
    return Order(at, floor + 1, facts)


def _urgency(scenario: Scenario, dice: random.Random) -> Urgency | None:
    drawn = dice.random()
    if drawn < scenario.orders.urgent:
        return "urgent"
    return "soon" if drawn < scenario.orders.urgent + scenario.orders.soon else None


def _one_of(shares: dict[str, float], dice: random.Random) -> str | None:
    drawn = dice.random()
    for name, share in shares.items():
        if drawn < share:
            return name
        drawn -= share
    return None
