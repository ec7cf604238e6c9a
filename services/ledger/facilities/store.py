"""Documents of the ledger: what stands in a community."""

from services.ledger.domain.facilities import Facility
from shared.documents import Document, Index
from shared.runtime import Runtime

OF_COMMUNITY = Index((("state.community", 1), ("_id", 1)))
OF_KIND = Index((("state.community", 1), ("state.kind", 1), ("_id", 1)))
OF_BUILDING = Index((("state.community", 1), ("state.building", 1), ("_id", 1)))


class Facilities:
    """What the ledger keeps of it."""

    def __init__(self, runtime: Runtime) -> None:
        indexes = [OF_COMMUNITY, OF_KIND, OF_BUILDING]
        self.all = runtime.aggregates("facilities", Facility, lambda one: one.facility_id, indexes)

    async def page(self, community: str | None, limit: int, after: str, **exactly: str | None) -> list[Document]:
        """Facilities by id: of a community, of a kind, of a building."""
        told = {"community": community, **exactly}
        query: Document = {f"state.{name}": value for name, value in told.items() if value is not None}
        query["_id"] = {"$gt": after}
        return await self.all.collection.find(query, sort=[("_id", 1)], limit=limit, fields={"history": 0})
