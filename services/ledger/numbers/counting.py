"""The numbers of days: each is counted from its entries when somebody asks, and kept once it is over."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import date, datetime, time, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

from services.ledger.domain.entry import Fact
from services.ledger.domain.numbers import COUNTED, OF_REQUESTS, Day, Happened, Row, count
from services.ledger.house import Ledger
from services.ledger.rebuilding.store import event_of
from shared.contracts import EVENTS
from shared.contracts.duties import ZONE
from shared.contracts.follow_ups import FollowUpRecorded
from shared.documents import Document

ZONE_OF_DAYS = ZoneInfo(ZONE)
_TOGETHER = 200
"""Requests looked at together."""
SETTLED = timedelta(days=2)
"""After this, what was entered of a day is kept as it was counted."""


def day_of(at: datetime) -> date:
    """The day on which it was, where the communities are."""
    return at.astimezone(ZONE_OF_DAYS).date()


def bounds(day: date) -> tuple[datetime, datetime]:
    """Midnight to midnight."""
    begins = datetime.combine(day, time(), ZONE_OF_DAYS)
    return begins, datetime.combine(day + timedelta(days=1), time(), ZONE_OF_DAYS)


async def of_days(house: Ledger, community: str, days: Sequence[date]) -> AsyncIterator[tuple[date, list[Row]]]:
    """The rows of each day, the first one first."""
    numbers = house.store.numbers
    kept = await numbers.kept(community, [day.isoformat() for day in days])
    now = house.runtime.clock()
    settled = [day.isoformat() for day in days if now >= bounds(day)[1] + SETTLED]
    kept |= await numbers.begin(community, [day for day in settled if day not in kept])
    for day in days:
        known = kept.get(day.isoformat(), {})
        if "rows" in known:
            yield day, [Row.model_validate(row) for row in known["rows"]]
            continue
        rows = await _count(house, community, day)
        if "mark" in known:
            await numbers.keep(community, day.isoformat(), known["mark"], rows)
        yield day, rows


async def note(house: Ledger, fact: Fact) -> None:
    """What was entered of a day that may be kept by now makes it be counted again.

    And all after it, where it is of a request: what happened to that on a later day is counted with what was before.
    """
    now = house.runtime.clock()
    # Of nearly everything this alone says that its day is not kept yet.
    if now - fact.at < SETTLED:
        return
    begins, ends = bounds(day_of(fact.at))
    if now >= ends + SETTLED and EVENTS[fact.wire] in COUNTED:
        day = begins.date().isoformat()
        alone = EVENTS[fact.wire] is FollowUpRecorded
        await house.store.numbers.forget(fact.community, day, day if alone else None)


async def _count(house: Ledger, community: str, day: date) -> list[Row]:
    numbers, (begins, ends) = house.store.numbers, bounds(day)
    requests = await numbers.requests_of(community, begins, ends, OF_REQUESTS)
    lives: list[list[Happened]] = []
    for start in range(0, len(requests), _TOGETHER):
        entries = await numbers.lives(requests[start : start + _TOGETHER], ends, OF_REQUESTS)
        lives += (_happened(life) for _, life in groupby(entries, lambda one: one["request_id"]))
    talks = _happened([one async for one in numbers.entered(community, begins, ends, (FollowUpRecorded,))])
    kinds = house.kinds.kinds
    return count(Day(begins, ends, lambda kind: kinds[kind].walks if kind in kinds else 1), lives, talks)


def _happened(entries: Iterable[Document]) -> list[Happened]:
    return [Happened(one["at"], event) for one in entries if (event := event_of(one)) is not None]
