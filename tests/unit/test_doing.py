"""On the way to the door: out of reach, at a point, paused, proved, looked at again, and closed buildings."""

import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from services.dispatch.domain import doing, offering, proving
from services.dispatch.domain.hours import following, hurries, rests_until
from services.dispatch.domain.looks import ALIKE, alike, look_of, parts_of
from services.dispatch.domain.matching import Requirement
from services.dispatch.domain.proving import Evidence
from services.dispatch.domain.task import Actor, Photo, Situation, Task
from shared.contracts.catalogue import Hours, Kind, Label
from shared.contracts.refusal import Refusal
from tests import world
from tests.unit import tasks
from tests.unit.tasks import EVERYBODY, LADDER, NINE, QIAN, SUN, ZHAO, ZHOU, facts, names, situation, sure

EVENING = NINE + timedelta(hours=3)
PHOTO = Photo(photo="p1", by=world.ZHAO, at=NINE, look="0f0f0f0f0f0f0f0f")


def asking(*proof: str, minutes: float = 0) -> Situation:
    """A situation in which that must be shown."""
    need = Requirement(kind="groceries", proof=frozenset(proof))
    return situation(minutes=minutes, roster=replace(EVERYBODY, need=need))


def codes(excinfo: pytest.ExceptionInfo[Refusal]) -> list[tuple[str, str]]:
    return [(one.field, one.code) for one in excinfo.value.problems]


# Out of reach


def late(minutes: float) -> Actor:
    """Zhao, whose phone sends now what he did so long after nine."""
    return Actor(world.ZHAO, at=NINE + timedelta(minutes=minutes))


@pytest.mark.parametrize("order", list(permutations(["accept", "start", "complete"])))
def test_a_day_that_is_sent_later_ends_the_same_in_any_order(order: tuple[str, ...]) -> None:
    """Whatever comes first says what must have been before; what comes after the end is refused and changes nothing."""
    task, later = tasks.offered(), situation(minutes=60)
    moves = {
        "accept": lambda: doing.accept(task, late(1), later),
        "start": lambda: doing.start(task, late(2), later),
        "complete": lambda: doing.complete(task, late(30), later),
    }
    for verb in order:
        with contextlib.suppress(Refusal):
            task = moves[verb]()[0]
    assert (task.state, task.worker, task.holders) == ("completed", world.ZHAO, [world.ZHAO])


def test_one_of_several_who_was_out_of_reach_and_did_it_has_done_it() -> None:
    """Without a time of his own it is refused: he never said yes."""
    pooled, _ = doing.decline(tasks.offered(), ZHAO, situation())
    with pytest.raises(Refusal) as excinfo:
        doing.complete(pooled, SUN, situation())
    assert codes(excinfo) == [("worker", "not_yours")]
    done, _ = doing.complete(pooled, replace(SUN, at=NINE), situation(minutes=5))
    assert (done.state, done.worker) == ("completed", world.SUN)


def test_what_was_done_before_it_was_opened_again_does_not_end_its_second_life() -> None:
    """The resident said it was not done after that."""
    reopened, _ = doing.reopen(tasks.completed(), ZHOU, situation(minutes=60))
    with pytest.raises(Refusal) as excinfo:
        doing.complete(reopened, late(30), situation(minutes=61))
    assert codes(excinfo) == [("at", "before_reopened")]
    assert doing.complete(reopened, late(60.5), situation(minutes=61))[0].state == "completed"


def test_to_set_out_says_yes_and_takes_a_place_under_the_cap() -> None:
    """As a claim does."""
    started, events = doing.start(tasks.offered(), replace(ZHAO, slot="z/1"), situation())
    assert (started.state, started.slot) == ("under_way", "z/1")
    assert names(events) == ["DeliveryAssigned", "DeliveryStarted"]
    with pytest.raises(Refusal) as excinfo:
        doing.start(tasks.offered(), replace(ZHAO, full=True), situation())
    assert codes(excinfo) == [("worker", "cap_reached")]


# Legs and points


def at_point(**more: Any) -> Task:
    """Zhao left it at the parcel lockers."""
    told = {"point": "lockers", **more}
    return doing.hand_over(tasks.under_way(), ZHAO, replace(situation(), evening=EVENING), **told)[0]


def test_goods_at_a_point_wait_until_evening_and_are_then_brought() -> None:
    """Nobody is to blame, and nobody is passed over."""
    lying = at_point()
    assert (lying.state, lying.worker, lying.point, lying.due_at) == ("under_way", None, "lockers", EVENING)
    assert offering.lapse(lying, situation(minutes=179)) is None
    brought, events = sure(offering.lapse(lying, situation(minutes=180)))
    assert (brought.state, brought.point, brought.declined) == ("offered", "lockers", [])
    assert events[0].reason == "lease_lapsed"  # type: ignore[attr-defined]


