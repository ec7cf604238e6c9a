"""What the ledger counts: the entries of a day, and the days that are counted."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

from services.ledger.domain.numbers import Row
from shared.contracts.envelope import Event
from shared.documents import Collection, Document, Index
from shared.runtime import Runtime

OF_DAY = Index((("community", 1), ("at", 1), ("type", 1)))
"""Of entries."""
_TOLD = {"type": 1, "wire": 1, "at": 1, "data": 1, "request_id": 1}
_DAY = "{community}/{day}"


class Numbers:
    """Days as they were counted, each until something more becomes known of it.

    Args:
        entries: the book.
    """

    def __init__(self, runtime: Runtime, entries: Collection) -> None:
        self.days = runtime.collection("days")
        self._entries = entries
        self._new_id = runtime.new_id

    async def requests_of(
        self, community: str, begins: datetime, ends: datetime, types: Sequence[type[Event]]
    ) -> list[str]:
        """Requests of which something of these types was entered."""
        query = {**_within(community, begins, ends, types), "request_id": {"$ne": None}}
        found = self._entries.stream(query, fields={"request_id": 1})
        return sorted({one["request_id"] async for one in found})

    async def lives(self, requests: Sequence[str], until: datetime, types: Sequence[type[Event]]) -> list[Document]:
        """Entries of these types of these requests, request by request."""
        query = {"request_id": {"$in": list(requests)}, "type": {"$in": _names(types)}, "at": {"$lt": until}}
        return await self._entries.find(query, sort=[("request_id", 1), ("_id", 1)], fields=_TOLD)

    def entered(
        self, community: str, begins: datetime, ends: datetime, types: Sequence[type[Event]]
    ) -> AsyncIterator[Document]:
        """Entries of these types."""
        return self._entries.stream(_within(community, begins, ends, types), fields=_TOLD)

    async def how_often(self, community: str, begins: datetime, ends: datetime) -> dict[str, int]:
        """How often each type of event was entered."""
        found = await self._entries.aggregate(
            [
                {"$match": {"community": community, "at": {"$gte": begins, "$lt": ends}}},
                {"$group": {"_id": "$type", "n": {"$sum": 1}}},
            ]
        )
        return {one["_id"]: one["n"] for one in found}

    async def kept(self, community: str, days: Sequence[str]) -> dict[str, Document]:
        """The days that are known, counted or about to be, by the day."""
        names = [_DAY.format(community=community, day=day) for day in days]
        found = await self.days.find({"_id": {"$in": names}})
        return {one["_id"].rpartition("/")[2]: one for one in found}

    async def begin(self, community: str, days: Sequence[str]) -> dict[str, Document]:
        """Mark days that are not known yet, before they are counted; those that nobody else marked meanwhile."""
        marked = {day: {"_id": _DAY.format(community=community, day=day), "mark": self._new_id()} for day in days}
        known = await self.days.insert_new(list(marked.values())) if marked else set[str]()
        return {day: one for day, one in marked.items() if one["_id"] not in known}

    async def keep(self, community: str, day: str, mark: str, rows: Sequence[Row]) -> None:
        """Keep a counted day, unless it was forgotten since it was marked so."""
        name = _DAY.format(community=community, day=day)
        change = {"$set": {"rows": [row.model_dump() | {"households": sorted(row.households)} for row in rows]}}
        await self.days.take({"_id": name, "mark": mark}, change)

    async def forget(self, community: str, first: str, last: str | None = None) -> None:
        """Something more became known of these days, all from the first on without a last: they are counted again."""
        # Of all that comes after `/`, `0` is the first that is no day any more.
        end = {"$lt": f"{community}0"} if last is None else {"$lte": _DAY.format(community=community, day=last)}
        await self.days.delete({"_id": {"$gte": _DAY.format(community=community, day=first), **end}})


def _within(community: str, begins: datetime, ends: datetime, types: Sequence[type[Event]]) -> dict[str, Any]:
    return {"community": community, "at": {"$gte": begins, "$lt": ends}, "type": {"$in": _names(types)}}


def _names(types: Sequence[type[Event]]) -> list[str]:
    return [one.__name__ for one in types]
