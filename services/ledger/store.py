"""Documents of the ledger: the chained entries, people, buildings, access."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any

from services.ledger.cases.store import Cases
from services.ledger.domain.entry import Fact, Link, Sought, chain, first_id
from services.ledger.domain.follow_ups import FollowUp, Plan
from services.ledger.domain.needs import Need
from services.ledger.domain.register import Access, Building, Person
from services.ledger.domain.registers import OPENED
from services.ledger.evidence.store import Evidence
from services.ledger.facilities.store import Facilities
from services.ledger.heads import Heads
from services.ledger.key_store import Keys
from services.ledger.money.store import Money
from services.ledger.numbers.store import OF_DAY, Numbers
from services.ledger.observation.store import Observations
from services.ledger.people.store import PEOPLE, Register
from services.ledger.presence.store import LIVES, NEEDED, NEEDED_BY, Presences
from services.ledger.programmes.store import Programmes
from services.ledger.rounds.store import DOORS, Rounds
from shared.batching import BUSY_LINGER, Batcher, Job
from shared.contracts.audit import PersonalDataOpened
from shared.contracts.ledger import PersonRegistered
from shared.documents import Document, Index
from shared.runtime import Runtime
from shared.sealing import without_seals

CHAIN = Index((("community", 1), ("sequence", 1)), unique=True)
OF_REQUEST = Index((("request_id", 1), ("_id", 1)))
OF_TYPE = Index((("type", 1), ("_id", -1)))
ABOUT = Index((("about", 1), ("turn", 1), ("_id", 1)), where={"about": {"$type": "string"}})
"""Of what happens to requests there are far more entries, and none of them is in it."""
OPENINGS = {"type": PersonalDataOpened.__name__}
OF_RECORD = Index((("about", 1), ("_id", -1)), where=OPENINGS)
OF_ACTOR = Index((("actor", 1), ("_id", -1)), where=OPENINGS)
"""Of openings alone: who asks for anything else that somebody did names type or time with it."""
NEXT = Index((("state.next_at", 1),), where={"state.next_at": {"$type": "date"}})
DUE = Index((("state.due_at", 1),), where={"state.due_at": {"$type": "date"}})
OPEN = Index((("state.state", 1), ("state.at", 1), ("_id", 1)))
OPEN_AT = Index((("state.state", 1), ("state.community", 1), ("state.at", 1), ("_id", 1), ("state.grid", 1)))
"""Of a community; of a grid, no document of another is read."""
LOOKS = Index((("state.looks", 1), ("_id", 1)), where={"state.looks": True})
"""Of buildings."""
OF_PERSON = Index((("state.person_id", 1), ("_id", 1)))
DUE_OF = Index((("state.person_id", 1), ("state.at", 1)), where={"state.state": "due"})
"""Of somebody who is looked after for years, what is due alone is read."""


class OtherBody(Exception):
    """An event of this id was entered before with another body."""


class Store:
    """What the ledger keeps."""

    def __init__(self, runtime: Runtime) -> None:
        self.entries = runtime.collection("entries", [CHAIN, OF_REQUEST, OF_TYPE, OF_DAY, ABOUT, OF_RECORD, OF_ACTOR])
        self.heads = Heads(runtime, self.entries)
        of_people = [*PEOPLE, LIVES, DOORS]
        self.people = runtime.aggregates("people", Person, lambda one: one.facts.person_id, of_people)
        self.buildings = runtime.aggregates(
            "buildings", Building, lambda one: f"{one.community}/{one.building}", [LOOKS]
        )
        self.access = runtime.aggregates("access", Access, lambda one: one.name)
        self.plans = runtime.aggregates("plans", Plan, lambda one: one.person_id, [NEXT, OF_PERSON])
        self.follow_ups = runtime.aggregates(
            "follow_ups", FollowUp, lambda one: one.person_id, [DUE, OPEN, OPEN_AT, OF_PERSON, DUE_OF]
        )
        self.programmes = Programmes(runtime)
        self.rounds = Rounds(runtime, self.people.collection)
        self._found: Batcher[str, list[PersonRegistered]] = Batcher(self._find_by, busy_linger=BUSY_LINGER)
        self.cases = Cases(runtime)
        self.observations = Observations(runtime)
        self.evidence = Evidence(runtime)
        self.money = Money(runtime, self.entries)
        self.facilities = Facilities(runtime)
        self.numbers = Numbers(runtime, self.entries)
        self.needs = runtime.aggregates("needs", Need, lambda one: one.need_id, [NEEDED, NEEDED_BY])
        self.presences = Presences(runtime, self.people, self.needs)
        self.keys = Keys(runtime)
        self.register = Register(runtime, self.people, self.keys)
        self._ends: dict[str, Link] = {}
        self._entering: Batcher[Fact, bool] = Batcher(self._enter_many, busy_linger=BUSY_LINGER)

    async def enter(self, fact: Fact) -> bool:
        """Put a fact on the end of its community's chain; False if it is there already.

        Raises:
            OtherBody: it is there with another body.
        """
        return await self._entering.submit(fact)

    async def _enter_many(self, jobs: list[Job[Fact, bool]]) -> None:
        chains: dict[str, list[Job[Fact, bool]]] = {}
        for job in jobs:
            chains.setdefault(job.item.community, []).append(job)
        for community, group in chains.items():
            await self._extend(community, group)

    async def _extend(self, community: str, jobs: list[Job[Fact, bool]]) -> None:
        """Insert in the order of the chain. Whoever finds his place taken by another replica looks again."""
        waiting = jobs
        while waiting:
            head = self._ends.get(community) or await self._head(community)
            documents, links = _documents([job.item for job in waiting], head)
            stopped = await self.entries.insert_in_order(documents)
            written = len(documents) if stopped is None else stopped.position
            if written:
                self._ends[community] = links[written - 1]
            for job in waiting[:written]:
                job.resolve(True)
            waiting = waiting[written:]
            if stopped is None:
                return
            if stopped.fields == ("_id",):
                await self._known(waiting[0])
                waiting = waiting[1:]
            else:
                self._ends.pop(community, None)

    async def _known(self, job: Job[Fact, bool]) -> None:
        known = await self.entries.get(job.item.id)
        if known is not None and not _same(known["data"], job.item.data):
            job.fail(OtherBody(f"event {job.item.id} was entered before with another body"))
        else:
            job.resolve(False)

    async def _head(self, community: str) -> Link:
        found = await self.entries.find(
            {"community": community}, sort=[("sequence", -1)], limit=1, fields={"sequence": 1, "hash": 1}
        )
        return Link(sequence=found[0]["sequence"], hash=found[0]["hash"]) if found else Link()

    async def page(self, sought: Sought, grids: Sequence[str], limit: int, after: str | None) -> list[Document]:
        """Entries: of one request, oldest first; else newest first. Ids of events are in the order of time."""
        query: dict[str, Any] = {
            name: value
            for name in ("request_id", "type", "community", "actor")
            if (value := getattr(sought, name)) is not None
        }
        if grids:
            query["grid"] = {"$in": list(grids)}
        if sought.record is not None:
            query |= {**OPENINGS, "about": f"{OPENED}/{sought.record}"}
        way = 1 if sought.request_id is not None else -1
        bounds = [
            *([{"_id": {"$gte": first_id(sought.since)}}] if sought.since else ()),
            *([{"_id": {"$lt": first_id(sought.until)}}] if sought.until else ()),
            *([{"_id": {"$gt" if way == 1 else "$lt": after}}] if after is not None else ()),
        ]
        if bounds:
            query["$and"] = bounds
        return await self.entries.find(query, sort=[("_id", way)], limit=limit)

    async def due_plans(self, now: datetime, limit: int) -> list[Plan]:
        """Plans whose next time has come, longest first."""
        query = {"state.next_at": {"$type": "date", "$lte": now}}
        found = await self.plans.collection.find(query, sort=[("state.next_at", 1)], limit=limit, fields={"history": 0})
        return [self.plans.state(one) for one in found]

    async def plans_of(self, person: Sequence[str]) -> list[Plan]:
        """By which somebody is looked after."""
        query = {"state.person_id": {"$in": list(person)}, "state.ended": False}
        return [self.plans.state(one) for one in await self.plans.collection.find(query, fields={"history": 0})]

    async def plans_page(self, person: Sequence[str], limit: int, after: str | None) -> list[Document]:
        """All plans of somebody, also those that are ended, by id."""
        query: dict[str, Any] = {"state.person_id": {"$in": list(person)}}
        if after is not None:
            query["_id"] = {"$gt": after}
        return await self.plans.collection.find(query, sort=[("_id", 1)], limit=limit, fields={"history": 0})

    async def follow_ups_of(self, person: Sequence[str]) -> list[FollowUp]:
        """All follow-ups of somebody, by all ids."""
        found = await self.follow_ups.collection.find(
            {"state.person_id": {"$in": list(person)}}, sort=[("_id", 1)], fields={"history": 0}
        )
        return [self.follow_ups.state(one) for one in found]

    async def due_of(self, person: Sequence[str]) -> list[FollowUp]:
        """Follow-ups of somebody that are due, those that were due first before the others."""
        query = {"state.person_id": {"$in": list(person)}, "state.state": "due"}
        found = await self.follow_ups.collection.find(query, sort=[("state.at", 1)], fields={"history": 0})
        return [self.follow_ups.state(one) for one in found]

    async def due_follow_ups(self, now: datetime, limit: int) -> list[str]:
        """Follow-ups whose try came or ran out, longest first."""
        found = await self.follow_ups.collection.find(
            _due(now), sort=[("state.due_at", 1)], limit=limit, fields={"_id": 1}
        )
        return [one["_id"] for one in found]

    async def overdue(self, now: datetime) -> tuple[int, datetime | None]:
        """How many times have come that nobody dealt with yet, of any kind, and since when the first of them has."""
        timed = (self.follow_ups, self.cases.all, self.observations.all, self.evidence.days)
        counts = await asyncio.gather(*(one.collection.count(_due(now)) for one in timed))
        order, fields = [("state.due_at", 1)], {"state.due_at": 1}
        found = await asyncio.gather(
            *(one.collection.find(_due(now), sort=order, limit=1, fields=fields) for one in timed)
        )
        return sum(counts), min((first["state"]["due_at"] for one in found for first in one), default=None)

    async def follow_ups_page(
        self,
        *,
        community: str | None,
        grids: tuple[str, ...],
        state: str,
        person: Sequence[str] | None,
        since: datetime | None,
        until: datetime | None,
        limit: int,
        after: tuple[datetime, str] | None,
    ) -> list[Document]:
        """Follow-ups in a state, due in this span, those that were due first before the others."""
        query: dict[str, Any] = {"state.state": state}
        span = {"$gte": since, "$lt": until}
        if community is not None:
            query["state.community"] = community
        if grids:
            query["state.grid"] = {"$in": list(grids)}
        if person is not None:
            query["state.person_id"] = {"$in": list(person)}
        if after is not None:
            at, name = after
            span["$gte"] = max(at, since or at)
            query["$or"] = [{"state.at": {"$gt": at}}, {"_id": {"$gt": name}}]
        if bounds := {name: at for name, at in span.items() if at is not None}:
            query["state.at"] = bounds
        return await self.follow_ups.collection.find(
            query, sort=[("state.at", 1), ("_id", 1)], limit=limit, fields={"history": 0}
        )

    async def people_by_id(self, people: Sequence[str]) -> dict[str, Person]:
        """These people, those of them who are on the books."""
        found = await self.people.collection.find({"_id": {"$in": list(people)}}, fields={"history": 0})
        return {one["_id"]: self.people.state(one) for one in found}

    async def found_by(self, lookup: str) -> list[PersonRegistered]:
        """Who has this blind index: several share a phone. Asked together with others of the moment."""
        return await self._found.submit(lookup)

    async def _find_by(self, jobs: list[Job[str, list[PersonRegistered]]]) -> None:
        wanted = {job.item for job in jobs}
        found = await self.people.collection.find(
            {"state.facts.lookups": {"$in": list(wanted)}}, fields={"history": 0, "unsent": 0}
        )
        people: dict[str, list[PersonRegistered]] = {}
        for facts in (self.people.state(one).facts for one in found):
            for lookup in wanted.intersection(facts.lookups):
                people.setdefault(lookup, []).append(facts)
        for job in jobs:
            job.resolve(people.get(job.item, []))

    async def buildings_page(
        self, community: str | None, grids: Sequence[str], limit: int, after: str
    ) -> list[Document]:
        """Buildings by community and number."""
        first, last = ("", {}) if community is None else (f"{community}/", {"$lt": f"{community}0"})
        query: dict[str, Any] = {"_id": {"$gt": max(first, after), **last}}
        if grids:
            query["state.grid"] = {"$in": list(grids)}
        return await self.buildings.collection.find(query, sort=[("_id", 1)], limit=limit, fields={"history": 0})

    async def grids_of(self, community: str) -> dict[str, str]:
        """The grid of each building of a community."""
        found = await self.buildings.collection.find(_within(community), fields={"state.building": 1, "state.grid": 1})
        return {one["state"]["building"]: one["state"]["grid"] for one in found}

    async def looking(self) -> Building | None:
        """A building whose people are still looked through."""
        found = await self.buildings.collection.find({"state.looks": True}, sort=[("_id", 1)], limit=1)
        return self.buildings.state(found[0]) if found else None

    async def communities(self) -> list[str]:
        """Those that have buildings."""
        found = await self.buildings.collection.aggregate([{"$group": {"_id": "$state.community"}}])
        return sorted(one["_id"] for one in found)

    async def statistics(self, community: str | None) -> dict[str, Any]:
        """How many there are of everything in a community, or all over; of people, those who are here."""
        of_it: list[Document] = [] if community is None else [{"$match": {"community": community}}]
        here, buildings, entries = await asyncio.gather(
            self.register.totals(community),
            self.buildings.collection.count(None if community is None else _within(community)),
            self.entries.aggregate([*of_it, {"$sort": {"type": 1}}, {"$group": {"_id": "$type", "n": {"$sum": 1}}}]),
        )
        return {
            **here,
            "buildings": buildings,
            "entries": {one["_id"]: one["n"] for one in sorted(entries, key=lambda one: str(one["_id"]))},
        }

    async def chained(self) -> AsyncIterator[Document]:
        """Every entry, chain by chain, from its beginning."""
        async for document in self.entries.stream({}, sort=[("community", 1), ("sequence", 1)]):
            yield document

    async def reconciliation(self, after: str, limit: int) -> list[Document]:
        """Which events are entered, by request."""
        found: dict[str, Document] = {}
        entries = self.entries.stream(
            {"request_id": {"$gt": after}}, sort=[("request_id", 1)], fields={"request_id": 1, "wire": 1}
        )
        async with aclosing(entries):
            async for entry in entries:
                request_id = entry["request_id"]
                if request_id not in found and len(found) == limit:
                    break
                events = found.setdefault(request_id, {"_id": request_id, "events": []})["events"]
                events.append({"id": entry["_id"], "type": entry["wire"]})
        return list(found.values())


def fact_of(document: Document) -> Fact:
    """What a stored entry says."""
    return Fact.model_validate({**document, "id": document["_id"]})


def _same(one: str, other: str) -> bool:
    """Whether two bodies say the same; one of them may be from before requests were entered without their seals."""
    return one == other or without_seals(json.loads(one)) == without_seals(json.loads(other))


def _documents(facts: Sequence[Fact], head: Link) -> tuple[list[Document], list[Link]]:
    documents, links = [], []
    for fact in facts:
        link = chain(fact, head)
        content = fact.model_dump(exclude=None if fact.about else {"about", "turn"})
        content["_id"] = content.pop("id")
        documents.append({**content, "sequence": link.sequence, "previous": head.hash, "hash": link.hash})
        links.append(link)
        head = link
    return documents, links


def _within(community: str) -> Document:
    """The query for the buildings of a community."""
    return {"_id": {"$gte": f"{community}/", "$lt": f"{community}0"}}


def _due(now: datetime) -> dict[str, Any]:
    return {"state.due_at": {"$type": "date", "$lte": now}}
