"""Dispatch on a real broker and database: who does it, and that only one does."""

import asyncio
from collections import Counter
from typing import Any

from services.dispatch.handlers import task_id_of
from shared.contracts.intake import RequestAmended, RequestCancelled
from tests import world
from tests.component.conftest import Room, created
from tests.running import Service, Town, eventually, problems


async def test_a_request_goes_from_offer_to_the_door(room: Room) -> None:
    """Each move answered, told, and under the right key."""
    task_id = await room.offered("r1")
    answers = [await room.act(task_id, verb, "grid_worker", verb) for verb in ("accept", "start", "complete")]
    assert [(one.json()["status"], one.json()["state"], one.json()["worker"]) for one in answers] == [
        ("accepted", "assigned", world.ZHAO),
        ("accepted", "under_way", world.ZHAO),
        ("accepted", "completed", world.ZHAO),
    ]
    await eventually(lambda: "completed" in room.told("r1"))
    assert room.told("r1") == ["offered", "assigned", "started", "completed"]
    keys = {one.routing_key for one in room.events.heard if one.correlation_id == "r1"}
    assert keys >= {"delivery.offered.tiebei.g1", "delivery.completed.tiebei.g1"}
    assert {int(str(one.headers["ce-sequence"])) for one in room.events.heard if one.app_id == "dispatch"} >= {
        1,
        2,
        3,
        4,
    }


async def test_twenty_identical_deliveries_at_once_open_one_task(room: Room) -> None:
    """Under one id, and under twenty."""
    await asyncio.gather(*(room.operator.happen(created("r1"), identity="e1") for _ in range(20)))
    await asyncio.gather(*(room.operator.happen(created("r1")) for _ in range(20)))
    await room.offered("r2")
    assert room.told("r1") == ["offered"]
    assert len(await room.dispatch.stored("tasks")) == 2


async def test_a_move_sent_twenty_times_is_made_once(room: Room) -> None:
    """By its command id; each is told what is so."""
    task_id = await room.offered("r1")
    answers = await asyncio.gather(*(room.act(task_id, "accept", "grid_worker", "c1") for _ in range(20)))
    assert Counter(one.json()["status"] for one in answers) == {"accepted": 1, "duplicate": 19}
    await room.offered("r2")
    assert room.told("r1") == ["offered", "assigned"]


async def test_a_cancellation_that_comes_before_its_request_ends_it_before_anybody_is_asked(room: Room) -> None:
    """Nobody walks in vain."""
    await room.operator.happen(RequestCancelled(request_id="r1", community=world.TIEBEI, grid="g1"), sequence=2)
    await eventually(lambda: room.dispatch.stored("tasks", {"_id": task_id_of("r1")}))
    await room.offered("r1")
    assert room.told("r1") == ["cancelled"]
    assert (await room.task(task_id_of("r1")))["state"]["state"] == "cancelled"


async def test_amendments_in_any_order_and_however_often_end_as_the_newest_says(room: Room) -> None:
    """The third comes first; the request itself comes last."""
    task_id = task_id_of("r1")
    newest = RequestAmended(**facts(building="3", grid="g2"))
    older = RequestAmended(**facts(building="1", grid="g1"))
    await room.operator.happen(newest, sequence=3)
    await eventually(lambda: room.told("r1"))
    for _ in range(3):
        await room.operator.happen(older, sequence=2)
        await room.operator.happen(newest, sequence=3)
    await room.offered("r1")
    await room.offered("r2")
    document = await room.task(task_id)
    assert (document["state"]["facts"]["building"], document["state"]["worker"]) == ("3", world.QIAN)
    assert room.told("r1") == ["offered"]


def facts(**changes: Any) -> dict[str, Any]:
    told = world.created("r1", **changes)
    return {name: value for name, value in told.items() if name != "source"}


async def test_what_must_be_reviewed_waits_for_the_coordinator_until_it_is_amended(room: Room) -> None:
    """And then goes to the right grid."""
    task_id = await room.offered("r1", grid=None, building=world.NO_BUILDING, needs_review=("unknown_building",))
    assert (await room.task(task_id))["state"]["worker"] == world.ZHOU
    await room.operator.happen(RequestAmended(**facts(building="3", grid="g2")), sequence=2)
    await eventually(lambda: len(room.told("r1")) == 4)
    assert room.told("r1") == ["escalated", "offered", "released", "offered"]
    assert (await room.task(task_id))["state"]["worker"] == world.QIAN


