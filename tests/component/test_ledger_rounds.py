"""Rounds on the ledger alone: crashes in between, pages, households, who may see whom."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from services.ledger.app import furnished
from services.ledger.domain import rosters, sheets
from services.ledger.domain.reports import Report
from services.ledger.domain.rounds import Round
from services.ledger.house import Ledger
from services.ledger.rounds import handlers as rounds
from services.ledger.rounds.record_lists import MOST, TOLD
from services.ledger.rounds.store import Rounds
from services.ledger.rounds.tallies import Tallies
from services.ledger.rounds.walks import send
from services.ledger.rounds.work import finish
from shared.contracts.envelope import Meta
from shared.contracts.rounds import AddToRound, Counts, OpenRound, RecordRound, RoundRecord
from shared.documents import Occupied
from shared.identity import new_id
from tests import world
from tests.lists import as_csv, as_workbook
from tests.rounds import ROUND, close, counts, id_of, is_in, is_open, opened, person, record, three_buildings
from tests.running import Clock, Running, Service, Town, eventually, problems


@pytest.fixture
async def at(town: Town) -> AsyncIterator[Running]:
    """24 people in three buildings; the clock stands still."""
    async with three_buildings(town) as running:
        yield running


async def half_taken_down(at: Running, round_id: str = ROUND) -> Round:
    """A round that is to open in an hour; those of building 1 stand on sheets, and three of building 2."""
    ledger, house = at.ledger, house_of(at)
    opens, closes = (ledger.runtime.clock() + timedelta(hours=hours) for hours in (1, 4))
    told = {"round_id": round_id, "community": world.TIEBEI, "kind": "testing", "title": "核酸"}
    await world.accepted(ledger, "/rounds", {**told, "opens": opens.isoformat(), "closes": closes.isoformat()})
    known = await house.store.rounds.all.get(round_id)
    assert known is not None
    through = list(sheets.cut(known.facts, await house.store.rounds.living(known.told, "1")))
    begun = list(sheets.cut(known.facts, (await house.store.rounds.living(known.told, "2"))[:3]))
    cause = Meta("", "", "test", ledger.runtime.clock(), round_id)
    await asyncio.gather(*(rounds.put_sheet(house, sheet, cause) for sheet in (*through, *begun)))
    await house.store.rounds.tallies.add_up(through)
    return known


async def go_on(at: Running, round_id: str = ROUND) -> None:
    """With what was half taken down, as if it had been time since an hour ago."""
    due = at.ledger.runtime.clock() - timedelta(hours=1)
    await put_back(at.ledger, round_id, state="opening", reached="1", members=8, due_at=due)


async def put_back(ledger: Service, round_id: str = ROUND, **state: Any) -> None:
    """As it was at some moment."""
    change = {f"state.{name}": value for name, value in state.items()}
    raw = ledger.runtime.database.collection("rounds").raw
    await raw.update_one({"_id": round_id}, {"$set": change, "$inc": {"v": 1}})


async def standing(ledger: Service, round_id: str = ROUND) -> list[str]:
    """Who stands on the roster."""
    found = await ledger.stored("sheets", {"state.round_id": round_id})
    return sorted(one["member_id"] for sheet in found for one in sheet["state"]["members"])


async def test_an_opening_that_a_crash_cut_short_is_made_whole(at: Running) -> None:
    """What stood on sheets of buildings that were not through is made again; nobody stands on the roster twice."""
    await half_taken_down(at)
    await go_on(at)
    found = await eventually(lambda: is_open(at.ledger, ROUND))
    assert (found["members"], found["counts"]["members"], found["counts"]["missing"]) == (24, 24, 24)
    assert await standing(at.ledger) == sorted(id_of(number) for number in range(24))


async def test_who_moves_while_the_roster_is_taken_down_stands_where_he_lived_before(at: Running) -> None:
    """From a building that was through to one that was not yet."""
    await half_taken_down(at)
    there = {"command_id": "m", "address": {"building": "3", "unit": "1", "room": "1101"}}
    moved = await at.ledger.post(f"/people/{id_of(0)}/move", there, who="coordinator")
    assert moved.status_code == 202, moved.text
    await go_on(at)
    found = await eventually(lambda: is_open(at.ledger, ROUND))
    assert (found["members"], found["counts"]["members"]) == (24, 24)
    assert await standing(at.ledger) == sorted(id_of(number) for number in range(24))


async def test_a_round_that_cannot_go_on_leaves_the_others_going(at: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is due before them, and finds somebody on two sheets whenever it is looked at."""
    begun, buildings_after = list[str](), Rounds.buildings_after

    async def stuck(store: Rounds, told: OpenRound, *more: Any) -> list[str]:
        begun.append(told.round_id)
        if told.round_id == "stuck":
            raise Occupied("sheets", "stuck/2/0000", ["state.round_id", "state.members.member_id"])
        return await buildings_after(store, told, *more)

    monkeypatch.setattr(Rounds, "buildings_after", stuck)
    closes = (at.ledger.runtime.clock() + timedelta(hours=4)).isoformat()
    told = {"community": world.TIEBEI, "kind": "testing", "title": "核酸", "closes": closes}
    await world.accepted(at.ledger, "/rounds", {"round_id": "stuck", **told})
    await eventually(lambda: "stuck" in begun)
    assert (await opened(at.ledger))["members"] == 24


