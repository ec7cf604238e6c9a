"""Who is meant on a roster, and what becomes of him there when people move, die, are found to be one, or come late."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from services.ledger.app import furnished
from services.ledger.rounds import handlers as rounds
from services.ledger.rounds.lines import understood
from shared.contracts.envelope import Meta
from shared.contracts.rounds import AddToRound, RoundRecord
from shared.identity import new_id
from tests import world
from tests.lists import as_csv
from tests.rounds import ROUND, close, counts, id_of, is_in, opened, person, record, three_buildings
from tests.running import Running, Service, Town, eventually, problems


@pytest.fixture
async def at(town: Town) -> AsyncIterator[Running]:
    """24 people in three buildings; the clock stands still."""
    async with three_buildings(town) as running:
        yield running


async def change(ledger: Service, number: int, verb: str, **more: Any) -> None:
    """Something becomes of a person."""
    answer = await ledger.post(f"/people/{id_of(number)}/{verb}", {"command_id": new_id(), **more}, who="coordinator")
    assert answer.status_code == 202, answer.text


async def counted(ledger: Service, **wanted: int) -> bool:
    found = await counts(ledger)
    return all(found[name] == value for name, value in wanted.items())


async def test_of_those_who_share_a_phone_whoever_is_on_the_roster_or_is_one_with_him_is_meant(at: Running) -> None:
    """The same person twice on the books, and a widower whose wife's phone it was, too."""
    phone = "13800000001"
    for number in (40, 41, 42, 43):
        shared = phone if number < 42 else "13800000002"
        door = {"building": "1", "unit": "1", "room": f"{900 + number}"}
        await world.accepted(at.ledger, "/people", person(number, phone=shared, address=door))
    await change(at.ledger, 42, "death")
    await change(at.ledger, 40, "merge", other=id_of(41))
    await opened(at.ledger, roster={"buildings": ["1"]})
    answer = await record(at.ledger, {"phone": phone}, {"phone": "13800000002"})
    assert (answer.status_code, answer.json()["strangers"]) == (200, 0), answer.text
    done = {one["member_id"] for one in await at.ledger.items(f"/rounds/{ROUND}/members", state="done")}
    assert done == {id_of(40), id_of(43)}


async def test_whoever_comes_with_another_telephone_is_not_taken_for_its_owner(at: Running) -> None:
    """A child with the father's: the father was not there."""
    await opened(at.ledger)
    answer = await record(at.ledger, {"phone": person(3)["phone"], "name": "孩子"})
    assert answer.json()["strangers"] == 1
    assert (await counts(at.ledger))["missing"] == 24


async def test_who_leaves_while_a_round_is_open_is_missing_no_more_and_nobody_is_sent(at: Running) -> None:
    """Moved away, died, or erased: with that as the reason."""
    await opened(at.ledger, roster={"buildings": ["1"]})
    await change(at.ledger, 0, "move", here=False)
    await change(at.ledger, 1, "death")
    await change(at.ledger, 2, "erase", reason="asked for it")
    await eventually(lambda: counted(at.ledger, excused=3, missing=5))
    (one, *_) = await at.ledger.items(f"/rounds/{ROUND}/members", state="excused", names=True, who="coordinator")
    assert "here no more" in one["records"][0]["note"]
    await close(at.ledger)
    await eventually(lambda: is_in(at.ledger, "closed"))
    sought = {one["person_id"] for one in await at.ledger.items("/follow-ups")}
    assert sought == {id_of(number) for number in range(3, 8)}


async def test_a_door_behind_which_nobody_is_left_is_gone_to_no_more(at: Running) -> None:
    """Of two who lived there, the first has moved away and the second died; the round is over already."""
    await opened(at.ledger, of="household", roster={"buildings": ["1"]})
    doors = [{"address": {"building": "1", "unit": "1", "room": f"{number}01"}} for number in (1, 2, 3)]
    await record(at.ledger, *doors)
    await close(at.ledger)
    await eventually(lambda: is_in(at.ledger, "closed"))
    await change(at.ledger, 0, "move", here=False)
    await change(at.ledger, 1, "death")
    await eventually(lambda: is_in(at.ledger, "settled"))
    assert (await counts(at.ledger))["excused"] == 1
    assert await at.ledger.items("/follow-ups") == []


async def test_a_roster_that_was_given_out_and_comes_back_tells_nothing_twice(at: Running) -> None:
    """A telephone told it to the second, paper has minutes."""
    await opened(at.ledger, points=["南门"])
    at.ledger.runtime.clock.forward(hours=3)  # type: ignore[attr-defined]
    seen = (at.ledger.runtime.clock() - timedelta(seconds=25, milliseconds=300)).isoformat()
    await record(at.ledger, {"member_id": id_of(0), "point": "南门", "at": seen})
    asked = {"purpose": "测核酸", "building": "1"}
    given = await at.ledger.call("GET", f"/rounds/{ROUND}/members.csv", who="coordinator", params=asked)
    rows = [*csv.reader(io.StringIO(given.content.decode("utf-8-sig")))]
    answer = await at.ledger.call("POST", f"/rounds/{ROUND}/records:import", content=as_csv(*rows))
    assert (answer.status_code, answer.json()["rows"]) == (200, 1), answer.text
    assert await counted(at.ledger, done=1, again=0)
    assert (await at.ledger.get(f"/rounds/{ROUND}/numbers"))["points"] == {"南门": 1}


