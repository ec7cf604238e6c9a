"""HTTP in: for workers, coordinators, operators."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request, Response

from services.dispatch import handlers, photos
from services.dispatch.domain.task import TAKEN, Actor, Task
from services.dispatch.house import Dispatch
from services.dispatch.workers import handlers as workers
from shared.access import LEADERS, PARTIES, STAFF, Principal
from shared.contracts.dispatch import (
    AcceptTask,
    ArriveTask,
    BuyGoods,
    CheckTask,
    ClaimTask,
    CompleteTask,
    DeclineTask,
    ExcludeWorker,
    FailTask,
    HandOverTask,
    PauseTask,
    ReopenTask,
    ReturnGoods,
    StartTask,
    TaskAnswer,
    TaskCommand,
    TaskState,
)
from shared.contracts.envelope import Moment
from shared.contracts.intake import RequestDetails, RequestFacts
from shared.contracts.refusal import refusal
from shared.documents import Document
from shared.pages import decode_cursor, page
from shared.web import After, Limit, Somebody, body, http_meta, limited, takes

PREFIX = "/api/dispatch"
Name = Annotated[str | None, Query(max_length=128)]
DeviceTime = Annotated[Moment | None, Query(description="The device's own time.")]
VERBS: dict[str, tuple[type[TaskCommand], Any]] = {
    "claim": (ClaimTask, handlers.accept),
    "accept": (AcceptTask, handlers.accept),
    "decline": (DeclineTask, handlers.decline),
    "start": (StartTask, handlers.start),
    "pause": (PauseTask, handlers.pause),
    "buy": (BuyGoods, handlers.buy),
    "arrive": (ArriveTask, handlers.arrive),
    "hand-over": (HandOverTask, handlers.hand_over),
    "complete": (CompleteTask, handlers.complete),
    "fail": (FailTask, handlers.fail),
    "return-goods": (ReturnGoods, handlers.return_goods),
    "check": (CheckTask, handlers.check),
    "reopen": (ReopenTask, handlers.reopen),
}
Verb = Literal[
    "claim",
    "accept",
    "decline",
    "start",
    "pause",
    "buy",
    "arrive",
    "hand-over",
    "complete",
    "fail",
    "return-goods",
    "check",
    "reopen",
]


def add_routes(app: FastAPI, house: Dispatch) -> None:
    """Put dispatch's routes on the application."""

    @app.get(f"{PREFIX}/tasks", tags=["tasks"])
    async def tasks(
        who: Somebody,
        limit: Limit = 50,
        after: After = None,
        community: Name = None,
        grid: Name = None,
        worker: Name = None,
        request_id: Name = None,
        state: TaskState | None = None,
        is_open: Annotated[bool | None, Query(alias="open")] = None,
        claimable: bool = False,
        check: bool = False,
    ) -> dict[str, Any]:
        """Tasks within the token's place: the most urgent first, then the longest waiting. No personal data.

        `claimable`: those that the token's worker is asked for beside others, in other grids, too; `check`: those that
        wait for a second look.
        """
        who.require(*STAFF, "source")
        if not who.covers(who.community or community, grid) and grid is not None:
            raise refusal("grid", "forbidden", f"grid {grid} is not within this token's place", status=403)
        place = decode_cursor(after, (int, datetime, str))
        found = await house.store.page(
            community=who.community or community,
            grids=(grid,) if grid else () if claimable else who.grids,
            worker=_worker(who, None) if who.role in PARTIES and not claimable else worker,
            asked=_worker(who, None) if claimable else None,
            check=check or None,
            state=state,
            is_open=is_open,
            request_id=request_id,
            limit=limit + 1,
            after=(place[0], place[1], place[2]) if place else None,
        )
        return page(found, limit, _place_of, lambda one: show(house.store.tasks.state(one)))

    @app.get(f"{PREFIX}/walks", tags=["tasks"])
    async def walks(who: Somebody, worker: Name = None) -> dict[str, Any]:
        """A worker's open tasks, those of one stairwell together: one walk each."""
        name = _worker(who, worker)
        found = await house.store.page(worker=name, is_open=True, community=who.community, limit=500)
        stairs: dict[str, list[dict[str, Any]]] = {}
        for document in found:
            task = house.store.tasks.state(document)
            stairs.setdefault(task.facts.stairwell if task.facts else "", []).append(show(task))
        return {
            "items": [
                {"walk": key[:12], "building": tasks[0]["building"], "tasks": tasks} for key, tasks in stairs.items()
            ],
            "next": None,
        }

    @app.get(f"{PREFIX}/tasks/{{task_id}}", tags=["tasks"])
    async def one_task(who: Somebody, task_id: str) -> dict[str, Any]:
        """One task. Name, phone, door and list are opened for who has it and for who leads; the opening is noted.

        `details` is null where the person was erased.
        """
        task, facts = await _seen(who, task_id)
        shown = show(task)
        if who.role in LEADERS or (task.state in TAKEN and task.worker == who.worker):
            await _note_opening(who, f"task:{task_id}", facts)
            told = house.runtime.sealer.left(facts.sealed, f"request:{task.request_id}")
            details = None if told is None else RequestDetails.model_validate_json(told, extra="ignore")
            shown["details"] = None if details is None else details.model_dump(mode="json", by_alias=True)
        return shown

    @app.post(
        f"{PREFIX}/tasks/{{task_id}}/photos",
        response_model=photos.PhotoAnswer,
        status_code=201,
        openapi_extra={"requestBody": {"required": True, "content": {"image/*": {"schema": {"type": "string"}}}}},
        tags=["proof"],
    )
    async def keep_photo(who: Somebody, task_id: str, request: Request, at: DeviceTime = None) -> photos.PhotoAnswer:
        """A photo as proof: a JPEG, PNG or WebP picture as the body. What the camera wrote beside it is not kept."""
        who.require(*STAFF)
        await _seen(who, task_id)
        raw = await limited(request, photos.LARGEST)
        actor = Actor(_worker(who, None) if who.worker else who.name, who.leads(), at)
        return await photos.keep(house, task_id, actor, raw, http_meta(request, "", house.runtime.clock()))

    @app.get(f"{PREFIX}/tasks/{{task_id}}/photos/{{photo_id}}", tags=["proof"])
    async def one_photo(who: Somebody, task_id: str, photo_id: str) -> Response:
        """The picture, as JPEG, for who had the task and for who leads; the opening is noted."""
        task, facts = await _seen(who, task_id)
        if who.role not in LEADERS and who.worker not in task.holders:
            raise refusal("task_id", "unknown_task", "there is no task of this id", status=404)
        jpeg = await photos.picture(house, task_id, photo_id)
        await _note_opening(who, f"photo:{photo_id}", facts)
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return Response(jpeg, media_type="image/jpeg", headers=headers)

    @app.post(
        f"{PREFIX}/tasks/{{task_id}}/exclude",
        response_model=TaskAnswer,
        openapi_extra=takes(ExcludeWorker),
        tags=["tasks"],
    )
    async def exclude(who: Somebody, task_id: str, request: Request) -> TaskAnswer:
        """Never this `worker` again behind the door of this task."""
        who.require(*LEADERS)
        command = await body(request, ExcludeWorker, task_id=task_id)
        await _seen(who, task_id)
        return await workers.exclude(house, command, http_meta(request, ExcludeWorker.wire, house.runtime.clock()))

    @app.post(
        f"{PREFIX}/tasks/{{task_id}}/{{verb}}",
        response_model=TaskAnswer,
        openapi_extra=takes(TaskCommand),
        tags=["tasks"],
    )
    async def act(who: Somebody, task_id: str, verb: Verb, request: Request) -> TaskAnswer:
        """Make a move on a task. Sent again with the same `command_id`, it changes nothing and answers `duplicate`."""
        who.require(*STAFF)
        contract, handler = VERBS[verb]
        given = {"task_id": task_id}
        if not who.leads():
            given["worker"] = _worker(who, None)
        command = await body(request, contract, **given)
        if command.worker is None and who.worker is not None:
            command = command.model_copy(update={"worker": who.worker})
        await _seen(who, task_id)
        answer: TaskAnswer = await handler(
            house, command, http_meta(request, contract.wire, house.runtime.clock()), leads=who.leads()
        )
        return answer

    async def _note_opening(who: Principal, record: str, facts: RequestFacts) -> None:
        await house.runtime.openings.note(
            who, record, "delivery", community=facts.community, grid=facts.grid, request_id=facts.request_id
        )

    async def _seen(who: Principal, task_id: str) -> tuple[Task, RequestFacts]:
        """A task that this principal may see; to others it is as if there were none."""
        task = await house.store.tasks.get(task_id)
        if task is None or task.facts is None or not _may_see(who, task):
            raise refusal("task_id", "unknown_task", "there is no task of this id", status=404)
        return task, task.facts

    @app.get(f"{PREFIX}/reconciliation", tags=["operation"])
    async def reconciliation(who: Somebody, limit: Limit = 500, after: After = None) -> dict[str, Any]:
        """Every task by the id of its request, with the events that it raised; `doorstep verify` compares."""
        who.require("operator")
        place = decode_cursor(after, (str, str))
        found = await house.store.reconciliation((place[0], place[1]) if place else ("", ""), limit + 1)
        return page(found, limit, lambda one: (one["state"]["request_id"], one["_id"]), _reconciled)


