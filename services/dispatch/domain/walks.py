"""Walks: who goes where, in which order, and what that costs.

Costs are counted in metres: whatever else speaks for or against a choice is weighed as metres walked.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import ceil
from typing import Literal

from services.dispatch.domain.places import NO_GRAPH, Distances, Door, level
from shared.contracts.intake import Urgency

RANK: Mapping[Urgency, int] = {"normal": 0, "soon": 1, "urgent": 2}

Code = Literal[
    "urgent",
    "same_household",
    "same_stairwell",
    "same_building",
    "same_shop",
    "only_one_able",
    "nearest",
    "least_loaded",
    "least_this_week",
    "least_cost",
    "nobody_able",
    "nobody_free",
]
"""Why a choice was made; the words are in catalogues. `least_cost`: nothing else stands out, all together was least.
With the last two, the task was left."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What each thing is worth, in metres."""

    penalty: float = 1.0
    """For each metre that `Waiting.able` says it is worth not to ask this worker."""
    queue: float = 1000.0
    """For a task, for each open task that its worker has already: as far one walks in the quarter of an hour that each
    of them lets it wait."""
    load: float = 25.0
    """For a further task, for each that its worker gets before it in the same round: the fourth costs three times
    this."""
    week: float = 40.0
    """For a task, for each one that its worker has done this week beyond whoever has done least."""
    later: float = 400.0
    """For going to a more urgent door after a less urgent one; twice that from normal to urgent."""
    split: float = 150.0
    """For each worker beyond the first who comes to the same stairwell."""
    over: float = 5000.0
    """For each task by which a worker gets more than his share."""
    share: float = 1.3
    """A worker's share: so many times the mean load, rounded up (a factor, no metres)."""
    together: int = 3
    """So many tasks are never more than a share, however little there is to do (tasks, no metres)."""


WEIGHTS = Weights()


@dataclass(frozen=True, slots=True)
class Waiting:
    """A task that waits for a pair of hands."""

    task_id: str
    building: str
    stairwell: str
    """Opaque id."""
    able: Mapping[str, float]
    """Who may do it at all, and how many metres it is worth not to ask him."""
    household: str = ""
    """Opaque id; empty where it is not known."""
    floor: int | None = None
    shop: str | None = None
    """The place where goods are fetched before the door."""
    priority: int = 0
    """0 to 100; higher is answered first."""
    urgency: Urgency = "normal"
    waited: float = 0.0
    """Minutes."""

    @property
    def door(self) -> Door:
        return Door(self.building, self.stairwell, self.floor)

    @property
    def claim(self) -> tuple[int, int, float, str]:
        """Sorts by who is to be answered first."""
        return (-RANK[self.urgency], -self.priority, -self.waited, self.task_id)


@dataclass(frozen=True, slots=True)
class Hands:
    """A worker, as a round sees him."""

    worker_id: str
    at: Door
    """Where he is, or starts from."""
    free: int
    """How many more he may get."""
    load: int = 0
    """Open tasks that he has."""
    week: int = 0
    """Tasks that he has done this week."""
    asked: float = 0.0
    """How many tasks more he may have soon: his share of those that he is asked for beside others."""


@dataclass(frozen=True)
class Round:
    """All that one round of choosing rests on."""

    waiting: tuple[Waiting, ...]
    hands: tuple[Hands, ...]
    distances: Distances = NO_GRAPH
    weights: Weights = WEIGHTS

    @cached_property
    def tasks(self) -> dict[str, Waiting]:
        """By id, those with the first claim first."""
        return {one.task_id: one for one in sorted(self.waiting, key=lambda one: one.claim)}

    @cached_property
    def workers(self) -> dict[str, Hands]:
        """By id."""
        return {one.worker_id: one for one in self.hands}

    @cached_property
    def least_week(self) -> int:
        """Tasks done this week by whoever has done least."""
        return min((one.week for one in self.hands), default=0)

    def share(self, placed: int) -> int:
        """The load that no worker should pass, when so many tasks are placed."""
        if not self.hands:
            return 0
        mean = (sum(one.load for one in self.hands) + placed) / len(self.hands)
        # Floating point makes 1.3 x 10 a little more than 13.
        return max(ceil(self.weights.share * mean - 1e-9), self.weights.together)


@dataclass(frozen=True, slots=True)
class Stop:
    """One place on a walk: a shop, or a stairwell with its doors from the ground up."""

    door: Door
    """The one farthest from the ground."""
    tasks: tuple[str, ...]
    shop: bool = False
    """True where goods are fetched for the tasks."""


