"""Lists of people on a real broker and database: tried out, taken in once, gone on with, and given out again."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from python_calamine import CalamineWorkbook

from services.ledger.domain.imports import TOLD
from tests import world
from tests.lists import HEADER, as_csv, as_xlsx, number_of, somebody
from tests.running import Ear, Service, Town, eventually, problems

COMMUNITY = f"community={world.TIEBEI}"


@dataclass(frozen=True, slots=True)
class Desk:
    """The ledger, and whoever sends lists to it."""

    ledger: Service
    events: Ear

    async def send(self, content: bytes, more: str = "", **options: Any) -> httpx.Response:
        """Send a file."""
        return await self.ledger.call("POST", f"/people:import?{COMMUNITY}{more}", content=content, **options)

    async def entered(self, content: bytes, more: str = "") -> dict[str, Any]:
        """Send a file, and wait until all of it is entered."""
        answer = await self.send(content, more)
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = await eventually(lambda: self.through(answer.json()["id"]))
        return found

    async def through(self, import_id: str) -> dict[str, Any] | None:
        """How it went, once it is through."""
        found: dict[str, Any] = await self.ledger.get(f"/imports/{import_id}")
        return found if found["state"] == "completed" else None


@pytest.fixture
async def desk(town: Town) -> AsyncIterator[Desk]:
    """The ledger runs, and knows three buildings."""
    async with town.up("ledger") as at, town.ear() as events:
        await settle(at.ledger)
        yield Desk(at.ledger, events)


async def settle(ledger: Service) -> None:
    """Three buildings."""
    for building, grid in world.GRID_OF.items():
        await world.accepted(ledger, "/buildings", {"community": world.TIEBEI, "building": building, "grid": grid})


def many(count: int, **changes: str) -> list[list[str]]:
    return [somebody(number, **changes) for number in range(count)]


def told(found: dict[str, Any]) -> dict[str, int]:
    return {name: found[name] for name in ("rows", "new", "changed", "same", "wrong")}


async def test_a_dry_run_says_what_would_come_of_it_and_changes_nothing(desk: Desk) -> None:
    """New, changed, same, wrong."""
    await desk.entered(as_csv(HEADER, *many(3)))
    before = await desk.ledger.stored("people")
    rows = [somebody(0), somebody(1, room="909"), somebody(7), somebody(8, building="99")]
    answer = await desk.send(as_xlsx((*HEADER, "血型"), *rows), "&dry_run=true")
    assert answer.status_code == 200
    found = answer.json()
    assert told(found) == {"rows": 4, "new": 1, "changed": 1, "same": 1, "wrong": 1}
    assert found["problems"] == [{"row": 5, "column": "楼号", "code": "unknown_building", "sheet": None}]
    assert found["columns_unknown"] == ["血型"]
    assert await desk.ledger.stored("people") == before
    assert len(await desk.ledger.stored("imports")) == 1


async def test_a_list_is_entered_and_everybody_is_told_of(desk: Desk) -> None:
    """More than one round of them; sent again, it is the same import."""
    content = as_csv(HEADER, *many(700), encoding="gb18030")
    found = await desk.entered(content, "&list=found_by_community&category=newcomer")
    assert told(found) == {"rows": 700, "new": 700, "changed": 0, "same": 0, "wrong": 0}
    again = await desk.send(content, "&list=found_by_community&category=newcomer")
    assert (again.json()["id"], again.json()["state"]) == (found["id"], "completed")
    assert (await desk.ledger.get("/statistics"))["people"] == 700
    assert len(await desk.ledger.items("/people", list="found_by_community", building="2")) == 700
    assert await desk.ledger.stored("import_rows") == []
    await eventually(lambda: len(desk.events.bodies("doorstep.person.registered.v1")) == 700)
    await eventually(lambda: desk.ledger.items("/entries", type="PersonRegistered"))


async def test_what_is_known_is_changed_or_the_same_and_nobody_is_entered_twice(desk: Desk) -> None:
    """By number, by phone and name, by door and name, whichever source told first."""
    first = await desk.ledger.post("/people", {**world.MRS_LI, "id_number": number_of("1937-05-01", 2)})
    rows = [["李奶奶", number_of("1937-05-01", 2), "", "1", "1", "101"], *many(5)]
    found = await desk.entered(as_csv(HEADER, *rows))
    assert told(found) == {"rows": 6, "new": 5, "changed": 1, "same": 0, "wrong": 0}
    rows[1][5] = "909"
    found = await desk.entered(as_csv(HEADER, *rows))
    assert told(found) == {"rows": 6, "new": 0, "changed": 1, "same": 5, "wrong": 0}
    assert (await desk.ledger.get("/statistics"))["people"] == 6
    shown = await desk.ledger.get(f"/people/{first.json()['id']}")
    assert shown["details"]["phone"] == world.MRS_LI["phone"]
    assert (shown["lives_alone"], shown["needs"]) == (True, [])
    for needs in ("deaf", "wheelchair"):
        await desk.entered(as_csv((*HEADER, "独居", "特殊需求"), [*rows[0], "否", needs]))
        shown = await desk.ledger.get(f"/people/{first.json()['id']}")
        assert (shown["lives_alone"], shown["needs"]) == (False, [needs]), "what a cell says replaces what was known"


async def test_a_row_of_somebody_whose_key_is_gone_is_wrong_and_stops_no_other(desk: Desk) -> None:
    """As an erasure left it that a crash cut short, in the version before."""
    await desk.entered(as_csv(HEADER, *many(2)))
    gone, *_ = await desk.ledger.items("/people")
    await desk.ledger.runtime.database.collection("person_keys").delete({"_id": gone["id"]})
    found = await desk.entered(as_csv(HEADER, *many(3, room="909")))
    assert told(found) == {"rows": 3, "new": 1, "changed": 1, "same": 0, "wrong": 1}
    assert (await desk.ledger.call("GET", f"/people/{gone['id']}")).status_code == 410


async def test_a_narrower_list_takes_nothing_away(desk: Desk) -> None:
    """What it has no column for stays, and so does what an empty cell would say; a category is added."""
    number = number_of("1937-05-01", 2)
    header = (*HEADER, "独居", "病史", "备用钥匙", "人员类别", "紧急联系人", "家属电话")
    row = ["李奶奶", number, "10000000001", "1", "1", "101", "是", "高血压", "门卫", "newcomer", "李萍", "10000000002"]
    await desk.entered(as_csv(header, row), "&list=found_by_community")
    (one,) = await desk.ledger.items("/people")
    before = await desk.ledger.get(f"/people/{one['id']}")
    narrow = as_csv(("姓名", "身份证号", "楼号", "病史", "备用钥匙"), ["李奶奶", number, "1", "糖尿病", ""])
    found = await desk.entered(narrow, "&category=cancer")
    assert told(found) == {"rows": 1, "new": 0, "changed": 1, "same": 0, "wrong": 0}
    after = await desk.ledger.get(f"/people/{one['id']}")
    assert after["details"] == {**before["details"], "illnesses": ["糖尿病"]}
    assert after["categories"] == ["newcomer", "cancer"]
    assert {**after, "details": 0, "categories": 0} == {**before, "details": 0, "categories": 0}


async def test_a_list_with_a_wrong_row_is_refused_whole_unless_those_are_skipped(desk: Desk) -> None:
    """Each wrong one is told, and nothing is half done."""
    content = as_csv(HEADER, *many(3), somebody(1), somebody(9, id_number="123"))
    refused = await desk.send(content)
    assert (refused.status_code, problems(refused)) == (
        422,
        [("5.身份证号", "duplicate_in_file"), ("6.身份证号", "bad_id_number")],
    )
    assert [await desk.ledger.stored(one) for one in ("people", "imports", "import_rows", "aliases")] == [
        [],
        [],
        [],
        [],
    ]
    found = await desk.entered(content, "&skip_wrong=true")
    assert told(found) == {"rows": 5, "new": 3, "changed": 0, "same": 0, "wrong": 2}
    assert [one["row"] for one in found["problems"]] == [5, 6]


async def test_rows_that_were_wrong_come_in_with_the_same_file_once_they_are_right(desk: Desk) -> None:
    """A building that nobody had entered; sent again while nothing is better, it is the same import."""
    content = as_csv(HEADER, *many(3), somebody(7, building="99"), somebody(8, building="98"))
    first = await desk.entered(content, "&skip_wrong=true")
    assert told(first) == {"rows": 5, "new": 3, "changed": 0, "same": 0, "wrong": 2}
    assert (await desk.entered(content, "&skip_wrong=true"))["id"] == first["id"]
    for building in ("99", "98"):
        place = {"community": world.TIEBEI, "building": building, "grid": "g1"}
        await world.accepted(desk.ledger, "/buildings", place)
        found = await desk.entered(content, "&skip_wrong=true")
        wrong = 1 if building == "99" else 0
        assert told(found) == {"rows": 5, "new": 1, "changed": 0, "same": 4 - wrong, "wrong": wrong}
    assert (await desk.entered(content))["id"] == found["id"]
    assert (await desk.ledger.get("/statistics"))["people"] == 5


async def test_a_row_that_is_right_by_now_comes_in_behind_however_many_that_are_still_wrong(desk: Desk) -> None:
    """The first thousand are told, and are the same as before."""
    wrong = [somebody(number, building="98") for number in range(TOLD)]
    content = as_csv(HEADER, *wrong, somebody(TOLD, building="99"))
    first = await desk.entered(content, "&skip_wrong=true")
    assert (first["wrong"], len(first["problems"])) == (TOLD + 1, TOLD)
    await world.accepted(desk.ledger, "/buildings", {"community": world.TIEBEI, "building": "99", "grid": "g1"})
    found = await desk.entered(content, "&skip_wrong=true")
    assert told(found) == {"rows": TOLD + 1, "new": 1, "changed": 0, "same": 0, "wrong": TOLD}
    assert (await desk.entered(content, "&skip_wrong=true"))["id"] == found["id"]


async def test_rows_that_wait_are_sealed_and_progress_outlives_the_service(town: Town) -> None:
    """What was begun before goes on with another replica, and nothing is entered twice."""
    content = as_csv(HEADER, *many(1200))
    async with town.up("ledger") as at:
        await settle(at.ledger)
        path = f"/people:import?{COMMUNITY}"
        answer = await at.ledger.call("POST", path, content=content)
        import_id = answer.json()["id"]
        waiting = str(await at.ledger.stored("import_rows"))
        assert "10000000001" not in waiting
        assert "王" not in waiting
        indexes = await at.ledger.runtime.database.collection("import_rows").raw.index_information()
        assert indexes["at_1"]["expireAfterSeconds"] == 30 * 86_400
    async with town.up("ledger") as at, town.ear() as events:
        desk = Desk(at.ledger, events)
        again = await desk.send(content)
        assert again.json()["id"] == import_id
        found = await eventually(lambda: desk.through(import_id))
        assert (found["entered"], len(await at.ledger.stored("people"))) == (1200, 1200)
        assert len(await at.ledger.stored("person_keys")) == 1200


async def test_two_lists_of_the_same_people_at_once_are_the_same_people(desk: Desk) -> None:
    """From two sources, with another order and other columns."""
    one = as_csv(HEADER, *many(150))
    other = as_csv(HEADER[:3] + HEADER[3:4], *(row[:4] for row in reversed(many(150))))
    answers = await asyncio.gather(desk.send(one), desk.send(other, "&source=city"))
    for answer in answers:
        await eventually(lambda answer=answer: desk.through(answer.json()["id"]))  # type: ignore[misc]
    assert (await desk.ledger.get("/statistics"))["people"] == 150
    states = [one["state"] for one in await desk.ledger.stored("people")]
    assert {len(state["sources"]) for state in states} == {2}


@pytest.mark.parametrize(
    ("content", "more", "problem", "status"),
    [
        (b"", "", ("file", "empty"), 422),
        (as_csv(HEADER, somebody(1)), "&mapping=unusual", ("mapping", "unknown_mapping"), 422),
        (b"PK\x03\x04" + b"x" * 100, "", ("file", "not_readable"), 422),
        (b"x" * (32 * 1024 * 1024 + 1), "", ("", "too_large"), 413),
    ],
    ids=["nothing", "no such mapping", "no spreadsheet", "too large"],
)
async def test_a_file_that_cannot_be_read_is_refused(
    desk: Desk, content: bytes, more: str, problem: tuple[str, str], status: int
) -> None:
    """With what is wrong; a dry run says the same."""
    for dry in ("", "&dry_run=true"):
        answer = await desk.send(content, more + dry)
        assert (answer.status_code, problems(answer)) == (status, [problem])


async def test_only_who_leads_there_sends_a_list_and_sees_how_far_it_is(desk: Desk) -> None:
    """Another community's is not there."""
    for who in ("grid_worker", "volunteer", "source"):
        assert (await desk.send(as_csv(HEADER, somebody(1)), who=who)).status_code == 403
    elsewhere = await desk.ledger.call("POST", "/people:import?community=other", content=b"x", who="coordinator")
    assert (elsewhere.status_code, problems(elsewhere)) == (403, [("community", "forbidden")])
    unknown = await desk.ledger.call("POST", "/people:import?community=nowhere", content=as_csv(HEADER, somebody(1)))
    assert problems(unknown) == [("community", "unknown_community")]
    assert (await desk.ledger.call("GET", "/imports/nothing")).status_code == 404


