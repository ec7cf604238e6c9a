"""Documents of the ledger: who is in a building and does not live there, and what is needed there."""

from collections.abc import Iterable

from services.ledger.domain.needs import Need
from services.ledger.domain.presence import Presence
from services.ledger.domain.register import Person
from services.ledger.people.store import LIVING
from shared.aggregates import Aggregates
from shared.documents import Index
from shared.runtime import Runtime

HERE = Index(
    (("state.community", 1), ("state.building", 1), ("state.since", 1), ("_id", 1)), where={"state.here": True}
)
KNOWN_BY = Index((("state.lookups", 1),))
NEEDED = Index((("state.told.community", 1), ("state.told.building", 1), ("_id", 1)))
NEEDED_BY = Index((("state.told.person_id", 1),))
LIVES = Index((("state.facts.community", 1), ("state.facts.building", 1), ("_id", 1)))
"""Of people."""
MOST = 5_000
"""Of those in one building that are listed."""


class Presences:
    """What the ledger keeps of them."""

    def __init__(self, runtime: Runtime, people: Aggregates[Person], needs: Aggregates[Need]) -> None:
        self.all: Aggregates[Presence] = runtime.aggregates(
            "presences", Presence, lambda one: one.presence_id, [HERE, KNOWN_BY]
        )
        self._people = people
        self._needs = needs

    async def living(self, community: str, building: str) -> list[str]:
        """Ids of those who live in a building."""
        query = {"state.facts.community": community, "state.facts.building": building, **LIVING}
        found = await self._people.collection.find(query, sort=[("_id", 1)], limit=MOST, fields={"_id": 1})
        return [one["_id"] for one in found]

    async def present(self, community: str, building: str) -> list[Presence]:
        """Those who are there besides, the longest first."""
        query = {"state.here": True, "state.community": community, "state.building": building}
        order = [("state.since", 1), ("_id", 1)]
        found = await self.all.collection.find(query, sort=order, limit=MOST, fields={"history": 0})
        return [self.all.state(one) for one in found]

    async def found_by(self, lookups: Iterable[str]) -> list[Presence]:
        """Those who have one of these blind indexes, whether they are still there or not."""
        query = {"state.lookups": {"$in": list(lookups)}}
        found = await self.all.collection.find(query, limit=MOST, fields={"history": 0})
        return [self.all.state(one) for one in found]

    async def by_id(self, presences: Iterable[str]) -> dict[str, Presence]:
        """These, where they are or were."""
        found = await self.all.collection.find({"_id": {"$in": list(presences)}}, fields={"history": 0})
        return {one["_id"]: self.all.state(one) for one in found}

    async def needed(self, community: str, building: str) -> list[Need]:
        """What was pinned there."""
        query = {"state.told.community": community, "state.told.building": building}
        found = await self._needs.collection.find(query, sort=[("_id", 1)], limit=MOST, fields={"history": 0})
        return [self._needs.state(one) for one in found]
