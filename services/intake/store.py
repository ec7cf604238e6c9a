"""Documents of intake: requests, and its own copies of what it must know of places and people."""

from datetime import datetime
from typing import Any

from services.intake.domain.request import Request
from shared.batching import BUSY_LINGER, Batcher, Job
from shared.contracts.ledger import PersonRegistered
from shared.contracts.people import PersonErased
from shared.documents import Document, Index, Write
from shared.runtime import Runtime

LIST = Index((("state.created_at", -1), ("_id", 1)))
TO_REVIEW = Index((("state.created_at", -1), ("_id", 1)), where={"state.facts.needs_review.0": {"$exists": True}})
OF_PERSON = Index((("state.facts.person", 1),))
BY_LOOKUP = Index((("lookups", 1),))
KNOWN = Index((("person", 1),))
_UNKNOWN: Document = {"lookups": (), "first_line": False, "language": None, "needs": ()}
"""What is kept of somebody beside the id."""


class Store:
    """What intake keeps."""

    def __init__(self, runtime: Runtime) -> None:
        self.requests = runtime.aggregates(
            "requests", Request, lambda one: one.request_id, [LIST, TO_REVIEW, OF_PERSON]
        )
        self._buildings = runtime.collection("buildings")
        self._communities = runtime.collection("communities")
        self._people = runtime.collection("people", [BY_LOOKUP, KNOWN])
        self._found: Batcher[str, list[Document]] = Batcher(self._find_by, busy_linger=BUSY_LINGER)
        self._keys = runtime.collection("idempotency_keys")

    async def grid_of(self, community: str, building: str) -> str | None:
        """The grid that a building belongs to, or None."""
        document = await self._buildings.get(f"{community}/{building}")
        return document["grid"] if document else None

    async def knows(self, community: str) -> bool:
        """Whether any building of the community is registered."""
        return await self._communities.get(community) is not None

    async def put_building(self, community: str, building: str, grid: str, sequence: int) -> None:
        """Remember where a building belongs, unless something newer is known."""
        await self._communities.put(community, {"known": True})
        told = Write(set={"grid": grid, "sequence": sequence})
        await self._buildings.update(
            f"{community}/{building}",
            lambda known: (None if known and known.get("sequence", 0) >= sequence else told, None),
        )

    async def person(self, lookups: list[str]) -> Document | None:
        """Who is found by the first of the blind indexes that is known; of several, who is answered first.

        Asked together with others of the moment.
        """
        for lookup in lookups:
            if found := await self._found.submit(lookup):
                return min(found, key=lambda one: (not one["first_line"], one["_id"]))
        return None

    async def _find_by(self, jobs: list[Job[str, list[Document]]]) -> None:
        wanted = {"$in": [*{job.item for job in jobs}]}
        found = await self._people.find({"$or": [{"lookups": wanted}, {"_id": wanted}]})
        for job in jobs:
            job.resolve([one for one in found if job.item in (one["_id"], *one.get("lookups", ()))])

    async def put_person(self, event: PersonRegistered, sequence: int) -> None:
        """Remember by what somebody is recognised now, and by nothing else, unless something newer is known."""
        await self._know(event.person_id, sequence, event.model_dump(include=set(_UNKNOWN)))

    async def forget_person(self, event: PersonErased, sequence: int) -> None:
        """Recognise somebody by nothing any more, and forget for whom and where his requests were.

        What stays is that there was this id: news that come again bring nothing back.
        """
        # In this order: what comes in meanwhile is nobody's any more, or is thrown away as well.
        await self._know(event.person_id, sequence, _UNKNOWN)
        await self.requests.throw_away({"state.facts.person": event.person_id})

    async def _know(self, person_id: str, sequence: int, told: Document) -> None:
        write = Write(set={"person": person_id, **told, "sequence": sequence})
        await self._people.update(
            person_id, lambda known: (None if known and known["sequence"] >= sequence else write, None)
        )
        if sequence > 1:
            # As the version before kept it: a document under each blind index.
            before = {"person": person_id, "_id": {"$ne": person_id}, "sequence": {"$lte": sequence}}
            await self._people.delete(before)

    async def request_of_key(self, key: str, request_id: str) -> str:
        """The request that an idempotency key stands for; this one if the key is new. One conditional write."""

        def decide(known: Document | None) -> tuple[Write | None, str]:
            return (None, known["request"]) if known else (Write(set={"request": request_id}), request_id)

        return await self._keys.update(key, decide)

    async def page(
        self,
        *,
        community: str | None,
        grids: tuple[str, ...],
        needs_review: bool,
        limit: int,
        after: tuple[datetime, str] | None,
    ) -> list[Document]:
        """Requests, newest first."""
        query: dict[str, Any] = {}
        if community is not None:
            query["state.facts.community"] = community
        if grids:
            query["state.facts.grid"] = {"$in": list(grids)}
        if needs_review:
            query["state.facts.needs_review.0"] = {"$exists": True}
        if after is not None:
            at, request_id = after
            query["$or"] = [
                {"state.created_at": {"$lt": at}},
                {"state.created_at": at, "_id": {"$gt": request_id}},
            ]
        return await self.requests.collection.find(
            query, sort=[("state.created_at", -1), ("_id", 1)], limit=limit, fields={"history": 0}
        )

    async def reconciliation(self, after: str, limit: int) -> list[Document]:
        """Every request by id: its state, and the events that it raised."""
        return await self.requests.collection.find(
            {"_id": {"$gt": after}},
            sort=[("_id", 1)],
            limit=limit,
            fields={"state.state": 1, "state.facts.request_id": 1, "history.type": 1, "history.id": 1, "unsent": 1},
        )
