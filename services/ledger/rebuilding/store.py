"""Documents of the ledger, beside the entries that are about them."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from pydantic import ValidationError

from services.ledger.domain.rebuilding import Told, told_by
from services.ledger.domain.registers import KINDS, REGISTERS, SHEETS, about
from services.ledger.store import Store
from shared.aggregates import Aggregates
from shared.contracts import EVENTS
from shared.contracts.envelope import Event
from shared.documents import Document, Patch


def event_of(entry: Document) -> Event | None:
    """The event that was entered; None: somebody made it unreadable, which the chain shows."""
    kind = EVENTS.get(entry.get("wire", ""))
    try:
        return None if kind is None else kind.model_validate_json(entry.get("data", ""), extra="ignore")
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
            store.evidence.days,
            store.rounds.all,
            store.rounds.rosters,
            store.rounds.reports,
            store.rounds.strangers,
        )
        self.all: Mapping[str, Aggregates[Any]] = {one.collection.name: one for one in kept}
        assert self.all.keys() == REGISTERS.keys()
        self.rounds = store.rounds
        self._entries = store.entries

    async def entered(self, name: str, after: str, limit: int) -> tuple[dict[str, list[Document]], bool]:
        """What was entered of the first documents after an id, by their ids; and whether there are more of them."""
        found: dict[str, list[Document]] = {}
        # Of all that comes after `/`, `0` is the first that is no id any more.
        async with aclosing(self._about({"$gt": f"{name}/{after}", "$lt": f"{name}0"})) as entries:
            async for entry in entries:
                record = entry["about"].partition("/")[2]
                if record not in found and len(found) == limit:
                    return found, True
                found.setdefault(record, []).append(entry)
        return found, False

    async def entered_of_round(self, name: str, round_id: str, after: str = "") -> AsyncGenerator[tuple[str, Event]]:
        """Ids and events of what was entered of a register's documents of one round, whose names there come after one.

        Where somebody moved an entry here from elsewhere, or made it unreadable, it is passed over.
        """
        of_round = {"$gt": f"{name}/{round_id}/{after}", "$lt": f"{name}/{round_id}0"}
        async with aclosing(self._about(of_round)) as entries:
            async for entry in entries:
                event = event_of(entry)
                # The id of another round may begin with this one's; that a document was put right names no round.
                of_it = getattr(event, "round_id", round_id) == round_id
                if event is not None and of_it and about(event) == entry["about"]:
                    yield entry["_id"], event

    async def told_of(self, name: str, record: str) -> Told:
        """What is told of one document."""
        subject = f"{name}/{record}"
        events = [event_of(entry) async for entry in self._about({"$eq": subject})]
        return told_by(REGISTERS[name], [one for one in events if one is not None and about(one) == subject])

    def _about(self, which: Document) -> AsyncGenerator[Document]:
        """Entries by what they are about, each document's in their order."""
        query = {"about": {"$type": "string", **which}}
        fields: Document = dict.fromkeys(
            ("about", "turn", "wire", "data", "at", "cause", "actor", "community", "grid"), 1
        )
        return self._entries.stream(query, sort=[("about", 1), ("turn", 1), ("_id", 1)], fields=fields)

    async def stored(self, name: str, after: str, limit: int) -> tuple[dict[str, Document], bool]:
        """The first documents after an id; and whether there are more of them."""
        found = await self.all[name].collection.find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=limit + 1)
        return {one["_id"]: one for one in found[:limit]}, len(found) > limit

    async def counts(self) -> dict[str, int]:
        """How many documents each of them holds, nearly."""
        kept = {**self.all, SHEETS: self.rounds.sheets}
        counts = await asyncio.gather(*(one.collection.count() for one in kept.values()))
        return dict(zip(kept, counts, strict=True))

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
