"""The numbers on real engines: counted from the entries, kept when a day is long over, counted again on late news."""

import csv
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pypdfium2
import pytest
from openpyxl import load_workbook

from shared.contracts.dispatch import DeliveryAssigned, DeliveryCompleted
from shared.contracts.envelope import Event
from shared.contracts.intake import RequestCreated
from tests import world
from tests.running import Amqp, Clock, Service, Town, eventually, problems

DAY = "2026-11-24"
"""In Tiebei, where it begins at 16:00 UTC of the day before."""


@dataclass(slots=True)
class Book:
    """The ledger, who tells it what happens, and the clock of all."""

    ledger: Service
    operator: Amqp
    clock: Clock
    told: int = 0

    async def happens(self, event: Event, at: datetime) -> None:
        """It did, and is entered."""
        self.told += 1
        await self.operator.happen(event, at=at)
        await eventually(self._entered)

    async def _entered(self) -> bool:
        return len(await self.ledger.stored("entries")) == self.told

    async def life(self, request_id: str, at: datetime, waited: int = 30, *, asked: bool = True, **more: Any) -> None:
        """Asked for, taken, done."""
        task = {
            "community": world.TIEBEI,
            "grid": "g1",
            "task_id": f"t-{request_id}",
            "request_id": request_id,
            "kind": "groceries",
            "building": "1",
            "urgency": "normal",
            "priority": 10,
            "worker": world.ZHAO,
            **more,
        }
        done = at + timedelta(minutes=waited)
        facts = {name: task[name] for name in ("grid", "kind", "building")}
        if asked:
            await self.happens(RequestCreated(**world.created(request_id, household=request_id, **facts)), at)
        await self.happens(DeliveryAssigned(**task, until=done), at + timedelta(minutes=5))
        await self.happens(DeliveryCompleted(**task), done)

    async def numbers(self, **params: Any) -> dict[str, Any]:
        """What a coordinator reads."""
        found: dict[str, Any] = await self.ledger.get("/numbers", who="coordinator", **params)
        return found

    async def file(self, path: str) -> bytes:
        """What a coordinator downloads."""
        answer = await self.ledger.call("GET", path, who="coordinator")
        assert answer.status_code == 200, answer.text
        return answer.content


@pytest.fixture
async def book(town: Town) -> AsyncIterator[Book]:
    """The ledger on a morning."""
    clock = Clock()
    async with town.up("ledger", clock=clock) as at, town.amqp("operator") as operator, town.ear():
        yield Book(at.ledger, operator, clock)


async def test_a_day_is_counted_by_grid_worker_and_kind(book: Book) -> None:
    """And the days before it are not in it."""
    now = book.clock()
    await book.life("r1", now)
    await book.life("r2", now, worker=world.QIAN, grid="g2", kind="medicine", building="3", waited=50)
    await book.life("old", now - timedelta(days=1))
    await book.happens(RequestCreated(**world.created("r3")), now)
    found = await book.numbers(since=DAY)
    assert (found["community"], found["since"], found["until"], found["by"]) == (world.TIEBEI, DAY, DAY, ["grid"])
    assert {name: found["total"][name] for name in ("needs", "done", "left", "households", "waited_p95")} == {
        "needs": 3,
        "done": 2,
        "left": 1,
        "households": 2,
        "waited_p95": 50,
    }
    assert [(one["grid"], one["done"], one["walks"]) for one in found["items"]] == [("g1", 1, 1), ("g2", 1, 1)]
    by_two = await book.numbers(since="2026-11-23", until=DAY, by=["day", "worker"])
    assert [(one["day"], one["worker"], one["done"]) for one in by_two["items"]] == [
        ("2026-11-23", world.ZHAO, 1),
        ("2026-11-23", None, 0),
        (DAY, world.ZHAO, 1),
        (DAY, world.QIAN, 1),
        (DAY, None, 0),
    ]
    # Who leads one grid reads what is of it; the report is the whole community's.
    chen = await world.leader_of(book.ledger, "g2")
    found = await book.ledger.get("/numbers", who=chen, since=DAY, by=["kind"])
    assert ([one["kind"] for one in found["items"]], found["total"]["done"]) == (["medicine"], 1)
    answer = await book.ledger.call("GET", f"/day-reports/{DAY}.pdf", who=chen)
    assert (answer.status_code, problems(answer)) == (403, [("community", "forbidden")])
    assert "who leads all of tiebei" in answer.text


async def test_a_day_long_over_is_kept_until_more_becomes_known_of_it(book: Book) -> None:
    """Counted once; then read, until something late comes in."""
    await book.life("r1", book.clock())
    assert (await book.numbers(since=DAY))["total"]["done"] == 1
    assert await book.ledger.stored("days") == []
    happened, book.clock.now = book.clock(), book.clock() + timedelta(days=4)
    assert (await book.numbers(since=DAY))["total"]["done"] == 1
    (kept,) = await book.ledger.stored("days")
    assert sum(row["done"] for row in kept["rows"]) == 1
    await book.life("r2", happened)
    await eventually(lambda: kept_again(book))


