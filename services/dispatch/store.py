"""Documents of dispatch: tasks, workers, grids."""

import asyncio
from datetime import datetime
from typing import Any

from services.dispatch.domain.roster import COORDINATORS, Grid, Worker
from services.dispatch.domain.task import OPEN, Roster, Task
from shared.condition import MEASURING
from shared.contracts.intake import RequestFacts
from shared.documents import Document, Index
from shared.runtime import Runtime

_ORDER = (("state.priority", -1), ("state.created_at", 1), ("_id", 1))
OF_REQUEST = Index((("state.request_id", 1), ("_id", 1)))
LIST = Index((("state.open", 1), *_ORDER))
DUE = Index((("state.due_at", 1),), where={"state.due_at": {"$type": "date"}})


class Store:
    """What dispatch keeps."""

    def __init__(self, runtime: Runtime) -> None:
        self.tasks = runtime.aggregates("tasks", Task, lambda one: one.request_id, [OF_REQUEST, LIST, DUE])
        self.workers = runtime.aggregates("workers", Worker, lambda one: one.worker_id)
        self.grids = runtime.aggregates("grids", Grid, lambda one: f"{one.community}/{one.grid}")

    async def roster(self, facts: RequestFacts) -> Roster:
        """Who can be asked for a request there."""
        grid, coordinators = await asyncio.gather(
            self.grids.get(f"{facts.community}/{facts.grid}"), self.grids.get(f"{facts.community}/{COORDINATORS}")
        )
        return Roster(
            responsible=grid.worker if grid else None, coordinator=coordinators.worker if coordinators else None
        )

    async def due(self, now: datetime, limit: int) -> list[tuple[str, Task]]:
        """Tasks whose offer or lease has run out, longest first."""
        found = await self.tasks.collection.find(
            _due(now), sort=[("state.due_at", 1)], limit=limit, fields={"history": 0}
        )
        return [(one["_id"], self.tasks.state(one)) for one in found]

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

    async def held(self, community: str, grid: str, worker: str) -> list[tuple[str, Task]]:
        """Open tasks of a grid that `worker` is asked for or has, first of the list first."""
        found = await self.tasks.collection.find(
            {"state.open": True, "state.worker": worker, "state.facts.community": community, "state.facts.grid": grid},
            sort=list(_ORDER),
            fields={"history": 0},
        )
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
        limit: int,
        after: tuple[int, datetime, str] | None = None,
    ) -> list[Document]:
        """Tasks, first of the list first: priority, then age."""
        if is_open is None and state is not None:
            is_open = state in OPEN
        query: dict[str, Any] = {
            name: value
            for name, value in (
                ("state.request_id", request_id),
                ("state.state", state),
                ("state.open", is_open),
                ("state.worker", worker),
                ("state.facts.community", community),
            )
            if value is not None
        }
        if is_open is None and request_id is None:
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
