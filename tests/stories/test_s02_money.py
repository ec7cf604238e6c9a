"""S2's money: thirty cards topped up with the residents' money, one fails after payment; and what is bought is owed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.identity import derived_id
from tests import world
from tests.running import Town, eventually, problems
from tests.stories.stage import Stage, stage

HOUSEHOLDS = 30
PAID = 20_000
"""Fen for one card."""
MRS_LI = derived_id("person", world.MRS_LI["source"], world.MRS_LI["source_id"])


@pytest.fixture
async def till(town: Town) -> AsyncIterator[Stage]:
    """Zhao goes from door to door, and Mrs Li is on the books."""
    async with stage(town) as one:
        workers = [{"worker_id": world.ZHAO, "role": "grid_worker", "grids": ["g1"]}]
        await one.enter({"1": "g1"}, [*workers, {"worker_id": world.ZHOU, "role": "coordinator"}])
        await world.accepted(one.at.ledger, "/people", world.MRS_LI)
        await eventually(lambda: recognised(one))
        yield one


async def recognised(till: Stage) -> bool:
    return bool(await till.at.intake.stored("people"))


async def posted(till: Stage, posting_id: str, matter_id: str, what: str, amount: int, **more: Any) -> dict[str, Any]:
    """Zhao's telephone says what he got or gave."""
    body = {"posting_id": posting_id, "matter_id": matter_id, "what": what, "amount": amount, **more}
    answer = await till.at.ledger.post("/money", {"community": world.TIEBEI, **body}, who="grid_worker")
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def balances(till: Stage, who: str = "coordinator", **params: Any) -> dict[str, int]:
    found = await till.at.ledger.get("/money/balances", who=who, **params)
    assert found["total"] == 0
    return {one["id"]: one["owes"] for one in found["items"]}


async def test_a_top_up_that_fails_after_payment_stays_open_until_it_is_settled(till: Stage) -> None:
    """Thirty pay, twenty-nine cards are loaded; each command comes three times, at once."""
    cards = [f"card-{number}" for number in range(HOUSEHOLDS)]
    for what, which in (("advance", cards), ("top_up", cards[1:])):
        sent = [posted(till, f"{what}-{card}", card, what, PAID) for card in which for _ in range(3)]
        statuses = [one["status"] for one in await asyncio.gather(*sent)]
        assert statuses.count("accepted") == len(which)
    (failed,) = await till.at.ledger.items("/money", who="coordinator", open=True)
    assert (failed["matter_id"], failed["owed"]) == (cards[0], -PAID)
    assert await balances(till) == {world.ZHAO: PAID, cards[0]: -PAID}
    refunded = await posted(till, "refund", cards[0], "refund", PAID, note="充值失败，已退现金")
    assert (refunded["owed"], refunded["open"]) == (0, False)
    assert await balances(till) == {}
    assert len(await till.at.ledger.items("/money", who="coordinator", open=False, limit=7)) == HOUSEHOLDS
    await eventually(lambda: till.entered("MoneyRecorded", 2 * HOUSEHOLDS))
    assert "现金" not in str(await till.entries("MoneyRecorded"))


async def test_what_was_bought_is_owed_by_her_whose_request_it_is_until_she_has_paid(till: Stage) -> None:
    """Two receipts for one list are two postings; news that comes again is one."""
    (task,) = await till.request([world.for_mrs_li("1")])
    for verb in ("accept", "start"):
        await till.all_do(verb, [(task, world.ZHAO)])
    for amount in (3_180, 1_250):
        await till.all_do("buy", [(task, world.ZHAO)], amount=amount)
    await eventually(lambda: till.entered("MoneyRecorded", 2))
    request_id = (await till.task(task))["request_id"]
    (matter,) = await till.at.ledger.items("/money", who="grid_worker", person=MRS_LI, open=True)
    assert (matter["matter_id"], matter["owed"], len(matter["postings"])) == (request_id, 4_430, 2)
    assert await balances(till, person=MRS_LI) == {world.ZHAO: -4_430, MRS_LI: 4_430}

    paid = await posted(till, "cash", request_id, "settlement", 5_000, person_id=MRS_LI)
    assert (paid["owed"], paid["open"]) == (-570, True)
    assert (await posted(till, "coins", request_id, "change", 570))["open"] is False
    assert (await posted(till, "coins", request_id, "change", 570))["status"] == "duplicate"
    assert await balances(till) == {}
    assert (await till.at.ledger.get("/chain"))["broken"] == []