# Claims


async def test_of_300_claims_over_http_one_wins_and_the_others_are_told_who(room: Room) -> None:
    """A volunteer has it, and 299 know which."""
    task_id = await room.offered("r1")
    assert (await room.act(task_id, "decline", "grid_worker", "no")).status_code == 200
    claims = (room.act(task_id, "claim", "coordinator", f"c{number}", worker=f"v{number}") for number in range(300))
    answers = await asyncio.gather(*claims)
    winners = [one.json()["worker"] for one in answers if one.status_code == 200]
    assert len(winners) == 1
    losers = [one for one in answers if one.status_code != 200]
    assert {one.status_code for one in losers} == {409}
    assert {(tuple(problems(one)), one.json()["title"]) for one in losers} == {
        ((("task_id", "taken"),), f"{winners[0]} has this task")
    }
    await room.offered("r2")
    assert room.told("r1").count("assigned") == 1


async def test_two_replicas_take_claims_and_one_wins(town: Town, room: Room) -> None:
    """Whichever of them each volunteer reaches."""
    async with town.up("dispatch", clock=room.clock) as second:
        task_id = await room.offered("r1")
        await room.act(task_id, "decline", "grid_worker", "no")
        both = (room.dispatch, second.dispatch)
        claims = (
            both[n % 2].post(f"/tasks/{task_id}/claim", {"command_id": f"c{n}", "worker": f"v{n}"}, who="coordinator")
            for n in range(100)
        )
        statuses = Counter(one.status_code for one in await asyncio.gather(*claims))
    assert statuses == {200: 1, 409: 99}


# Over AMQP


async def test_commands_over_amqp_are_answered_like_those_over_http(room: Room) -> None:
    """Accepted, duplicate, refused with field and code."""
    task_id = await room.offered("r1")
    command = {"task_id": task_id, "command_id": "c1", "worker": world.ZHAO, "at": "2026-11-24T08:59:00+00:00"}
    ask = room.operator.ask
    assert await ask("task.accept", command) == {
        "status": "accepted",
        "task_id": task_id,
        "state": "assigned",
        "worker": world.ZHAO,
    }
    assert (await ask("task.accept", command))["status"] == "duplicate"
    for key, change, problem in (
        ("task.accept", {"command_id": "c2"}, ("task_id", "taken")),
        ("task.start", {"command_id": "c3", "worker": world.QIAN}, ("worker", "not_yours")),
        ("task.start", {"command_id": "c4", "worker": None}, ("worker", "required")),
        ("task.start", {"command_id": "c5", "task_id": "nothing"}, ("task_id", "unknown_task")),
        ("task.start", {"command_id": "c6", "at": "2026-11-24T08:59:00"}, ("at", "timezone_aware")),
        ("task.hand-over", {"command_id": "c7", "to": "nobody"}, ("to", "unknown_worker")),
        ("task.complete", {"command_id": "c8", "state": "completed"}, ("state", "unknown_field")),
        ("task.reopen", {"command_id": "c9"}, ("task_id", "wrong_state")),
        ("grid.cover", {"grid": "g9"}, None),
    ):
        refused = await ask(key, {**command, **change})
        assert refused["status"] == "refused", key
        if problem:
            assert problems(refused) == [problem], key
    (started,) = [one for one in room.events.bodies("doorstep.delivery.assigned.v1") if one["task_id"] == task_id]
    assert started["at"] == "2026-11-24T08:59:00Z"
    assert (await room.task(task_id))["state"]["state"] == "assigned"


async def test_a_task_is_handed_over_on_the_way(room: Room) -> None:
    """Told with the state of the goods, and finished by the other."""
    task_id = await room.offered("r1")
    for verb in ("accept", "start"):
        await room.act(task_id, verb, "grid_worker", verb)
    passed = await room.act(task_id, "hand-over", "grid_worker", "h1", to=world.SUN, goods="damaged")
    assert (passed.json()["state"], passed.json()["worker"]) == ("under_way", world.SUN)
    late = await room.act(task_id, "complete", "grid_worker", "d1")
    assert (late.status_code, problems(late)) == (409, [("worker", "not_yours")])
    assert (await room.act(task_id, "complete", "volunteer", "d2")).json()["state"] == "completed"
    (told,) = await eventually(lambda: room.events.bodies("doorstep.delivery.handed-over.v1"))
    assert (told["previous"], told["worker"], told["goods"]) == (world.ZHAO, world.SUN, "damaged")


