"""The same day under several policies."""

import random
from collections.abc import Callable, Iterable

from deploy.simulation import policies
from deploy.simulation.day import Day
from deploy.simulation.orders import Order, draw
from deploy.simulation.records import Records
from deploy.simulation.scenario import Scenario
from deploy.simulation.story import Outcome
from services.dispatch.catalogues import Catalogues

OPTIMUM = "optimum"
NAMES = (*policies.NAMES, OPTIMUM)


def ordered(scenario: Scenario, known: Catalogues) -> tuple[Order, ...]:
    """What is asked for on that day, whoever does it."""
    return draw(scenario, known.kinds, random.Random(f"orders/{scenario.seed}"))  # noqa: S311  # no secrets


def compare(
    scenario: Scenario, known: Catalogues, names: Iterable[str], step: Callable[[str, float], None]
) -> list[Outcome]:
    """What comes of the day under each policy named, all with the same orders and people of the same moods.

    `step` is told now and then which policy it is, and how many hours of its day have passed.
    """
    orders = ordered(scenario, known)
    every = policies.policies(known.kinds)
    found = []
    for name in names:
        if name == OPTIMUM:
            # The solver takes a second to load, which no other command shall wait for.
            from deploy.simulation.optimum import optimum

            found.append(optimum(scenario, known, Records(scenario, known, every["today"]), orders))
            step(name, scenario.hours)
            continue
        day = Day(scenario, known, every[name], orders, random.Random(f"people/{scenario.seed}"))  # noqa: S311
        for hours in day.play():
            step(name, hours)
        found.append(day.outcome)
    return found
