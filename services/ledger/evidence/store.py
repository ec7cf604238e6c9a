"""Documents of the ledger: what partners owe every day, day by day."""

from datetime import date, datetime, timedelta
from typing import Any

from services.ledger.domain.evidence import Day, Owing
from shared.aggregates import Aggregates
from shared.documents import Document, Index
from shared.runtime import Runtime

LOOKED_BACK = 8
"""Days before and, since a report may come late, after, in which the same picture is noticed, of whichever partner."""
LOOKED_AT = 1_000
_ORDER = (("state.day", -1), ("_id", 1))
LIST = Index(_ORDER)
OF_PARTNER = Index((("state.partner", 1), *_ORDER))
HERE = Index((("state.community", 1), *_ORDER))
NEXT = Index((("state.next_at", 1),), where={"state.next_at": {"$type": "date"}})
DUE = Index((("state.due_at", 1),), where={"state.due_at": {"$type": "date"}})


class Evidence:
    """What the ledger keeps of it."""

    def __init__(self, runtime: Runtime) -> None:
        self.owing: Aggregates[Owing] = runtime.aggregates("owing", Owing, lambda one: one.owing_id, [NEXT])
        self.days: Aggregates[Day] = runtime.aggregates(
            "evidence_days", Day, lambda one: one.owing_id, [LIST, OF_PARTNER, HERE, DUE]
        )

    async def beginning(self, now: datetime, limit: int) -> list[Owing]:
        """What is owed on a day that has begun, longest first."""
        query = {"state.next_at": {"$type": "date", "$lte": now}}
        found = await self.owing.collection.find(query, sort=[("state.next_at", 1)], limit=limit, fields={"history": 0})
        return [self.owing.state(one) for one in found]

    async def due(self, now: datetime, limit: int) -> list[str]:
        """Days on which it is time to remind or to name, longest first."""
        query = {"state.due_at": {"$type": "date", "$lte": now}}
        found = await self.days.collection.find(query, sort=[("state.due_at", 1)], limit=limit, fields={"_id": 1})
        return [one["_id"] for one in found]

    async def about(self, community: str, day: str) -> list[Day]:
        """A day and those around it, whoever owes them, the last first."""
        itself, around = date.fromisoformat(day), timedelta(days=LOOKED_BACK)
        days = {"$gte": (itself - around).isoformat(), "$lte": (itself + around).isoformat()}
        query = {"state.community": community, "state.day": days}
        found = await self.days.collection.find(query, sort=list(_ORDER), limit=LOOKED_AT, fields={"history": 0})
        return [self.days.state(one) for one in found]

    async def page(
        self, *, community: str | None, limit: int, after: tuple[str, str] | None, **exactly: str | None
    ) -> list[Document]:
        """Days, the last first."""
        query: dict[str, Any] = {f"state.{name}": value for name, value in exactly.items() if value is not None}
        if community is not None:
            query["state.community"] = community
        if after is not None:
            day, name = after
            query["$or"] = [{"state.day": {"$lt": day}}, {"state.day": day, "_id": {"$gt": name}}]
        return await self.days.collection.find(query, sort=list(_ORDER), limit=limit, fields={"history": 0})