async def test_a_list_that_was_kept_and_not_applied_is_applied_by_the_next_who_looks(at: Running) -> None:
    """As after a crash in between; applied again it changes nothing."""
    await opened(at.ledger)
    await record(at.ledger, *({"member_id": id_of(number)} for number in range(3)))
    raw = at.ledger.runtime.database.collection("sheets").raw
    await eventually(lambda: told_of(at.ledger, "reports"))
    report = (await at.ledger.stored("reports"))[0]
    for sheet in await at.ledger.stored("sheets"):
        members = [{**one, "state": "missing", "met": []} for one in sheet["state"]["members"]]
        fresh = {"state.members": members, "state.counts.missing": len(members), "state.counts.done": 0}
        await raw.update_one({"_id": sheet["_id"]}, {"$set": fresh, "$inc": {"v": 1}})
    reports = at.ledger.runtime.database.collection("reports").raw
    due = {"state.due_at": at.ledger.runtime.clock()}
    await reports.update_one({"_id": report["_id"]}, {"$set": due, "$inc": {"v": 1}})
    await eventually(lambda: is_counted(at.ledger, done=3))
    house = house_of(at)
    known = await house.store.rounds.all.get(ROUND)
    assert known is not None
    told = Report.model_validate(report["state"], strict=False)
    await rounds.apply(house, known.facts, told, Meta("again", "", "test", house.runtime.clock(), ROUND))
    assert await is_counted(at.ledger, done=3)


async def test_who_is_missing_on_a_sheet_that_a_crash_left_closed_is_looked_for(at: Running) -> None:
    """It was closed and told of, and the process died before anybody was looked for."""
    await opened(at.ledger)
    house = house_of(at)
    known = await house.store.rounds.all.get(ROUND)
    assert known is not None
    sheet, *_ = await house.store.rounds.sheets_after(ROUND, "", 1)
    cause = Meta("before the crash", "", "test", at.ledger.runtime.clock(), ROUND)
    await house.store.rounds.sheets.update(sheet, lambda one: sheets.close(one, known.facts), cause)
    assert (await close(at.ledger)).status_code == 200
    await eventually(lambda: is_in(at.ledger, "closed"))
    assert {one["person_id"] for one in await at.ledger.items("/follow-ups")} == {id_of(n) for n in range(24)}


async def test_what_is_asked_for_at_each_try_is_a_request_of_its_own(at: Running) -> None:
    """Who talked on the phone is sought on, and may need something else the next time; a kind that is none is none."""
    await opened(at.ledger, roster={"buildings": ["1"]})
    await record(at.ledger, *({"member_id": id_of(number)} for number in range(1, 8)))
    await close(at.ledger)
    (sought,) = await eventually(lambda: at.ledger.items("/follow-ups"))
    name = sought["follow_up_id"]
    path = f"/follow-ups/{name}/record"
    for command_id, kind, code in (("a", "juggling", 422), ("b", "groceries", 200), ("b", "groceries", 200)):
        body = {"command_id": command_id, "outcome": "reached", "need": {"kind": kind}}
        answer = await at.ledger.post(path, body)
        assert answer.status_code == code, answer.text
        if code == 422:
            assert problems(answer) == [("need.kind", "unknown_kind")]
    await at.ledger.post(path, {"command_id": "c", "outcome": "reached", "need": {"kind": "medicine"}})
    (document,) = await at.ledger.stored("follow_ups", {"_id": name})
    sealed = [one["sealed"] for one in (json.loads(each["body"]) for each in document["history"]) if one.get("sealed")]
    asked = [json.loads(at.ledger.runtime.sealer.open(one, f"follow-up:{name}")) for one in sealed]
    assert [(one["kind"], one["source_id"]) for one in asked] == [("groceries", name), ("medicine", f"{name}/1")]


async def test_somebody_answers_for_a_fever_where_nobody_coordinates(at: Running) -> None:
    """Whoever recorded it, though it was not said who took the temperature."""
    await opened(at.ledger, roster={"buildings": ["1"]})
    await record(at.ledger, *({"member_id": id_of(number)} for number in range(1, 8)))
    await close(at.ledger)
    (sought,) = await eventually(lambda: at.ledger.items("/follow-ups"))
    told = {"command_id": "a", "outcome": "reached", "temperature": 38.5}
    answer = await at.ledger.post(f"/follow-ups/{sought['follow_up_id']}/record", told, who="coordinator")
    assert answer.status_code == 200, answer.text
    (case,) = await eventually(lambda: at.ledger.items("/cases"))
    assert (case["kind"], case["owner"]) == ("fever", world.ZHOU)


async def test_whoever_walks_is_sent_to_the_entrance_behind_which_somebody_still_lives(at: Running) -> None:
    """The first on the sheet was erased, the second has moved to another building."""
    await opened(at.ledger, roster={"buildings": ["1"]})
    gone = {"command_id": "e", "reason": "asked for it"}
    there = {"command_id": "m", "address": {"building": "2", "unit": "9", "room": "101"}}
    for number, verb, body in ((0, "erase", gone), (1, "move", there)):
        answer = await at.ledger.post(f"/people/{id_of(number)}/{verb}", body, who="coordinator")
        assert answer.is_success, answer.text
    (sheet,) = await at.ledger.stored("sheets")
    assert {one["member_id"] for one in sheet["state"]["members"][:2]} == {id_of(0), id_of(1)}
    house = house_of(at)
    known = await house.store.rounds.all.get(ROUND)
    assert known is not None
    cause = Meta("walk", "", "test", at.ledger.runtime.clock(), ROUND)
    await send(house, known.facts, sheet["_id"], 1, cause)
    (need,) = await at.ledger.stored("needs")
    told = json.loads(need["history"][0]["body"])
    request = json.loads(at.ledger.runtime.sealer.open(told["sealed"], f"need:{told['need_id']}"))
    assert (request["address"]["building"], request["address"]["unit"]) == ("1", "1")