def test_each_leg_is_recorded_with_who_when_and_how_the_goods_were() -> None:
    """From the rider to the point, from the point to a volunteer, from him to the door."""
    brought, _ = sure(offering.lapse(at_point(), situation(minutes=180)))
    taken, _ = doing.accept(brought, Actor(world.SUN, leads=True), situation(minutes=181))
    carried, events = doing.start(taken, SUN, situation(minutes=182), goods="damaged")
    assert names(events) == ["DeliveryStarted", "DeliveryHandedOver", "DeliveryFlagged"]
    assert carried.point is None
    legs = [(leg.giver, leg.origin, leg.taker, leg.point, leg.goods) for leg in carried.legs]
    assert legs == [
        (world.ZHAO, None, None, "lockers", "intact"),
        (world.ZHAO, "lockers", world.SUN, None, "damaged"),
    ]


def test_what_is_collected_at_a_point_is_done_and_says_where() -> None:
    """Told by whoever minds the point, or by whoever left it there where nobody does."""
    for lying, who in ((at_point(), ZHAO), (at_point(to=world.WU), Actor(world.WU))):
        done, events = doing.complete(lying, who, situation(minutes=30))
        assert (done.state, events[0].point) == ("completed", "lockers")  # type: ignore[attr-defined]
    with pytest.raises(Refusal) as excinfo:
        doing.complete(at_point(), QIAN, situation(minutes=30))
    assert codes(excinfo) == [("worker", "not_yours")]


# Pauses and warnings


def test_a_pause_keeps_what_is_left_of_the_time() -> None:
    """45 minutes of three hours were gone."""
    paused, events = doing.pause(tasks.under_way(), ZHAO, "waiting_for_shop", 60, situation(minutes=45))
    assert names(events) == ["DeliveryPaused"]
    assert offering.lapse(paused, situation(minutes=104)) is None
    resumed, events = sure(offering.lapse(paused, situation(minutes=105)))
    assert names(events) == ["DeliveryResumed"]
    assert resumed.due_at == NINE + timedelta(minutes=105 + 135)


def test_whoever_pauses_when_his_time_has_run_out_does_not_lose_the_task_as_he_goes_on() -> None:
    """The look for due dates comes a little later than they are."""
    paused, _ = doing.pause(tasks.under_way(), ZHAO, "waiting_for_shop", 60, situation(minutes=181))
    resumed, _ = sure(offering.lapse(paused, situation(minutes=241)))
    assert resumed.worker == "tiebei-g1-1"
    assert offering.lapse(resumed, situation(minutes=245)) is None
    released, _ = sure(offering.lapse(resumed, situation(minutes=246)))
    assert released.worker != "tiebei-g1-1"


def test_whoever_pauses_twice_gains_nothing_but_the_pause() -> None:
    """What was left at the first counts."""
    paused, _ = doing.pause(tasks.under_way(), ZHAO, "waiting_for_shop", 60, situation(minutes=45))
    again, _ = doing.pause(paused, ZHAO, "waiting_for_resident", 60, situation(minutes=100))
    assert again.paused is not None
    assert again.paused.left == 135 * 60


def test_who_is_going_to_be_late_is_warned_once() -> None:
    """When a quarter of the time is left."""
    task = tasks.under_way()
    assert offering.warn(task, NINE + timedelta(minutes=134)) is None
    warned, events = sure(offering.warn(task, NINE + timedelta(minutes=135)))
    assert names(events) == ["DeliveryAtRisk"]
    assert events[0].until == NINE + timedelta(minutes=180)  # type: ignore[attr-defined]
    assert offering.warn(warned, NINE + timedelta(minutes=179)) is None


# Proof


def test_what_must_be_shown_is_asked_for_by_name() -> None:
    """All of it at once."""
    with pytest.raises(Refusal) as excinfo:
        doing.complete(tasks.under_way(), ZHAO, asking("note", "photo", "code", "call_back"))
    assert codes(excinfo) == [(one, "proof_required") for one in ("note", "photo", "code", "called_back")]
    with_photo, _ = proving.photograph(tasks.under_way(), ZHAO, PHOTO, parts_of(PHOTO.look))
    evidence = Evidence(note="at the door", code=True, called_back=True)
    done, events = doing.complete(with_photo, ZHAO, asking("note", "photo", "code", "call_back"), evidence)
    assert (done.state, events[0].proof) == ("completed", ("note", "photo", "code", "call_back"))  # type: ignore[attr-defined]