async def test_late_news_of_a_day_change_what_is_kept_of_the_days_after_it(book: Book) -> None:
    """What was done later was counted without knowing when it was asked for; other communities' days stay kept."""
    asked = book.clock()
    await book.life("r1", asked + timedelta(days=1), asked=False)
    book.clock.now += timedelta(days=5)
    span = {"since": "2026-11-23", "until": "2026-11-25"}
    assert (await book.numbers(**span))["total"]["waited_median"] is None
    days = book.ledger.runtime.database.collection("days").raw
    await days.insert_one({"_id": "tiebei-2/2026-11-25", "mark": None, "rows": []})
    before = await marks(book)
    await book.happens(RequestCreated(**world.created("r1")), asked)
    await eventually(lambda: waited(book, span))
    after = await marks(book)
    assert before.keys() == after.keys()
    assert {day for day in before if before[day] != after[day]} == {"tiebei/2026-11-24", "tiebei/2026-11-25"}


async def marks(book: Book) -> dict[str, str | None]:
    """Of the days that are kept."""
    return {one["_id"]: one["mark"] for one in await book.ledger.stored("days", {"rows": {"$exists": True}})}


async def waited(book: Book, span: dict[str, Any]) -> bool:
    """Whether it is known how long it took."""
    return (await book.numbers(**span))["total"]["waited_median"] == 24 * 60 + 30


async def kept_again(book: Book) -> bool:
    """Whether the day is kept with both, as whoever asks is told."""
    total = (await book.numbers(since=DAY))["total"]
    rows = [row for kept in await book.ledger.stored("days") for row in kept.get("rows", ())]
    return (total["needs"], total["done"]) == (2, 2) and sum(row["done"] for row in rows) == 2


async def test_the_day_is_a_file_for_a_spreadsheet_and_sheets_to_print(book: Book) -> None:
    """In Chinese, or in English where that is asked for; with the same figures."""
    await world.accepted(book.ledger, "/people", world.MRS_LI)
    await eventually(lambda: book.ledger.stored("entries"))
    book.told = 1
    await book.life("r1", book.clock())
    rows = list(csv.reader(io.StringIO((await book.file(f"/numbers.csv?since={DAY}&by=kind")).decode("utf-8-sig"))))
    assert (rows[0][:3], rows[1][:3], rows[2][:3]) == (
        ["类别", "新增需求", "办结"],
        ["买菜", "1", "1"],
        ["合计", "1", "1"],
    )
    english = (await book.file(f"/numbers.csv?since={DAY}&by=kind&lang=en")).decode("utf-8-sig")
    assert english.startswith("Kind,Needs,Done,")

    printed = pypdfium2.PdfDocument(await book.file(f"/day-reports/{DAY}.pdf"))
    text = "".join(page.get_textpage().get_text_range() for page in printed)
    for said in ("社区工作日报", f"tiebei {DAY}", "按网格", "买菜", "少跑趟数", "服务户数占在册户数 1 / 1", "当日要事"):
        assert said in text.replace("  ", " "), said

    sheets = load_workbook(io.BytesIO(await book.file("/day-reports/today.xlsx")))
    assert sheets["总览"]["A2"].value.startswith(f"tiebei  {DAY}")
    assert sheets.sheetnames == ["总览", "当日要事", "按网格", "按类别", "按人员", "按紧急程度"]
    by_worker = [[cell.value for cell in row[:4]] for row in sheets["按人员"].iter_rows()]
    assert by_worker == [
        ["人员", "新增需求", "办结", "当日未结"],
        [world.ZHAO, 0, 1, 0],
        ["未定", 1, 0, 0],
        ["合计", 1, 1, 0],
    ]


async def test_what_cannot_be_counted_is_refused_by_field(book: Book) -> None:
    """Of which community, too many days, the last before the first, a day that is none, what makes no group."""

    async def refused(path: str, who: str = "coordinator") -> tuple[int, str]:
        answer = await book.ledger.call("GET", path, who=who)
        return answer.status_code, problems(answer)[0][0]

    assert await refused("/numbers", who="operator") == (422, "community")
    assert await refused("/numbers?community=elsewhere") == (403, "community")
    assert await refused("/numbers?since=2025-11-24&until=2026-11-25") == (422, "until")
    assert await refused("/numbers?since=2026-11-25&until=2026-11-24") == (422, "until")
    assert await refused("/numbers?since=2026-02-30") == (422, "since")
    assert await refused("/numbers?since=0001-01-01") == (422, "since")
    assert await refused("/day-reports/9999-12-31.pdf") == (422, "day")
    assert await refused("/numbers?by=weather") == (422, "by.0")
    assert await refused("/day-reports/2026-02-30.pdf") == (422, "day")
    assert await refused(f"/day-reports/{DAY}.docx") == (422, "form")