async def test_whoever_is_added_while_the_round_closes_is_looked_for(at: Running) -> None:
    """Though his sheet comes before those that are closed."""
    await opened(at.ledger)
    await world.accepted(at.ledger, "/people", person(40))
    await put_back(at.ledger, state="closing", reached=f"{ROUND}/9", due_at=None)
    body = {"command_id": "add", "person_id": id_of(40)}
    added = await at.ledger.post(f"/rounds/{ROUND}/members", body, who="coordinator")
    assert added.status_code == 200, added.text
    (sought,) = await at.ledger.items("/follow-ups")
    assert sought["person_id"] == id_of(40)


async def test_who_is_found_while_the_round_is_counted_settles_it(at: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """He came after the counting, and before it was said that the round is closed."""
    await opened(at.ledger)
    await record(at.ledger, *({"member_id": id_of(number)} for number in range(24)))
    await put_back(at.ledger, state="closing", due_at=None)
    before, now_counted = iter([Counts(members=24, done=23, missing=1)]), Tallies.counts

    async def counted(store: Tallies, round_id: str) -> Counts:
        return next(before, None) or await now_counted(store, round_id)

    monkeypatch.setattr(Tallies, "counts", counted)
    await finish(house_of(at), ROUND, Meta("round:closing:", "", "test", at.ledger.runtime.clock(), ROUND))
    assert await is_in(at.ledger, "settled")


async def told_of(ledger: Service, collection: str) -> bool:
    """Whether nothing is left to be sent and noted, so that nobody else writes these documents."""
    return not any(one["unsent"] for one in await ledger.stored(collection))


async def is_counted(ledger: Service, **wanted: int) -> bool:
    found = await counts(ledger)
    return all(found[name] == value for name, value in wanted.items())


def house_of(at: Running) -> Ledger:
    """The ledger as its handlers know it, beside the one that runs: a second replica."""
    return furnished(at.ledger.runtime)


async def test_lists_that_come_to_two_replicas_at_once_are_all_counted(at: Running) -> None:
    """Everyone is recorded by both, in lists that cut across; the sum is right in the end."""
    await opened(at.ledger)
    now, house = at.ledger.runtime.clock(), house_of(at)

    async def send(numbers: range) -> None:
        records = tuple(RoundRecord(member_id=id_of(number), at=now) for number in numbers)
        command = RecordRound(round_id=ROUND, command_id=new_id(), records=records)
        await rounds.record(house, command, Meta("", RecordRound.wire, "test", now, ROUND))

    mine = [record(at.ledger, *({"member_id": id_of(number)} for number in range(start, 24, 4))) for start in range(4)]
    await asyncio.gather(*mine, *(send(range(start, 24, 3)) for start in range(3)))
    found = await counts(at.ledger)
    assert (found["done"], found["missing"], found["again"]) == (24, 0, 0)


async def test_who_is_missing_comes_page_by_page_in_the_order_of_doors(at: Running) -> None:
    """And a grid's worker sees those of the grid."""
    await opened(at.ledger)
    await record(at.ledger, {"member_id": id_of(0)}, {"member_id": id_of(9)})
    pages = await at.ledger.pages(f"/rounds/{ROUND}/missing", limit=5)
    found = [one for page in pages for one in page]
    assert [len(page) for page in pages] == [5, 5, 5, 5, 2]
    assert [one["building"] for one in found] == ["1"] * 7 + ["2"] * 7 + ["3"] * 8
    assert len({one["person_id"] for one in found}) == 22
    mine = await at.ledger.items(f"/rounds/{ROUND}/missing", who="grid_worker")
    assert {one["grid"] for one in mine} == {"g1"}
    assert len(mine) == 7


async def test_names_are_opened_for_those_who_call_and_the_opening_is_noted(at: Running) -> None:
    """Not for volunteers."""
    await opened(at.ledger, roster={"buildings": ["1"]})
    named = await at.ledger.items(f"/rounds/{ROUND}/missing", who="grid_worker", names=True)
    assert {one["details"]["name"] for one in named} == {f"居民{number}" for number in range(8)}
    assert {one["details"]["address"]["unit"] for one in named} == {"1"}
    gone = named[0]["person_id"]
    await at.ledger.runtime.database.collection("person_keys").delete({"_id": gone})
    again = await at.ledger.items(f"/rounds/{ROUND}/missing", who="grid_worker", names=True)
    assert [one["person_id"] for one in again if one["details"] is None] == [gone]
    answer = await at.ledger.call("GET", f"/rounds/{ROUND}/missing", who="volunteer", params={"names": True})
    assert answer.status_code == 403
    await eventually(lambda: at.ledger.items("/entries", type="PersonalDataOpened"))


async def test_a_roster_is_of_those_for_whom_all_is_true(at: Running) -> None:
    """By grid, by building, by need, first line; of persons or households."""
    old = person(30, birth_year=1938, lives_alone=True, needs=["deaf"])
    await world.accepted(at.ledger, "/people", old)
    for round_id, more, members in (
        ("all", {}, 25),
        ("households", {"of": "household"}, 13),
        ("g2", {"roster": {"grids": ["g2"]}}, 16),
        ("buildings", {"roster": {"buildings": ["3", "1"]}}, 16),
        ("deaf", {"roster": {"needs": ["deaf", "blind"]}}, 1),
        ("first", {"roster": {"first_line": True, "lives_alone": True}}, 1),
        ("nobody", {"roster": {"needs": ["wheelchair"]}}, 0),
    ):
        found = await opened(at.ledger, round_id, **more)
        assert (round_id, found["members"]) == (round_id, members)


async def test_a_household_is_told_by_its_door(at: Running) -> None:
    """Or by whoever of it answers the phone."""
    await opened(at.ledger, of="household", checklist=["panes", "sills"])
    door = {"building": "1", "unit": "1", "room": "001"}
    answer = await record(at.ledger, {"address": door, "checked": ["panes"]}, {"phone": "13900000003"})
    assert answer.status_code == 200, answer.text
    found = await counts(at.ledger)
    assert (found["done"], found["missing"], found["incomplete"]) == (2, 10, 2)
    await record(at.ledger, {"address": door, "checked": ["sills"]})
    found = await counts(at.ledger)
    assert (found["again"], found["incomplete"]) == (0, 1), "the same moment, and the rest of it"


async def present(ledger: Service, name: str, called: str, **more: Any) -> None:
    """Somebody who lives elsewhere is behind the door of 1-1-001."""
    here = {"community": world.TIEBEI, "building": "1", "unit": "1", "room": "001"}
    await world.accepted(ledger, "/presences", {"presence_id": name, "name": called, **here, **more})


async def test_who_lives_elsewhere_and_is_there_stands_on_the_roster_of_his_entrance(at: Running) -> None:
    """Known by name and door or by phone; who shares a phone is asked for by name; who left is known, too."""
    shared = "13900000001"
    await present(at.ledger, "agent", "中介", phone="13700000001")
    await present(at.ledger, "client", "看房人", phone=shared)
    await present(at.ledger, "nobody-known", "访客")
    await opened(at.ledger, roster={"buildings": ["1"]}, present=True)
    assert (await counts(at.ledger))["members"] == 8 + 3
    assert len(await at.ledger.stored("sheets")) == 1, "with those who live behind the same entrance"

    ambiguous = await record(at.ledger, {"phone": shared})
    assert ambiguous.json()["problems"][0]["code"] == "ambiguous"
    end = await at.ledger.post("/presences/agent/end", {"command_id": "e"})
    assert end.status_code == 200
    door = {"building": "1", "unit": "1", "room": "001"}
    told = ({"phone": "13700000001"}, {"phone": shared, "name": "看房人"}, {"address": door, "name": "访客"})
    answer = await record(at.ledger, *told)
    assert (answer.status_code, answer.json()["strangers"]) == (200, 0), answer.text
    assert (await record(at.ledger, {"phone": shared, "name": "居民1"})).json()["strangers"] == 0
    found = {one["member_id"] for one in await at.ledger.items(f"/rounds/{ROUND}/missing")}
    assert found == {id_of(number) for number in (0, *range(2, 8))}
    taken = {"presence_id": id_of(0), "community": world.TIEBEI, "building": "1", "name": "x"}
    assert (await at.ledger.post("/presences", taken)).json()["code"] == "known_presence"


async def test_who_is_on_the_books_elsewhere_and_is_there_is_meant_where_he_is(at: Running) -> None:
    """Somebody of building 3 who was in building 1 when it closed; a round of residents alone does not know of him."""
    visitor = person(20)
    await present(at.ledger, "visitor", str(visitor["name"]), phone=visitor["phone"])
    await opened(at.ledger, roster={"buildings": ["1"]}, present=True)
    await opened(at.ledger, "residents", roster={"buildings": ["1", "3"]})
    line = {"name": visitor["name"], "phone": visitor["phone"]}
    for round_id, member in ((ROUND, "visitor"), ("residents", id_of(20))):
        assert (await record(at.ledger, line, round_id=round_id)).json()["strangers"] == 0
        left = {one["member_id"] for one in await at.ledger.items(f"/rounds/{round_id}/missing")}
        assert member not in left
        assert (await counts(at.ledger, round_id))["done"] == 1


HEADER = ("姓名", "联系电话", "楼号", "单元", "房号", "采样时间", "点位", "结果", "备注")


def row(number: int, time: str = "8:05", outcome: str = "已采", point: str = "南门", note: str = "") -> tuple[str, ...]:
    told = person(number)
    address = told["address"]
    door = (f"{address['building']}号楼", "1单元", f"{address['room']}室")
    return (told["name"], told["phone"], *door, time, point, outcome, note)


async def taken(ledger: Service, *rows: tuple[str, ...], who: str = "grid_worker") -> Any:
    content = as_csv(("核酸检测登记表",), HEADER, *rows, encoding="gb18030")
    return await ledger.call("POST", f"/rounds/{ROUND}/records:import", who=who, content=content)


async def test_the_list_of_a_desk_is_taken_as_a_file_and_again_changes_nothing(at: Running) -> None:
    """As it is kept: a title above, words for what happened, times of day, a sum below."""
    await opened(at.ledger, points=["南门", "北门"])
    at.ledger.runtime.clock.forward(hours=3)  # type: ignore[attr-defined]
    rows = [
        *(row(number) for number in range(20)),
        row(20, outcome="外采"),
        row(21, "2026-11-24 8:09", "拒绝", note="刚出院"),
        ("过路人", "13811112222", "", "", "", "8:10", "南门", "已采", ""),
    ]
    for _ in range(2):
        answer = await taken(at.ledger, *rows, ("合计", "23", "", "", "", "", "", "", ""))
        assert answer.status_code == 200, answer.text
        assert (answer.json()["rows"], answer.json()["strangers"]) == (23, 1)
    found = answer.json()["counts"]
    assert [found[name] for name in ("done", "elsewhere", "refused", "missing", "again")] == [20, 1, 1, 2, 0]
    (report,) = await at.ledger.stored("reports")
    assert report["state"]["due_at"] is None, "it is on the sheets, and need not be put there again"
    numbers = await at.ledger.get(f"/rounds/{ROUND}/numbers")
    assert list(numbers["points"].items()) == [("南门", 20), ("北门", 0)]


async def test_a_list_with_more_mistakes_or_records_than_a_desk_can_have_is_not_read_to_its_end(at: Running) -> None:
    """The first mistakes are told."""
    await opened(at.ledger)
    for rows, status, problem in (
        ([*(row(0, time="八点"),) * TOLD, *(row(0),) * MOST], 422, f"{TOLD + 2}.采样时间"),
        ([row(0)] * (MOST + 1), 413, "file"),
    ):
        answer = await taken(at.ledger, *rows)
        assert (answer.status_code, answer.json()["problems"][-1]["field"]) == (status, problem)


async def test_a_desk_may_have_a_sheet_for_each_half_of_the_day(at: Running) -> None:
    """A wrong row is told with its sheet, before anything is recorded."""
    await opened(at.ledger, points=["南门"])
    at.ledger.runtime.clock.forward(hours=3)  # type: ignore[attr-defined]
    path = f"/rounds/{ROUND}/records:import"
    header = ("姓名", "联系电话", "手机", "采样时间")
    for time, status in (("八点", 422), ("8:10", 200)):
        rows = [(row(number)[0], "", row(number)[1], at) for number, at in ((0, "8:05"), (1, time))]
        book = as_workbook({"上午": [header, rows[0]], "下午": [header, rows[1]]})
        answer = await at.ledger.call("POST", path, content=book)
        assert answer.status_code == status, answer.text
        assert [one["field"] for one in answer.json().get("problems", ())] == (
            ["2.下午.采样时间"] if status > 200 else []
        )
        assert (await counts(at.ledger))["done"] == (0 if status > 200 else 2)


async def test_a_building_is_known_in_the_list_of_a_desk_as_it_stands_on_the_books(at: Running) -> None:
    """Also where its number ends as the word for a building does."""
    await world.accepted(at.ledger, "/buildings", {"community": world.TIEBEI, "building": "A座", "grid": "g1"})
    door = {"building": "A座", "unit": "1", "room": "101"}
    await world.accepted(at.ledger, "/people", person(30, address=door))
    await opened(at.ledger, roster={"buildings": ["A座"]}, points=["南门"])
    at.ledger.runtime.clock.forward(hours=3)  # type: ignore[attr-defined]
    answer = await taken(at.ledger, ("居民30", "", "A座", "1单元", "101室", "8:05", "南门", "已采", ""))
    assert answer.status_code == 200, answer.text
    assert (await counts(at.ledger))["done"] == 1


async def test_a_list_that_was_given_out_is_filled_in_and_comes_back(at: Running) -> None:
    """With names for those who may have them; who has not come stays missing; on paper, with a box to tick."""
    await opened(at.ledger, points=["南门"])
    at.ledger.runtime.clock.forward(hours=1)  # type: ignore[attr-defined]
    path = f"/rounds/{ROUND}/members"
    asked = {"purpose": "测核酸", "building": "2"}
    assert (await at.ledger.call("GET", f"{path}.csv", who="volunteer", params=asked)).status_code == 403
    refused = await at.ledger.call("GET", f"{path}.csv", who="grid_worker")
    assert refused.json()["problems"][0]["field"] == "purpose"
    given = await at.ledger.call("GET", f"{path}.csv", who="coordinator", params=asked)
    head, *lines, total = csv.reader(io.StringIO(given.content.decode("utf-8-sig")))
    assert head[:5] == ["姓名", "楼号", "单元", "房号", "电话"]
    assert [one[0] for one in lines] == [f"居民{number}" for number in range(8, 16)], "door by door"
    assert total[:2] == ["合计", "8"]
    filled = [[*one[:5], "8:30", "南门", *one[7:]] for one in lines[:5]]
    content = as_csv(head, *filled, *lines[5:], total)
    for _ in range(2):
        answer = await at.ledger.call("POST", f"/rounds/{ROUND}/records:import", content=content)
        assert (answer.status_code, answer.json().get("rows")) == (200, 5), answer.text
    assert (await counts(at.ledger))["done"] == 5
    again = await at.ledger.call("GET", f"{path}.csv", who="coordinator", params={**asked, "state": "done"})
    _, first, *_ = csv.reader(io.StringIO(again.content.decode("utf-8-sig")))
    assert first[5:8] == ["2026-11-24 08:30", "南门", "完成"]
    mine = await at.ledger.call("GET", f"{path}.html", who="grid_worker", params={"purpose": "上门"})
    assert "居民7" in mine.text
    assert "居民8" not in mine.text, "another grid's"
    sheet = await at.ledger.call("GET", f"{path}.xlsx", who="coordinator", params=asked)
    assert sheet.content.startswith(b"PK")
    noted = await eventually(lambda: openings(at.ledger, 4))
    assert [one["purpose"] for one in noted].count("测核酸") == 3


async def openings(ledger: Service, count: int) -> list[dict[str, Any]]:
    """Of rounds, once there are so many."""
    found = [json.loads(one["data"]) for one in await ledger.stored("entries", {"type": "PersonalDataOpened"})]
    return found if len(found) == count else []


async def test_of_two_on_the_roster_who_are_one_nobody_is_sought_twice(at: Running) -> None:
    """Whichever of them was met; and a record under one id is of the roster's other."""
    await opened(at.ledger)
    await record(at.ledger, {"member_id": id_of(3)})
    for one, other in ((2, 3), (4, 5)):
        body = {"command_id": new_id(), "other": id_of(other)}
        answer = await at.ledger.post(f"/people/{id_of(one)}/merge", body, who="coordinator")
        assert answer.status_code == 202, answer.text
    await eventually(lambda: is_counted(at.ledger, done=1, excused=2, missing=21))
    excused = await at.ledger.items(f"/rounds/{ROUND}/members", state="excused", names=True, who="coordinator")
    assert {one["member_id"] for one in excused} == {id_of(2), id_of(5)}
    assert all("twice" in one["records"][0]["note"] for one in excused)
    later = {"command_id": new_id(), "other": id_of(6)}
    await opened(at.ledger, "later", roster={"buildings": ["1"]})
    elsewhere = {**person(60), "address": {"building": "3", "unit": "1", "room": "909"}}
    await world.accepted(at.ledger, "/people", elsewhere)
    assert (await at.ledger.post(f"/people/{id_of(60)}/merge", later, who="coordinator")).status_code == 202
    answer = await record(at.ledger, {"member_id": id_of(60)}, round_id="later")
    assert answer.json()["strangers"] == 0
    assert id_of(6) in {one["member_id"] for one in await at.ledger.items("/rounds/later/members", state="done")}


async def test_a_roster_that_was_told_stands_though_its_sheets_are_gone(at: Running) -> None:
    """As after two worked beside each other: those who were told stand on it, and nobody who came since."""
    known, house = await half_taken_down(at), house_of(at)
    told = list(sheets.cut(known.facts, await house.store.rounds.living(known.told, "2")))
    cause = Meta("", "", "test", at.ledger.runtime.clock(), ROUND)
    await house.store.rounds.rosters.update(
        f"{ROUND}/2", lambda there: rosters.freeze(there, known.facts, "2", told), cause, new=True
    )
    await house.store.rounds.forget_after(ROUND, "1", [])
    await world.accepted(at.ledger, "/people", person(40, address={"building": "2", "unit": "1", "room": "901"}))
    await go_on(at)
    found = await eventually(lambda: is_open(at.ledger, ROUND))
    assert (found["members"], found["counts"]["members"]) == (24, 24)
    assert id_of(40) not in await standing(at.ledger)


async def test_what_was_done_on_another_day_is_not_of_this_round(at: Running) -> None:
    """Last week's list sent again; what was before the round was entered, but on its day, is."""
    await opened(at.ledger)
    now = at.ledger.runtime.clock()
    early = await record(at.ledger, {"member_id": id_of(1), "at": (now - timedelta(days=1)).isoformat()})
    assert (early.status_code, early.json()["problems"][0]["code"]) == (422, "before_the_round")
    before = {"outcome": "elsewhere", "at": (now - timedelta(days=1)).isoformat()}
    this_morning = (now - timedelta(hours=1)).isoformat()
    assert (await record(at.ledger, {"member_id": id_of(1), **before})).status_code == 200
    assert (await record(at.ledger, {"member_id": id_of(2), "at": this_morning})).status_code == 200


async def test_who_was_put_on_the_roster_halfway_has_his_records_when_it_is_said_again(at: Running) -> None:
    """As after a crash between the sheet and what was recorded beside it; a third time nothing changes."""
    await opened(at.ledger)
    await world.accepted(at.ledger, "/people", person(40))
    await record(at.ledger, {"member_id": id_of(40)})
    house, command = house_of(at), AddToRound(round_id=ROUND, command_id="add", person_id=id_of(40))
    known = await house.store.rounds.all.get(ROUND)
    facts = await house.store.register.current(id_of(40))
    assert known is not None
    assert facts is not None
    newcomer = sheets.Member(member_id=id_of(40), person_id=id_of(40))
    entrance = sheets.Entrance(grid=facts.facts.grid, building=facts.facts.building, stairwell=None)
    (sheet,) = sheets.cut(known.facts, [(entrance, newcomer)], late=True)
    cause = Meta("", "", "test", at.ledger.runtime.clock(), ROUND)
    await rounds.put_sheet(house, sheet, cause)
    for _ in range(2):
        await rounds.add(house, command, cause)
        found = await counts(at.ledger)
        assert (found["members"], found["done"], found["missing"]) == (25, 1, 24)


async def test_sums_of_the_version_before_are_made_whole(at: Running) -> None:
    """It kept them without the sheets that they are of."""
    await opened(at.ledger)
    raw = at.ledger.runtime.database.collection("tallies").raw
    await raw.update_many({}, {"$unset": {"sheets": 1}, "$set": {"seen": 9}, "$inc": {"v": 1}})
    await record(at.ledger, {"member_id": id_of(1)}, {"member_id": id_of(9)})
    found = await counts(at.ledger)
    assert (found["members"], found["done"], found["missing"]) == (24, 2, 22)


async def test_each_team_has_its_buildings_its_list_and_its_figures(at: Running) -> None:
    """Who goes where is said when the round is opened; each building is one team's."""
    teams = [{"name": "一队", "workers": [world.ZHAO], "buildings": ["1", "2"]}, {"name": "二队", "buildings": ["3"]}]
    await opened(at.ledger, teams=teams)
    await record(at.ledger, {"member_id": id_of(1)}, {"member_id": id_of(23)})
    figures = (await at.ledger.get(f"/rounds/{ROUND}/numbers"))["teams"]
    assert {team: (one["members"], one["done"]) for team, one in figures.items()} == {"一队": (16, 1), "二队": (8, 1)}
    missing = await at.ledger.items(f"/rounds/{ROUND}/missing", team="二队")
    assert {one["member_id"] for one in missing} == {id_of(number) for number in range(16, 23)}
    both = await at.ledger.items(f"/rounds/{ROUND}/members", team="一队", building="2")
    assert {one["member_id"] for one in both} == {id_of(number) for number in range(8, 16)}
    file = await at.ledger.call("GET", f"/rounds/{ROUND}/members.csv?purpose=walk&team=二队")
    assert (file.text.count("居民23"), file.text.count("居民1\n"), file.text.count("居民")) == (1, 0, 8)

    unknown = await at.ledger.call("GET", f"/rounds/{ROUND}/missing?team=三队")
    assert [one["code"] for one in unknown.json()["problems"]] == ["unknown_team"]
    closes = (at.ledger.runtime.clock() + timedelta(hours=4)).isoformat()
    told = {"round_id": "r2", "community": world.TIEBEI, "kind": "testing", "title": "核酸", "closes": closes}
    for wrong in ([*teams, {"name": "三队", "buildings": ["3"]}], [*teams, {"name": "二队", "buildings": ["4"]}]):
        refused = await at.ledger.post("/rounds", {**told, "teams": wrong})
        assert refused.status_code == 422
        (problem,) = refused.json()["problems"]
        assert (problem["field"], problem["message"].partition(":")[0]) == ("teams", "named twice")


async def test_a_roster_can_be_of_a_source_list(at: Running) -> None:
    """Those found by the community, of whom some are assigned by the city, too."""
    for number, lists in ((1, ["found_by_community"]), (2, ["found_by_community", "assigned_by_city"])):
        await world.accepted(at.ledger, "/people", person(number, lists=lists, categories=["newcomer", "returned"]))
    await world.accepted(at.ledger, "/people", person(3, lists=["assigned_by_city"], categories=["returned"]))
    known = await opened(at.ledger, roster={"lists": ["found_by_community"]})
    assert known["members"] == 2


async def test_what_a_replica_of_the_version_before_adds_up_is_in_the_sums(at: Running) -> None:
    """Beside a new one it knows the sums alone, and writes them anew from every sheet of the building."""
    await world.accepted(at.ledger, "/people", person(24, address={"building": "1", "unit": "2", "room": "101"}))
    await opened(at.ledger)
    tallies = at.ledger.runtime.database.collection("tallies")
    sheet, other = await at.ledger.stored("sheets", {"state.building": "1"})
    (before,) = await tallies.find({"_id": f"{ROUND}/1"})
    await record(at.ledger, {"member_id": sheet["state"]["members"][0]["member_id"]})
    await tallies.raw.update_one({"_id": before["_id"]}, {"$set": {"sheets": before["sheets"]}, "$inc": {"v": 1}})
    await record(at.ledger, {"member_id": other["state"]["members"][0]["member_id"]})
    found = await counts(at.ledger)
    assert (found["members"], found["done"], found["missing"]) == (25, 2, 23)


async def test_a_name_is_the_same_in_either_width(at: Running) -> None:
    """A desk's program may write brackets as it likes; without a phone, door and name tell who it is."""
    told = {**person(50), "name": "李（大）", "phone": None}
    await world.accepted(at.ledger, "/people", {name: value for name, value in told.items() if value is not None})
    await opened(at.ledger, points=["南门"])
    at.ledger.runtime.clock.forward(hours=3)  # type: ignore[attr-defined]
    _, _, *rest = row(50)
    answer = await taken(at.ledger, ("李(大)", "", *rest))
    assert answer.json()["counts"]["done"] == 1


async def test_a_file_with_a_wrong_row_is_refused_whole_with_every_such_row(at: Running) -> None:
    """By the rows of the file and what stands above the column."""
    await opened(at.ledger, points=["南门", "北门"])
    wrong = [row(3, "morning"), row(4, outcome="睡觉"), ("", *row(5)[1:])]
    answer = await taken(at.ledger, row(1), row(2), *wrong)
    problems = {(one["field"], one["code"]) for one in answer.json()["problems"]}
    assert answer.status_code == 422
    assert problems == {("5.采样时间", "bad_time"), ("6.结果", "unknown_outcome")}
    answer = await taken(at.ledger, row(1), row(2, point="火车站"), row(3, "23:59"))
    problems = {(one["field"], one["code"]) for one in answer.json()["problems"]}
    assert problems == {("4.point", "unknown_point"), ("5.at", "in_the_future")}
    assert (await counts(at.ledger))["missing"] == 24


WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({"kind": "juggling"}, "unknown_kind"),
    ({"closes": "2020-01-01T00:00:00Z"}, "in_the_past"),
    ({"closes": "2026-11-24T10:00:00Z", "opens": "2026-11-24T11:00:00Z"}, "not_allowed"),
    ({"roster": {"categories": ["elderly_alone", "old"]}}, "unknown_category"),
    ({"roster": {"lists": ["city"]}}, "unknown_list"),
    ({"roster": {"colour": "red"}}, "unknown_field"),
    ({"roster": {"after": "no-such-round"}}, "unknown_round"),
    ({"community": None}, "wrong_type"),
)


