"""What a dispatcher could reach who knows the whole day beforehand, and whom nobody keeps waiting for an answer.

The day is a routing problem with time windows, given to VROOM at once: goods are fetched and brought by the same hands,
nobody carries more than he can, only who is able and on shift when the order comes is sent (where nobody is, a
coordinator). Each order may begin `minutes_until_off` after it came, and must reach its door so soon after that as the
shop, the way from there and a little patience take; the patience of those that VROOM leaves over is doubled, until none
is left. Then the walks are walked by the habits of the others: nobody sets out for what has not been asked for yet, and
who stands idle when it comes needs his minutes until he is off.

So waiting is pressed as low as VROOM, which counts travel, finds walks for it. It finds good ones and proves nothing:
the true optimum lies between these and `figures.least`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import vroom

from deploy.simulation.orders import Order
from deploy.simulation.records import Records
from deploy.simulation.scenario import Scenario
from deploy.simulation.story import Outcome, Story, Trip
from services.dispatch.catalogues import Catalogues
from services.dispatch.domain.matching import able
from services.dispatch.domain.places import Door
from services.dispatch.domain.task import Task

NAME = "optimum"
_QUICK = 0
"""Exploration level of the solver: others find walks one in a hundred shorter, in four times the time."""
_DOUBLINGS = 12
"""After so many, the patience of an order is longer than a day."""
_PATIENCE = 1 / 60
"""What an order waits beyond the unavoidable, first: a share of what its ladder gives until somebody sets out."""


@dataclass(frozen=True, slots=True)
class _Stop:
    order: Order
    door: Door
    shop: bool


def optimum(scenario: Scenario, known: Catalogues, records: Records, orders: Sequence[Order]) -> Outcome:
    """The day as VROOM would have it; always the same for the same orders."""
    helpers = tuple(one.worker_id for one in records.helpers)
    ends = scenario.begins + timedelta(hours=scenario.hours)
    outcome = Outcome(NAME, ends, helpers)
    for order in orders:
        facts = order.facts
        outcome.stories[order.task_id] = Story(order)
        outcome.tasks[order.task_id] = Task(task_id=order.task_id, request_id=facts.request_id, facts=facts)
    for worker, stops in _Problem(scenario, known, records, orders).solved().items():
        _walk(outcome, scenario, known, worker, stops)
    return outcome


class _Problem:
    """The whole day, as VROOM sees it; times in seconds from its beginning."""

    def __init__(self, scenario: Scenario, known: Catalogues, records: Records, orders: Sequence[Order]) -> None:
        self._scenario = scenario
        self._workers = scenario.workers
        leads = [one.worker_id for one in scenario.workers if one.role == "coordinator"]
        self._skills: dict[frozenset[str], int] = {}
        """A number for each set of people who are able to do something."""
        self._orders: list[tuple[Order, int]] = []
        self._patience: list[float] = []
        for order in orders:
            candidates = able(records.helpers, records.need(order.facts), order.at)
            who = candidates.speakers or candidates.others or frozenset(leads)
            if who:
                self._orders.append((order, self._skills.setdefault(who, len(self._skills))))
                ladder = known.kinds.ladder_of(order.facts.kind)
                self._patience.append(ladder.start_within.of(order.facts.urgency) * 60 * _PATIENCE)
        doors = [door for order, _ in self._orders for door in (order.door, _shop(scenario, order)) if door is not None]
        starts = [Door(one.starts) for one in self._workers]
        self._places = {door: number for number, door in enumerate(dict.fromkeys([*starts, *doors]))}
        distances, speed = known.distances[scenario.community], scenario.habits.metres_per_minute / 60
        self._seconds = np.array(
            [[round(distances.doors(one, other) / speed) for other in self._places] for one in self._places],
            dtype=np.uint32,
        )

    def solved(self) -> dict[str, list[_Stop]]:
        """Where each worker goes, one stop after the other."""
        solution: Mapping[str, Any] = {"routes": []}
        for _ in range(_DOUBLINGS if self._orders else 0):
            solution = self._input().solve(_QUICK, nb_threads=1).to_dict()
            left = {one["id"] for one in solution["unassigned"]}
            if not left:
                break
            for number in left:
                self._patience[number] *= 2
        return {
            self._workers[route["vehicle"]].worker_id: [
                self._stop(step) for step in route["steps"] if step["type"] in ("job", "pickup", "delivery")
            ]
            for route in solution["routes"]
        }

    def _stop(self, step: Mapping[str, Any]) -> _Stop:
        order, _ = self._orders[step["id"]]
        shop = _shop(self._scenario, order) if step["type"] == "pickup" else None
        return _Stop(order, shop or order.door, shop is not None)

    def _input(self) -> Any:
        problem = vroom.Input()
        habits = self._scenario.habits
        problem.set_durations_matrix(profile="on_foot", matrix_input=self._seconds)
        for number, worker in enumerate(self._workers):
            mine = {skill for who, skill in self._skills.items() if worker.worker_id in who}
            at, room = self._places[Door(worker.starts)], vroom.Amount([habits.carries])
            problem.add_vehicle(vroom.Vehicle(number, start=at, profile="on_foot", capacity=room, skills=mine))
        for number, (order, skill) in enumerate(self._orders):
            self._add(problem, number, order, skill)
        return problem

    def _add(self, problem: Any, number: int, order: Order, skill: int) -> None:
        habits, place, shop = self._scenario.habits, self._places[order.door], _shop(self._scenario, order)
        opens = (order.at - self._scenario.begins) / timedelta(seconds=1) + habits.minutes_until_off * 60
        unavoidable = habits.minutes_at_shop * 60 + int(self._seconds[self._places[shop], place]) if shop else 0
        windows = [vroom.TimeWindow(int(opens), int(opens + unavoidable + self._patience[number]))]
        wanted = {"skills": {skill}, "priority": order.facts.priority}
        at_door = {"default_service": int(habits.at_door(order.facts.kind) * 60), "time_windows": windows}
        if shop is None:
            nothing = vroom.Amount([0])
            problem.add_job(vroom.Job(number, place, delivery=nothing, pickup=nothing, **at_door, **wanted))
            return
        # Set up once for all that is fetched there at once.
        setup = int(habits.minutes_at_shop * 60)
        fetch = vroom.ShipmentStep(number, self._places[shop], default_setup=setup, time_windows=windows)
        problem.add_shipment(fetch, vroom.ShipmentStep(number, place, **at_door), amount=vroom.Amount([1]), **wanted)


def _shop(scenario: Scenario, order: Order) -> Door | None:
    shop = scenario.habits.shops.get(order.facts.kind)
    return None if shop is None else Door(shop)


def _walk(outcome: Outcome, scenario: Scenario, known: Catalogues, worker: str, stops: Iterable[_Stop]) -> None:
    """Enter what comes of these stops, each as early as can be, up to the end of the day."""
    habits, distances = scenario.habits, known.distances[scenario.community]
    now = begins = scenario.begins
    at = Door(next(one.starts for one in scenario.workers if one.worker_id == worker))
    metres = 0.0
    for stop in stops:
        story = outcome.stories[stop.order.task_id]
        if now <= stop.order.at:
            now = stop.order.at + timedelta(minutes=habits.minutes_until_off)
        if not metres:
            begins = now
        if now >= outcome.ends:
            return
        story.first_yes = story.yes = stop.order.at
        story.set_out = story.set_out or now
        way = distances.doors(at, stop.door)
        now += timedelta(minutes=way / habits.metres_per_minute)
        metres, at, before = metres + way, stop.door, at
        if stop.shop:
            in_shop = timedelta(minutes=habits.minutes_at_shop)
            # What is asked for while he shops for others takes its time too.
            now = now + in_shop if before != at else max(now, stop.order.at + in_shop)
            continue
        now += timedelta(minutes=habits.at_door(stop.order.facts.kind))
        outcome.trips.append(Trip(worker, begins, now, metres, (stop.order.task_id,)))
        metres = 0.0
        if now < outcome.ends:
            _done(outcome, stop.order.task_id, worker, now)


def _done(outcome: Outcome, task_id: str, worker: str, now: datetime) -> None:
    outcome.stories[task_id].done = now
    task = outcome.tasks[task_id]
    outcome.tasks[task_id] = task.model_copy(
        update={"state": "completed", "open": False, "worker": worker, "holders": [worker]}
    )