async def test_money_for_a_request_is_hers_whose_request_it_is_though_nobody_says_so(till: Stage) -> None:
    """So who leads her grid sees it; somebody else's it cannot be."""
    await world.accepted(till.at.ledger, "/people", world.MR_WANG)
    (task,) = await till.request([world.for_mrs_li("1")])
    request_id = (await till.task(task))["request_id"]
    await eventually(lambda: till.entered("RequestCreated", 1))
    body = {"posting_id": "p", "matter_id": request_id, "community": world.TIEBEI, "what": "advance", "amount": 100}
    wrong = {**body, "person_id": derived_id("person", world.MR_WANG["source"], world.MR_WANG["source_id"])}
    assert problems(await till.at.ledger.post("/money", wrong, who="grid_worker")) == [("person_id", "other_person")]
    await posted(till, "cash", request_id, "advance", 100)
    (matter,) = await till.at.ledger.stored("money")
    assert (matter["state"]["person_id"], matter["state"]["grid"]) == (MRS_LI, world.GRID_OF["1"])


async def test_a_typing_error_is_taken_back_by_whoever_made_it(till: Stage) -> None:
    """Zhao typed a nought too many; who leads reads why, and that it was read is entered."""
    await posted(till, "p1", "m1", "receipt", 31_800)
    taken_back = await posted(till, "p2", "m1", "receipt", 31_800, corrects="p1", note="多按了一个零")
    assert (taken_back["owed"], taken_back["open"]) == (0, False)
    assert (await posted(till, "p3", "m1", "receipt", 3_180))["owed"] == 3_180
    assert await balances(till) == {world.ZHAO: -3_180, "m1": 3_180}
    body = {"matter_id": "m1", "community": world.TIEBEI, "what": "receipt", "amount": 3_180, "worker": world.ZHAO}
    for corrects, code in (("p1", "corrected"), ("p2", "is_correction"), ("p7", "unknown_posting")):
        sent = {**body, "posting_id": "p9", "corrects": corrects}
        refused = await till.at.ledger.post("/money", sent, who="coordinator")
        assert problems(refused) == [("corrects", code)]
    assert (await till.at.ledger.call("GET", "/money", who="grid_worker", params={"notes": True})).status_code == 403
    (matter,) = await till.at.ledger.items("/money", who="coordinator", notes=True)
    assert [one["note"] for one in matter["postings"]] == ["", "多按了一个零", ""]
    (matter,) = await till.at.ledger.items("/money", who="coordinator")
    assert [one["corrects"] for one in matter["postings"]] == [None, "p1", None]
    assert "note" not in str(matter)
    (opening,) = await eventually(lambda: till.entries("PersonalDataOpened"))
    assert "零" not in str(opening)


async def test_nobody_records_for_another_or_sees_what_is_another_workers(till: Stage) -> None:
    """A volunteer has a till of her own; who leads sees all of them."""
    await posted(till, "p1", "m1", "advance", 100)
    body = {"posting_id": "p2", "matter_id": "m1", "community": world.TIEBEI, "what": "refund", "amount": 100}
    forged = await till.at.ledger.post("/money", {**body, "worker": world.ZHAO}, who="volunteer")
    assert (forged.status_code, problems(forged)) == (422, [("worker", "not_allowed")])
    assert await till.at.ledger.items("/money", who="volunteer", worker=world.ZHAO) == []
    assert await balances(till, "volunteer") == {}
    led = await till.at.ledger.post("/money", {**body, "worker": world.ZHAO}, who="coordinator")
    assert led.json()["open"] is False
    for changes, problem in (
        ({"amount": 0}, ("amount", "greater_than_equal")),
        ({"person_id": "nobody"}, ("person_id", "unknown_person")),
        ({"what": "handed_on"}, ("to", "required")),
        ({"amount": 99}, ("posting_id", "known_posting")),
    ):
        refused = await till.at.ledger.post("/money", {**body, "worker": world.ZHAO, **changes}, who="coordinator")
        assert problems(refused) == [problem]
    elsewhere = {**body, "worker": world.ZHAO, "community": "other"}
    assert (await till.at.ledger.post("/money", elsewhere, who="coordinator")).status_code == 403
