"""Documents of the ledger: who is observed at home."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.ledger.domain.observation import Observation
from shared.aggregates import Aggregates
from shared.documents import Document, Index
from shared.runtime import Runtime

_ORDER = (("state.starts", -1), ("_id", 1))
LIST = Index((("state.state", 1), *_ORDER))
BUILDING = Index((("state.building", 1), ("state.state", 1), *_ORDER))
OF_PERSON = Index((("state.person_id", 1), ("state.state", 1), *_ORDER))
ONCE = Index((("state.under", 1),), unique=True, where={"state.under": {"$type": "string"}})
"""Nobody is observed twice at once: the write that would make it so is refused."""
TOLD = Index((("state.entries.observation_id", 1),))
DUE = Index((("state.due_at", 1),), where={"state.due_at": {"$type": "date"}})


class Observations:
    """What the ledger keeps of them."""

    def __init__(self, runtime: Runtime) -> None:
        self.all: Aggregates[Observation] = runtime.aggregates(
            "observations", Observation, lambda one: one.person_id, [LIST, BUILDING, OF_PERSON, ONCE, TOLD, DUE]
        )

    async def told(self, observation_id: str) -> Observation | None:
        """The observation that came of what was told under an id."""
        return await self._one({"state.entries.observation_id": observation_id})

    async def of_person(self, person: Sequence[str]) -> Observation | None:
        """An observation that somebody is under now, by all ids of this person."""
        return next(iter(await self.all_of_person(person)), None)

    async def all_of_person(self, person: Sequence[str]) -> list[Observation]:
        """All that somebody is under now: of two who were observed when they were found to be one, both go on."""
        query = {"state.under": {"$type": "string", "$in": list(person)}}
        found = await self.all.collection.find(query, fields={"history": 0})
        return [self.all.state(one) for one in found]

    async def due(self, now: datetime, limit: int) -> list[str]:
        """Those whose last day is over, longest first."""
        query = {"state.due_at": {"$type": "date", "$lte": now}}
        found = await self.all.collection.find(query, sort=[("state.due_at", 1)], limit=limit, fields={"_id": 1})
        return [one["_id"] for one in found]

    async def page(
        self,
        *,
        community: str | None,
        grids: Sequence[str],
        limit: int,
        after: tuple[str, str] | None,
        person: Sequence[str] | None = None,
        **exactly: str | None,
    ) -> list[Document]:
        """Observations, those that began last before the others; `person`: all ids of one."""
        query = _within(community, grids)
        query |= {f"state.{name}": value for name, value in exactly.items() if value is not None}
        if person is not None:
            query["state.person_id"] = {"$in": list(person)}
        if after is not None:
            starts, name = after
            query["$or"] = [{"state.starts": {"$lt": starts}}, {"state.starts": starts, "_id": {"$gt": name}}]
        return await self.all.collection.find(query, sort=list(_ORDER), limit=limit, fields={"history": 0})

    async def counts(self, community: str | None, grids: Sequence[str]) -> tuple[int, dict[str, dict[str, int]]]:
        """How many people are observed, and by list how many in each category; on two lists, one counts on each."""
        query = {"state.state": "observed", **_within(community, grids)}
        found = await self.all.collection.aggregate(
            [
                {"$match": query},
                {"$unwind": "$state.entries"},
                {"$match": {"state.entries.replaced": False}},
                {
                    "$group": {
                        "_id": {"listing": "$state.entries.listing", "category": "$state.entries.category"},
                        "count": {"$sum": 1},
                    }
                },
            ]
        )
        by_list: dict[str, dict[str, int]] = {}
        for one in found:
            by_list.setdefault(one["_id"]["listing"], {})[one["_id"]["category"]] = one["count"]
        return await self.all.collection.count(query), by_list

    async def _one(self, query: Document) -> Observation | None:
        found = await self.all.collection.find(query, limit=1, fields={"history": 0})
        return self.all.state(found[0]) if found else None


def _within(community: str | None, grids: Sequence[str]) -> dict[str, Any]:
    query: dict[str, Any] = {}
    if community is not None:
        query["state.community"] = community
    if grids:
        query["state.grid"] = {"$in": list(grids)}
    return query
