"""The tasks of a simulated day, and what the rules ask about them: what the store of dispatch answers, from memory."""

from collections import defaultdict
from datetime import datetime

from deploy.simulation.policies import Policy
from deploy.simulation.scenario import Scenario
from services.dispatch.catalogues import Catalogues
from services.dispatch.domain import matching
from services.dispatch.domain.ladder import Roster
from services.dispatch.domain.matching import Requirement
from services.dispatch.domain.roster import Worker
from services.dispatch.domain.rounds import Work
from services.dispatch.domain.task import TAKEN, Actor, Situation, Task
from shared.contracts.intake import RequestFacts


class Records:
    """Who helps, and how each task stands."""

    def __init__(self, scenario: Scenario, known: Catalogues, policy: Policy) -> None:
        self._known = known
        self._policy = policy
        self.tasks: dict[str, Task] = {}
        self.waits: dict[str, Task] = {}
        """Those that wait for a round."""
        self.helpers = tuple(_worker(scenario, number) for number in _numbers(scenario, leads=False))
        """Everybody but coordinators."""
        self.by_id = {one.worker_id: one for one in self.helpers}
        self._shown = tuple(map(_anywhere, self.helpers)) if policy.everybody else self.helpers
        self._responsible = {
            grid: one.worker_id for one in self.helpers if one.role == "grid_worker" for grid in one.grids
        }
        self.coordinator = next((scenario.workers[n].worker_id for n in _numbers(scenario, leads=True)), None)
        self._open: dict[str, dict[str, Task]] = defaultdict(dict)
        self._asked: dict[str, float] = defaultdict(float)
        self._done: dict[str, int] = defaultdict(int)
        self._last: dict[str, str] = {}
        """Building of what each did last."""

    def keep(self, task_id: str, task: Task) -> None:
        """Enter how a task stands now."""
        before = self.tasks.get(task_id)
        if before is not None and before.worker is not None:
            self._open[before.worker].pop(task_id, None)
        for asked, sign in ((before.asked if before is not None else [], -1), (task.asked, 1)):
            for name in asked:
                self._asked[name] += sign / len(asked)
        if task.worker is not None and task.open:
            self._open[task.worker][task_id] = task
        if task.worker is not None and task.state == "completed":
            self._done[task.worker] += 1
            if task.facts is not None:
                self._last[task.worker] = task.facts.building
        self.waits.pop(task_id, None)
        if task.waits:
            self.waits[task_id] = task
        self.tasks[task_id] = task

    def held(self, worker: str) -> dict[str, Task]:
        """Tasks that somebody said yes to and has not done."""
        return {task_id: one for task_id, one in self._open[worker].items() if one.state in TAKEN}

    def work_of(self, worker: str) -> Work:
        """What somebody has in hand, what he is asked for among it, and how much he has done."""
        mine = self._open[worker]
        facts = next(reversed(mine.values())).facts if mine else None
        building = facts.building if facts else self._last.get(worker)
        return Work(len(mine), self._asked[worker], self._done[worker], building)

    def situation(self, facts: RequestFacts, now: datetime) -> Situation:
        """What a decision about a request there rests on."""
        return Situation(
            now=now,
            ladder=self._policy.kinds.ladder_of(facts.kind),
            roster=Roster(
                responsible=self._responsible.get(facts.grid or ""),
                coordinator=self.coordinator,
                workers=self._shown,
                full=self.full(),
                need=self.need(facts),
            ),
        )

    def need(self, facts: RequestFacts) -> Requirement:
        """What a request asks of whoever comes."""
        return matching.requirement(facts, self._policy.kinds, self._known.abilities)

    def full(self) -> frozenset[str]:
        """Those who have as many tasks as they can have."""
        return frozenset(one.worker_id for one in self.helpers if self._is_full(one))

    def actor(self, worker: str, facts: RequestFacts, *, leads: bool = False) -> Actor:
        """Somebody about to say yes, with a free place under his cap, where he has a cap and there is one."""
        known = self.by_id.get(worker)
        return Actor(
            worker,
            leads,
            slot=self._free_slot(known) if known else None,
            full=known is not None and self._is_full(known),
            aids=matching.aids(known, self.need(facts)),
        )

    def _is_full(self, worker: Worker) -> bool:
        return worker.cap is not None and self._free_slot(worker) is None

    def _free_slot(self, worker: Worker) -> str | None:
        """A place under his cap in which no task rests; None: there is none, or he has no cap."""
        taken = {one.slot for one in self._open[worker.worker_id].values()}
        return worker.free_slot(taken)


def _numbers(scenario: Scenario, *, leads: bool) -> list[int]:
    return [n for n, one in enumerate(scenario.workers) if (one.role == "coordinator") == leads]


def _worker(scenario: Scenario, number: int) -> Worker:
    """Somebody as he would be registered; who answers for grids knows their buildings."""
    person = scenario.workers[number]
    told = {name: getattr(person, name) for name in ("skills", "languages", "sex", "kinds", "cap", "shifts", "grids")}
    buildings = tuple(name for name, one in scenario.buildings.items() if one.grid in person.grids)
    return Worker(
        worker_id=person.worker_id,
        community=scenario.community,
        role=person.role,
        buildings=buildings if person.role == "grid_worker" else (),
        fingerprint="",
        sealed="",
        **told,
    )


def _anywhere(worker: Worker) -> Worker:
    """The same person, whom the pool of every grid means."""
    return worker.model_copy(update={"role": "volunteer", "grids": ()})