def test_whoever_leads_can_do_without_and_says_why() -> None:
    """In a note."""
    leader = Actor(world.ZHAO, leads=True)
    with pytest.raises(Refusal):
        doing.complete(tasks.under_way(), leader, asking("photo"))
    assert doing.complete(tasks.under_way(), leader, asking("photo"), Evidence(note="her camera is broken"))


def test_an_attempt_that_failed_is_shown_too_but_not_by_a_code() -> None:
    """Nobody opened who could have told it."""
    with pytest.raises(Refusal) as excinfo:
        doing.fail(tasks.under_way(), ZHAO, asking("photo", "code"), "nobody_home")
    assert codes(excinfo) == [("photo", "proof_required")]
    with_photo, _ = proving.photograph(tasks.under_way(), ZHAO, PHOTO, ())
    assert doing.fail(with_photo, ZHAO, asking("photo", "code"), "nobody_home")[0].state == "failed"


def test_photos_count_once_and_are_not_without_end() -> None:
    """And only of who had the task."""
    task = tasks.under_way()
    with pytest.raises(Refusal) as excinfo:
        proving.photograph(task, QIAN, PHOTO, ())
    assert codes(excinfo) == [("worker", "not_yours")]
    for number in range(proving.MOST_PHOTOS):
        task, _ = proving.photograph(task, ZHAO, PHOTO.model_copy(update={"photo": str(number)}), ("0:0f0f",))
    assert proving.photograph(task, ZHAO, PHOTO.model_copy(update={"photo": "0"}), ()) is None
    with pytest.raises(Refusal) as excinfo:
        proving.photograph(task, ZHAO, PHOTO, ())
    assert codes(excinfo) == [("photo", "too_many")]
    assert task.looks == ["0:0f0f"]


def test_the_same_picture_is_known_again_and_another_is_not() -> None:
    """Up to some bits that shrinking and saving change, which still share a part."""
    look = look_of(bytes(range(72)))
    assert look == "f" * 16, "each spot lighter than the one before"
    close = f"{int(look, 16) ^ 0b1000_0000_0100_0000_0001:016x}"
    assert alike(look, [close])
    assert set(parts_of(look)) & set(parts_of(close))
    far = f"{int(look, 16) ^ ((1 << ALIKE + 1) - 1):016x}"
    assert not alike(look, [far])


# A second look


def test_the_doer_never_takes_the_second_look() -> None:
    """Nor whoever had it before him."""
    done, _ = doing.complete(tasks.under_way(), ZHAO, replace(situation(), drawn=True))
    assert done.check
    with pytest.raises(Refusal) as excinfo:
        doing.check(done, ZHAO, situation(), confirmed=True)
    assert codes(excinfo) == [("worker", "own_work")]
    looked, events = doing.check(done, QIAN, situation(), confirmed=True)
    assert (looked.state, looked.check, names(events)) == ("completed", False, ["DeliveryChecked"])


def test_what_is_not_as_it_should_be_is_opened_again() -> None:
    """The same task, from the beginning of its ladder."""
    reopened, events = doing.check(tasks.completed(), QIAN, situation(minutes=60), confirmed=False)
    assert names(events) == ["DeliveryChecked", "DeliveryReopened", "DeliveryOffered"]
    assert (reopened.state, reopened.check) == ("offered", False)


# Closed buildings


CLOSED = replace(situation(minutes=5), closed=True)


def test_what_is_brought_to_a_closed_building_is_handed_over_at_the_gate() -> None:
    """Whoever has it keeps it, and those inside stand higher."""
    shut, events = sure(offering.replan(tasks.assigned(), CLOSED))
    assert (shut.state, shut.worker, shut.gate, names(events)) == ("assigned", world.ZHAO, True, ["DeliveryReplanned"])
    assert shut.priority == tasks.assigned().priority + 20
    done, told = doing.complete(shut, ZHAO, CLOSED)
    assert told[0].point == "gate"  # type: ignore[attr-defined]
    assert offering.replan(done, CLOSED) is None, "it is done"
    opened, events = sure(offering.replan(shut, situation(minutes=9)))
    assert (opened.gate, names(events)) == (False, ["DeliveryReplanned"])


def test_where_somebody_must_go_in_a_coordinator_decides() -> None:
    """Also for what comes while it is closed."""
    inside = replace(CLOSED, enters=True)
    shut, events = sure(offering.replan(tasks.assigned(), inside))
    assert (shut.state, shut.role, shut.worker) == ("offered", "coordinator", world.ZHOU)
    assert names(events) == ["DeliveryReplanned", "DeliveryReleased", "DeliveryEscalated", "DeliveryOffered"]
    assert events[2].reason == "building_closed"  # type: ignore[attr-defined]
    fresh, _ = sure(offering.open_task(None, "t1", facts(), 1, inside))
    assert (fresh.role, fresh.gate) == ("coordinator", True)