# Out


async def test_a_list_goes_out_as_it_came_in_and_one_opening_is_noted(desk: Desk) -> None:
    """As CSV and as a spreadsheet: with a header and a row that adds up, and no formula."""
    await desk.entered(as_csv((*HEADER, "备注"), *([*row, "=1+1"] for row in many(620))))
    params = {"community": world.TIEBEI, "purpose": "核对户籍"}
    answer = await desk.ledger.call("GET", "/people.csv", params=params, who="coordinator")
    assert answer.status_code == 200
    assert answer.content.startswith(b"\xef\xbb\xbf")
    header, *rows, totals = csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""))
    assert (header[:2], len(rows), totals[:2]) == (["姓名", "身份证号"], 620, ["合计", "620"])
    assert {row[header.index("备注")] for row in rows} == {"'=1+1"}
    book = await desk.ledger.call("GET", "/people.xlsx", params=params, who="coordinator")
    sheet = CalamineWorkbook.from_filelike(io.BytesIO(book.content)).get_sheet_by_index(0)
    assert [[str(cell) for cell in row] for row in sheet.iter_rows()] == [header, *rows, totals]
    paper = (await desk.ledger.call("GET", "/people.html", params=params, who="coordinator")).text
    assert paper.count("<tr>") == 620 + 2
    assert "<tr><td></td><td>" in paper
    assert "<td>=1+1</td>" in paper
    assert "<th>合计</th><th>620</th>" in paper
    openings = await eventually(lambda: _openings(desk.events, 3))
    assert {(one["record"], one["purpose"], one["reader"]) for one in openings} == {
        (f"people:{world.TIEBEI}:620", "核对户籍", world.ZHOU)
    }
    dry = (await desk.send(answer.content, "&dry_run=true")).json()
    assert (dry["wrong"], dry["new"], dry["rows"]) == (0, 0, 620)


