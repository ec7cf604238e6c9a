"""The same day under several policies."""

import random
from collections.abc import Callable, Iterable

from deploy.simulation.day import Day
from deploy.simulation.figures import Figures, figures
from deploy.simulation.orders import draw
from deploy.simulation.policies import policies
from deploy.simulation.scenario import Catalogues, Scenario


def compare(
    scenario: Scenario, known: Catalogues, names: Iterable[str], step: Callable[[str, float], None]
) -> list[Figures]:
    """Figures for each policy named, all with the same orders and people of the same moods.

    `step` is told now and then which policy it is, and how many hours of its day have passed.
    """
    orders = draw(scenario, known.kinds, random.Random(f"orders/{scenario.seed}"))  # noqa: S311  # no secrets
    every = policies(known.kinds)
    found = []
    for name in names:
        day = Day(scenario, known, every[name], orders, random.Random(f"people/{scenario.seed}"))  # noqa: S311
        for hours in day.play():
            step(name, hours)
        found.append(figures(day.outcome, known.kinds))
    return found
