"""Documents of the ledger, beside the entries that are about them."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from pydantic import ValidationError

from services.ledger.domain.registers import KINDS, REGISTERS, about
from services.ledger.store import Store
from shared.aggregates import Aggregates
from shared.contracts import EVENTS
from shared.contracts.envelope import Event
from shared.documents import Document, Patch


def event_of(entry: Document) -> Event | None:
    """The event that was entered; None: somebody made it unreadable, which the chain shows."""
    kind = EVENTS.get(entry["wire"])
    try:
        return None if kind is None else kind.model_validate_json(entry["data"])
    except ValidationError:
        return None


class Registers:
    """Every register that can be made again, by name, and what was entered of its documents."""

    def __init__(self, store: Store) -> None:
        kept: tuple[Aggregates[Any], ...] = (
            store.buildings,
            store.access,
            store.people,
            store.plans,
            store.programmes.all,
            store.follow_ups,
            store.cases.all,
            store.cases.agreements,
            store.cases.checks,
            store.observations.all,
            store.presences.all,
            store.needs,
            store.money.all,
            store.evidence.owing,
            store.facilities.all,
        )
        self.all: Mapping[str, Aggregates[Any]] = {one.collection.name: one for one in kept}
        assert self.all.keys() == REGISTERS.keys()
        self._entries = store.entries

    async def entered(self, name: str, after: str, limit: int) -> tuple[dict[str, list[Document]], bool]:
        """What was entered of the first documents after an id, by their ids; and whether there are more of them."""
        found: dict[str, list[Document]] = {}
        # Of all that comes after `/`, `0` is the first that is no id any more.
        query = {"about": {"$type": "string", "$gt": f"{name}/{after}", "$lt": f"{name}0"}}
        fields: Document = dict.fromkeys(
            ("about", "turn", "wire", "data", "at", "cause", "actor", "community", "grid"), 1
        )
        entries = self._entries.stream(query, sort=[("about", 1), ("turn", 1), ("_id", 1)], fields=fields)
        async with aclosing(entries):
            async for entry in entries:
                record = entry["about"].partition("/")[2]
                if record not in found and len(found) == limit:
                    return found, True
                found.setdefault(record, []).append(entry)
        return found, False

    async def stored(self, name: str, after: str, limit: int) -> tuple[dict[str, Document], bool]:
        """The first documents after an id; and whether there are more of them."""
        found = await self.all[name].collection.find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=limit + 1)
        return {one["_id"]: one for one in found[:limit]}, len(found) > limit

    async def counts(self) -> dict[str, int]:
        """How many documents each of them holds, nearly."""
        counts = await asyncio.gather(*(one.collection.count() for one in self.all.values()))
        return dict(zip(self.all, counts, strict=True))

    async def name_older(self, after: str, limit: int) -> tuple[int, str | None]:
        """Say of entries what they are about, where that was not done when they were entered.

        Returns:
            How many these were, and the last entry that was looked at; None: there are no more.
        """
        query = {"type": {"$in": list(KINDS)}, "_id": {"$gt": after}}
        found = await self._entries.find(query, sort=[("_id", 1)], limit=limit, fields={"about": 1})
        nameless = [one["_id"] for one in found if "about" not in one]
        entries = await self._entries.find({"_id": {"$in": nameless}}, fields={"wire": 1, "data": 1})
        named = [(one["_id"], about(event)) for one in entries if (event := event_of(one)) is not None]
        await asyncio.gather(*(self._entries.patch(name, Patch({"about": subject}, {})) for name, subject in named))
        return len(named), found[-1]["_id"] if len(found) == limit else None
