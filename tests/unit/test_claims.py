"""Claims, leases, caps and time with many workers, as a state machine over what the database would keep.

The rules are the real ones. The store is a dictionary with the one promise that the database gives: no two documents
have the same place under a cap.
"""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.dispatch.domain import doing, offering
from services.dispatch.domain.task import OPEN, TAKEN, Actor, Decision, Situation, Task
from shared.contracts.refusal import Refusal
from tests import world
from tests.unit.tasks import EVERYBODY, NINE, facts, helper, situation

CAPS = {"v1": 1, "v2": 2, "v3": 3, "v4": None}
WORKERS = st.sampled_from([*CAPS, world.ZHAO])
TASKS = st.integers(0, 5)


class Claims(RuleBasedStateMachine):
    """Six tasks, five workers, one clock."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: dict[int, Task] = {}
        self.minutes = 0.0
        self.winners: dict[int, str] = {}

    @initialize()
    def open(self) -> None:
        for number in range(6):
            decision = offering.open_task(None, f"t{number}", facts(), 1, self.now())
            assert decision is not None
            self.tasks[number] = decision[0]

    def now(self) -> Situation:
        helpers = [helper(name, cap=cap) for name, cap in CAPS.items()]
        full = frozenset(one.worker_id for one in helpers if one.cap is not None and self.place(one.worker_id) is None)
        return situation(
            minutes=self.minutes, roster=replace(EVERYBODY, workers=(*EVERYBODY.workers[:1], *helpers), full=full)
        )

    def place(self, worker: str) -> str | None:
        """A free place under his cap."""
        taken = {task.slot for task in self.tasks.values()}
        places = (f"{worker}/{number}" for number in range(1, (CAPS.get(worker) or 0) + 1))
        return next((one for one in places if one not in taken), None)

    def actor(self, worker: str, leads: bool = False) -> Actor:
        place = self.place(worker)
        return Actor(worker, leads, slot=place, full=place is None and CAPS.get(worker) is not None)

    def keep(self, number: int, decision: Decision | None) -> None:
        """As the database: refuses a place that another document has."""
        if decision is None:
            return
        others = {task.slot for other, task in self.tasks.items() if other != number and task.slot is not None}
        assert decision[0].slot not in others
        self.tasks[number] = decision[0]

    @rule(number=TASKS, worker=WORKERS, leads=st.booleans())
    def claim(self, number: int, worker: str, leads: bool) -> None:
        before = self.tasks[number]
        actor = self.actor(worker, leads)
        if before.state == "offered" and (leads or (self.asked(before, worker) and not actor.full)):
            self.keep(number, doing.accept(before, actor, self.now()))
            return
        with pytest.raises(Refusal) as excinfo:
            doing.accept(before, actor, self.now())
        if before.state in TAKEN:
            assert str(before.worker) in str(excinfo.value), "whoever comes second learns who has it"

    @staticmethod
    def asked(task: Task, worker: str) -> bool:
        return worker == task.worker or worker in task.asked

    @rule(number=TASKS, worker=WORKERS)
    def give_back(self, number: int, worker: str) -> None:
        self.attempt(number, lambda task: doing.decline(task, Actor(worker), self.now()))

    @rule(number=TASKS, worker=WORKERS)
    def start(self, number: int, worker: str) -> None:
        actor = self.actor(worker)
        self.attempt(number, lambda task: doing.start(task, actor, self.now()))

    @rule(number=TASKS, worker=WORKERS, to=WORKERS)
    def hand_over(self, number: int, worker: str, to: str) -> None:
        place = self.place(to)
        now = self.now()
        self.attempt(number, lambda task: doing.hand_over(task, Actor(worker), now, to=to, slot=place))

    @rule(number=TASKS, worker=WORKERS)
    def complete(self, number: int, worker: str) -> None:
        self.attempt(number, lambda task: doing.complete(task, Actor(worker), self.now()))

    @rule(number=TASKS)
    def reopen(self, number: int) -> None:
        self.attempt(number, lambda task: doing.reopen(task, Actor("c", leads=True), self.now()))

    @rule(worker=WORKERS)
    def leave(self, worker: str) -> None:
        for number, task in list(self.tasks.items()):
            self.keep(number, offering.leave(task, worker, self.now()))

    @rule(minutes=st.sampled_from([1.0, 20.0, 70.0, 200.0]))
    def wait(self, minutes: float) -> None:
        self.minutes += minutes
        for number, task in list(self.tasks.items()):
            self.keep(number, offering.lapse(task, self.now()))

    def attempt(self, number: int, move: Callable[[Task], Decision | None]) -> None:
        """A refusal changes nothing."""
        with contextlib.suppress(Refusal):
            self.keep(number, move(self.tasks[number]))

    @invariant()
    def no_cap_is_passed(self) -> None:
        """Places are numbered up to the cap, and none holds two tasks."""
        places = [task.slot for task in self.tasks.values() if task.slot is not None]
        assert len(places) == len(set(places))
        for worker, cap in CAPS.items():
            mine = [one for one in places if one.startswith(f"{worker}/")]
            assert len(mine) <= (cap or 0)

    @invariant()
    def a_place_is_held_by_who_has_the_task_and_by_nobody_else(self) -> None:
        for task in self.tasks.values():
            if task.slot is not None:
                assert task.state in TAKEN
                assert task.slot.startswith(f"{task.worker}/")

    @invariant()
    def every_open_task_has_somebody_and_a_time(self) -> None:
        """Nobody is forgotten: asked or held, and until when."""
        now = NINE + timedelta(minutes=self.minutes)
        for task in self.tasks.values():
            if task.state in OPEN:
                assert task.due_at is not None
                assert task.due_at > now
                assert task.worker is not None or task.asked


TestClaims = Claims.TestCase
TestClaims.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
