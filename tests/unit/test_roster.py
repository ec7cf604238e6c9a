"""Who answers for a grid: its own worker, and whoever covers for him."""

from datetime import timedelta

import pytest

from services.dispatch.domain import roster as rules
from services.dispatch.domain.roster import Grid, Worker
from shared.contracts.refusal import Refusal
from tests import world
from tests.unit.tasks import NINE


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
        grids=["g1"],
        buildings=["1"],
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
    decision = rules.register(None, worker(grids=["g1", "g2"]))
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
