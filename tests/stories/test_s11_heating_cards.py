"""S11: a card for each newly heated flat: 293 households ticked off at the hall, each checked at its door."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from shared.identity import new_id
from tests import world
from tests.lists import as_csv
from tests.running import Town, eventually
from tests.stories.roster import counts, door, households, open_round, record
from tests.stories.stage import Stage, parts

HOUSEHOLDS = 293
ROUND = "heating-cards"
CHECKS = ["identity", "temperature", "health_code"]


@asynccontextmanager
async def hall_of(town: Town, count: int) -> AsyncIterator[Stage]:
    """So many cards lie ready."""
    async with households(town, count) as one:
        await open_round(one, ROUND, "heating_card", "供暖卡发放", points=["大厅"], checklist=CHECKS)
        yield one


@pytest.fixture
async def hall(town: Town) -> AsyncIterator[Stage]:
    """Two dozen of them."""
    async with hall_of(town, 24) as one:
        yield one


def handed(number: int, card: int | None = None) -> dict[str, object]:
    """To the household behind that door, whose card has its number unless told."""
    number_of_card = f"K-{number if card is None else card:05d}"
    return {"address": door(number), "point": "大厅", "checked": CHECKS, "card": number_of_card}


async def test_every_household_has_its_card(town: Town) -> None:
    """293 of 293."""
    async with hall_of(town, HOUSEHOLDS) as hall:
        for part in parts([handed(number) for number in range(HOUSEHOLDS)]):
            await record(hall, ROUND, *part)
        found = await counts(hall, ROUND)
        figures = [found[name] for name in ("members", "done", "incomplete", "missing")]
        assert figures == [HOUSEHOLDS, HOUSEHOLDS, 0, 0]
        numbers = await hall.at.ledger.get(f"/rounds/{ROUND}/numbers")
        assert numbers["points"] == {"大厅": HOUSEHOLDS}
        hall.clock.forward(days=7)
        await eventually(lambda: hall.entered("RoundSettled", 1))


async def test_the_same_card_is_not_handed_out_twice(hall: Stage) -> None:
    """Nor is anything of a list that has such a line; the corrected list is taken."""
    await record(hall, ROUND, handed(1))
    await record(hall, ROUND, handed(1))
    refused = await record(hall, ROUND, handed(2), handed(3, card=1), code=409)
    assert [(one["field"], one["code"]) for one in refused["problems"]] == [("records.1.card", "given")]
    assert (await counts(hall, ROUND))["done"] == 1
    await record(hall, ROUND, handed(4, card=2))
    assert (await counts(hall, ROUND))["done"] == 2


async def test_a_list_that_is_refused_takes_no_card_from_whom_it_was_given_before(hall: Stage) -> None:
    """A desk sends its list of the whole morning again, with a mistake in the last line."""
    await record(hall, ROUND, handed(1))
    await record(hall, ROUND, handed(2))
    await record(hall, ROUND, handed(1), handed(3), handed(4, card=2), code=409)
    await record(hall, ROUND, handed(5, card=1), code=409)
    await record(hall, ROUND, handed(3))
    assert (await counts(hall, ROUND))["done"] == 3


async def test_a_file_with_one_card_that_is_anothers_is_refused_whole(town: Town) -> None:
    """However long it is: the mistake stands in row 252 of 293, and no household has its card by it."""
    async with hall_of(town, HOUSEHOLDS) as hall:
        await record(hall, ROUND, handed(0, card=1_000))
        rows = [
            (f"户主{number}", *door(number).values(), "09:00", f"K-{1_000 if number == 250 else number:05d}")
            for number in range(1, HOUSEHOLDS)
        ]
        path = f"/rounds/{ROUND}/records:import"
        for wrong in (True, False):
            hall.clock.forward(hours=1)
            if not wrong:
                rows[249] = (*rows[249][:-1], "K-00250")
            content = as_csv(("户主", "楼号", "单元", "房号", "时间", "卡号"), *rows)
            answer = await hall.at.ledger.call("POST", path, who="grid_worker", content=content)
            done = (await counts(hall, ROUND))["done"]
            assert (answer.status_code, done) == ((409, 1) if wrong else (200, HOUSEHOLDS)), answer.text
            assert [one["field"] for one in answer.json().get("problems", ())] == (["251.card"] if wrong else [])


async def test_of_two_desks_that_hand_out_one_card_at_the_same_moment_one_has_it(hall: Stage) -> None:
    """The other is told, and gives another card."""
    answers = await asyncio.gather(
        *(hall.desk.ask("round.record", told(hall, number, card=7)) for number in range(10, 20))
    )
    assert sorted(one["status"] for one in answers) == ["accepted", *["refused"] * 9]
    assert (await counts(hall, ROUND))["done"] == 1


def told(hall: Stage, number: int, card: int) -> dict[str, object]:
    record = {**handed(number, card), "at": hall.clock().isoformat()}
    return {"round_id": ROUND, "command_id": f"desk-{number}", "records": [record]}


async def test_a_card_handed_to_a_relative_is_the_households(hall: Stage) -> None:
    """Who took it is noted, sealed; whoever was not checked at the door shows in the count."""
    await record(hall, ROUND, {**handed(5), "note": "女儿代领", "checked": ["identity", "temperature"]})
    found = await counts(hall, ROUND)
    assert (found["done"], found["incomplete"]) == (1, 1)
    (report,) = await hall.at.ledger.stored("reports")
    assert "女儿" not in str(report)
    await eventually(lambda: hall.entered("RoundRecorded", 1))
    assert "女儿" not in str(await hall.entries("RoundRecorded"))


async def test_who_has_a_fever_does_not_come_into_the_hall_and_gets_the_card_at_the_door(hall: Stage) -> None:
    """A volunteer looks at the door of the hall and hands out; a coordinator has the case, the worker brings it."""
    ledger = hall.at.ledger
    for number, temperature in ((1, 36.5), (4, 37.8)):
        check = {"check_id": f"hall-{number}", "gate": "大厅", "temperature": temperature, "pass_shown": True}
        body = {**check, "community": world.TIEBEI, "at": hall.clock().isoformat(), "text": f"户主{number}"}
        answer = await ledger.post("/gate-checks", body, who="volunteer")
        assert answer.status_code == 202, answer.text
        fever = answer.json()["case_id"]
    (case,) = await eventually(lambda: ledger.items("/cases", who="coordinator", open=True))
    assert (case["case_id"], case["owner"]) == (fever, world.ZHOU)
    shown = await ledger.get(f"/cases/{fever}", who="coordinator")
    assert "户主4" in str(shown)
    assert "37.8" in str(shown)
    assert await ledger.items("/cases", who="volunteer") == []
    await hand_over(hall, "volunteer", handed(1))
    assert (await counts(hall, ROUND))["missing"] == 23

    at_home = {**handed(4), "checked": ["identity"]}
    at_home.pop("point")
    await hand_over(hall, "grid_worker", at_home)
    assert (await counts(hall, ROUND))["missing"] == 22
    held = await ledger.get(f"/rounds/{ROUND}/cards/K-00004", who="coordinator", names=True)
    assert held["details"]["name"] == "户主4"
    assert await ledger.get(f"/rounds/{ROUND}/cards/K-00004", who="volunteer") == {
        "card": "K-00004",
        "member_id": held["member_id"],
    }
    for who, card, params, code in (
        ("volunteer", "K-00004", {"names": True}, 403),
        ("coordinator", "K-00009", {}, 404),
    ):
        path = f"/rounds/{ROUND}/cards/{card}"
        assert (await ledger.call("GET", path, who=who, params=params)).status_code == code
    (opening,) = await eventually(lambda: openings(hall, "card"))
    assert opening["reader"] == world.ZHOU


async def hand_over(hall: Stage, who: str, told: dict[str, object]) -> None:
    """Recorded by whoever does it, with their own token."""
    body = {"command_id": new_id(), "records": [{**told, "at": hall.clock().isoformat()}]}
    answer = await hall.at.ledger.post(f"/rounds/{ROUND}/records", body, who=who)
    assert answer.status_code == 200, answer.text


async def openings(hall: Stage, purpose: str) -> list[dict[str, object]]:
    return [one for one in await hall.entries("PersonalDataOpened") if one["purpose"] == purpose]
