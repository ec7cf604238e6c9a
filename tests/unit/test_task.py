"""The rules of a task: who is asked, who may do what, what happens when nobody does."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from services.dispatch.domain import doing, offering
from services.dispatch.domain.ladder import Roster
from services.dispatch.domain.task import MOVES, OPEN, Actor, Decision, Task
from shared.contracts.catalogue import Ladder
from shared.contracts.refusal import Refusal
from tests import world
from tests.unit import tasks
from tests.unit.tasks import EVERYBODY, NINE, QIAN, SUN, ZHAO, ZHOU, facts, names, situation

LEADER = Actor(world.ZHAO, leads=True)
STATES: dict[str, Callable[[], Task]] = {
    "offered": tasks.offered,
    "assigned": tasks.assigned,
    "under_way": tasks.under_way,
    "completed": tasks.completed,
    "failed": tasks.failed,
    "cancelled": lambda: sure(offering.cancel(tasks.assigned(), "t1", "r1"))[0],
}
VERBS: dict[str, Callable[[Task, Actor], Decision | None]] = {
    "accept": lambda task, who: doing.accept(task, who, situation()),
    "release": lambda task, who: doing.decline(task, who, situation()),
    "start": lambda task, who: doing.start(task, who, situation()),
    "hand_over": lambda task, who: doing.hand_over(task, who, situation(), to=world.QIAN, goods="intact"),
    "complete": lambda task, who: doing.complete(task, who, situation()),
    "fail": lambda task, who: doing.fail(task, who, situation(), "refused"),
    "reopen": lambda task, who: doing.reopen(task, who, situation()),
    "pause": lambda task, who: doing.pause(task, who, "waiting_for_shop", 10, situation()),
    "buy": lambda task, who: doing.buy(task, who, 1_250, ()),
    "arrive": lambda task, who: doing.arrive(task, who),
    "return_goods": lambda task, who: doing.return_goods(task, who, None, "intact"),
    "check": lambda task, who: doing.check(task, replace(who, worker=world.QIAN), situation(), confirmed=True),
}
PASSING = {"release": "offered", "reopen": "offered"}
"""Moves to `created` end in `offered`: somebody is asked at once."""


def sure(decision: Decision | None) -> Decision:
    assert decision is not None
    return decision


def refused(excinfo: pytest.ExceptionInfo[Refusal]) -> tuple[int, str, str]:
    """Status, field and code."""
    first = excinfo.value.problems[0]
    return excinfo.value.status, first.field, first.code


# The table of moves


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("state", STATES)
def test_every_move_of_the_table_is_made_and_every_other_is_refused(state: str, verb: str) -> None:
    """From each state, each thing that a worker can do."""
    task = STATES[state]()
    assert task.state == state
    if verb in MOVES[state]:
        after, events = sure(VERBS[verb](task, ZHAO))
        assert after.state == PASSING.get(verb, MOVES[state][verb])
        assert after.open == (after.state in OPEN)
        assert events
    else:
        with pytest.raises(Refusal) as excinfo:
            VERBS[verb](task, ZHAO)
        assert excinfo.value.status == 409
        assert refused(excinfo)[2] in ("wrong_state", "taken")


@pytest.mark.parametrize("state", STATES)
def test_a_cancelled_need_ends_an_open_task_and_changes_no_closed_one(state: str) -> None:
    """Cancellation is news, not a command: it is never refused."""
    task = STATES[state]()
    decision = offering.cancel(task, "t1", "r1")
    if "cancel" in MOVES[state]:
        after, events = sure(decision)
        assert (after.state, after.open, after.due_at, names(events)) == (
            "cancelled",
            False,
            None,
            ["DeliveryCancelled"],
        )
    else:
        assert decision is None


def test_the_table_names_only_states_that_it_knows() -> None:
    """Every target is a row, and closed states are left by reopening alone."""
    assert {target for moves in MOVES.values() for target in moves.values()} <= set(MOVES)
    closed = {state: MOVES[state] for state in MOVES if state not in OPEN}
    assert {verb for state, moves in closed.items() for verb in moves if moves[verb] != state} == {"reopen"}


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_task_is_refused_with_404(verb: str) -> None:
    """Neither one that is not there nor one of which only the cancellation is known."""
    for task in (None, Task(task_id="t1", request_id="r1", withdrawn=True)):
        with pytest.raises(Refusal) as excinfo:
            VERBS[verb](task, ZHAO)  # type: ignore[arg-type]
        assert refused(excinfo) == (404, "task_id", "unknown_task")


# Opening


def test_a_new_request_is_offered_to_whoever_answers_for_its_grid() -> None:
    """For as long as the ladder says for its urgency."""
    task, events = sure(offering.open_task(None, "t1", facts(), 1, situation()))
    assert (task.state, task.worker, task.role, task.step) == ("offered", world.ZHAO, "grid_worker", 0)
    assert task.due_at == NINE + timedelta(minutes=20)
    assert names(events) == ["DeliveryOffered"]


@pytest.mark.parametrize(("urgency", "minutes"), [("normal", 20), ("soon", 10), ("urgent", 5)])
def test_the_more_urgent_the_shorter_an_offer_lasts(urgency: str, minutes: int) -> None:
    """Minutes come from the ladder."""
    assert tasks.offered(urgency=urgency).due_at == NINE + timedelta(minutes=minutes)


def test_a_request_told_twice_opens_one_task() -> None:
    """The second time is nothing."""
    assert offering.open_task(tasks.offered(), "t1", facts(), 1, situation()) is None


def test_a_request_cancelled_before_it_was_known_is_never_offered() -> None:
    """The cancellation ran ahead of the request."""
    ahead, events = sure(offering.cancel(None, "t1", "r1"))
    assert (ahead.withdrawn, ahead.facts, list(events)) == (True, None, [])
    task, events = sure(offering.open_task(ahead, "t1", facts(), 1, situation()))
    assert (task.state, task.open, names(events)) == ("cancelled", False, ["DeliveryCancelled"])


@pytest.mark.parametrize("grid", ["g1", None])
def test_what_must_be_reviewed_goes_to_the_coordinator_at_once(grid: str | None) -> None:
    """Nobody is sent to a door that may not be there."""
    task, events = sure(
        offering.open_task(None, "t1", facts(grid=grid, needs_review=("unknown_building",)), 1, situation())
    )
    assert (task.role, task.worker) == ("coordinator", world.ZHOU)
    assert names(events) == ["DeliveryEscalated", "DeliveryOffered"]
    assert events[0].reason == "needs_review"  # type: ignore[attr-defined]


# The ladder


def test_an_offer_that_nobody_answers_climbs_the_ladder_to_its_end_and_stays_there() -> None:
    """Grid worker, volunteers, coordinator, coordinator again; each time a little higher on the list."""
    task, seen = tasks.offered(), []
    for _ in range(4):
        assert task.due_at is not None
        late = situation(minutes=(task.due_at - NINE) / timedelta(minutes=1))
        task, events = sure(offering.lapse(task, late))
        seen.append((task.role, task.worker, task.priority, names(events)))
    assert seen == [
        ("volunteer", None, 11, ["DeliveryReleased", "DeliveryOffered"]),
        ("coordinator", world.ZHOU, 12, ["DeliveryReleased", "DeliveryEscalated", "DeliveryOffered"]),
        ("coordinator", world.ZHOU, 13, ["DeliveryEscalated"]),
        ("coordinator", world.ZHOU, 14, ["DeliveryEscalated"]),
    ]


def test_an_offer_lapses_at_its_minute_and_not_before() -> None:
    """The last millisecond still counts."""
    task = tasks.offered()
    just_before = tasks.situation(minutes=20 - 1e-5)
    assert offering.lapse(task, just_before) is None
    assert offering.lapse(task, situation(minutes=20)) is not None


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
def test_nothing_lapses_on_a_closed_task(state: str) -> None:
    """Whatever the time."""
    assert offering.lapse(STATES[state](), situation(minutes=10_000)) is None


@pytest.mark.parametrize(("make", "minutes"), [(tasks.assigned, 60), (tasks.under_way, 180)])
def test_a_worker_who_disappears_loses_his_lease_and_is_not_asked_again(make: Callable[[], Task], minutes: int) -> None:
    """The ladder starts anew, without him."""
    assert offering.lapse(make(), situation(minutes=minutes - 1)) is None
    task, events = sure(offering.lapse(make(), situation(minutes=minutes)))
    assert names(events) == ["DeliveryReleased", "DeliveryOffered"]
    assert events[0].worker == world.ZHAO  # type: ignore[attr-defined]
    assert events[0].reason == "lease_lapsed"  # type: ignore[attr-defined]
    assert (task.role, task.worker, task.declined) == ("volunteer", None, [world.ZHAO])


def test_who_says_no_is_passed_over_and_the_next_is_asked() -> None:
    """Until the ladder begins anew."""
    task, events = doing.decline(tasks.offered(), ZHAO, situation())
    assert (task.role, task.declined) == ("volunteer", [world.ZHAO])
    assert events[0].reason == "declined"  # type: ignore[attr-defined]


def test_who_gives_a_task_back_is_not_asked_for_it_again() -> None:
    """Even though the ladder begins with him."""
    task, events = doing.decline(tasks.assigned(), ZHAO, situation())
    assert events[0].reason == "given_back"  # type: ignore[attr-defined]
    assert task.role == "volunteer"


def test_one_volunteer_who_says_no_leaves_the_offer_to_the_others() -> None:
    """An offer to many is not taken from them by one."""
    pooled, _ = doing.decline(tasks.offered(), ZHAO, situation())
    task, events = doing.decline(pooled, SUN, situation())
    assert (task.state, task.role, task.due_at, list(events)) == ("offered", "volunteer", pooled.due_at, [])
    assert doing.accept(task, Actor(world.WU), situation())[0].worker == world.WU


def test_where_nobody_answers_for_the_grid_volunteers_are_asked_first() -> None:
    """A step that has nobody is passed over."""
    task, _ = sure(offering.open_task(None, "t1", facts(), 1, situation(roster=replace(EVERYBODY, responsible=None))))
    assert (task.role, task.step) == ("volunteer", 1)


def test_the_end_of_every_ladder_is_a_coordinator_even_where_none_is_known() -> None:
    """A task is never left with nobody asked."""
    ladder = Ladder.model_validate({**tasks.LADDER.model_dump(), "steps": [tasks.LADDER.steps[0].model_dump()]})
    task, events = sure(offering.open_task(None, "t1", facts(), 1, situation(roster=Roster(), ladder=ladder)))
    assert (task.state, task.role, task.worker) == ("offered", "coordinator", None)
    assert names(events) == ["DeliveryEscalated", "DeliveryOffered"]


# Who may do what


def test_only_whoever_is_asked_may_accept() -> None:
    """Others are told that it is not theirs."""
    with pytest.raises(Refusal) as excinfo:
        doing.accept(tasks.offered(), QIAN, situation())
    assert refused(excinfo) == (409, "worker", "not_offered")


def test_a_coordinator_may_give_a_task_to_anybody() -> None:
    """Whoever leads speaks for others."""
    task, _ = doing.accept(tasks.offered(), Actor(world.QIAN, leads=True), situation())
    assert (task.state, task.worker) == ("assigned", world.QIAN)


def test_whoever_comes_second_is_told_who_has_it() -> None:
    """By name."""
    with pytest.raises(Refusal) as excinfo:
        doing.accept(tasks.assigned(), SUN, situation())
    assert refused(excinfo) == (409, "task_id", "taken")
    assert world.ZHAO in str(excinfo.value)


@pytest.mark.parametrize("verb", ["start", "complete", "fail", "release", "hand_over"])
def test_nobody_moves_a_task_that_another_has(verb: str) -> None:
    """Unless he leads."""
    moves: dict[str, Callable[[Task, Actor], Decision]] = {
        "start": lambda task, who: doing.start(task, who, situation()),
        "complete": lambda task, who: doing.complete(task, who, situation()),
        "fail": lambda task, who: doing.fail(task, who, situation(), "other"),
        "release": lambda task, who: doing.decline(task, who, situation()),
        "hand_over": lambda task, who: doing.hand_over(task, who, situation(), to=world.QIAN, goods="intact"),
    }
    task = tasks.under_way() if verb == "hand_over" else tasks.assigned()
    with pytest.raises(Refusal) as excinfo:
        moves[verb](task, SUN)
    assert refused(excinfo) == (409, "worker", "not_yours")
    assert moves[verb](task, Actor(world.SUN, leads=True))[1]


def test_a_hand_over_keeps_the_task_under_way_with_the_other() -> None:
    """And says in which state the goods were."""
    task, events = doing.hand_over(tasks.under_way(), ZHAO, situation(minutes=30), to=world.QIAN, goods="damaged")
    assert (task.state, task.worker, task.due_at) == ("under_way", world.QIAN, NINE + timedelta(minutes=210))
    assert (events[0].previous, events[0].goods) == (world.ZHAO, "damaged")  # type: ignore[attr-defined]
    assert doing.complete(task, QIAN, situation())[0].worker == world.QIAN


# Late news


def test_done_at_the_door_counts_even_when_the_lease_ran_out_meanwhile() -> None:
    """He was out of reach, and did it."""
    lapsed, _ = sure(offering.lapse(tasks.under_way(), situation(minutes=180)))
    done, events = doing.complete(lapsed, ZHAO, situation())
    assert (done.state, done.worker, names(events)) == ("completed", world.ZHAO, ["DeliveryCompleted"])


def test_late_news_does_not_take_the_task_from_who_has_it_now() -> None:
    """Two at one door is for people to clear up."""
    lapsed, _ = sure(offering.lapse(tasks.under_way(), situation(minutes=180)))
    taken, _ = doing.accept(lapsed, SUN, situation(minutes=181))
    with pytest.raises(Refusal) as excinfo:
        doing.complete(taken, ZHAO, situation())
    assert refused(excinfo) == (409, "worker", "not_yours")


def test_who_never_had_a_task_cannot_say_that_it_is_done() -> None:
    """Not even while it is offered to several."""
    pooled, _ = doing.decline(tasks.offered(), ZHAO, situation())
    with pytest.raises(Refusal) as excinfo:
        doing.complete(pooled, SUN, situation())
    assert refused(excinfo) == (409, "worker", "not_yours")


def test_the_devices_own_time_is_told_beside_ours() -> None:
    """It is kept, and decides nothing."""
    early = NINE - timedelta(hours=3)
    _, events = doing.complete(tasks.under_way(), Actor(world.ZHAO, at=early), situation())
    assert events[0].at == early  # type: ignore[attr-defined]


# Reopening


def test_a_reopened_task_goes_to_the_same_ladder_from_its_beginning() -> None:
    """Higher on the list, and who said no before may be asked again."""
    task, events = doing.reopen(tasks.completed(), ZHOU, situation(minutes=60))
    assert names(events) == ["DeliveryReopened", "DeliveryOffered"]
    assert (task.state, task.worker, task.declined, task.priority) == ("offered", world.ZHAO, [], 11)


# Amendments


def test_an_amended_place_asks_whoever_answers_for_the_new_one() -> None:
    """From the beginning of the ladder."""
    roster = replace(EVERYBODY, responsible=world.QIAN)
    task, events = sure(
        offering.amend(tasks.assigned(), "t1", facts(grid="g2", building="3"), 2, situation(roster=roster))
    )
    assert (task.state, task.worker, task.facts and task.facts.grid) == ("offered", world.QIAN, "g2")
    assert names(events) == ["DeliveryReleased", "DeliveryOffered"]
    assert events[0].reason == "amended"  # type: ignore[attr-defined]


def test_an_amended_list_leaves_the_task_with_who_has_it() -> None:
    """Same place: he goes on, with the new facts."""
    task, events = sure(offering.amend(tasks.assigned(), "t1", facts(sealed="k1.BBBB"), 2, situation()))
    assert (task.worker, list(events), task.facts and task.facts.sealed) == (world.ZHAO, [], "k1.BBBB")


def test_an_amended_place_does_not_stop_who_is_under_way() -> None:
    """He reads the new address."""
    task, events = sure(offering.amend(tasks.under_way(), "t1", facts(grid="g2", building="3"), 2, situation()))
    assert (task.state, task.worker, list(events)) == ("under_way", world.ZHAO, [])


def test_an_amendment_that_comes_before_its_request_opens_the_task() -> None:
    """It tells all that there is to know; the request itself then brings nothing new."""
    task, events = sure(offering.amend(None, "t1", facts(sealed="k1.BBBB"), 2, situation()))
    assert names(events) == ["DeliveryOffered"]
    assert offering.open_task(task, "t1", facts(), 1, situation()) is None


def test_an_older_amendment_never_undoes_a_newer_one() -> None:
    """In whatever order and however often they come."""
    newer, _ = sure(offering.amend(tasks.offered(), "t1", facts(sealed="k1.CCCC"), 3, situation()))
    assert offering.amend(newer, "t1", facts(sealed="k1.BBBB"), 2, situation()) is None
    assert offering.amend(newer, "t1", facts(sealed="k1.CCCC"), 3, situation()) is None


def test_an_amendment_of_a_closed_task_counts_once_it_is_opened_again() -> None:
    """Nobody goes to the old door; and the same news, late, changes nothing."""
    news = facts(grid="g2", building="3")
    done, events = sure(offering.amend(tasks.completed(), "t1", news, 2, situation()))
    assert (done.state, list(events)) == ("completed", [])
    reopened, _ = doing.reopen(done, ZHOU, situation(roster=replace(EVERYBODY, responsible=world.QIAN)))
    assert (reopened.worker, reopened.facts and reopened.facts.building) == (world.QIAN, "3")
    assert offering.amend(reopened, "t1", news, 2, situation()) is None


def test_an_amended_urgency_keeps_what_was_gained_by_waiting() -> None:
    """Twenty minutes of waiting are not forgotten."""
    waited, _ = sure(offering.lapse(tasks.offered(), situation(minutes=20)))
    task, _ = sure(offering.amend(waited, "t1", facts(urgency="urgent", priority=40), 2, situation(minutes=21)))
    assert task.priority == 41


# Cover


@pytest.mark.parametrize("make", [tasks.offered, tasks.assigned])
def test_a_covered_grids_work_goes_to_the_other(make: Callable[[], Task]) -> None:
    """What the first has not set out with."""
    covered = situation(roster=replace(EVERYBODY, responsible=world.QIAN))
    task, events = sure(offering.cover(make(), world.ZHAO, covered))
    assert (task.state, task.worker) == ("offered", world.QIAN)
    assert events[0].reason == "covered"  # type: ignore[attr-defined]


def test_who_is_under_way_finishes_although_the_grid_is_covered() -> None:
    """He stands at the door already."""
    covered = situation(roster=replace(EVERYBODY, responsible=world.QIAN))
    assert offering.cover(tasks.under_way(), world.ZHAO, covered) is None


def test_late_news_of_a_cover_moves_nothing_once_the_grid_is_back() -> None:
    """The first answers for it again: his work stays with him."""
    assert offering.cover(tasks.offered(), world.ZHAO, situation()) is None


# The first line


def test_however_long_others_wait_the_first_line_stands_above_them() -> None:
    """A hundred times lapsed, and still below somebody old and alone who asked a moment ago."""
    waiting, alone = tasks.offered(urgency="urgent", priority=45), tasks.offered(first_line=True, priority=60)
    for _ in range(100):
        assert waiting.due_at is not None
        waiting, _ = sure(offering.lapse(waiting, situation(minutes=(waiting.due_at - NINE) / timedelta(minutes=1))))
        assert waiting.priority < alone.priority


def test_priority_ends_at_a_hundred() -> None:
    """As the contract says."""
    task = tasks.offered(first_line=True, priority=95)
    for _ in range(30):
        assert task.due_at is not None
        task, _ = sure(offering.lapse(task, situation(minutes=(task.due_at - NINE) / timedelta(minutes=1))))
    assert task.priority == 100