async def test_a_list_that_was_taken_is_taken_again_though_its_strangers_are_known_by_now(at: Running) -> None:
    """Their cards stay theirs; a card handed to two on one list is refused."""
    await opened(at.ledger)
    told = ({"member_id": id_of(1), "card": "C1"}, {"phone": "13900000040", "name": "居民40", "card": "C2"})
    assert (await record(at.ledger, *told)).status_code == 200
    await world.accepted(at.ledger, "/people", person(40))
    again = await record(at.ledger, *told)
    assert again.status_code == 200, again.text
    twice = await record(at.ledger, {"member_id": id_of(2), "card": "C3"}, {"member_id": id_of(3), "card": "C3"})
    assert (twice.status_code, problems(twice)) == (409, [("records.1.card", "given")])
    added = {"command_id": "add", "person_id": id_of(40)}
    assert (await at.ledger.post(f"/rounds/{ROUND}/members", added, who="coordinator")).status_code == 200
    for card, number in (("C1", 1), ("C2", 40)):
        assert (await at.ledger.get(f"/rounds/{ROUND}/cards/{card}"))["member_id"] == id_of(number)
    assert (await at.ledger.call("GET", f"/rounds/{ROUND}/cards/C3")).status_code == 404


async def test_a_round_after_another_finds_those_who_moved_or_are_known_under_another_id_since(at: Running) -> None:
    """Of each person, as the one before; and in buildings that there are."""
    await opened(at.ledger, "survey")
    await record(at.ledger, *({"member_id": id_of(number)} for number in (1, 2, 3)), round_id="survey")
    await change(at.ledger, 1, "move", address={"building": "3", "unit": "9", "room": "909"})
    await change(at.ledger, 9, "merge", other=id_of(2))
    found = await opened(at.ledger, "visits", roster={"after": "survey"})
    assert found["members"] == 3
    members = {one["member_id"] for one in await at.ledger.items("/rounds/visits/members")}
    assert members == {id_of(1), id_of(9), id_of(3)}
    closes = (at.ledger.runtime.clock() + timedelta(hours=4)).isoformat()
    told = {"round_id": "x", "community": world.TIEBEI, "kind": "testing", "title": "x", "closes": closes}
    for more, problem in (
        ({"of": "household", "roster": {"after": "survey"}}, ("of", "other_members")),
        ({"roster": {"buildings": ["1", "33"]}}, ("roster.buildings", "unknown_building")),
        ({"teams": [{"name": "一队", "buildings": ["33"]}]}, ("teams", "unknown_building")),
    ):
        assert problems(await at.ledger.post("/rounds", {**told, **more})) == [problem]


async def test_of_two_who_are_one_the_second_is_not_put_on_the_roster(at: Running) -> None:
    """The first stands on it."""
    await opened(at.ledger)
    await world.accepted(at.ledger, "/people", person(40))
    await change(at.ledger, 40, "merge", other=id_of(5))
    for number in (40, 5):
        body = {"command_id": new_id(), "person_id": id_of(number)}
        answer = await at.ledger.post(f"/rounds/{ROUND}/members", body, who="coordinator")
        assert (answer.status_code, answer.json()["status"]) == (200, "duplicate")
    assert (await counts(at.ledger))["members"] == 24


async def test_to_whoever_is_added_to_a_round_of_walks_somebody_is_sent(at: Running) -> None:
    """As to all others, once."""
    await opened(at.ledger, roster={"buildings": ["1"]}, walks=True)
    await eventually(lambda: walks(at.ledger, 1))
    await world.accepted(at.ledger, "/people", person(40))
    for _ in range(2):
        body = {"command_id": "add", "person_id": id_of(40)}
        assert (await at.ledger.post(f"/rounds/{ROUND}/members", body, who="coordinator")).status_code == 200
    assert await walks(at.ledger, 2)


async def walks(ledger: Service, number: int) -> bool:
    return len(await ledger.stored("needs")) == number


async def test_what_a_shared_telephone_told_is_his_who_was_put_on_the_roster_first(at: Running) -> None:
    """Nobody knew it when the list came; the other who has it is still missing."""
    await opened(at.ledger)
    await record(at.ledger, {"phone": "13800000001"})
    for number in (40, 42):
        door = {"building": "1", "unit": "1", "room": f"{number}1"}
        await world.accepted(at.ledger, "/people", person(number, phone="13800000001", address=door))
        answer = await at.ledger.post(f"/rounds/{ROUND}/members", {"command_id": new_id(), "person_id": id_of(number)})
        assert answer.json()["status"] == "accepted"
    found = await counts(at.ledger)
    assert (found["members"], found["done"]) == (26, 1)
    assert id_of(42) in {one["member_id"] for one in await at.ledger.items(f"/rounds/{ROUND}/missing")}


async def test_a_list_that_was_understood_before_somebody_was_put_on_the_roster_is_his_all_the_same(
    at: Running,
) -> None:
    """It is kept as of a stranger a moment later."""
    await opened(at.ledger)
    await world.accepted(at.ledger, "/people", person(40))
    house, now = furnished(at.ledger.runtime), at.ledger.runtime.clock()
    known = await house.store.rounds.all.get(ROUND)
    assert known is not None
    early = await understood(house, known, [RoundRecord(member_id=id_of(40), outcome="refused", note="忙", at=now)])
    late = await understood(house, known, [RoundRecord(member_id=id_of(40), at=now)])
    cause = Meta("early", "", "test", now, ROUND)
    await rounds.keep(house, known, early, cause)
    await rounds.add(house, AddToRound(round_id=ROUND, command_id="add", person_id=id_of(40)), cause)
    await rounds.keep(house, known, late, cause.named("late"))
    assert (await counts(at.ledger))["done"] == 1