async def test_a_round_that_cannot_be_is_refused_by_field(at: Running) -> None:
    """And nothing is planned."""
    closes = (at.ledger.runtime.clock() + timedelta(hours=4)).isoformat()
    told = {"round_id": ROUND, "community": world.TIEBEI, "kind": "testing", "title": "核酸", "closes": closes}
    for change, code in WRONG:
        answer = await at.ledger.post("/rounds", {**told, **change}, who="coordinator")
        assert (answer.status_code, answer.json()["problems"][0]["code"]) == (422, code)
    assert await at.ledger.stored("rounds") == []


async def test_a_round_to_come_takes_no_records_and_opens_in_its_time(town: Town) -> None:
    """Whoever is early is told to come again."""
    clock = Clock()
    async with town.up("ledger", clock=clock) as at:
        await world.accepted(at.ledger, "/people", person(1))
        closes, opens = (clock() + timedelta(hours=hours) for hours in (4, 1))
        told = {"round_id": ROUND, "community": world.TIEBEI, "kind": "testing", "title": "核酸"}
        await world.accepted(at.ledger, "/rounds", {**told, "opens": opens.isoformat(), "closes": closes.isoformat()})
        early = await record(at.ledger, {"member_id": id_of(1)})
        assert (early.status_code, early.json()["code"]) == (409, "not_open_yet")
        clock.forward(hours=1)
        await eventually(lambda: is_open(at.ledger, ROUND))
        assert (await record(at.ledger, {"member_id": id_of(1)})).status_code == 200