@dataclass(frozen=True, slots=True)
class Walk:
    """What one worker gets in a round."""

    worker: str
    stops: tuple[Stop, ...]
    metres: float
    """From where he is to the last door, stairs included."""
    tasks: tuple[str, ...]
    """In the order of the doors."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Who was chosen for a task, and why."""

    task_id: str
    worker: str | None
    """None: the task was left."""
    codes: tuple[Code, ...]
    extra_metres: float = 0.0
    """By which the task makes the walk longer."""
    load_before: int = 0
    """Open tasks that the worker had before this round."""
    week: int = 0
    """Tasks that he had done this week."""
    bundled_with: tuple[str, ...] = ()
    """Tasks of the same walk with the same household, stairwell, building or shop."""
    others: tuple[str, ...] = ()
    """Who else could do it, whom it would cost least first."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The outcome of a round."""

    walks: tuple[Walk, ...]
    choices: tuple[Choice, ...]
    """One for each task, those with the first claim first."""
    cost: float
    by: Literal["greedy", "solver"] = "greedy"
    """How it was found."""

    @property
    def metres(self) -> float:
        """Of all walks together."""
        return sum(walk.metres for walk in self.walks)


@dataclass(frozen=True, slots=True)
class Visit:
    """What is done in one stairwell on one walk."""

    tasks: tuple[Waiting, ...]
    """From the ground up."""
    door: Door
    """The one farthest from the ground: the others are on the way."""
    shops: frozenset[str]
    rank: int
    """Of the most urgent."""


def visit(tasks: Iterable[Waiting]) -> Visit:
    """Tasks of one stairwell, done at once."""
    upward = tuple(sorted(tasks, key=lambda one: (level(one.floor), one.household, one.task_id)))
    return Visit(
        tasks=upward,
        door=max((one.door for one in upward), key=lambda door: abs(level(door.floor))),
        shops=frozenset(one.shop for one in upward if one.shop is not None),
        rank=max(RANK[one.urgency] for one in upward),
    )


def visits(tasks: Iterable[Waiting]) -> list[Visit]:
    """A visit for each stairwell, in the order in which the stairwells come first."""
    stairwells: dict[tuple[str, str], list[Waiting]] = {}
    for one in tasks:
        stairwells.setdefault((one.building, one.stairwell), []).append(one)
    return [visit(group) for group in stairwells.values()]


def walk(round_: Round, worker: str, order: Sequence[Visit]) -> Walk:
    """The walk that makes these visits in this order; each shop once, before the first door that needs it."""
    at, metres = round_.workers[worker].at, 0.0
    stops: list[Stop] = []
    for here, shop in itinerary(round_.distances, at, order):
        door = here.door if shop is None else Door(shop)
        metres += round_.distances.doors(at, door)
        at = door
        mine = here.tasks if shop is None else [one for each in order for one in each.tasks if one.shop == shop]
        stops.append(Stop(door, tuple(one.task_id for one in mine), shop is not None))
    return Walk(worker, tuple(stops), metres, tuple(one.task_id for each in order for one in each.tasks))


def itinerary(
    distances: Distances, at: Door, order: Iterable[Visit], been: Iterable[str] = ()
) -> Iterator[tuple[Visit, str | None]]:
    """Visits with the shops before them: the visit itself with None, a shop with the visit that needs it first.

    Shops where one has `been` need no second time.
    """
    been = set(been)
    for here in order:
        missing = here.shops - been
        been |= missing
        while missing:
            shop = min(missing, key=lambda name: (distances.doors(at, Door(name)), name))
            missing = missing - {shop}
            at = Door(shop)
            yield here, shop
        at = here.door
        yield here, None


def cost(round_: Round, walks: Iterable[Walk]) -> float:
    """What the walks cost, in metres: the one measure by which plans are compared."""
    walks = tuple(walks)
    share = round_.share(sum(len(one.tasks) for one in walks))
    stairwells = [(stop.door.place, stop.door.stairwell) for one in walks for stop in one.stops if not stop.shop]
    twice = len(stairwells) - len(set(stairwells))
    return sum(_of_one(round_, one, share) for one in walks) + round_.weights.split * twice


def burden(round_: Round, worker: Hands, tasks: Sequence[Waiting], before: int = 0) -> float:
    """What it costs to give these to a worker beside the way, in metres, `before` more of this round being his."""
    weights, count = round_.weights, len(tasks)
    return (
        weights.penalty * sum(one.able[worker.worker_id] for one in tasks)
        + weights.queue * (worker.load + worker.asked) * count
        + weights.load * (before * count + count * (count - 1) / 2)
        + weights.week * (worker.week - round_.least_week) * count
    )


def rise(weights: Weights, first: Visit, second: Visit) -> float:
    """What it costs that the second door waits for the first, in metres."""
    return weights.later * max(0, second.rank - first.rank)


def _of_one(round_: Round, one: Walk, share: int) -> float:
    worker = round_.workers[one.worker]
    tasks = [round_.tasks[task] for task in one.tasks]
    order = visits(tasks)
    rises = sum(rise(round_.weights, first, second) for first, second in pairwise(order))
    over = max(0, worker.load + len(tasks) - max(share, worker.load))
    return one.metres + rises + burden(round_, worker, tasks) + round_.weights.over * over
