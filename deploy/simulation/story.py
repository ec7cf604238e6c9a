"""What came of a simulated day."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from deploy.simulation.orders import Order
from services.dispatch.domain.task import Task


@dataclass(slots=True)
class Story:
    """When one order got how far."""

    order: Order
    first_yes: datetime | None = None
    yes: datetime | None = None
    """Of whoever had it last."""
    set_out: datetime | None = None
    done: datetime | None = None


@dataclass(frozen=True, slots=True)
class Trip:
    """One way to one stairwell, with the shops before it and the time at its doors."""

    worker: str
    begins: datetime
    ends: datetime
    metres: float
    tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """All of it."""

    policy: str
    ends: datetime
    helpers: tuple[str, ...]
    stories: dict[str, Story] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    trips: list[Trip] = field(default_factory=list)
    escalations: Counter[str] = field(default_factory=Counter)
    """By reason."""
    releases: Counter[str] = field(default_factory=Counter)
    """By reason: how often a task was taken from whoever was asked or had it."""
    refusals: Counter[str] = field(default_factory=Counter)
    """By code: what the rules refused, such as a yes that came second."""
    most_held: Counter[str] = field(default_factory=Counter)
    """By worker: how many tasks he had at once, at the most."""
