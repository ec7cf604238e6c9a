"""Documents of dispatch: duties, with who has a place."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.dispatch.domain.duties import LONGEST, Duty, quarters
from shared.documents import Document, Index
from shared.runtime import Runtime

_ORDER = (("state.begins", 1), ("_id", 1))
LIST = Index((("state.state", 1), *_ORDER))
BOOKED = Index((("state.booked", 1), *_ORDER))
TAKEN = Index((("state.taken", 1),), unique=True, where={"state.taken": {"$type": "string"}})
"""Nobody is in two places at once: a booking is refused where another duty has one of his quarters of an hour."""
DUE = Index((("state.due_at", 1),), where={"state.due_at": {"$type": "date"}})


class Duties:
    """What dispatch keeps of duties."""

    def __init__(self, runtime: Runtime) -> None:
        self.all = runtime.aggregates("duties", Duty, lambda one: one.duty_id, [LIST, BOOKED, TAKEN, DUE])

    async def on_duty(self, communities: Sequence[str], now: datetime) -> frozenset[str]:
        """Who stands somewhere there just now."""
        query = {**_to_come(now), "state.community": {"$in": list(communities)}}
        query["state.begins"] |= {"$lte": now}
        found = await self.all.collection.find(query, fields={"state.booked": 1})
        return frozenset(name for one in found for name in one["state"]["booked"])

    async def in_the_way(self, worker: str, duty: Duty) -> str | None:
        """A duty that he is booked for in the time of this one."""
        query = {"state.taken": {"$type": "string", "$in": list(quarters(worker, duty.begins, duty.ends))}}
        found = await self.all.collection.find(query, fields={"_id": 1})
        return next((one["_id"] for one in found if one["_id"] != duty.duty_id), None)

    async def due(self, now: datetime, limit: int) -> list[str]:
        """Duties that are over and not attested, and of which no coordinator was told."""
        query = {"state.due_at": {"$type": "date", "$lte": now}}
        found = await self.all.collection.find(query, sort=[("state.due_at", 1)], limit=limit, fields={"_id": 1})
        return [one["_id"] for one in found]

    async def page(
        self,
        now: datetime,
        *,
        community: str | None = None,
        worker: str | None = None,
        over: bool = False,
        limit: int,
        after: tuple[datetime, str] | None = None,
    ) -> list[Document]:
        """Duties to come or under way, the first to begin first; `over`: those that wait to be attested."""
        query = _to_come(now)
        if over:
            query = {"state.state": "open", "state.ends": {"$lte": now}, "state.booked": {"$ne": []}}
        if community is not None:
            query["state.community"] = community
        if worker is not None:
            query["state.booked"] = worker
        if after is not None:
            begins, duty_id = after
            query["$or"] = [
                {"state.begins": {"$gt": begins}},
                {"state.begins": begins, "_id": {"$gt": duty_id}},
            ]
        return await self.all.collection.find(query, sort=list(_ORDER), limit=limit, fields={"history": 0})

    async def attested(self, worker: str, since: datetime, until: datetime) -> list[Duty]:
        """Duties that began in that time, for which he was booked, and of which it was said who was there."""
        query = {
            "state.booked": worker,
            "state.begins": {"$gte": since, "$lt": until},
            "state.state": "attested",
        }
        found = await self.all.collection.find(query, sort=list(_ORDER), fields={"state": 1})
        return [self.all.state(one) for one in found]


def _to_come(now: datetime) -> dict[str, Any]:
    """Or under way; none that began longer ago can be."""
    return {"state.state": "open", "state.begins": {"$gt": now - LONGEST}, "state.ends": {"$gt": now}}
