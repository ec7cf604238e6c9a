"""Documents of programmes."""

from collections.abc import Sequence
from datetime import datetime

from services.ledger.domain.programmes import Programme
from shared.documents import Document, Index
from shared.runtime import Runtime

NEXT = Index((("state.next_at", 1),), where={"state.next_at": {"$type": "date"}})
OF_COMMUNITY = Index((("state.community", 1), ("_id", 1)))


class Programmes:
    """Who is looked after because of what he is one of."""

    def __init__(self, runtime: Runtime) -> None:
        self.all = runtime.aggregates("programmes", Programme, lambda one: one.programme_id, [NEXT, OF_COMMUNITY])

    async def due(self, now: datetime, limit: int) -> list[Programme]:
        """Those whose next time has come, longest first."""
        query = {"state.next_at": {"$type": "date", "$lte": now}}
        found = await self.all.collection.find(query, sort=[("state.next_at", 1)], limit=limit, fields={"history": 0})
        return [self.all.state(one) for one in found]

    async def page(self, community: str | None, grids: Sequence[str], limit: int, after: str) -> list[Document]:
        """Programmes by id: of a community, of grids."""
        query: Document = {"_id": {"$gt": after}}
        if community is not None:
            query["state.community"] = community
        if grids:
            query["state.everybody.grid"] = {"$in": list(grids)}
        return await self.all.collection.find(query, sort=[("_id", 1)], limit=limit, fields={"history": 0})
