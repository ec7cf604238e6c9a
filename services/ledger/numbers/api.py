"""HTTP out: the numbers, and the report of a day, for those who lead."""

import asyncio
import csv
import io
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Path, Query, Response
from pydantic import BeforeValidator

from services.ledger.api import PREFIX, around, within
from services.ledger.domain.day_reports import Language, Reports, Table, Words, tables
from services.ledger.domain.export import defused
from services.ledger.domain.numbers import Dimension, Row, figures, grouped
from services.ledger.files.export import MARK, SPREADSHEET
from services.ledger.house import Ledger
from services.ledger.numbers import counting as numbers
from shared.access import LEADERS, Principal
from shared.contracts.envelope import Day
from shared.contracts.refusal import refusal
from shared.web import Somebody

LONGEST = timedelta(days=366)

Community = Annotated[str | None, Query(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
Since = Annotated[Day | None, Query(description="The first day; today without it.")]
Until = Annotated[Day | None, Query(description="The last day; the first without it.")]
ThatDay = Annotated[
    Day | None,
    BeforeValidator(lambda told: None if told == "today" else told),
    Path(description="A day, or `today`: where the community is."),
]
By = Annotated[list[Dimension] | None, Query(max_length=5, description="What makes a group; by grid without it.")]
Days = list[tuple[date, list[Row]]]


def add_number_routes(app: FastAPI, house: Ledger, reports: Reports) -> None:
    """Put the routes of numbers on the application."""

    def words(language: Language) -> Words:
        return Words(reports, house.kinds, language)

    @app.get(f"{PREFIX}/numbers", tags=["numbers"])
    async def numbers_of(
        who: Somebody, community: Community = None, since: Since = None, until: Until = None, by: By = None
    ) -> dict[str, Any]:
        """What was needed and done from one day to another, in groups; times in minutes."""
        place, days = await _place(house, who, community), _days(house, since, until)
        found, groups = await _counted(house, who, place, days), by or ["grid"]
        items = [{**group.of, **group.figures} for group in grouped(found, groups)]
        total = figures([row for _, rows in found for row in rows])
        span = {"since": days[0].isoformat(), "until": days[-1].isoformat()}
        return {"community": place, **span, "by": groups, "items": items, "total": total}

    @app.get(f"{PREFIX}/numbers.csv", tags=["numbers"], response_class=Response)
    async def numbers_as_csv(
        who: Somebody,
        community: Community = None,
        since: Since = None,
        until: Until = None,
        by: By = None,
        lang: Language = "zh",
    ) -> Response:
        """The same as a file for a spreadsheet, with a row for all of it."""
        place, days = await _place(house, who, community), _days(house, since, until)
        found, groups, say = await _counted(house, who, place, days), by or ["grid"], words(lang)
        out = io.StringIO()
        table = csv.writer(out)
        table.writerow(say.headings(groups))
        for group in grouped(found, groups):
            table.writerow([defused(one) if isinstance(one, str) else one for one in say.row(groups, group)])
        table.writerow(say.total(groups, [row for _, rows in found for row in rows]))
        return _file(MARK + out.getvalue(), "text/csv; charset=utf-8", f"numbers-{days[0]}-{days[-1]}.csv")

    @app.get(f"{PREFIX}/day-reports/{{day}}.{{form}}", tags=["numbers"], response_class=Response)
    async def day_report(
        who: Somebody,
        day: ThatDay,
        form: Literal["pdf", "xlsx"],
        community: Community = None,
        lang: Language = "zh",
    ) -> Response:
        """What a street office reads of a day: figures by grid, kind and worker, and what else happened."""
        place = await _place(house, who, community)
        # It tells of happenings and of all households, which are the whole community's.
        within(who, place)
        say, now = words(lang), house.runtime.clock()
        day = day or numbers.day_of(now)
        made = f"{place}  {day}  ·  {say.of(reports.made)} {now.astimezone(numbers.ZONE_OF_DAYS):%Y-%m-%d %H:%M}"
        parts = await _report(house, who, say, place, day)
        content = await asyncio.to_thread(_written, form, say.of(reports.title), made, parts)
        return _file(content, "application/pdf" if form == "pdf" else SPREADSHEET, f"{place}-{day}.{form}")


async def _report(house: Ledger, who: Principal, say: Words, community: str, day: date) -> list[Table]:
    (_, rows), *_ = await _counted(house, who, community, [day])
    happened, here = await asyncio.gather(
        house.store.numbers.how_often(community, *numbers.bounds(day)), house.store.register.totals(community)
    )
    return tables(say, day, rows, happened, here["households"])


def _written(form: str, title: str, below: str, parts: list[Table]) -> bytes:
    # What writes them takes 34 MiB of memory and a moment to load, and on most days nobody asks.
    from services.ledger.numbers.report_forms import as_pdf, as_spreadsheet

    return (as_pdf if form == "pdf" else as_spreadsheet)(title, below, parts)


async def _counted(house: Ledger, who: Principal, community: str, days: Sequence[date]) -> Days:
    """What the token's place has of it."""
    return [
        (day, [row for row in rows if who.covers(community, row.grid)])
        async for day, rows in numbers.of_days(house, community, days)
    ]


async def _place(house: Ledger, who: Principal, community: str | None) -> str:
    """Of which community: what is asked for, the reader's own, or the only one that there is.

    Raises:
        Refusal: it may not be read, or is not said.
    """
    who.require(*LEADERS)
    asked = community or who.community
    known = [asked] if asked else await house.store.communities()
    if len(known) != 1:
        raise refusal("community", "required", "say of which community")
    around(who, known[0])
    return known[0]


def _days(house: Ledger, since: date | None, until: date | None) -> list[date]:
    """All days from the first to the last.

    Raises:
        Refusal: there are none, or too many.
    """
    first = since or until or numbers.day_of(house.runtime.clock())
    last = until or first
    if not timedelta() <= last - first < LONGEST:
        raise refusal("until", "bad_span", f"from the first day to the last it is 1 to {LONGEST.days} days")
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _file(content: str | bytes, media: str, name: str) -> Response:
    return Response(content, media_type=media, headers={"Content-Disposition": f'attachment; filename="{name}"'})
