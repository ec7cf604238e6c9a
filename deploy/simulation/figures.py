"""A simulated day in numbers."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import get_args

from deploy.simulation.orders import Order
from deploy.simulation.scenario import Scenario
from deploy.simulation.story import Outcome, Story
from services.dispatch.domain.places import Distances, Door
from shared.contracts.catalogue import Kinds
from shared.contracts.intake import Urgency

URGENCIES: tuple[Urgency, ...] = tuple(reversed(get_args(Urgency)))
ALL = "all"
LATE = ("no_yes", "lapsed", "not_set_out", "on_the_way", "open")
"""Why an order can be late: `Figures.late_because`."""


@dataclass(frozen=True, slots=True)
class Waits:
    """How long people waited, in minutes; None where nobody has come to the end of waiting."""

    count: int
    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """One policy's day."""

    policy: str
    orders: int
    deliveries: int
    open: int
    """Not done when the day ended."""
    until_yes: Mapping[str, Waits]
    """By urgency, and of `all`: from the order to the first yes."""
    until_door: Mapping[str, Waits]
    """By urgency, and of `all`: from the order to the door."""
    metres: float
    metres_per_delivery: float | None
    late: int
    """Past what the ladder's `start_within` and `finish_within` allow together, counted from the order."""
    late_because: Mapping[str, int]
    """What took longest: `no_yes`, nobody said yes; `lapsed`, somebody did and had no time for it; `not_set_out`, and
    `on_the_way`, of whoever did it; or `open`, where the day ended before."""
    highest_to_mean_load: float | None
    """Tasks of whoever did most, to the mean of all but coordinators."""
    escalations: Mapping[str, int]
    releases: Mapping[str, int]
    refusals: Mapping[str, int]
    deliveries_by: Mapping[str, int]
    """By worker, coordinators too."""


def figures(outcome: Outcome, kinds: Kinds) -> Figures:
    """Count what came of a day; `kinds` tell how long each kind may take."""
    stories = list(outcome.stories.values())
    by = Counter(one.worker for one in outcome.tasks.values() if one.state == "completed" and one.worker)
    done = sum(by.values())
    metres = sum(trip.metres for trip in outcome.trips)
    late = Counter(why for story in stories if (why := why_late(story, kinds, outcome.ends)) is not None)
    helped = sum(by[name] for name in outcome.helpers)
    most = max((by[name] for name in outcome.helpers), default=0)
    return Figures(
        policy=outcome.policy,
        orders=len(stories),
        deliveries=done,
        open=len(stories) - done,
        until_yes=_by_urgency((one.order.facts.urgency, one.order.at, one.first_yes) for one in stories),
        until_door=_by_urgency((one.order.facts.urgency, one.order.at, one.done) for one in stories),
        metres=round(metres),
        metres_per_delivery=round(metres / done) if done else None,
        late=sum(late.values()),
        late_because=dict(sorted(late.items())),
        highest_to_mean_load=round(most * len(outcome.helpers) / helped, 2) if helped else None,
        escalations=dict(sorted(outcome.escalations.items())),
        releases=dict(sorted(outcome.releases.items())),
        refusals=dict(sorted(outcome.refusals.items())),
        deliveries_by={name: by[name] for name in sorted({*by, *outcome.helpers})},
    )


def least(orders: Iterable[Order], scenario: Scenario, distances: Distances) -> dict[str, Waits]:
    """What no way of doing it can pass: the time in the shop, the way from there, and the time at the door.

    It lets somebody stand in the right shop, or before the door, when each order comes, and know of it at once.
    """
    habits = scenario.habits

    def minutes(order: Order) -> float:
        shop = habits.shops.get(order.facts.kind)
        way = 0.0 if shop is None else distances.doors(Door(shop), order.door) / habits.metres_per_minute
        return way + (habits.minutes_at_shop if shop is not None else 0.0) + habits.at_door(order.facts.kind)

    return _by_urgency((one.facts.urgency, one.at, one.at + timedelta(minutes=minutes(one))) for one in orders)


def _by_urgency(spans: Iterable[tuple[Urgency, datetime, datetime | None]]) -> dict[str, Waits]:
    minutes: dict[str, list[float]] = {urgency: [] for urgency in URGENCIES}
    for urgency, begins, ends in spans:
        if ends is not None:
            minutes[urgency].append((ends - begins) / timedelta(minutes=1))
    minutes[ALL] = [one for some in minutes.values() for one in some]
    return {name: _waits(sorted(some)) for name, some in minutes.items()}


def _waits(ordered: list[float]) -> Waits:
    """By nearest rank: the wait that so many of a hundred do not pass."""

    def rank(share: float) -> float | None:
        return round(ordered[ceil(share * len(ordered)) - 1], 1) if ordered else None

    return Waits(len(ordered), rank(0.5), rank(0.95))


def why_late(story: Story, kinds: Kinds, ends: datetime) -> str | None:
    """Why an order was late; None if it was not."""
    facts = story.order.facts
    ladder = kinds.ladder_of(facts.kind)
    allowed = timedelta(minutes=ladder.start_within.of(facts.urgency) + ladder.finish_within.of(facts.urgency))
    if (story.done or ends) - story.order.at <= allowed:
        return None
    if story.done is None:
        return "open"
    # Somebody who had it before, and came late, may have done it: then nobody set out for it again.
    first_yes, yes = story.first_yes or story.done, story.yes or story.done
    set_out = story.set_out or story.done
    parts = {
        "no_yes": first_yes - story.order.at,
        "lapsed": yes - first_yes,
        "not_set_out": set_out - yes,
        "on_the_way": story.done - set_out,
    }
    return max(parts, key=lambda name: parts[name])
