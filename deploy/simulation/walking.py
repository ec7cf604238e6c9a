"""People on their way: one walk at a time, by the shops, from stairwell to stairwell, from door to door."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Protocol

from deploy.simulation.clock import Clock
from deploy.simulation.orders import Order
from deploy.simulation.scenario import Scenario
from deploy.simulation.story import Outcome, Trip
from services.dispatch.domain.ordering import ordered
from services.dispatch.domain.places import Distances, Door
from services.dispatch.domain.task import Task
from services.dispatch.domain.walks import Hands, Round, Visit, Waiting, itinerary, visit, visits


class Errands(Protocol):
    """Where people learn what they have to do, and tell what they did."""

    @property
    def outcome(self) -> Outcome: ...

    def order_of(self, task_id: str) -> Order:
        """What was asked for."""
        ...

    def assigned(self, worker: str) -> list[Task]:
        """What somebody said yes to and has not set out with."""
        ...

    def is_his(self, task_id: str, worker: str) -> bool:
        """Whether it is still worth going."""
        ...

    def start(self, task_id: str, worker: str) -> None:
        """He sets out with it."""
        ...

    def complete(self, task_id: str, worker: str) -> None:
        """He is done at the door."""
        ...


@dataclass(slots=True)
class _Walker:
    worker: str
    at: Door
    busy: bool = False
    """On the way, or about to set out."""
    ahead: list[Visit] = field(default_factory=list)
    been: set[str] = field(default_factory=set)
    """Shops where he has been on this walk."""


class Walkers:
    """Everybody who helps, and where each is."""

    def __init__(self, scenario: Scenario, distances: Distances, clock: Clock, errands: Errands) -> None:
        self._habits = scenario.habits
        self._distances = distances
        self._clock = clock
        self._errands = errands
        self._all = {one.worker_id: _Walker(one.worker_id, Door(one.starts)) for one in scenario.workers}

    def has_something(self, worker: str) -> None:
        """He said yes: he sets out soon, or looks again when he has come to the end of his walk."""
        walker = self._all[worker]
        if not walker.busy:
            walker.busy = True
            self._clock.after(self._habits.minutes_until_off * 60, partial(self._set_out, walker))

    def _set_out(self, walker: _Walker) -> None:
        waiting = [self._waiting(one, walker) for one in self._errands.assigned(walker.worker)]
        if not waiting:
            walker.busy = False
            return
        chosen = self._as_much_as_he_carries(waiting)
        hands = Hands(walker.worker, walker.at, free=len(waiting))
        tasks = tuple(one for each in chosen for one in each.tasks)
        walker.ahead = ordered(Round(tasks, (hands,), self._distances), hands, chosen)
        walker.been = set()
        for one in tasks:
            self._errands.start(one.task_id, walker.worker)
        self._go_on(walker)

    def _as_much_as_he_carries(self, waiting: Iterable[Waiting]) -> list[Visit]:
        """Stairwell after stairwell, the first claim first."""
        chosen: list[Visit] = []
        count = 0
        for each in visits(sorted(waiting, key=lambda one: one.claim)):
            if not chosen or count + len(each.tasks) <= self._habits.carries:
                chosen.append(each)
                count += len(each.tasks)
        return chosen

    def _go_on(self, walker: _Walker) -> None:
        """To the next stairwell where something is still his to do; after the last, whatever came meanwhile."""
        while walker.ahead:
            tasks = walker.ahead.pop(0).tasks
            if mine := [one for one in tasks if self._errands.is_his(one.task_id, walker.worker)]:
                self._go_to(walker, visit(mine))
                return
        self._set_out(walker)

    def _go_to(self, walker: _Walker, there: Visit) -> None:
        at, metres, minutes = walker.at, 0.0, 0.0
        for here, shop in itinerary(self._distances, at, [there], walker.been):
            door = here.door if shop is None else Door(shop)
            metres += self._distances.doors(at, door)
            minutes += 0.0 if shop is None else self._habits.minutes_at_shop
            at = door
        minutes += metres / self._habits.metres_per_minute
        walker.been |= there.shops
        walker.at = at
        begins = self._clock.now
        ends = begins + timedelta(minutes=minutes) + sum((self._at_door(one) for one in there.tasks), timedelta())
        tasks = tuple(one.task_id for one in there.tasks)
        self._errands.outcome.trips.append(Trip(walker.worker, begins, ends, metres, tasks))
        self._clock.after(minutes * 60, partial(self._from_door_to_door, walker, list(there.tasks)))

    def _from_door_to_door(self, walker: _Walker, tasks: list[Waiting]) -> None:
        if not tasks:
            self._go_on(walker)
            return
        first, *others = tasks

        def done() -> None:
            self._errands.complete(first.task_id, walker.worker)
            self._from_door_to_door(walker, others)

        self._clock.after(self._at_door(first).total_seconds(), done)

    def _at_door(self, one: Waiting) -> timedelta:
        return timedelta(minutes=self._habits.at_door(self._errands.order_of(one.task_id).facts.kind))

    def _waiting(self, task: Task, walker: _Walker) -> Waiting:
        """A task as he sees it, who knows the door."""
        order = self._errands.order_of(task.task_id)
        facts = order.facts
        return Waiting(
            task_id=task.task_id,
            building=facts.building,
            stairwell=facts.stairwell,
            able={walker.worker: 0.0},
            household=facts.household,
            floor=order.floor,
            shop=self._habits.shops.get(facts.kind),
            priority=task.priority,
            urgency=facts.urgency,
            waited=(self._clock.now - order.at) / timedelta(minutes=1),
        )
