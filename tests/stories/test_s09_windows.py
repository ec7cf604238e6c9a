"""S9: windows are cleaned for people who cannot: 60 households asked, 7 of them deaf, then visited with a checklist."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from shared.identity import derived_id, new_id
from tests import world
from tests.running import Town, eventually
from tests.stories.roster import counts, door, householder, households, open_round, record
from tests.stories.stage import Stage

CHECKLIST = ("slippers", "panes", "screens", "sills")
HOUSEHOLDS, DEAF, NO = 60, 7, 5
SURVEY, CLEANING = "windows-survey", "windows"


@pytest.fixture
async def campaign(town: Town) -> AsyncIterator[Stage]:
    """60 households are to be asked whether they want their windows cleaned."""
    async with households(town, HOUSEHOLDS, DEAF) as one:
        await open_round(one, SURVEY, "survey", "擦窗意愿调查")
        yield one


async def surveyed(campaign: Stage) -> None:
    """All are asked; the last five say no."""
    wanted = [{"address": door(number), "point": None} for number in range(HOUSEHOLDS - NO)]
    await record(campaign, SURVEY, *wanted)
    unwilling = [
        {"address": door(n), "outcome": "refused", "note": "不需要"} for n in range(HOUSEHOLDS - NO, HOUSEHOLDS)
    ]
    await record(campaign, SURVEY, *unwilling)


async def missing(campaign: Stage, round_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await campaign.at.ledger.items(f"/rounds/{round_id}/missing")
    return found


async def test_those_who_said_yes_are_visited_and_what_was_left_undone_shows(campaign: Stage) -> None:
    """The list says whom to phone and at whose door to ask; the second roster is those who said yes."""
    ways = [one["how"] for one in await missing(campaign, SURVEY)]
    assert (ways.count("visit"), ways.count("call")) == (DEAF, HOUSEHOLDS - DEAF)
    await surveyed(campaign)
    found = await counts(campaign, SURVEY)
    assert (found["done"], found["refused"], found["missing"]) == (HOUSEHOLDS - NO, NO, 0)

    await open_round(campaign, CLEANING, "window_cleaning", "擦窗", roster={"after": SURVEY}, checklist=list(CHECKLIST))
    assert (await counts(campaign, CLEANING))["members"] == HOUSEHOLDS - NO
    whole = [{"address": door(number), "checked": list(CHECKLIST)} for number in range(50)]
    partly = [{"address": door(number), "checked": ["slippers", "panes"]} for number in range(50, 54)]
    await record(campaign, CLEANING, *whole, *partly)
    found = await counts(campaign, CLEANING)
    assert (found["done"], found["incomplete"], found["missing"]) == (54, 4, 1)
    campaign.clock.forward(days=1)
    await record(campaign, CLEANING, {"address": door(50), "checked": ["slippers", "screens", "sills"]})
    found = await counts(campaign, CLEANING)
    assert (found["done"], found["incomplete"], found["again"]) == (54, 3, 1)
    await eventually(lambda: campaign.entered("RoundOpened", 2))


async def test_a_household_that_joins_late_is_asked_and_visited_with_the_others(campaign: Stage) -> None:
    """It stands on both rosters from then on."""
    await surveyed(campaign)
    await world.accepted(campaign.at.ledger, "/people", householder(61))
    person_id = derived_id("person", "household-list", "0061")
    await record(campaign, SURVEY, {"address": door(61)})
    body = {"command_id": new_id(), "person_id": person_id}
    await campaign.at.ledger.post(f"/rounds/{SURVEY}/members", body, who="coordinator")
    found = await counts(campaign, SURVEY)
    assert (found["members"], found["done"]) == (HOUSEHOLDS + 1, HOUSEHOLDS - NO + 1)
    await open_round(campaign, CLEANING, "window_cleaning", "擦窗", roster={"after": SURVEY}, checklist=list(CHECKLIST))
    assert (await counts(campaign, CLEANING))["members"] == HOUSEHOLDS - NO + 1


async def test_when_the_time_is_over_whoever_cannot_hear_is_visited_and_the_others_called(campaign: Stage) -> None:
    """Nobody phones the deaf."""
    await record(campaign, SURVEY, *({"address": door(number)} for number in range(2, HOUSEHOLDS - 3)))
    campaign.clock.forward(days=7)
    await eventually(lambda: campaign.entered("PersonMissing", 5))
    sought = await eventually(lambda: campaign.at.ledger.items("/follow-ups"))
    assert sorted(one["how"] for one in sought) == ["call"] * 3 + ["visit"] * 2


async def test_the_yearly_insurance_fee_is_collected_as_the_same_kind_of_roster(campaign: Stage) -> None:
    """Paid, paid elsewhere, excused: each in one state."""
    await open_round(campaign, "insurance", "insurance_fee", "医保缴费", closes=later(campaign))
    await record(
        campaign,
        "insurance",
        *({"address": door(number)} for number in range(50)),
        *({"address": door(number), "outcome": "elsewhere", "note": "单位缴纳"} for number in range(50, 58)),
        {"address": door(58), "outcome": "excused", "note": "低保"},
    )
    found = await counts(campaign, "insurance")
    assert (found["done"], found["elsewhere"], found["excused"], found["missing"]) == (50, 8, 1, 1)


def later(campaign: Stage) -> str:
    return (campaign.clock() + timedelta(days=30)).isoformat()