def _openings(events: Ear, count: int) -> list[dict[str, Any]] | None:
    found = events.bodies("doorstep.personal-data.opened.v1")
    return found if len(found) == count else None


async def test_a_list_goes_out_only_for_a_purpose_to_who_leads_and_by_what_was_asked(desk: Desk) -> None:
    """Who moved away is not on it."""
    await desk.entered(as_csv(HEADER, *many(4), *many(9, building="1")[6:]), "&skip_wrong=true")
    for who in ("grid_worker", "volunteer", "source"):
        answer = await desk.ledger.call("GET", "/people.csv?purpose=because", who=who)
        assert answer.status_code == 403
    assert (await desk.ledger.call("GET", "/people.csv")).status_code == 422
    await world.accepted(desk.ledger, "/people", {**world.MR_WANG, "address": {"building": "3"}})
    chen = await world.leader_of(desk.ledger, "g2")
    mine = await desk.ledger.call("GET", f"/people.csv?purpose=because&{COMMUNITY}", who=chen)
    assert [row.split(",")[0] for row in mine.text.splitlines()][1:] == ["王先生", "合计"]
    gone = (await desk.ledger.items("/people", building="2"))[0]["id"]
    await desk.ledger.post(f"/people/{gone}/move", {"command_id": "m1", "here": False})
    answer = await desk.ledger.call("GET", "/people.csv?purpose=because&building=2")
    assert len(answer.text.splitlines()) == 1 + 3 + 1
