"""Documents of sums: how many of a building are in which state, and what each sheet adds to that."""

import asyncio
from collections.abc import Iterable, Sequence

from services.ledger.domain.sheets import Sheet, summed, tallied
from shared.aggregates import Aggregates
from shared.contracts.rounds import Counts
from shared.documents import Document, Index, Write
from shared.runtime import Runtime

TALLIES = Index((("round_id", 1), ("grid", 1), ("building", 1)))


class Tallies:
    """The sums of rounds, building by building.

    Args:
        runtime: of the service.
        sheets: whose counts are summed.
    """

    def __init__(self, runtime: Runtime, sheets: Aggregates[Sheet]) -> None:
        self._all = runtime.collection("tallies", [TALLIES])
        self._sheets = sheets

    async def forget_after(self, round_id: str, building: Document) -> None:
        """Delete those of the buildings of a round for which this is so."""
        await self._all.delete({"round_id": round_id, "building": building})

    async def add_up(self, sheets: Iterable[Sheet]) -> None:
        """Add up the buildings of these sheets with what these say."""
        buildings: dict[tuple[str, str], list[Sheet]] = {}
        for one in sheets:
            buildings.setdefault((one.round_id, one.building), []).append(one)
        kept = await asyncio.gather(*(self._add_up(*of, some) for of, some in buildings.items()))
        for (round_id, building), done in zip(buildings, kept, strict=True):
            if not done:
                await self.add_up_anew(round_id, building)

    async def add_up_anew(self, round_id: str, building: str) -> None:
        """Add up a building, whatever was said of its sheets before."""
        await self._add_up(round_id, building, await self._whole(round_id, building), anew=True)
        # What was recorded between the reading and the writing is told again.
        await self._add_up(round_id, building, await self._whole(round_id, building))

    async def _whole(self, round_id: str, building: str) -> list[Sheet]:
        query = {"state.round_id": round_id, "state.building": building}
        return list(map(self._sheets.state, await self._sheets.collection.find(query, fields={"history": 0})))

    async def _add_up(self, round_id: str, building: str, some: Sequence[Sheet], *, anew: bool = False) -> bool:
        """False: the sums were written by a replica of a version before, which tells no sheets: all must be told."""

        def decide(known: Document | None) -> tuple[Write | None, bool]:
            before = {} if known is None or anew else known.get("sheets", {})
            stands = known is None or all(known.get(name) == number for name, number in summed(before).items())
            if not (stands or anew):
                return None, False
            after = tallied(before, some)
            if stands and after == before:
                return None, True
            place = {"round_id": round_id, "building": building, "grid": some[0].grid}
            return Write(set={**place, "sheets": after, **summed(after)}), True

        return await self._all.update(f"{round_id}/{building}", decide)

    async def counts(self, round_id: str) -> Counts:
        """How many are in which state, all over the round."""
        found = await self._all.aggregate(
            [{"$match": {"round_id": round_id}}, {"$group": {"_id": None, **_sums("$")}}, {"$unset": "_id"}]
        )
        return Counts(**found[0]) if found else Counts()

    async def counts_by(self, round_id: str) -> list[Document]:
        """The same, building by building."""
        fields = {"_id": 0, "v": 0, "seen": 0, "sheets": 0, "round_id": 0}
        return await self._all.find({"round_id": round_id}, sort=[("grid", 1), ("building", 1)], fields=fields)


def _sums(prefix: str) -> Document:
    return {name: {"$sum": f"{prefix}{name}"} for name in Counts.model_fields}
