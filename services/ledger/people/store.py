"""Documents of people: who they are by which blind index, and the lists of them."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any

from services.ledger.domain.people import TELLING
from services.ledger.domain.register import Person
from services.ledger.key_store import Keys
from shared.aggregates import Aggregates
from shared.documents import Document, Index, Write
from shared.runtime import Runtime
from shared.sealing import Sealer

OF_GRID = Index((("state.facts.community", 1), ("state.facts.grid", 1), ("_id", 1)))
OF_BUILDING = Index((("state.facts.building", 1), ("_id", 1)))
OF_CATEGORY = Index((("state.facts.categories", 1), ("_id", 1)))
OF_LIST = Index((("state.facts.lists", 1), ("_id", 1)))
FIRST_LINE = Index((("state.facts.first_line", 1), ("_id", 1)), where={"state.facts.first_line": True})
LATER = Index((("state.identities.born", 1),), where={"state.facts.lives_alone": True, "state.facts.first_line": False})
"""Who will stand in the first line."""
OF_HOUSEHOLD = Index((("state.facts.household", 1),))
BY_DOOR = Index((("state.facts.community", 1), ("state.facts.building", 1), ("state.facts.household", 1), ("_id", 1)))
BY_LOOKUP = Index((("state.facts.lookups", 1), ("_id", 1)))
BY_NUMBER = Index(
    (("state.identities.id_number", 1), ("_id", 1)), where={"state.identities.id_number": {"$exists": True}}
)
ABSORBED = Index((("state.merged_into", 1),), where={"state.merged_into": {"$type": "string"}})
FORGET = Index((("state.forget_at", 1),), where={"state.forget_at": {"$type": "date"}})
ERASING = Index((("state.erasing.0", 1),), where={"state.erasing.0": {"$exists": True}})
PEOPLE = (
    OF_GRID,
    OF_BUILDING,
    OF_CATEGORY,
    OF_LIST,
    FIRST_LINE,
    LATER,
    OF_HOUSEHOLD,
    BY_DOOR,
    BY_LOOKUP,
    BY_NUMBER,
    ABSORBED,
    FORGET,
    ERASING,
)
ABOUT = {
    **dict.fromkeys(("plans", "observations", "cases", "money", "strangers"), "state.person_id"),
    "needs": "state.told.person_id",
}
"""Collections with documents about one person, and where these name him."""
_ENTERED = {"state.merged_into": None, "state.erased": {"$ne": True}}
LIVING = {**_ENTERED, "state.facts.here": {"$ne": False}}
_TOGETHER = 500
HELD_BY = Index((("person", 1),))


def claim_of(person_id: str, identities: Mapping[str, str]) -> Document:
    """What an alias says of its holder."""
    return {"person": person_id, **{name: identities[name] for name in TELLING if name in identities}}


def context_of(person_id: str) -> str:
    """What a person's seal belongs to."""
    return f"person:{person_id}"


