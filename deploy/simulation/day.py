"""A day: orders come, the rules of dispatch decide, people answer and walk."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial

from deploy.simulation.clock import Clock
from deploy.simulation.moods import Moods
from deploy.simulation.orders import Order
from deploy.simulation.policies import Policy
from deploy.simulation.records import Records
from deploy.simulation.rounds import choices
from deploy.simulation.scenario import Role, Scenario
from deploy.simulation.story import Outcome, Story
from deploy.simulation.walking import Walkers
from services.dispatch.catalogues import Catalogues
from services.dispatch.domain import doing, offering
from services.dispatch.domain.matching import able
from services.dispatch.domain.task import TAKEN, Actor, Decision, Situation, Task
from shared.contracts.dispatch import (
    DeliveryAssigned,
    DeliveryCompleted,
    DeliveryEscalated,
    DeliveryOffered,
    DeliveryReleased,
    DeliveryStarted,
)
from shared.contracts.envelope import Event
from shared.contracts.intake import RequestFacts
from shared.contracts.refusal import Refusal


class Day:
    """One day under one policy.

    Args:
        orders: the same for every policy that is to be compared.
        dice: for how people answer.
    """

    def __init__(
        self, scenario: Scenario, known: Catalogues, policy: Policy, orders: tuple[Order, ...], dice: random.Random
    ) -> None:
        self._clock = Clock(scenario.begins)
        self._records = Records(scenario, known, policy)
        self._distances = known.distances[scenario.community]
        self._moods = Moods(scenario.habits, dice)
        self._roles: dict[str, Role] = {one.worker_id: one.role for one in scenario.workers}
        self._offers: Counter[str] = Counter()
        self._scenario = scenario
        self._round_is_near = False
        helpers = tuple(one.worker_id for one in self._records.helpers)
        ends = scenario.begins + timedelta(hours=scenario.hours)
        self.outcome = Outcome(policy.name, ends, helpers, tasks=self._records.tasks)
        self._walkers = Walkers(scenario, self._distances, self._clock, self)
        for order in orders:
            self._clock.at(order.at, partial(self._open, order))

    def play(self) -> Iterator[float]:
        """Live through it; tells now and then how many hours have passed."""
        told = 0.0
        for now in self._clock.run(self.outcome.ends):
            passed = (now - self._scenario.begins) / timedelta(hours=1)
            if passed - told >= 0.25:
                told = passed
                yield told
        yield float(self._scenario.hours)

    # What people on their way need

    def order_of(self, task_id: str) -> Order:
        return self.outcome.stories[task_id].order

    def assigned(self, worker: str) -> list[Task]:
        """What somebody said yes to and has not set out with."""
        return [one for one in self._records.held(worker).values() if one.state == "assigned"]

    def is_his(self, task_id: str, worker: str) -> bool:
        """Whether it is still worth going: he has it, or he had it and nobody else does."""
        task = self._records.tasks[task_id]
        has = task.worker if task.state in TAKEN else None
        return task.open and worker in task.holders and has in (worker, None)

    def start(self, task_id: str, worker: str) -> None:
        """He sets out with it."""
        self._try(task_id, lambda task, now: doing.start(task, Actor(worker), now))

    def complete(self, task_id: str, worker: str) -> None:
        """He is done at the door."""
        self._try(task_id, lambda task, now: doing.complete(task, Actor(worker), now))

    # What the running service does when a message or a moment comes

    def _open(self, order: Order) -> None:
        self.outcome.stories[order.task_id] = Story(order)
        situation = self._records.situation(order.facts, self._clock.now)
        self._keep(order.task_id, offering.open_task(None, order.task_id, order.facts, 1, situation))

    def _lapse(self, task_id: str) -> None:
        task = self._records.tasks[task_id]
        # Most tasks have moved on when the moment comes that was noted for them.
        if task.due_at is not None and task.due_at <= self._clock.now:
            self._keep(task_id, offering.lapse(task, self._situation(task)))

    def _round(self) -> None:
        self._round_is_near = False
        for urgent in (True, False):
            for choice in choices(self._records, self._distances, self._clock.now, urgent=urgent):
                task = self._records.tasks[choice.task_id]
                situation = self._situation(task)
                if choice.worker is None:
                    self._keep(choice.task_id, offering.pass_over(task, situation))
                else:
                    best, role = (choice.worker, *choice.others), self._roles[choice.worker]
                    self._keep(choice.task_id, offering.choose(task, best, role, choice.codes, situation))

    def _keep(self, task_id: str, decision: Decision | None) -> None:
        if decision is None:
            return
        task, events = decision
        before = self._records.tasks.get(task_id)
        self._records.keep(task_id, task)
        if task.due_at is not None and (before is None or before.due_at != task.due_at):
            self._clock.at(task.due_at, partial(self._lapse, task_id))
        if task.waits and not self._round_is_near:
            self._round_is_near = True
            pause = timedelta(seconds=self._scenario.seconds_between_rounds)
            self._clock.at(self._clock.now + pause - (self._clock.now - self._scenario.begins) % pause, self._round)
        for event in events:
            self._hear(task_id, task, event)

    def _try(self, task_id: str, rule: Callable[[Task, Situation], Decision | None]) -> None:
        """A move that somebody makes; he learns it where the rules refuse it."""
        task = self._records.tasks[task_id]
        try:
            decision = rule(task, self._situation(task))
        except Refusal as refused:
            self.outcome.refusals.update(one.code for one in refused.problems)
        else:
            self._keep(task_id, decision)

    def _situation(self, task: Task) -> Situation:
        return self._records.situation(_facts(task), self._clock.now)

    # What people do who hear of it

    def _hear(self, task_id: str, task: Task, event: Event) -> None:
        story, now = self.outcome.stories[task_id], self._clock.now
        match event:
            case DeliveryOffered():
                self._ask(task_id, task)
            case DeliveryEscalated(reason=reason):
                self.outcome.escalations[reason] += 1
                if reason == "no_answer":
                    self._ask(task_id, task)
            case DeliveryAssigned(worker=str(worker)):
                story.first_yes = story.first_yes or now
                story.yes, story.set_out = now, None
                most = self.outcome.most_held
                most[worker] = max(most[worker], len(self._records.held(worker)))
                self._walkers.has_something(worker)
            case DeliveryStarted():
                story.set_out = now
            case DeliveryReleased(reason=reason):
                self.outcome.releases[reason] += 1
            case DeliveryCompleted():
                story.done = now
            case _:
                pass

    def _ask(self, task_id: str, task: Task) -> None:
        self._offers[task_id] += 1
        for worker in (task.worker,) if task.worker is not None else task.asked:
            mood = self._moods.of(task_id, worker, self._roles[worker], self._offers[task_id])
            if self._roles[worker] == "coordinator":
                self._clock.after(mood.seconds, partial(self._lead, task_id, worker))
            elif mood.says == "yes":
                self._clock.after(mood.seconds, partial(self._accept, task_id, worker))
            elif mood.says == "no":
                self._clock.after(mood.seconds, partial(self._decline, task_id, worker))

    def _accept(self, task_id: str, worker: str, leads: bool = False) -> None:
        facts = _facts(self._records.tasks[task_id])
        actor = self._records.actor(worker, facts, leads=leads)
        self._try(task_id, lambda task, now: doing.accept(task, actor, now))

    def _decline(self, task_id: str, worker: str) -> None:
        task = self._records.tasks[task_id]
        # Whoever is not asked any more has nothing to say no to.
        if task.state == "offered" and worker in (task.worker, *task.asked):
            self._try(task_id, lambda task, now: doing.decline(task, Actor(worker), now))

    def _lead(self, task_id: str, coordinator: str) -> None:
        """A coordinator finds somebody by telephone, whoever has least to do; where nobody can, he goes himself."""
        task, records = self._records.tasks[task_id], self._records
        if task.state != "offered" or task.worker != coordinator:
            return
        candidates = able(records.helpers, records.need(_facts(task)), self._clock.now, task.declined)
        free = (candidates.speakers - records.full()) or (candidates.others - records.full())
        work = {name: records.work_of(name) for name in free}
        worker = min(work, key=lambda name: (work[name].load, work[name].done, name), default=coordinator)
        self._accept(task_id, worker, leads=True)


def _facts(task: Task) -> RequestFacts:
    assert task.facts is not None
    return task.facts
