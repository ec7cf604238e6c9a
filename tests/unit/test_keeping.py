"""How long what is about nobody on the books can be opened."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest

from services.ledger.domain import keeping as rules
from services.ledger.domain.money import Matter
from services.ledger.domain.people import PeopleCatalogue, Subject
from services.ledger.domain.presence import Presence
from services.ledger.domain.rounds import Round
from shared.catalogue import CatalogueError, load
from shared.contracts.rounds import OpenRound, RoundState
from shared.settings import Settings
from tests import world
from tests.unit.tasks import NINE
from tests.unit.test_gates import agreed

KEEP = timedelta(days=10)
LATER = NINE + timedelta(days=100)
THERE: dict[str, Any] = {"community": world.TIEBEI, "grid": "g1", "building": "1", "since": NINE, "sealed": "k1.AAAA"}


def presence(ended_at: datetime | None) -> Presence:
    return Presence(presence_id="p", fingerprint="f", here=ended_at is None, ended_at=ended_at, **THERE)


def in_state(state: RoundState) -> Round:
    told = OpenRound(round_id="r", community=world.TIEBEI, kind="testing", title="核酸", closes=NINE)
    return Round(told=told, state=state, created_at=NINE, due_at=None)


def matter(*, is_open: bool) -> Matter:
    return Matter(
        matter_id="m", community=world.TIEBEI, grid=None, person_id=None, is_open=is_open, changed_at=NINE
    )  # fmt: skip


@pytest.mark.parametrize("one", [presence(None), in_state("open"), in_state("closing"), matter(is_open=True)])
def test_what_is_open_is_not_over_however_old_it_is(one: rules.Kept) -> None:
    assert rules.kept_until(one, KEEP, LATER) == LATER + KEEP
    assert rules.kept_until(agreed(ends=None), KEEP, LATER) == LATER + KEEP


@pytest.mark.parametrize("one", [presence(NINE), in_state("closed"), in_state("settled"), matter(is_open=False)])
def test_days_are_counted_from_the_end(one: rules.Kept) -> None:
    assert rules.kept_until(one, KEEP, LATER) == NINE + KEEP


def test_an_agreement_is_over_when_it_is_ended_or_after_its_last_day() -> None:
    assert rules.kept_until(agreed(ends="2026-12-24"), KEEP, NINE) == datetime(2026, 12, 25, tzinfo=UTC) + KEEP
    assert rules.kept_until(agreed(ended_at=NINE), KEEP, LATER) == NINE + KEEP


def test_checks_of_one_day_have_one_key_that_is_counted_from_the_end_of_the_day() -> None:
    late, next_day = datetime(2026, 11, 24, 23, 59, tzinfo=UTC), datetime(2026, 11, 25, tzinfo=UTC)
    assert rules.checks_of("tiebei", NINE) == rules.checks_of("tiebei", late) == "gate:tiebei/2026-11-24"
    assert rules.checks_of("tiebei", next_day) == "gate:tiebei/2026-11-25"
    assert rules.day_after(NINE) == rules.day_after(late) == next_day


def test_the_catalogue_says_how_long_and_what_it_does_not_name_is_kept_as_at_the_top(tmp_path: Path) -> None:
    catalogue = load(Settings().catalogue_dir / "people.yaml", PeopleCatalogue)
    assert set(catalogue.keep_days_of) == set(get_args(Subject))
    assert catalogue.keeps("round") == timedelta(days=catalogue.keep_days_of["round"])
    path = tmp_path / "people.yaml"
    path.write_text("keep_days: 7\nkeep_days_of: {case: 9}\ncategories: {}\nlists: {}\n", encoding="utf-8")
    own = load(path, PeopleCatalogue)
    assert (own.keeps("case"), own.keeps("round")) == (timedelta(days=9), timedelta(days=7))
    path.write_text("keep_days: 7\nkeep_days_of: {cases: 9}\ncategories: {}\nlists: {}\n", encoding="utf-8")
    with pytest.raises(CatalogueError, match="cases"):
        load(path, PeopleCatalogue)
