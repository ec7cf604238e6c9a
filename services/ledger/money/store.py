"""Documents of the ledger: money, matter by matter."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.ledger.domain.money import Matter
from shared.aggregates import Aggregates
from shared.documents import Collection, Document, Index
from shared.runtime import Runtime

_ORDER = (("state.changed_at", -1), ("_id", 1))
LIST = Index(_ORDER)
OPEN = Index((("state.is_open", 1), *_ORDER))
OF_WORKER = Index((("state.postings.lines.worker", 1), *_ORDER))
OF_PERSON = Index((("state.person_id", 1), *_ORDER))


class Money:
    """What the ledger keeps of it.

    Args:
        entries: what happened; tells whose a request is.
    """

    def __init__(self, runtime: Runtime, entries: Collection) -> None:
        self.all: Aggregates[Matter] = runtime.aggregates(
            "money", Matter, lambda one: one.matter_id, [LIST, OPEN, OF_WORKER, OF_PERSON]
        )
        self._entries = entries

    async def person_of(self, request_id: str) -> str | None:
        """The registered person whose request it is."""
        query = {"request_id": request_id, "type": "RequestCreated"}
        found = await self._entries.find(query, limit=1, fields={"data": 1})
        return json.loads(found[0]["data"]).get("person") if found else None

    async def page(
        self,
        *,
        community: str | None,
        grids: Sequence[str],
        worker: str | None,
        person: Sequence[str] | None,
        is_open: bool | None,
        limit: int,
        after: tuple[datetime, str] | None,
    ) -> list[Document]:
        """Matters, those with the newest posting first."""
        query = _of(community, grids, worker, person)
        if is_open is not None:
            query["state.is_open"] = is_open
        if after is not None:
            at, name = after
            query["$or"] = [{"state.changed_at": {"$lt": at}}, {"state.changed_at": at, "_id": {"$gt": name}}]
        return await self.all.collection.find(query, sort=list(_ORDER), limit=limit, fields={"history": 0})

    async def open_matters(
        self, *, community: str | None, grids: Sequence[str], worker: str | None, person: Sequence[str] | None
    ) -> list[Matter]:
        """Those in which anybody owes anything; in all others, whatever one adds up is nothing."""
        query = {"state.is_open": True, **_of(community, grids, worker, person)}
        found = await self.all.collection.find(query, fields={"state": 1})
        return [self.all.state(one) for one in found]


def _of(
    community: str | None, grids: Sequence[str], worker: str | None, person: Sequence[str] | None
) -> dict[str, Any]:
    query: dict[str, Any] = {}
    if community is not None:
        query["state.community"] = community
    if grids:
        query["state.grid"] = {"$in": list(grids)}
    if worker is not None:
        query["state.postings.lines.worker"] = worker
    if person is not None:
        query["state.person_id"] = {"$in": list(person)}
    return query
