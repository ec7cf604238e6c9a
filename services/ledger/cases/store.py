"""Documents of the ledger: cases, agreements, checks at gates, and who coordinates."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from services.ledger.domain.cases import Case
from services.ledger.domain.gates import Agreement, Check
from shared.aggregates import Aggregates
from shared.documents import Collection, Document, Index, Write
from shared.runtime import Runtime

_ORDER = (("state.opened_at", -1), ("_id", 1))
LIST = Index(_ORDER)
STATE = Index((("state.state", 1), *_ORDER))
OWNER = Index((("state.owner", 1), *_ORDER))
PARTY = Index((("state.parties", 1), *_ORDER))
BUILDING = Index((("state.building", 1), *_ORDER))
OF_PERSON = Index((("state.person_id", 1), *_ORDER))
TOPIC = Index((("state.topic", 1),), unique=True, where={"state.topic": {"$type": "string"}})
"""A topic is one case: the write that opens a second is refused."""
DUE = Index((("state.due_at", 1),), where={"state.due_at": {"$type": "date"}})

HERE = Index((("state.community", 1), ("_id", 1)))
OF_CASE = Index((("state.case_id", 1), ("_id", 1)))
_BY_TIME = (("state.at", -1), ("_id", 1))
CHECKS = Index(_BY_TIME)
CHECKS_OF_CASE = Index((("state.case_id", 1), *_BY_TIME))
CHECKS_OF_AGREEMENT = Index((("state.agreement_id", 1), *_BY_TIME))
OF_COMMUNITY = Index((("community", 1), ("_id", 1)))


class Cases:
    """What the ledger keeps of cases, and of what was agreed in them."""

    def __init__(self, runtime: Runtime) -> None:
        self.all: Aggregates[Case] = runtime.aggregates(
            "cases", Case, lambda one: one.case_id, [LIST, STATE, OWNER, PARTY, BUILDING, OF_PERSON, TOPIC, DUE]
        )
        self.agreements: Aggregates[Agreement] = runtime.aggregates(
            "agreements", Agreement, lambda one: one.case_id, [OF_CASE, HERE]
        )
        self.checks: Aggregates[Check] = runtime.aggregates(
            "gate_checks", Check, lambda one: one.check_id, [CHECKS, CHECKS_OF_CASE, CHECKS_OF_AGREEMENT]
        )
        self._coordinators = runtime.collection("coordinators", [OF_COMMUNITY])

    async def of_topic(self, topic: str) -> Case | None:
        """The case of a topic."""
        query = {"state.topic": {"$type": "string", "$eq": topic}}
        found = await self.all.collection.find(query, limit=1, fields={"history": 0})
        return self.all.state(found[0]) if found else None

    async def due(self, now: datetime, limit: int) -> list[str]:
        """Cases with a step whose time is over, longest first."""
        query = {"state.due_at": {"$type": "date", "$lte": now}}
        found = await self.all.collection.find(query, sort=[("state.due_at", 1)], limit=limit, fields={"_id": 1})
        return [one["_id"] for one in found]

    async def page(
        self,
        *,
        community: str | None,
        grids: Sequence[str],
        limit: int,
        after: tuple[datetime, str] | None,
        party: str | None = None,
        person: Sequence[str] | None = None,
        **exactly: str | None,
    ) -> list[Document]:
        """Cases, newest first; `exactly`: fields that have this value.

        `party` is who answers for them or takes part, `person` all ids of one.
        """
        query = _among(community, grids, exactly)
        if person is not None:
            query["state.person_id"] = {"$in": list(person)}
        if party is not None:
            query["$or"] = [{"state.owner": party}, {"state.parties": party}]
        return await _page(self.all.collection, _ORDER, query, limit, after)

    async def agreements_of(self, case_id: str) -> list[Agreement]:
        """What was agreed in a case."""
        found = await self.agreements.collection.find(
            {"state.case_id": case_id}, sort=[("_id", 1)], fields={"history": 0}
        )
        return [self.agreements.state(one) for one in found]

    async def in_force(self, community: str | None, day: str, limit: int, after: str) -> list[Document]:
        """Agreements that apply on a day, by id."""
        query: Document = {"state.begins": {"$lte": day}, "state.ended_at": None, "_id": {"$gt": after}}
        query["$or"] = [{"state.ends": None}, {"state.ends": {"$gte": day}}]
        if community is not None:
            query["state.community"] = community
        return await self.agreements.collection.find(query, sort=[("_id", 1)], limit=limit, fields={"history": 0})

    async def counts(self, agreements: Sequence[str]) -> dict[str, Document]:
        """By agreement: checks that belong to it, at how many of its stops, how many with a fever."""
        found = await self.checks.collection.aggregate(
            [
                {"$match": {"state.agreement_id": {"$in": list(agreements)}}},
                {
                    "$group": {
                        "_id": {"agreement": "$state.agreement_id", "stop": "$state.applies"},
                        "checks": {"$sum": 1},
                        "fevers": {"$sum": {"$cond": ["$state.fever", 1, 0]}},
                    }
                },
                {
                    "$group": {
                        "_id": "$_id.agreement",
                        "checks": {"$sum": "$checks"},
                        "stops": {"$sum": 1},
                        "fevers": {"$sum": "$fevers"},
                    }
                },
            ]
        )
        return {one.pop("_id"): one for one in found}

    async def checks_page(
        self,
        *,
        community: str | None,
        grids: Sequence[str],
        limit: int,
        after: tuple[datetime, str] | None,
        **exactly: str | None,
    ) -> list[Document]:
        """Checks at gates, newest first."""
        return await _page(self.checks.collection, _BY_TIME, _among(community, grids, exactly), limit, after)

    async def note_worker(self, worker: str, community: str | None, grids: Sequence[str], sequence: int) -> None:
        """Know who helps, and who coordinates where; no community: he does not. Older news changes nothing."""
        told = Write(set={"community": community, "grids": list(grids), "sequence": sequence})

        def newer(old: Document | None) -> tuple[Write | None, None]:
            return told if old is None or old["sequence"] < sequence else None, None

        await self._coordinators.update(worker, newer)

    async def known_workers(self, workers: Iterable[str]) -> set[str]:
        """Those of them who are registered."""
        found = await self._coordinators.find({"_id": {"$in": list(workers)}}, fields={"_id": 1})
        return {one["_id"] for one in found}

    async def of_source(self, source: str, within: str) -> list[Case]:
        """Cases of a source whose ids in it begin so, in their order."""
        first = f"{source}/{within}"
        query = {"state.topic": {"$type": "string", "$gte": first, "$lt": f"{first}\uffff"}}
        found = await self.all.collection.find(query, sort=[("state.topic", 1)], fields={"history": 0})
        return [self.all.state(one) for one in found]

    async def coordinator(self, community: str, grid: str | None) -> str | None:
        """Who coordinates there: by the grid, if somebody does by grids."""
        found = await self._coordinators.find({"community": community}, sort=[("_id", 1)])
        here = [one for one in found if grid in one["grids"]] or [one for one in found if not one["grids"]]
        return here[0]["_id"] if here else None


def _among(community: str | None, grids: Sequence[str], exactly: Mapping[str, str | None]) -> Document:
    query: Document = {f"state.{name}": value for name, value in exactly.items() if value is not None}
    if community is not None:
        query["state.community"] = community
    if grids:
        query["state.grid"] = {"$in": list(grids)}
    return query


async def _page(
    collection: Collection,
    order: Sequence[tuple[str, int]],
    query: Document,
    limit: int,
    after: tuple[datetime, str] | None,
) -> list[Document]:
    """Those of a query, newest first; the first field of the order is when they were."""
    if after is not None:
        field, (at, name) = order[0][0], after
        beyond = {"$or": [{field: {"$lt": at}}, {field: at, "_id": {"$gt": name}}]}
        query = {"$and": [query, beyond]} if "$or" in query else {**query, **beyond}
    return await collection.find(query, sort=order, limit=limit, fields={"history": 0})
