"""The head of each chain, kept beside it under a keyed hash: by it, entries that were cut off the end are missed."""

import asyncio
from collections import Counter

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
        last = {name: {"$first": f"${name}"} for name in ("sequence", "hash", "previous")}
        ends = await self._entries.aggregate(
            [{"$sort": {"community": -1, "sequence": -1}}, {"$group": {"_id": "$community", **last}}]
        )
        known = await self.kept()
        grown: dict[str, Link] = {}
        below: dict[str, list[Document]] = {}
        """What each of them must have, so that its end follows from what was known and from the entry before."""
        for one in ends:
            name, end = one["_id"], stored_link(one)
            if end is not None and (name not in known or end.sequence > known[name].sequence):
                before = Link(sequence=end.sequence - 1, hash=str(one["previous"]))
                links = [before] if known.get(name, before) == before else [before, known[name]]
                grown[name] = end
                below[name] = [{"community": name, **link.model_dump()} for link in links if link != Link()]
        asked = [link for links in below.values() for link in links]
        found = await self._entries.find({"$or": asked}, fields={"community": 1}) if asked else []
        there = Counter(one["community"] for one in found)
        raised = [name for name in grown if there[name] == len(below[name])]
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
