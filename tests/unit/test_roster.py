"""Who answers for a grid: its own worker, and whoever covers for him."""

from datetime import timedelta

import pytest

from services.dispatch.domain import roster as rules
from services.dispatch.domain.roster import Grid, Worker
from shared.contracts.refusal import Refusal
from tests import world
from tests.unit.tasks import NINE, facts


def grid(**changes: object) -> Grid:
    """Zhao's grid since nine."""
    return Grid(community=world.TIEBEI, grid="g1", own=world.ZHAO, since=NINE, worker=world.ZHAO).model_copy(
        update=changes
    )


def worker(**changes: object) -> Worker:
    told = Worker(
        worker_id=world.ZHAO,
        community=world.TIEBEI,
        role="grid_worker",
        grids=("g1",),
        buildings=("1",),
        fingerprint="f1",
        sealed="k1.AAAA",
    )
    return told.model_copy(update=changes)


def test_a_worker_is_told_of_once_and_again_when_something_changed() -> None:
    """A repetition is nothing."""
    decision = rules.register(None, worker())
    assert decision is not None
    assert decision[1][0].grid == "g1"
    assert rules.register(worker(), worker(sealed="k1.BBBB")) is None
    assert rules.register(worker(), worker(fingerprint="f2")) is not None


def test_whoever_helps_in_several_grids_is_told_of_without_one() -> None:
    """A routing key names one grid or none."""
    decision = rules.register(None, worker(grids=("g1", "g2")))
    assert decision is not None
    assert decision[1][0].grid is None


def test_the_newest_registration_decides_who_answers_for_a_grid() -> None:
    """Older and repeated news changes nothing."""
    assert rules.answer_for(grid(), world.TIEBEI, "g1", world.QIAN, NINE) is None
    assert rules.answer_for(grid(), world.TIEBEI, "g1", world.QIAN, NINE - timedelta(days=1)) is None
    decision = rules.answer_for(grid(), world.TIEBEI, "g1", world.QIAN, NINE + timedelta(days=1))
    assert decision is not None
    assert (decision[0].own, decision[0].worker) == (world.QIAN, world.QIAN)


def test_a_cover_outlasts_a_new_registration() -> None:
    """Who covers goes on until the grid is handed back."""
    decision = rules.answer_for(grid(worker=world.SUN), world.TIEBEI, "g1", world.QIAN, NINE + timedelta(days=1))
    assert decision is not None
    assert (decision[0].own, decision[0].worker) == (world.QIAN, world.SUN)


def test_a_grid_goes_to_another_and_back_in_one_step_each() -> None:
    """Each told, and neither told twice."""
    away = rules.cover(grid(), world.QIAN)
    assert away is not None
    assert away[1][0].model_dump(include={"worker", "instead_of", "grid"}) == {
        "worker": world.QIAN,
        "instead_of": world.ZHAO,
        "grid": "g1",
    }
    assert rules.cover(away[0], world.QIAN) is None
    back = rules.cover(away[0], world.ZHAO)
    assert back is not None
    assert back[0] == grid()


@pytest.mark.parametrize("unknown", [None, Grid(community=world.TIEBEI, grid="g9")])
def test_a_grid_that_nobody_answers_for_cannot_be_covered(unknown: Grid | None) -> None:
    """There is nothing to hand over."""
    with pytest.raises(Refusal) as excinfo:
        rules.cover(unknown, world.QIAN)
    assert (excinfo.value.status, excinfo.value.problems[0].field) == (404, "grid")


def test_a_cover_with_an_end_goes_back_by_itself_and_not_before() -> None:
    """At its minute."""
    evening = NINE + timedelta(hours=9)
    away = rules.cover(grid(), world.QIAN, evening)
    assert away is not None
    assert rules.hand_back(away[0], evening - timedelta(milliseconds=1)) is None
    back = rules.hand_back(away[0], evening)
    assert back is not None
    assert (back[0].worker, back[0].until, back[1][0].worker) == (world.ZHAO, None, world.ZHAO)
    assert rules.hand_back(back[0], evening) is None


def test_a_cover_that_is_prolonged_moves_no_work() -> None:
    """Its end is another; nobody has to be told."""
    away = rules.cover(grid(worker=world.QIAN), world.QIAN, NINE)
    assert away is not None
    assert (away[0].until, list(away[1])) == (NINE, [])


# Absence