class Register:
    """What the ledger keeps about who is who.

    An alias is a document under a blind index (or under the id that a source's own id stands for) which one person
    holds: a claim is one conditional write.
    """

    def __init__(self, runtime: Runtime, people: Aggregates[Person], keys: Keys) -> None:
        self.people = people
        self.aliases = runtime.collection("aliases", [HELD_BY])
        self._keys = keys
        self._about = {name: runtime.collection(name) for name in ABOUT}

    async def current(self, person_id: str) -> Person | None:
        """Somebody, as known under whichever id by now."""
        known = await self.people.get(person_id)
        while known is not None and known.merged_into is not None:
            known = await self.people.get(known.merged_into)
        return known

    async def ids_of(self, person_id: str) -> tuple[str, ...]:
        """All ids under which things were told of somebody: the one that counts, and of whoever was found to be him.

        What was told keeps its id, so that after an unmerge each has again what was his.
        """
        known = await self.current(person_id)
        found = [person_id if known is None else known.facts.person_id]
        for one in found:
            also = known if one == found[0] else await self.people.get(one)
            found += also.absorbed if also is not None else ()
        return tuple(found)

    async def counting(self, ids: Iterable[str]) -> dict[str, str]:
        """Of many ids those under which somebody was known, each with the one that counts now."""
        found: dict[str, str] = {}
        asked = set(ids)
        while asked:
            query = {"_id": {"$in": sorted(asked)}, "state.merged_into": {"$type": "string"}}
            merged = await self.people.collection.find(query, fields={"state.merged_into": 1})
            into = {one["_id"]: one["state"]["merged_into"] for one in merged}
            found = {one: into.get(name, name) for one, name in found.items()} | into
            asked = set(into.values())
        return found

    async def holders(self, aliases: Sequence[str]) -> dict[str, Document]:
        """Who holds which of them: `person`, and what else is told of whoever claimed it (`TELLING`)."""
        found = await asyncio.gather(*(self.aliases.get(one) for one in aliases))
        return {one["_id"]: one for one in found if one is not None}

    async def claim(self, alias: str, person_id: str, identities: Mapping[str, str]) -> Document:
        """Let a person hold it, unless another does; who holds it."""
        claim = claim_of(person_id, identities)

        def decide(known: Document | None) -> tuple[Write | None, Document]:
            return (None, known) if known else (Write(set=claim), claim)

        return await self.aliases.update(alias, decide, new=True)

    async def pass_on(self, aliases: Iterable[str], person_id: str, to: str) -> None:
        """What one person holds of these, another holds from now on."""

        def decide(known: Document | None) -> tuple[Write | None, None]:
            return (Write(set={"person": to}) if known and known["person"] == person_id else None), None

        await asyncio.gather(*(self.aliases.update(one, decide) for one in aliases))

    async def held(self, person_id: str) -> list[str]:
        """All that a person holds."""
        return [one["_id"] for one in await self.aliases.find({"person": person_id}, fields={"_id": 1})]

    async def let_go(self, person_id: str, aliases: Sequence[str] | None = None) -> None:
        """A person holds these no more; None: nothing at all."""
        of = {} if aliases is None else {"_id": {"$in": list(aliases)}}
        await self.aliases.delete({"person": person_id, **of})

    async def to_forget(self, now: datetime, limit: int) -> list[str]:
        """Whose erasure was cut short, and whose time is over, longest first.

        Who is known under another id is erased with that one.
        """
        find, fields = self.people.collection.find, {"_id": 1}
        found = await find({"state.erasing.0": {"$exists": True}}, limit=limit, fields=fields)
        query = {"state.forget_at": {"$type": "date", "$lte": now}, "state.merged_into": None}
        found += await find(query, sort=[("state.forget_at", 1)], limit=limit, fields=fields)
        return [one["_id"] for one in found]

    async def histories(self, ids: Sequence[str]) -> dict[str, list[Document]]:
        """What happened to the documents of somebody, by id: all events as they rest."""
        found = await self.people.collection.find({"_id": {"$in": list(ids)}}, fields={"history": 1})
        return {one["_id"]: one["history"] for one in found}

    async def about(self, ids: Sequence[str]) -> dict[str, list[Document]]:
        """What is told of somebody in documents of other kinds, by kind, as it rests."""
        of_them = {"$in": list(ids)}
        found = await asyncio.gather(
            *(
                self._about[name].find({where: of_them}, fields={"state": 1}, sort=[("_id", 1)])
                for name, where in ABOUT.items()
            )
        )
        return dict(zip(ABOUT, found, strict=True))

    async def count(self, query: Document) -> int:
        """How many `walk` finds."""
        return await self.people.collection.count({**query, **LIVING})

    async def totals(self, community: str | None) -> dict[str, int]:
        """How many are here in a community, or in all: `people`, their `households`, and those in the `first_line`."""
        first = {"$sum": {"$toInt": "$state.facts.first_line"}}
        counts = {"people": {"$sum": "$people"}, "households": {"$sum": 1}, "first_line": {"$sum": "$first_line"}}
        found = await self.people.collection.aggregate(
            [
                {"$match": {"state.facts.community": {"$gt": ""} if community is None else community, **LIVING}},
                {"$group": {"_id": "$state.facts.household", "people": {"$sum": 1}, "first_line": first}},
                {"$group": {"_id": None, **counts}},
                {"$unset": "_id"},
            ]
        )
        return found[0] if found else dict.fromkeys(counts, 0)

    async def households_page(
        self, query: Document, grids: Sequence[str], limit: int, after: Sequence[str] | None
    ) -> list[Document]:
        """Those who are here by their doors, building by building, from the household after this (building, id).

        Grids are not asked for in the query, which names their buildings: it is read in the order of one index.
        """
        facts = "state.facts"
        place: Document = {}
        if after is not None:
            building, household = after
            further = {f"{facts}.building": building, f"{facts}.household": {"$gt": household}}
            place = {"$or": [further, {f"{facts}.building": {"$gt": building}}]}
        order = [(name, 1) for name in (f"{facts}.building", f"{facts}.household", "_id")]
        fields = {f"{facts}.{name}": 1 for name in ("household", "building", "grid", "first_line")}
        found: dict[str, Document] = {}
        stored = self.people.collection.stream({"$and": [query, LIVING, place]}, sort=order, fields=fields)
        async with aclosing(stored):
            async for document in stored:
                told = document["state"]["facts"]
                name = told["household"]
                if grids and told["grid"] not in grids:
                    continue
                if name not in found and len(found) == limit:
                    break
                there = {"id": name, "building": told["building"], "grid": told["grid"]}
                one = found.setdefault(name, {**there, "people": [], "count": 0, "first_line": 0})
                one["people"].append(document["_id"])
                one["count"] += 1
                one["first_line"] += told["first_line"]
        return list(found.values())

    async def after(self, query: Document, person_id: str, limit: int) -> list[Person]:
        """Some of those who are here, by id, from the one after this."""
        found = await self.people.collection.find(
            {**query, **LIVING, "_id": {"$gt": person_id}}, sort=[("_id", 1)], limit=limit, fields={"state": 1}
        )
        return [self.people.state(one) for one in found]

    async def of_other_grids(self, community: str, building: str, grid: str, limit: int) -> list[str]:
        """Some of a building who do not belong to its grid, whether they are here or not."""
        there = {"state.facts.community": community, "state.facts.building": building}
        others = {**there, "state.facts.grid": {"$ne": grid}, "state.erased": {"$ne": True}}
        found = await self.people.collection.find(others, limit=limit, fields={"_id": 1})
        return [one["_id"] for one in found]

    async def not_in_first_line(self, born: Collection[str], limit: int) -> list[str]:
        """Some who live alone, were born in these years (blind indexes), and are not answered first yet."""
        query = {
            "state.facts.lives_alone": True,
            "state.facts.first_line": False,
            "state.identities.born": {"$in": [*born]},
        }
        found = await self.people.collection.find(query, limit=limit, fields={"_id": 1})
        return [one["_id"] for one in found]

    async def walk(self, query: Document) -> AsyncIterator[list[tuple[Person, Sealer]]]:
        """Those who are here, by id, some at a time, each with what opens what is known."""
        some: list[Person] = []
        found = self.people.collection.stream({**query, **LIVING}, sort=[("_id", 1)], fields={"state": 1})
        async with aclosing(found):
            async for document in found:
                some.append(self.people.state(document))
                if len(some) == _TOGETHER:
                    yield await self.with_sealers(some)
                    some = []
        if some:
            yield await self.with_sealers(some)

    async def with_sealers(self, people: Sequence[Person]) -> list[tuple[Person, Sealer]]:
        """Each with what opens what is known, in one question."""
        own = await self._keys.sealers([one.facts.person_id for one in people])
        return [(one, own[one.facts.person_id]) for one in people]

    async def page(self, query: Document, *, limit: int, after: str | None) -> list[Document]:
        """People by id; those who are known under another id, or erased, are not among them."""
        place = {} if after is None else {"_id": {"$gt": after}}
        return await self.people.collection.find(
            {**query, **_ENTERED, **place},
            sort=[("_id", 1)],
            limit=limit,
            fields={"history": 0},
        )


def among(
    *,
    community: str | None,
    grids: Sequence[str] = (),
    building: str | Document | None = None,
    category: str | None = None,
    in_list: str | None = None,
    first_line: bool = False,
) -> dict[str, Any]:
    """The query for people of a place, a category, a source list."""
    given = {
        "community": community,
        "grid": {"$in": list(grids)} if grids else None,
        "building": building,
        "categories": category,
        "lists": in_list,
        "first_line": first_line or None,
    }
    return {f"state.facts.{name}": value for name, value in given.items() if value is not None}