# Looked for


async def test_whoever_says_why_he_will_not_come_is_looked_for_no_more(at: Running) -> None:
    """At the door, to whom was sent: with a reason, which then stands with the round, so that it is settled."""
    await opened(at.ledger)
    await record(at.ledger, *({"member_id": id_of(number)} for number in range(22)))
    await close(at.ledger)
    await eventually(lambda: sought(at.ledger, 2))
    ids = {one["person_id"]: one["follow_up_id"] for one in await at.ledger.items("/follow-ups")}
    assert ids.keys() == {id_of(22), id_of(23)}
    path, said = f"/follow-ups/{ids[id_of(22)]}/record", {"command_id": "said", "outcome": "refused"}
    unsaid = await at.ledger.post(path, said)
    assert (unsaid.status_code, problems(unsaid)) == (422, [("note", "required")])
    for _ in range(2):
        assert (await at.ledger.post(path, {**said, "note": "不想去"})).status_code == 200
    await eventually(lambda: state_of(at.ledger, "refused"))
    (one,) = await at.ledger.items(f"/rounds/{ROUND}/members", state="refused", names=True)
    assert (one["person_id"], one["records"][0]["note"]) == (id_of(22), "不想去")
    assert (await at.ledger.get(f"/rounds/{ROUND}"))["state"] == "closed"
    died = await at.ledger.post(f"/people/{id_of(23)}/death", {"command_id": "died"})
    assert died.status_code == 202
    await eventually(lambda: is_in(at.ledger, "settled"))
    found = await counts(at.ledger)
    assert (found["excused"], found["missing"]) == (1, 0)


async def test_a_door_is_gone_to_though_one_behind_it_has_moved_away(at: Running) -> None:
    """Others live there, and nobody has seen them."""
    await opened(at.ledger, of="household")
    await close(at.ledger)
    await eventually(lambda: sought(at.ledger, 12))
    before = await at.ledger.items("/follow-ups")
    one = before[0]["person_id"]
    moved = await at.ledger.post(f"/people/{one}/move", {"command_id": "away", "here": False})
    assert moved.status_code == 202
    await eventually(lambda: left(at.ledger, one))
    assert await at.ledger.items("/follow-ups") == before


async def sought(ledger: Service, count: int) -> bool:
    """Whether so many are looked for."""
    return len(await ledger.items("/follow-ups")) == count


async def left(ledger: Service, person_id: str) -> bool:
    """Whether what follows from it was done, too."""
    entries = await ledger.items("/entries", type="PersonUpdated")
    return not (await ledger.get(f"/people/{person_id}"))["here"] and len(entries) == 1


async def state_of(ledger: Service, state: str) -> bool:
    return (await counts(ledger))[state] == 1