def test_who_is_away_is_told_of_with_all_his_grids_and_comes_back_at_his_time() -> None:
    """In one step, and by itself."""
    until = NINE + timedelta(days=1)
    gone = rules.absent(worker(grids=("g1", "g2")), until, world.QIAN, NINE)
    assert gone is not None
    event = gone[1][0]
    assert (event.grids, event.cover, event.until) == (("g1", "g2"), world.QIAN, until)  # type: ignore[attr-defined]
    assert gone[0].is_away(until - timedelta(seconds=1))
    assert not gone[0].is_away(until)
    assert rules.back_in_time(gone[0], until - timedelta(seconds=1)) is None
    back = rules.back_in_time(gone[0], until)
    assert back is not None
    assert (back[0].away, [type(one).__name__ for one in back[1]]) == (False, ["WorkerReturned"])


def test_who_says_that_he_is_back_is_back_once() -> None:
    """An end that has passed; the second time is nothing."""
    gone = rules.absent(worker(), None, None, NINE)
    assert gone is not None
    assert gone[0].is_away(NINE + timedelta(days=400))
    back = rules.absent(gone[0], NINE, None, NINE)
    assert back is not None
    assert rules.absent(back[0], NINE, None, NINE) is None
    assert rules.back_in_time(gone[0], NINE + timedelta(days=400)) is None


def test_a_registration_brings_nobody_back() -> None:
    """His new phone number does not say that he is well."""
    gone = rules.absent(worker(), None, None, NINE)
    assert gone is not None
    decision = rules.register(gone[0], worker(fingerprint="f2"))
    assert decision is not None
    assert decision[0].away


def test_nobody_covers_for_himself_and_nobody_unknown_is_away() -> None:
    """Refused by field."""
    for known, cover, problem in ((worker(), world.ZHAO, "not_allowed"), (None, None, "unknown_worker")):
        with pytest.raises(Refusal) as excinfo:
            rules.absent(known, None, cover, NINE)
        assert excinfo.value.problems[0].code == problem


def test_only_a_grid_that_somebody_answers_for_goes_with_him_and_comes_back_with_him() -> None:
    """Not one in which he helps, and not one that another covers by now."""
    assert rules.stand_in(grid(), world.SUN, world.WU, None) is None
    assert rules.stand_in(None, world.ZHAO, world.WU, None) is None
    gone = rules.stand_in(grid(), world.ZHAO, world.WU, None)
    assert gone is not None
    assert gone[0].worker == world.WU
    assert rules.take_back(gone[0], world.SUN) is None
    back = rules.take_back(gone[0], world.ZHAO)
    assert back is not None
    assert back[0].worker == world.ZHAO


# Sign-up


def test_a_volunteer_waits_until_a_coordinator_has_approved() -> None:
    """And is told of as somebody who helps only then."""
    waiting = rules.sign_up(None, worker(role="volunteer"))
    assert waiting is not None
    assert (waiting[0].standing, type(waiting[1][0]).__name__) == ("waiting", "WorkerSignedUp")
    assert rules.sign_up(waiting[0], worker(role="volunteer")) is None
    approved = rules.approve(waiting[0], approved=True)
    assert approved is not None
    assert (approved[0].standing, type(approved[1][0]).__name__) == ("approved", "WorkerRegistered")
    assert rules.approve(approved[0], approved=True) is None


def test_who_is_rejected_is_told_of_to_nobody() -> None:
    """He was never one of those who help."""
    waiting = rules.sign_up(None, worker())
    assert waiting is not None
    rejected = rules.approve(waiting[0], approved=False)
    assert rejected is not None
    assert (rejected[0].standing, list(rejected[1])) == ("rejected", [])


def test_nobody_signs_up_under_the_id_of_somebody_who_helps() -> None:
    """409: it would change his entry."""
    with pytest.raises(Refusal) as excinfo:
        rules.sign_up(worker(), worker(fingerprint="f2"))
    assert (excinfo.value.status, excinfo.value.problems[0].code) == (409, "known_worker")


# Doors


def test_a_door_that_does_not_want_somebody_says_so_once() -> None:
    """The second time is nothing."""
    told = facts()
    decision = rules.exclude(None, told, world.ZHAO, "t1")
    assert decision is not None
    assert (decision[0].never, decision[1][0].household) == ([world.ZHAO], told.household)  # type: ignore[attr-defined]
    assert rules.exclude(decision[0], told, world.ZHAO, "t2") is None