def test_a_task_that_missed_the_news_of_its_building_learns_it_when_it_goes_on() -> None:
    """It was being written when the building closed."""
    lapsed, _ = sure(offering.lapse(tasks.offered(), replace(situation(minutes=20), closed=True)))
    assert lapsed.gate


# Night and meals


HOURS = Hours()
QUIET = Kind(label=Label(zh="擦窗", en="Windows"), group="service", night="waits")
MEAL = Kind(label=Label(zh="外卖", en="Take-away"), group="goods", meal=True)


@pytest.mark.parametrize(
    ("at", "urgency", "morning"),
    [
        ("2026-11-24T21:29", "normal", None),
        ("2026-11-24T21:30", "normal", "2026-11-25T07:00"),
        ("2026-11-25T06:59", "soon", "2026-11-25T07:00"),
        ("2026-11-25T07:00", "normal", None),
        ("2026-11-24T23:00", "urgent", None),
    ],
)
def test_nobody_is_asked_at_night_for_what_can_wait(at: str, urgency: Any, morning: str | None) -> None:
    """Wall time in China is eight hours ahead."""
    found = rests_until(HOURS, QUIET, urgency, beijing(at))
    assert found == (beijing(morning) if morning else None)
    assert rests_until(HOURS, MEAL, urgency, beijing(at)) is None


def beijing(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC) - timedelta(hours=8)


def test_what_came_at_night_is_asked_for_in_the_morning_from_the_first_step_on() -> None:
    """And waits for nobody meanwhile."""
    morning = NINE + timedelta(hours=9)
    resting, events = sure(offering.open_task(None, "t1", facts(), 1, replace(situation(), rests_until=morning)))
    assert (resting.state, resting.worker, resting.due_at, names(events)) == (
        "created",
        None,
        morning,
        ["DeliveryPostponed"],
    )
    asked, _ = sure(offering.lapse(resting, situation(minutes=540)))
    assert (asked.state, asked.worker, asked.step) == ("offered", world.ZHAO, 0)


def test_a_meal_is_hurried_at_meal_time() -> None:
    """It has the minutes of what is urgent."""
    assert hurries(HOURS, MEAL, beijing("2026-11-24T12:00"))
    assert not hurries(HOURS, MEAL, beijing("2026-11-24T14:00"))
    assert not hurries(HOURS, QUIET, beijing("2026-11-24T12:00"))
    task, _ = sure(offering.open_task(None, "t1", facts(), 1, replace(situation(), hurries=True)))
    assert task.due_at == NINE + timedelta(minutes=LADDER.steps[0].minutes.urgent)


def test_the_next_evening_is_told_by_the_wall_clock() -> None:
    """Also across a change of clocks: six in Paris is an hour later in winter."""
    assert following("18:00", "Asia/Shanghai", beijing("2026-11-24T17:59")) == beijing("2026-11-24T18:00")
    assert following("18:00", "Asia/Shanghai", beijing("2026-11-24T18:00")) == beijing("2026-11-25T18:00")
    before = datetime(2026, 10, 24, 17, 0, tzinfo=UTC)
    assert following("18:00", "Europe/Paris", before) == datetime(2026, 10, 25, 17, 0, tzinfo=UTC)


# After the door


def test_an_order_that_changes_after_it_was_bought_is_told_a_coordinator() -> None:
    """Before that, whoever has it just reads the new list."""
    news = facts(sealed="k1.BBBB")
    assert names(sure(offering.amend(tasks.under_way(), "t1", news, 2, situation()))[1]) == []
    bought, _ = doing.buy(tasks.under_way(), ZHAO, 1_250, (3,))
    _, events = sure(offering.amend(bought, "t1", news, 2, situation()))
    assert [(type(one).__name__, one.reason) for one in events] == [  # type: ignore[attr-defined]
        ("DeliveryFlagged", "amended_after_purchase")
    ]


def test_goods_go_back_once_and_only_from_whoever_had_them() -> None:
    """After it failed or was cancelled under way."""
    cancelled, _ = sure(offering.cancel(tasks.under_way(), "t1", "r1"))
    with pytest.raises(Refusal):
        doing.return_goods(cancelled, QIAN, None, "intact")
    returned, events = doing.return_goods(cancelled, ZHAO, "lockers", "intact")
    assert names(events) == ["DeliveryReturned"]
    assert doing.return_goods(returned, ZHAO, "lockers", "intact") is None
