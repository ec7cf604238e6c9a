"""What stands in a community on a real broker and database."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.ledger.domain.facilities import FacilityCatalogue
from shared.catalogue import load
from shared.settings import Settings
from tests import world
from tests.running import Service, Town, eventually, problems

LIFT = {
    "facility_id": "lift-3-1",
    "community": world.TIEBEI,
    "kind": "lift",
    "name": "3号楼1单元电梯",
    "building": "3",
    "where": "一楼大厅左侧",
    "partner": "lifts",
    "phone": "+86 100 0000 0009",
}


@pytest.fixture
async def ledger(town: Town) -> AsyncIterator[Service]:
    """The ledger of a settled community."""
    async with town.up("ledger") as at:
        await world.settle(at.ledger)
        yield at.ledger


async def tell(ledger: Service, who: str = "coordinator", **changes: Any) -> str:
    """What is answered when it is told."""
    answer = await ledger.post("/facilities", {**LIFT, **changes}, who=who)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["status"])


async def test_all_staff_read_what_stands_where_and_who_answers_for_it(ledger: Service) -> None:
    """By kind and by building, page by page."""
    assert await tell(ledger) == "accepted"
    gate = {"facility_id": "south-gate", "kind": "gate", "name": "南门", "building": None, "partner": None}
    assert await tell(ledger, **gate) == "accepted"
    (found,) = await ledger.items("/facilities", who="volunteer", kind="lift", building="3")
    assert found == {**LIFT, "until": None}
    pages = await ledger.pages("/facilities", who="grid_worker", limit=1)
    assert [[one["facility_id"] for one in page] for page in pages] == [["lift-3-1"], ["south-gate"]]
    assert await ledger.items("/facilities", community="elsewhere") == []


async def test_what_is_told_again_is_as_it_is_told_now(ledger: Service) -> None:
    """Entered each time that something changed, and not when nothing did."""
    assert [await tell(ledger), await tell(ledger)] == ["accepted", "duplicate"]
    assert await tell(ledger, partner=None, until="2026-12-31") == "accepted"
    (found,) = await ledger.items("/facilities")
    assert (found["partner"], found["until"]) == (None, "2026-12-31")
    await eventually(lambda: two_entries(ledger))


async def two_entries(ledger: Service) -> bool:
    return len(await ledger.items("/entries", type="FacilityRegistered")) == 2


@pytest.mark.parametrize(
    ("changes", "status", "problem"),
    [
        ({"kind": "spaceship"}, 422, ("kind", "unknown_kind")),
        ({"building": "99"}, 404, ("building", "unknown_building")),
        ({"until": "2026-02-30"}, 422, ("until", "not_allowed")),
        ({"community": "elsewhere", "building": None}, 409, ("facility_id", "known_facility")),
    ],
)
async def test_what_cannot_be_is_refused_by_field(
    ledger: Service, changes: dict[str, Any], status: int, problem: tuple[str, str]
) -> None:
    """And what is known stays as it is."""
    await tell(ledger)
    answer = await ledger.post("/facilities", {**LIFT, **changes})
    assert (answer.status_code, problems(answer)) == (status, [problem])
    (found,) = await ledger.items("/facilities")
    assert found["kind"] == "lift"


def test_every_kind_has_words_in_both_languages() -> None:
    """As staff read them."""
    kinds = load(Settings().catalogue_dir / "facilities.yaml", FacilityCatalogue).kinds
    assert {"lift", "gate", "boiler_room", "contact_free_point"} <= kinds.keys()
    assert all(one.zh and one.en for one in kinds.values())
