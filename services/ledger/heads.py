"""The head of each chain, kept beside it under a keyed hash: by it, entries that were cut off the end are missed."""

import asyncio

from services.ledger.domain.entry import Link, stored_link
from shared.documents import Collection, Document, Write
from shared.runtime import Runtime


class Heads:
    """How far each chain was when somebody looked last.

    A head may lag behind its chain, and is never ahead of it: it is written after the entries that it speaks of, and
    the database keeps or loses writes in their order.

    Args:
        entries: the book.
    """

    def __init__(self, runtime: Runtime, entries: Collection) -> None:
        self._heads = runtime.collection("heads")
        self._entries = entries
        self._lookup = runtime.lookup

    async def kept(self) -> dict[str, Link]:
        """By community; a head that is not as it was written is one that no entry has."""
        return {one["_id"]: self._link(one) for one in await self._heads.find({})}

    async def go_on(self) -> int:
        """Raise those whose chains grew; how many. One that its chain does not have any more stays, and is missed."""
        newest = await self._entries.aggregate(
            [
                {"$sort": {"community": -1, "sequence": -1}},
                {"$group": {"_id": "$community", "sequence": {"$first": "$sequence"}, "hash": {"$first": "$hash"}}},
            ]
        )
        known = await self.kept()
        ends = {one["_id"]: link for one in newest if (link := stored_link(one)) is not None}
        grown = {name: link for name, link in ends.items() if name not in known or link.sequence > known[name].sequence}
        before = [{"community": name, **known[name].model_dump()} for name in grown if name in known]
        found = await self._entries.find({"$or": before}, fields={"community": 1}) if before else []
        raised = [name for name in grown if name not in known or name in {one["community"] for one in found}]
        await asyncio.gather(*(self._raise(name, grown[name]) for name in raised))
        return len(raised)

    async def _raise(self, community: str, end: Link) -> None:
        head = Write(set={**end.model_dump(), "seal": self._seal(community, end)})

        def decide(known: Document | None) -> tuple[Write | None, None]:
            return (None if known is not None and known["sequence"] >= end.sequence else head), None

        await self._heads.update(community, decide)

    def _link(self, head: Document) -> Link:
        link = stored_link(head)
        return link if link is not None and head.get("seal") == self._seal(head["_id"], link) else Link(hash="")

    def _seal(self, community: str, end: Link) -> str:
        return self._lookup.blind("head of a chain", community, str(end.sequence), end.hash)