def show(task: Task) -> dict[str, Any]:
    """A task as staff see it in a list: no personal data."""
    facts = task.facts
    if facts is None:
        return {"id": task.task_id, "request_id": task.request_id, "state": task.state, "worker": None}
    return {
        "id": task.task_id,
        "request_id": task.request_id,
        "kind": facts.kind,
        "community": facts.community,
        "grid": facts.grid,
        "building": facts.building,
        "walk": facts.stairwell[:12],
        "state": task.state,
        "worker": task.worker,
        "offered_to": task.role if task.state == "offered" else None,
        "asked": len(task.asked),
        "why": task.why,
        "step": task.step,
        "priority": task.priority,
        "urgency": facts.urgency,
        "first_line": facts.first_line,
        "needs": facts.needs,
        "language": facts.language,
        "contactless": facts.contactless or task.apart,
        "apart": task.apart,
        "needs_review": facts.needs_review,
        "gate": task.gate,
        "point": task.point,
        "paused": task.paused.reason if task.paused else None,
        "legs": [one.model_dump() for one in task.legs],
        "photos": [one.model_dump(exclude={"look"}) for one in task.photos],
        "check": task.check,
        "due_at": task.due_at,
        "created_at": task.created_at,
    }


def _may_see(who: Principal, task: Task) -> bool:
    if task.facts is None or who.role not in STAFF:
        return False
    if who.worker is not None and who.worker in (task.worker, *task.asked, *task.holders):
        return True
    if who.role in PARTIES:
        return False
    return who.covers(task.facts.community, task.facts.grid) or (who.leads() and who.community is None)


def _worker(who: Principal, asked: str | None) -> str:
    name = asked if who.leads() and asked else who.worker
    if name is None:
        raise refusal("worker", "required", "this token belongs to no worker; say which worker is meant", status=422)
    return name


def _place_of(document: Document) -> tuple[int, datetime, str]:
    state = document["state"]
    return state["priority"], state["created_at"], document["_id"]


def _reconciled(document: Document) -> dict[str, Any]:
    state = document["state"]
    return {
        "request_id": state["request_id"],
        "state": state["state"],
        "known": state.get("facts") is not None,
        "events": [{"id": one["id"], "type": one["type"]} for one in document["history"]],
        "unsent": len(document["unsent"]),
    }
