"""Documents of dispatch: tasks, workers, grids; duties have a file of their own."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from services.dispatch.domain.ladder import Roster
from services.dispatch.domain.matching import Requirement
from services.dispatch.domain.roster import COORDINATORS, Door, Gate, Grid, Worker
from services.dispatch.domain.rounds import Work
from services.dispatch.domain.task import OPEN, Task
from services.dispatch.duties.store import Duties
from shared.batching import Batcher, Job
from shared.condition import MEASURING
from shared.contracts.intake import RequestFacts
from shared.documents import Document, Index
from shared.runtime import Runtime

_ORDER = (("state.priority", -1), ("state.created_at", 1), ("_id", 1))
OF_REQUEST = Index((("state.request_id", 1), ("_id", 1)))
LIST = Index((("state.open", 1), *_ORDER))
DUE = Index((("state.due_at", 1),), where={"state.due_at": {"$type": "date"}})
ASKED = Index((("state.asked", 1), *_ORDER))
SLOT = Index((("state.slot", 1),), unique=True, where={"state.slot": {"$type": "string"}})
"""A place under somebody's cap holds one task: the claim itself is refused where another was faster."""
WAITS = Index((("state.waits", 1), *_ORDER), where={"state.waits": True})
WARN = Index((("state.warn_at", 1),), where={"state.warn_at": {"$type": "date"}})
CHECK = Index((("state.check", 1), *_ORDER), where={"state.check": True})
LOOKS = Index((("state.looks", 1),), where={"state.looks": {"$type": "string"}})
"""Photos that look alike."""
BUILDING = Index((("state.facts.community", 1), ("state.facts.building", 1), *_ORDER), where={"state.open": True})
OF_PERSON = Index((("state.facts.person", 1),))
TAKEN_AT = Index((("at", 1),))
OF_WORKER = Index((("state.worker", 1), ("state.open", 1), *_ORDER))
DONE_BY = Index((("state.worker", 1), ("changed", 1)), where={"state.open": False})
OF_COMMUNITY = Index((("state.community", 1), ("_id", 1)))
AWAY = Index((("state.away_until", 1),), where={"state.away_until": {"$type": "date"}})
COVERED = Index((("state.until", 1),), where={"state.until": {"$type": "date"}})


@dataclass(frozen=True, slots=True)
class Askable:
    """Who helps in a community."""

    workers: list[Worker]
    full: frozenset[str]
    """Those who have as many tasks as they can have, or stand somewhere on duty."""


