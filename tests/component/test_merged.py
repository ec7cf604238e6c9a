"""Two who are one, on a real broker and database: what was told of either is found, and each has his own again."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from services.ledger.app import furnished
from shared.contracts.dispatch import DeliveryBought
from shared.contracts.intake import RequestCreated
from tests import world
from tests.running import Clock, Service, Town, eventually, problems

OBSERVED = {"listing": "assigned_by_city", "category": "returned", "starts": "2026-11-24", "owner": world.ZHAO}
LISTS = (("/follow-ups", "person_id"), ("/cases", "person_id"), ("/observation", "person_id"), ("/money", "person"))


@dataclass(frozen=True, slots=True)
class Pair:
    """The ledger, and two on the books who may be one."""

    ledger: Service
    clock: Clock
    one: str
    other: str

    async def do(self, path: str, **body: Any) -> dict[str, Any]:
        """Something that must be taken."""
        answer = await self.ledger.post(path, body)
        assert answer.is_success, f"{path}: {answer.text}"
        return dict(answer.json())

    async def merge(self, verb: str = "merge") -> None:
        """They are one, or two after all."""
        await self.do(f"/people/{self.one}/{verb}", command_id=f"{verb}-{self.one}", other=self.other)

    async def counts(self, person: str) -> list[int]:
        """How much of each kind is found by an id."""
        return [len(await self.ledger.items(path, **{name: person})) for path, name in LISTS]

    async def owes(self, **params: str) -> dict[str, int]:
        """What residents owe."""
        found = await self.ledger.get("/money/balances", **params)
        assert found["total"] == 0
        return {one["id"]: one["owes"] for one in found["items"] if one["kind"] == "resident"}


async def enter(ledger: Service, number: int, **changes: Any) -> str:
    person = {**world.MRS_LI, "source_id": f"p-{number}", "name": f"李{number}", "phone": None, "birth_year": None}
    answer = await ledger.post("/people", {**person, **changes})
    return str(answer.json()["id"])


@pytest.fixture
async def pair(town: Town) -> AsyncIterator[Pair]:
    """Of each of them there is a plan with a follow-up that is due, a case, and money that is owed."""
    clock = Clock()
    async with town.up("ledger", clock=clock) as at:
        await world.settle(at.ledger)
        two = Pair(at.ledger, clock, await enter(at.ledger, 1), await enter(at.ledger, 2))
        for person in (two.one, two.other):
            plan = {"plan_id": f"plan-{person}", "kind": "care_call", "begins": "2026-11-24T17:30"}
            await two.do(f"/people/{person}/plans", **plan)
            case = {"kind": "repair_dispute", "title": "漏水", "owner": world.SUN, "community": world.TIEBEI}
            await two.do("/cases", case_id=f"case-{person}", person_id=person, **case)
            money = {"community": world.TIEBEI, "worker": world.ZHAO, "what": "receipt", "amount": 100}
            await two.do("/money", posting_id=f"p-{person}", matter_id=f"m-{person}", person_id=person, **money)
        await two.do(f"/people/{two.other}/observation", observation_id="o1", **OBSERVED)
        clock.forward(minutes=31)
        await eventually(lambda: both_due(two))
        yield two


async def both_due(two: Pair) -> bool:
    return [await two.counts(one) for one in (two.one, two.other)] == [[1, 1, 0, 1], [1, 1, 1, 1]]


async def test_all_that_was_told_of_either_is_found_until_they_are_two_again(pair: Pair) -> None:
    """By either id; parted, each has what was his."""
    before = [await pair.counts(one) for one in (pair.one, pair.other)]
    await pair.merge()
    together = [sum(both) for both in zip(*before, strict=True)]
    assert [await pair.counts(one) for one in (pair.one, pair.other)] == [together, together]
    exported = await pair.ledger.get(f"/people/{pair.one}/export")
    assert [len(exported[name]) for name in ("plans", "cases", "observations", "money")] == [4, 2, 1, 2]
    for person in (pair.one, pair.other):
        listed = await pair.ledger.pages(f"/people/{person}/plans", limit=3)
        assert [len(some) for some in listed] == [3, 1]
        assert {one["plan_id"] for some in listed for one in some} == {one["plan_id"] for one in exported["plans"]}
    assert await pair.owes() == await pair.owes(person=pair.other) == {pair.one: 200}
    await pair.merge("unmerge")
    assert [await pair.counts(one) for one in (pair.one, pair.other)] == before
    assert await pair.owes() == {pair.one: 100, pair.other: 100}


async def test_whoever_reads_by_either_id_reads_what_counts_now(pair: Pair) -> None:
    """The card for an emergency above all; a move by either id moves the one who counts."""
    await pair.merge()
    await pair.do("/observation/o1/release", command_id="free", reason="negative_test")
    moved = {"building": "3", "unit": "2", "room": "1203"}
    await pair.do(f"/people/{pair.other}/move", command_id="moved", address=moved)
    for path in ("", "/emergency-card", "/export"):
        found = await pair.ledger.get(f"/people/{pair.other}{path}")
        address = found["address"] if path == "/emergency-card" else found["details"]["address"]
        assert (found["id"], found["here"], address) == (pair.one, True, moved), path
    refused = await pair.ledger.call("GET", f"/people/{pair.other}/emergency-card", who="grid_worker")
    assert (refused.status_code, problems(refused)) == (404, [("person_id", "unknown_person")])
    await pair.merge("unmerge")
    assert (await pair.ledger.get(f"/people/{pair.other}"))["id"] == pair.other


async def test_what_is_told_of_one_goes_on_with_what_is_known_of_the_other(pair: Pair) -> None:
    """Nobody is observed twice, and a matter is not somebody else's."""
    await pair.merge()
    again = await pair.do(f"/people/{pair.one}/observation", observation_id="o2", **OBSERVED)
    assert again["observation_id"] == "o1"
    money = {"community": world.TIEBEI, "worker": world.ZHAO, "what": "settlement", "amount": 100}
    paid = {"posting_id": "paid", "matter_id": f"m-{pair.other}", "person_id": pair.one}
    assert (await pair.do("/money", **paid, **money))["owed"] == 0
    await pair.merge("unmerge")
    assert (await pair.ledger.items("/observation", person_id=pair.one)) == []
    assert await pair.owes() == {pair.one: 100}