async def test_a_resident_who_says_not_done_has_the_task_opened_again(room: Room) -> None:
    """Same task, same history."""
    task_id = await room.offered("r1")
    for verb in ("accept", "complete"):
        await room.act(task_id, verb, "grid_worker", verb)
    assert (await room.act(task_id, "reopen", "coordinator", "again")).json()["state"] == "offered"
    await eventually(lambda: len(room.told("r1")) == 5)
    assert room.told("r1") == ["offered", "assigned", "completed", "reopened", "offered"]


# A grid is covered


async def test_a_grid_goes_to_another_and_back_with_its_open_work(room: Room) -> None:
    """What the first had not set out with, in the order of the list; what he carries he finishes."""
    tasks = [await room.offered(f"r{number}", priority=10 + number) for number in range(4)]
    await room.act(tasks[0], "accept", "grid_worker", "a0")
    await room.act(tasks[0], "start", "grid_worker", "s0")
    await room.act(tasks[1], "accept", "grid_worker", "a1")
    cover = {"command_id": "sick", "worker": world.QIAN}
    done = await room.dispatch.post("/grids/tiebei/g1/cover", cover, who="coordinator")
    assert (done.status_code, done.json()["status"]) == (200, "accepted")
    await eventually(lambda: room.dispatch.stored("tasks", {"_id": tasks[3], "state.worker": world.QIAN}))
    await eventually(lambda: room.dispatch.stored("tasks", {"_id": tasks[1], "state.worker": world.QIAN}))
    held = {one["id"]: one["worker"] for one in await room.dispatch.items("/tasks", open=True)}
    assert held == {tasks[0]: world.ZHAO, **dict.fromkeys(tasks[1:], world.QIAN)}
    walks = await room.dispatch.get("/walks", who="coordinator", worker=world.QIAN)
    assert [one["id"] for one in walks["items"][0]["tasks"]] == list(reversed(tasks[1:]))
    again = await room.dispatch.post("/grids/tiebei/g1/cover", cover, who="coordinator")
    assert again.json()["status"] == "duplicate"
    back = {"command_id": "well", "worker": world.ZHAO}
    await room.dispatch.post("/grids/tiebei/g1/cover", back, who="coordinator")
    await eventually(lambda: len_is(room.dispatch, {"state.worker": world.ZHAO}, 4))
    await room.offered("r9")
    assert (await room.task(task_id_of("r9")))["state"]["worker"] == world.ZHAO


async def len_is(dispatch: Service, query: dict[str, Any], count: int) -> bool:
    return len(await dispatch.stored("tasks", query)) == count


async def test_news_of_a_cover_that_comes_again_later_moves_nothing(room: Room) -> None:
    """The grid is back with its own worker, and his new work stays with him."""
    for command_id, worker in (("sick", world.QIAN), ("well", world.ZHAO)):
        body = {"command_id": command_id, "worker": worker}
        assert (await room.dispatch.post("/grids/tiebei/g1/cover", body)).status_code == 200
    (first,) = await eventually(lambda: covers(room, world.QIAN))
    task_id = await room.offered("r1")
    before = await room.task(task_id)
    await room.operator.tell(
        first.routing_key, first.body, exchange="doorstep.events", type=first.type, headers=dict(first.headers)
    )
    await room.offered("r2")
    assert (await room.task(task_id))["state"] == before["state"]


def covers(room: Room, worker: str) -> list[Any]:
    """The news that `worker` covers."""
    return [
        one for one in room.events.heard if one.type == "doorstep.grid.covered.v1" and worker.encode() in one.body[:200]
    ]


async def test_nobody_covers_who_is_not_registered_and_no_grid_that_is_not_there(room: Room) -> None:
    """Refused by field."""
    for grid, worker, status, problem in (
        ("g1", "nobody", 422, ("worker", "unknown_worker")),
        ("g9", world.QIAN, 404, ("grid", "unknown_grid")),
    ):
        answer = await room.dispatch.post(f"/grids/tiebei/{grid}/cover", {"command_id": "c", "worker": worker})
        assert (answer.status_code, problems(answer)) == (status, [problem])