class Store:
    """What dispatch keeps."""

    def __init__(self, runtime: Runtime) -> None:
        self.tasks = runtime.aggregates(
            "tasks",
            Task,
            lambda one: one.request_id,
            [OF_REQUEST, LIST, DUE, WARN, ASKED, SLOT, WAITS, CHECK, LOOKS, BUILDING, OF_WORKER, DONE_BY, OF_PERSON],
        )
        self.workers = runtime.aggregates("workers", Worker, lambda one: one.worker_id, [OF_COMMUNITY, AWAY])
        self.grids = runtime.aggregates("grids", Grid, lambda one: f"{one.community}/{one.grid}", [COVERED])
        self.doors = runtime.aggregates("doors", Door, lambda one: one.household)
        self.gates = runtime.aggregates("gates", Gate, lambda one: f"{one.community}/{one.building}")
        self.photos = runtime.collection("photos", [TAKEN_AT])
        self.duties = Duties(runtime)
        self._clock = runtime.clock
        self._askable: Batcher[str, Askable] = Batcher(self._askable_of)

    async def roster(self, facts: RequestFacts, need: Requirement) -> Roster:
        """Who can be asked for a request there."""
        community = facts.community or ""
        grid, coordinators, askable, door = await asyncio.gather(
            self.grids.get(f"{community}/{facts.grid}"),
            self.grids.get(f"{community}/{COORDINATORS}"),
            self.askable(community),
            self.doors.get(facts.household),
        )
        return Roster(
            responsible=grid.worker if grid else None,
            coordinator=coordinators.worker if coordinators else None,
            workers=askable.workers,
            full=askable.full,
            apart=door is not None and bool(door.observed),
            need=need if door is None else replace(need, never=frozenset(door.never)),
        )

    async def askable(self, community: str) -> Askable:
        """All who help in a community, coordinators aside; what is asked in one moment is one question."""
        return await self._askable.submit(community)

    async def _askable_of(self, jobs: list[Job[str, Askable]]) -> None:
        communities = list({job.item for job in jobs})
        found, on_duty = await asyncio.gather(
            self.workers.collection.find(
                {"state.community": {"$in": communities}, "state.role": {"$ne": "coordinator"}}, fields={"state": 1}
            ),
            self.duties.on_duty(communities, self._clock()),
        )
        helpers = [self.workers.state(one) for one in found]
        full = on_duty | {name for name, place in (await self.free_slots(helpers)).items() if place is None}
        for job in jobs:
            mine = [one for one in helpers if one.community == job.item]
            job.resolve(Askable(mine, full & {one.worker_id for one in mine}))

    async def to_choose(self, limit: int) -> list[tuple[str, Task]]:
        """Tasks that wait for a round, first of the list first."""
        return await self._found({"state.waits": True}, limit=limit)

    async def unwanted(self, households: Iterable[str]) -> dict[str, frozenset[str]]:
        """By household: workers that it does not want again."""
        found = await self.doors.collection.find({"_id": {"$in": list(households)}}, fields={"state": 1})
        return {one["_id"]: frozenset(one["state"]["never"]) for one in found}

    async def work_of(self, workers: Sequence[str], since: datetime) -> dict[str, Work]:
        """What each has in hand, and has done since; is asked for beside others; those without any are left out."""
        grouped: Document = {"_id": "$state.worker", "count": {"$sum": 1}, "at": {"$last": "$state.facts.building"}}
        mine = {"state.worker": {"$in": list(workers)}}
        share = {"asked": "$state.asked", "share": {"$divide": [1, {"$size": "$state.asked"}]}}
        has, done, asked = await asyncio.gather(
            self.tasks.collection.aggregate([{"$match": {**mine, "state.open": True}}, {"$group": grouped}]),
            self.tasks.collection.aggregate(
                [
                    {"$match": {**mine, "state.open": False, "changed": {"$gte": since}}},
                    {"$sort": {"changed": 1}},
                    {"$group": grouped},
                ]
            ),
            self.tasks.collection.aggregate(
                [
                    {"$match": {"state.asked": {"$in": list(workers)}}},
                    {"$project": share},
                    {"$unwind": "$asked"},
                    {"$group": {"_id": "$asked", "share": {"$sum": "$share"}}},
                ]
            ),
        )
        found = {one["_id"]: Work(done=one["count"], building=one["at"]) for one in done}
        for one in has:
            before = found.get(one["_id"], Work())
            found[one["_id"]] = replace(before, load=one["count"], building=one["at"])
        for one in asked:
            found[one["_id"]] = replace(found.get(one["_id"], Work()), asked=one["share"])
        return found

    async def done_by_kind(self, worker: str, since: datetime, until: datetime) -> dict[str, int]:
        """How many tasks of each kind he completed in that time."""
        mine = {"state.worker": worker, "state.open": False, "changed": {"$gte": since, "$lt": until}}
        found = await self.tasks.collection.aggregate(
            [
                {"$match": {**mine, "state.state": "completed"}},
                {"$group": {"_id": "$state.facts.kind", "count": {"$sum": 1}}},
            ]
        )
        return {one["_id"]: one["count"] for one in sorted(found, key=lambda one: one["_id"])}

    async def free_slots(self, workers: Iterable[Worker]) -> dict[str, str | None]:
        """By worker with a cap: a place under it that is free; None: there is none."""
        capped = [one for one in workers if one.cap is not None]
        if not capped:
            return {}
        query = {"state.slot": {"$type": "string", "$in": [slot for one in capped for slot in one.slots()]}}
        taken = {one["state"]["slot"] for one in await self.tasks.collection.find(query, fields={"state.slot": 1})}
        return {one.worker_id: one.free_slot(taken) for one in capped}

    async def returning(self, now: datetime, limit: int) -> list[str]:
        """Workers whose absence is over."""
        query = {"state.away_until": {"$type": "date", "$lte": now}}
        found = await self.workers.collection.find(query, fields={"_id": 1}, limit=limit)
        return [one["_id"] for one in found]

    async def to_hand_back(self, now: datetime, limit: int) -> list[str]:
        """Grids whose time with another is over."""
        query = {"state.until": {"$type": "date", "$lte": now}}
        found = await self.grids.collection.find(query, fields={"_id": 1}, limit=limit)
        return [one["_id"] for one in found]

    async def page_of_workers(self, community: str | None, limit: int, after: tuple[str, str] | None) -> list[Document]:
        """Workers by community and id."""
        query: dict[str, Any] = {} if community is None else {"state.community": community}
        if after is not None:
            where, worker_id = after
            beyond = [{"state.community": {"$gt": where}}, {"state.community": where, "_id": {"$gt": worker_id}}]
            query["$or"] = beyond
        return await self.workers.collection.find(
            query, sort=[("state.community", 1), ("_id", 1)], limit=limit, fields={"history": 0}
        )

    async def due(self, now: datetime, limit: int) -> list[tuple[str, Task]]:
        """Tasks whose offer or lease has run out, longest first."""
        return await self._found(_due(now), sort=(("state.due_at", 1),), limit=limit)

    async def to_warn(self, now: datetime, limit: int) -> list[str]:
        """Tasks that will soon be late, and whose holder was not told."""
        query = {"state.warn_at": {"$type": "date", "$lte": now}}
        found = await self.tasks.collection.find(query, sort=[("state.warn_at", 1)], limit=limit, fields={"_id": 1})
        return [one["_id"] for one in found]

    async def pictured(self, parts: Sequence[str]) -> list[tuple[str, list[str]]]:
        """Tasks with photos that may be alike, and how these look."""
        query = {"state.looks": {"$type": "string", "$in": list(parts)}}
        fields = {"state.photos.look": 1, "state.pictured": 1}
        found = await self.tasks.collection.find(query, limit=200, fields=fields)
        # What an older version wrote has its photos only.
        return [
            (one["_id"], [*one["state"].get("pictured", ()), *(photo["look"] for photo in one["state"]["photos"])])
            for one in found
        ]

    async def behind(self, community: str, building: str) -> list[tuple[str, Task]]:
        """Open tasks of a building, first of the list first."""
        query = {"state.open": True, "state.facts.community": community, "state.facts.building": building}
        return await self._found(query)

    async def overdue(self, now: datetime) -> tuple[int, datetime | None]:
        """How many have run out, and when the first of them did."""
        count, first = await asyncio.gather(self.tasks.collection.count(_due(now)), self.due(now, 1))
        return count, first[0][1].due_at if first else None

    async def open_by_state(self) -> list[tuple[str, str, int, datetime]]:
        """State, urgency, how many tasks are open there, and since when the oldest of them is."""
        found = await self.tasks.collection.aggregate(
            [
                # What was withdrawn before it was known has no such date, and is nobody's work.
                {"$match": {"state.open": True, "state.created_at": {"$type": "date"}}},
                {
                    "$group": {
                        "_id": {"state": "$state.state", "urgency": "$state.facts.urgency"},
                        "count": {"$sum": 1},
                        "oldest": {"$min": "$state.created_at"},
                    }
                },
            ],
            seconds=MEASURING,
        )
        return [(one["_id"]["state"], one["_id"]["urgency"], one["count"], one["oldest"]) for one in found]

    async def held(self, worker: str, **where: str | None) -> list[tuple[str, Task]]:
        """Open tasks that `worker` is asked for or has, first of the list first; `where`: facts that are so."""
        query = {"state.open": True, "state.worker": worker, **{f"state.facts.{k}": v for k, v in where.items()}}
        return await self._found(query)

    async def _found(
        self, query: Document, *, sort: Sequence[tuple[str, int]] = _ORDER, limit: int = 0
    ) -> list[tuple[str, Task]]:
        found = await self.tasks.collection.find(query, sort=list(sort), limit=limit, fields={"history": 0})
        return [(one["_id"], self.tasks.state(one)) for one in found]

    async def page(
        self,
        *,
        community: str | None = None,
        grids: tuple[str, ...] = (),
        worker: str | None = None,
        state: str | None = None,
        is_open: bool | None = None,
        request_id: str | None = None,
        asked: str | None = None,
        check: bool | None = None,
        limit: int,
        after: tuple[int, datetime, str] | None = None,
    ) -> list[Document]:
        """Tasks, first of the list first: priority, then age. `asked`: those that this worker may claim."""
        if is_open is None and state is not None:
            is_open = state in OPEN
        query: dict[str, Any] = {
            name: value
            for name, value in (
                ("state.request_id", request_id),
                ("state.state", state),
                ("state.open", is_open),
                ("state.worker", worker),
                ("state.asked", asked),
                ("state.check", check),
                ("state.facts.community", community),
            )
            if value is not None
        }
        if is_open is None and request_id is None and asked is None and check is None:
            # Both at once, as two ranges of the index merged in its order.
            query["state.open"] = {"$in": [True, False]}
        if grids:
            query["state.facts.grid"] = {"$in": list(grids)}
        if after is not None:
            priority, at, task_id = after
            query["$or"] = [
                {"state.priority": {"$lt": priority}},
                {"state.priority": priority, "state.created_at": {"$gt": at}},
                {"state.priority": priority, "state.created_at": at, "_id": {"$gt": task_id}},
            ]
        return await self.tasks.collection.find(query, sort=list(_ORDER), limit=limit, fields={"history": 0})

    async def reconciliation(self, after: tuple[str, str], limit: int) -> list[Document]:
        """Every task by the id of its request, and its own."""
        request_id, task_id = after
        beyond = [{"state.request_id": {"$gt": request_id}}, {"state.request_id": request_id, "_id": {"$gt": task_id}}]
        return await self.tasks.collection.find(
            {"$or": beyond},
            sort=[("state.request_id", 1), ("_id", 1)],
            limit=limit,
            fields={
                "state.request_id": 1,
                "state.state": 1,
                "state.facts.request_id": 1,
                "history.type": 1,
                "history.id": 1,
                "unsent": 1,
            },
        )


def _due(now: datetime) -> dict[str, Any]:
    """Without the type, the planner does not see that the partial index holds all that match."""
    return {"state.due_at": {"$type": "date", "$lte": now}}
