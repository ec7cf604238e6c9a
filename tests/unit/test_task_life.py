"""The life of a task as a state machine with time: whatever people, intake and the clock do, it holds."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.dispatch.domain import doing, offering, proving
from services.dispatch.domain.task import MOVES, OPEN, TAKEN, Actor, Decision, Photo, Roster, Situation, Task
from shared.contracts.envelope import Event
from shared.contracts.refusal import Refusal
from tests import world
from tests.unit.tasks import EVERYBODY, NINE, facts, situation

WORKERS = st.sampled_from([world.ZHAO, world.QIAN, world.SUN, world.WU])
ACTORS = st.builds(Actor, WORKERS, st.booleans(), at=st.sampled_from([None, NINE]))
"""Some were out of reach, and send now what they did at nine."""
GOODS = st.sampled_from(["intact", "damaged"])
TERMINAL = ("DeliveryCompleted", "DeliveryFailed", "DeliveryCancelled")
FOLLOWS: dict[str, set[str]] = {
    "": {"DeliveryOffered", "DeliveryEscalated", "DeliveryCancelled"},
    "DeliveryOffered": {"DeliveryAssigned", "DeliveryReleased", "DeliveryEscalated", *TERMINAL} - {"DeliveryFailed"},
    "DeliveryEscalated": {"DeliveryOffered", "DeliveryEscalated", "DeliveryAssigned", "DeliveryReleased", *TERMINAL}
    - {"DeliveryFailed"},
    "DeliveryAssigned": {"DeliveryStarted", "DeliveryReleased", *TERMINAL},
    "DeliveryStarted": {"DeliveryHandedOver", "DeliveryReleased", *TERMINAL},
    "DeliveryHandedOver": {"DeliveryHandedOver", "DeliveryReleased", *TERMINAL},
    "DeliveryReleased": {"DeliveryOffered", "DeliveryEscalated"},
    "DeliveryCompleted": {"DeliveryReopened"},
    "DeliveryFailed": {"DeliveryReopened"},
    "DeliveryReopened": {"DeliveryOffered", "DeliveryEscalated"},
    "DeliveryCancelled": set(),
}
"""Which event may come after which in the history of one task."""
BESIDE = {
    "DeliveryPaused",
    "DeliveryResumed",
    "DeliveryBought",
    "DeliveryArrived",
    "DeliveryPhotographed",
    "DeliveryReturned",
    "DeliveryChecked",
    "DeliveryAtRisk",
    "DeliveryReplanned",
    "DeliveryApart",
    "DeliveryFlagged",
}
"""Events that move nothing, and may stand between any two."""


class TaskLife(RuleBasedStateMachine):
    """One task, its history, and a clock."""

    def __init__(self) -> None:
        super().__init__()
        self.task: Task | None = None
        self.history: list[Event] = []
        self.last: Event | None = None
        self.minutes = 0.0
        self.told = 1
        self.roster = EVERYBODY
        self.closed = False

    @property
    def now(self) -> Situation:
        now = situation(minutes=self.minutes, roster=self.roster)
        return replace(now, closed=self.closed, evening=now.now + timedelta(hours=3))

    def take(self, decision: Decision | None) -> None:
        """Keep what was decided, as the documents layer does."""
        if decision is None:
            return
        after, events = decision
        if self.task is not None and self.task.facts is not None and after.facts is not None:
            assert after.state == self.task.state or self.reachable(self.task.state, after.state)
        self.task = after
        for event in events:
            name = type(event).__name__
            self.history.append(event)
            if name in BESIDE:
                continue
            before = type(self.last).__name__ if self.last else ""
            assert name in FOLLOWS[before], f"{name} after {before}"
            self.last = event

    @staticmethod
    def reachable(before: str, after: str) -> bool:
        """One move, or a move to `created` and the offer that follows at once."""
        targets = set(MOVES[before].values())  # type: ignore[index]
        return after in targets or ("created" in targets and after == "offered")

    def attempt(self, move: Callable[[], Decision | None]) -> None:
        """A refusal changes nothing."""
        before = self.task
        try:
            decision = move()
        except Refusal:
            assert self.task is before
        else:
            self.take(decision)

    @initialize(first_line=st.booleans(), review=st.booleans(), cancelled_before=st.booleans())
    def begin(self, first_line: bool, review: bool, cancelled_before: bool) -> None:
        self.first = facts(
            first_line=first_line,
            priority=60 if first_line else 10,
            needs_review=("unknown_building",) if review else (),
        )
        if cancelled_before:
            self.take(offering.cancel(self.task, "t1", "r1"))
        self.take(offering.open_task(self.task, "t1", self.first, self.told, self.now))

    @rule(minutes=st.one_of(st.floats(0.01, 30), st.floats(30, 600)))
    def time_passes(self, minutes: float) -> None:
        self.minutes += minutes

    @rule(skew=st.floats(-1, 1))
    def due_dates_are_looked_at(self, skew: float) -> None:
        """By a replica whose clock is up to a minute off."""
        seen = replace(self.now, now=self.now.now + timedelta(minutes=skew))
        due = self.task is not None and self.task.due_at is not None and self.task.due_at <= seen.now
        decision = offering.lapse(self.task, seen)
        assert (decision is not None) == due
        self.take(decision)
        assert offering.lapse(self.task, seen) is None, "one due date is dealt with once"

    @rule(who=ACTORS)
    def somebody_accepts(self, who: Actor) -> None:
        had = self.task.worker if self.task is not None and self.task.state in TAKEN else None
        self.attempt(lambda: doing.accept(self.task, who, self.now))
        if had is not None:
            assert self.task is not None
            assert self.task.worker == had, "a claim never takes a task from who has it"

    @rule(who=ACTORS)
    def somebody_declines(self, who: Actor) -> None:
        self.attempt(lambda: doing.decline(self.task, who, self.now))

    @rule(who=ACTORS)
    def somebody_starts(self, who: Actor) -> None:
        self.attempt(lambda: doing.start(self.task, who, self.now))

    @rule(who=ACTORS, to=st.one_of(st.none(), WORKERS), point=st.sampled_from([None, "lockers"]), goods=GOODS)
    def somebody_hands_over(self, who: Actor, to: str | None, point: str | None, goods: str) -> None:
        if to or point:
            self.attempt(lambda: doing.hand_over(self.task, who, self.now, to=to, point=point, goods=goods))

    @rule(who=ACTORS, minutes=st.sampled_from([5, 300]))
    def somebody_pauses(self, who: Actor, minutes: int) -> None:
        self.attempt(lambda: doing.pause(self.task, who, "waiting_for_shop", minutes, self.now))

    @rule(who=ACTORS)
    def somebody_buys(self, who: Actor) -> None:
        self.attempt(lambda: doing.buy(self.task, who, 1_250, ()))

    @rule(who=ACTORS)
    def somebody_arrives(self, who: Actor) -> None:
        self.attempt(lambda: doing.arrive(self.task, who))

    @rule(who=ACTORS, name=st.sampled_from("abc"))
    def somebody_takes_a_photo(self, who: Actor, name: str) -> None:
        photo = Photo(photo=name, by=who.worker, at=NINE, look="0" * 16)
        self.attempt(lambda: proving.photograph(self.task, who, photo, ("0:0000",)))

    @rule(who=ACTORS)
    def somebody_returns_the_goods(self, who: Actor) -> None:
        self.attempt(lambda: doing.return_goods(self.task, who, "lockers", "intact"))

    @rule(who=ACTORS, confirmed=st.booleans())
    def somebody_takes_a_second_look(self, who: Actor, confirmed: bool) -> None:
        had = self.task.holders if self.task is not None else []
        before = self.task
        self.attempt(lambda: doing.check(self.task, who, self.now, confirmed=confirmed))
        assert self.task is before or who.worker not in had, "nobody looks at his own work"

    @rule(closed=st.booleans())
    def the_building_is_closed_or_opened(self, closed: bool) -> None:
        self.closed = closed
        self.take(offering.replan(self.task, self.now))
        assert offering.replan(self.task, self.now) is None, "it is told once"

    @rule()
    def warnings_are_looked_at(self) -> None:
        self.take(offering.warn(self.task, self.now.now))
        assert offering.warn(self.task, self.now.now) is None, "it is warned of once"

    @rule(who=ACTORS)
    def somebody_completes(self, who: Actor) -> None:
        self.attempt(lambda: doing.complete(self.task, who, self.now))

    @rule(who=ACTORS)
    def somebody_fails(self, who: Actor) -> None:
        self.attempt(lambda: doing.fail(self.task, who, self.now, "other"))

    @rule(who=ACTORS)
    def somebody_reopens(self, who: Actor) -> None:
        self.attempt(lambda: doing.reopen(self.task, who, self.now))

    @rule()
    def intake_tells_of_the_request_again(self) -> None:
        assert offering.open_task(self.task, "t1", self.first, 1, self.now) is None

    @rule(building=st.sampled_from([("g1", "1"), ("g1", "2"), ("g2", "3")]), late=st.booleans())
    def intake_amends(self, building: tuple[str, str], late: bool) -> None:
        """Sometimes with news that is older than what is known."""
        grid, number = building
        self.told += 0 if late else 1
        changed = self.first.model_copy(update={"grid": grid, "building": number, "needs_review": ()})
        decision = offering.amend(self.task, "t1", changed, self.told, self.now)
        assert not (late and decision), "old news changes nothing"
        self.take(decision)

    @precondition(lambda self: self.minutes > 60)
    @rule()
    def intake_cancels(self) -> None:
        self.take(offering.cancel(self.task, "t1", "r1"))

    @rule(other=st.sampled_from([world.ZHAO, world.QIAN, None]))
    def the_grid_is_covered(self, other: str | None) -> None:
        """By another, by its own again, or by nobody known."""
        before, self.roster = self.roster.responsible, Roster(responsible=other, coordinator=world.ZHOU)
        if before is not None:
            self.take(offering.cover(self.task, before, self.now))

    @invariant()
    def the_state_is_in_the_table(self) -> None:
        if self.task is not None and self.task.facts is not None:
            assert self.task.state in MOVES
            assert self.task.open == (self.task.state in OPEN)

    @invariant()
    def somebody_is_always_asked_or_has_it(self) -> None:
        """No task waits for nobody: an open one is offered or taken, and has a date on which that ends."""
        task = self.task
        if task is None or task.facts is None:
            return
        assert (task.due_at is not None) == (task.state in ("offered", *TAKEN))
        if task.open:
            assert task.state != "created"
        if task.state in TAKEN and task.point is None:
            assert task.worker is not None
        if task.state in TAKEN and task.worker is not None:
            assert task.worker in task.holders
        if task.warn_at is not None:
            assert task.state in TAKEN
            assert task.paused is None
        if task.state == "offered":
            assert task.role in ("grid_worker", "volunteer", "coordinator")
            assert task.worker is not None or task.role == "volunteer" or self.roster.coordinator is None

    @invariant()
    def the_history_ends_as_the_task_does(self) -> None:
        """Exactly one end for each life, and as many lives as reopenings and one."""
        counts = Counter(type(event).__name__ for event in self.history)
        ends = sum(counts[name] for name in TERMINAL)
        if self.task is not None and self.task.facts is not None:
            assert ends == counts["DeliveryReopened"] + (0 if self.task.open else 1)

    @invariant()
    def the_first_line_stands_above_everybody_else(self) -> None:
        if self.task is not None and self.task.facts is not None:
            assert 0 <= self.task.priority <= 100
            assert (self.task.priority >= 60) == self.task.facts.first_line

    @invariant()
    def every_event_is_about_this_task(self) -> None:
        assert {(event.task_id, event.request_id) for event in self.history} <= {("t1", "r1")}  # type: ignore[attr-defined]

    def teardown(self) -> None:
        """Left alone, an open task is always asked of somebody within a day, and never gets lost."""
        for _ in range(10):
            if self.task is None or not self.task.open:
                break
            self.minutes += 600
            self.due_dates_are_looked_at(0.0)
        if self.task is not None and self.task.open:
            assert self.task.role == "coordinator", "what nobody does ends with a coordinator"


TestTaskLife = TaskLife.TestCase
TestTaskLife.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=False
)