async def test_a_worker_registered_again_is_a_duplicate_and_a_change_is_told(room: Room) -> None:
    """Names rest sealed."""
    same = await room.dispatch.post("/workers", world.WORKERS[0])
    changed = await room.dispatch.post("/workers", {**world.WORKERS[0], "grids": ["g1", "g2"]})
    assert [one.json()["status"] for one in (same, changed)] == ["duplicate", "accepted"]
    assert "赵" not in str(await room.dispatch.stored("workers"))


# Personal data


async def test_details_are_opened_for_who_has_the_task_and_every_opening_is_told(room: Room) -> None:
    """For who leads, too; for nobody else, and not before he said yes."""
    task_id = await room.offered("r1")
    before = await room.dispatch.get(f"/tasks/{task_id}", who="grid_worker")
    assert "details" not in before
    assert not room.events.bodies("doorstep.personal-data.opened.v1")
    await room.act(task_id, "accept", "grid_worker", "c1")
    shown = await room.dispatch.get(f"/tasks/{task_id}", who="grid_worker")
    assert shown["details"]["address"]["room"] == "502"
    assert "details" not in await room.dispatch.get(f"/tasks/{task_id}", who="volunteer")
    await room.dispatch.get(f"/tasks/{task_id}", who="coordinator")
    opened = await eventually(lambda: pair(room.events.bodies("doorstep.personal-data.opened.v1")))
    assert [(one["record"], one["reader"], one["request_id"]) for one in opened] == [
        (f"task:{task_id}", world.ZHAO, "r1"),
        (f"task:{task_id}", world.ZHOU, "r1"),
    ]


def pair(found: list[Any]) -> list[Any] | None:
    return found if len(found) == 2 else None


# Lists


async def test_pages_walk_the_whole_list_without_gap_or_double(room: Room) -> None:
    """The most urgent first, then the longest waiting, although all came in one moment."""
    for number in range(23):
        await room.operator.happen(created(f"r{number:02d}", priority=10 + number % 3))
    await eventually(lambda: len_is(room.dispatch, {"state.state": "offered"}, 23))
    pages = await room.dispatch.pages("/tasks", limit=5, open=True)
    assert [len(page) for page in pages] == [5, 5, 5, 5, 3]
    listed = [one for page in pages for one in page]
    assert len({one["id"] for one in listed}) == 23
    assert [one["priority"] for one in listed] == sorted((one["priority"] for one in listed), reverse=True)


async def test_a_list_that_is_walked_while_tasks_come_shows_all_that_were_there(room: Room) -> None:
    """New ones above the place do not push others over it."""
    for number in range(10):
        await room.offered(f"r{number}")
    first = await room.dispatch.get("/tasks", limit=5)
    await room.offered("urgent", priority=40)
    second = await room.dispatch.get("/tasks", limit=50, after=first["next"])
    ids = [one["request_id"] for one in first["items"] + second["items"]]
    assert sorted(ids) == [f"r{number}" for number in range(10)]


async def test_a_list_is_filtered_by_what_it_is_asked_for(room: Room) -> None:
    """Grid, state, worker, request, open."""
    one = await room.offered("r1")
    other = await room.offered("r2", grid="g2", building="3")
    await room.act(one, "accept", "grid_worker", "c1")
    for params, expected in (
        ({"grid": "g1"}, {one}),
        ({"grid": "g2"}, {other}),
        ({"state": "assigned"}, {one}),
        ({"worker": world.QIAN}, {other}),
        ({"request_id": "r1"}, {one}),
        ({"open": True}, {one, other}),
        ({"open": False}, set()),
        ({"community": "elsewhere"}, set()),
    ):
        assert {task["id"] for task in await room.dispatch.items("/tasks", **params)} == expected, params


async def test_several_orders_of_one_stairwell_are_one_walk(room: Room) -> None:
    """Told together, the most urgent first, whoever else lives in the building."""
    await room.offered("r1", stairwell="s-2-1", priority=10)
    await room.offered("r2", stairwell="s-2-2", priority=25)
    await room.offered("r3", stairwell="s-2-1", priority=40)
    walks = (await room.dispatch.get("/walks", who="grid_worker"))["items"]
    assert [[one["request_id"] for one in walk["tasks"]] for walk in walks] == [["r3", "r1"], ["r2"]]