async def test_what_is_bought_for_either_is_of_the_matter_that_the_other_has(town: Town, pair: Pair) -> None:
    """The request was made by one id, money was taken by the other; who says nothing of the person is right, too."""
    await pair.merge()
    money = {"community": world.TIEBEI, "worker": world.ZHAO, "matter_id": "r1"}
    async with town.amqp("operator") as operator:
        await operator.happen(RequestCreated(**world.created("r1", person=pair.other)))
        await eventually(lambda: pair.ledger.items("/entries", request_id="r1"))
        await pair.do("/money", **money, posting_id="a", what="advance", amount=500, person_id=pair.one)
        facts = {"kind": "groceries", "building": "2", "urgency": "normal", "priority": 10, "task_id": "t1"}
        bought = DeliveryBought(
            **facts, community=world.TIEBEI, grid="g1", request_id="r1", worker=world.ZHAO, amount=300
        )
        await operator.happen(bought)
        await eventually(lambda: owed(pair, "r1", -200))
    assert (await pair.do("/money", **money, posting_id="b", what="change", amount=200))["owed"] == 0


async def owed(pair: Pair, matter_id: str, amount: int) -> bool:
    found = await pair.ledger.items("/money", person=pair.one)
    return [one["owed"] for one in found if one["matter_id"] == matter_id] == [amount]


async def test_of_two_who_were_both_observed_both_observations_end_when_they_go(pair: Pair) -> None:
    """Until then both go on."""
    await pair.do(f"/people/{pair.one}/observation", observation_id="o2", **OBSERVED)
    await pair.merge()
    assert len(await pair.ledger.items("/observation", person_id=pair.one)) == 2
    await pair.do(f"/people/{pair.one}/move", command_id="away", here=False)
    await eventually(lambda: all_released(pair))


async def all_released(pair: Pair) -> bool:
    found = await pair.ledger.stored("observations")
    return {(one["state"]["state"], one["state"]["reason"]) for one in found} == {("released", "gone")}


async def test_of_three_who_are_one_all_is_found_and_all_is_erased(pair: Pair) -> None:
    """One was found to be another who was found to be a third."""
    await pair.merge()
    third = await enter(pair.ledger, 3)
    await pair.do(f"/people/{third}/merge", command_id="third", other=pair.one)
    found = [await pair.counts(one) for one in (third, pair.one, pair.other)]
    assert found[0] == found[1] == found[2] == [2, 2, 1, 2]
    assert await pair.owes() == {third: 200}
    # Whoever came in with a list has no alias of the list's own id.
    await furnished(pair.ledger.runtime).store.register.let_go(third, [pair.other])
    assert await enter(pair.ledger, 2, name="李改名") == third
    await pair.do(f"/people/{third}/erase", command_id="erase", reason="asked for it")
    for person in (third, pair.one, pair.other):
        assert await pair.ledger.stored("person_keys", {"_id": person}) == []
        answer = await pair.ledger.call("GET", f"/people/{person}")
        assert problems(answer) == [("person_id", "erased")]
