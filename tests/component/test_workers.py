"""Who helps, on a real broker and database: abilities, caps, absences, approval, doors that do not want somebody."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import httpx
import pytest

from services.dispatch.domain.ladder import MOST_ASKED
from tests import world
from tests.component.conftest import Room
from tests.running import Town, eventually, problems

READER = {
    "worker_id": "reader",
    "community": world.TIEBEI,
    "role": "volunteer",
    "grids": ["g2"],
    "skills": ["gas_card_reader"],
    "name": "郑",
}
"""Holds the Bluetooth reader, and helps in g2."""


async def registered(room: Room, body: dict[str, Any], status: int = 202) -> httpx.Response:
    answer = await room.dispatch.post("/workers", body)
    assert answer.status_code == status, answer.text
    return answer


# Who is asked


async def test_who_has_what_it_takes_is_asked_wherever_he_helps_and_may_claim(room: Room) -> None:
    """The grid's own worker and its volunteers have no reader."""
    await registered(room, READER)
    task_id = await room.offered("r1", kind="gas_top_up")
    (told,) = room.events.bodies("doorstep.delivery.offered.v1")
    assert (told["asked"], told["role"], told["step"]) == (["reader"], "volunteer", 2)
    for worker, status in ((world.SUN, 409), ("reader", 200)):
        command = {"task_id": task_id, "command_id": f"c-{worker}", "worker": worker}
        answer = await room.operator.ask("task.claim", command)
        assert (answer["status"] == "accepted") == (status == 200), answer


async def test_where_nobody_is_able_a_coordinator_is_told_who_is_nearest(room: Room) -> None:
    """And what he lacks."""
    await room.offered("r1", kind="gas_top_up")
    (told,) = room.events.bodies("doorstep.delivery.escalated.v1")
    assert (told["reason"], told["nearest"], told["lacks"]) == ("nobody_able", world.ZHAO, ["skill:gas_card_reader"])


async def test_a_resident_is_visited_by_who_speaks_his_language_or_with_a_phrase_sheet(room: Room) -> None:
    """Asked first, and missed only when nobody speaks it."""
    task_id = await room.offered("r1", language="fr")
    await room.act(task_id, "accept", "grid_worker", "c1")
    (assigned,) = await eventually(lambda: room.events.bodies("doorstep.delivery.assigned.v1"))
    assert assigned["aids"] == ["phrase_sheet"]
    await registered(room, {**READER, "worker_id": "marie", "grids": ["g1"], "skills": [], "languages": ["zh", "fr"]})
    await room.offered("r2", language="fr")
    assert room.events.bodies("doorstep.delivery.offered.v1")[-1]["asked"] == ["marie"]


async def test_only_who_is_on_shift_is_asked(room: Room) -> None:
    """The clock stands at five in the afternoon in Tiebei."""
    local = room.clock.now + timedelta(hours=8)
    shift = {"begins": f"{local - timedelta(hours=1):%Y-%m-%dT%H:%M}", "minutes": 120}
    await registered(room, {**world.WORKERS[2], "shifts": [shift]})
    later = {"begins": f"{local + timedelta(hours=1):%Y-%m-%dT%H:%M}", "minutes": 120}
    await registered(room, {**world.WORKERS[3], "shifts": [later]})
    task_id = await room.offered("r1")
    await room.act(task_id, "decline", "grid_worker", "no")
    await eventually(lambda: room.told("r1")[-1] == "offered" and len(room.told("r1")) == 3)
    assert room.events.bodies("doorstep.delivery.offered.v1")[-1]["asked"] == [world.SUN]


async def test_a_list_shows_a_worker_what_he_may_claim(room: Room) -> None:
    """Also outside his own grids."""
    task_id = await room.offered("r1")
    await room.act(task_id, "decline", "grid_worker", "no")
    claimable = await room.dispatch.items("/tasks", who="volunteer", claimable=True)
    assert [(one["id"], one["asked"]) for one in claimable] == [(task_id, 2)]
    await room.act(task_id, "claim", "volunteer", "yes")
    assert await room.dispatch.items("/tasks", who="volunteer", claimable=True) == []


# Caps


async def test_no_cap_is_passed_however_many_claims_come_at_once_over_two_replicas(town: Town, room: Room) -> None:
    """Twenty tasks, three places: three are his, and a place that is left is taken again."""
    await registered(room, {**world.WORKERS[2], "cap": 3})
    tasks = [await room.offered(f"r{number}") for number in range(20)]
    for number, task_id in enumerate(tasks):
        await room.act(task_id, "decline", "grid_worker", f"no{number}")
    async with town.up("dispatch", clock=room.clock) as second:
        both = (room.dispatch, second.dispatch)
        answers = await asyncio.gather(
            *(
                both[number % 2].post(f"/tasks/{task_id}/claim", {"command_id": f"c{number}"}, who="volunteer")
                for number, task_id in enumerate(tasks)
            )
        )
    won = [task_id for task_id, one in zip(tasks, answers, strict=True) if one.status_code == 200]
    assert len(won) == 3
    lost = Counter((one.status_code, *problems(one)) for one in answers if one.status_code != 200)
    assert lost == {(409, ("worker", "cap_reached")): 17}
    slots = [one["state"]["slot"] for one in await room.dispatch.stored("tasks", {"state.worker": world.SUN})]
    assert sorted(slots) == [f"{world.SUN}/{number}" for number in (1, 2, 3)]
    other = next(task_id for task_id in tasks if task_id not in won)
    assert (await room.act(other, "claim", "volunteer", "once-more")).status_code == 409
    assert (await room.act(won[0], "complete", "volunteer", "done")).status_code == 200
    assert (await room.act(other, "claim", "volunteer", "now")).status_code == 200


async def test_who_has_no_place_left_is_not_asked_but_can_be_given_more(room: Room) -> None:
    """A coordinator may ask for more of somebody; whoever brings goods to him, too."""
    await registered(room, {**world.WORKERS[0], "cap": 1})
    first = await room.offered("r1")
    assert (await room.act(first, "accept", "grid_worker", "c1")).status_code == 200
    second = await room.offered("r2")
    assert (await room.task(second))["state"]["role"] == "volunteer"
    given = await room.act(second, "accept", "coordinator", "c2", worker=world.ZHAO)
    assert (given.status_code, given.json()["worker"]) == (200, world.ZHAO)
    third = await room.offered("r3")
    for verb in ("claim", "start"):
        assert (await room.act(third, verb, "volunteer", verb)).status_code == 200
    passed = await room.act(third, "hand-over", "volunteer", "h", to=world.ZHAO)
    assert (passed.status_code, passed.json()["worker"]) == (200, world.ZHAO)


# Absence


async def test_who_is_away_has_his_grids_and_his_work_with_another_until_he_is_back(room: Room) -> None:
    """One step there; back by itself at its time."""
    tasks = [await room.offered(f"r{number}") for number in range(3)]
    until = room.clock.now + timedelta(hours=8)
    away = {"command_id": "sick", "until": until.isoformat(), "cover": world.QIAN}
    answer = await room.dispatch.post(f"/workers/{world.ZHAO}/absence", away, who="coordinator")
    assert answer.json() == {"status": "accepted", "id": world.ZHAO}
    await eventually(lambda: has(room, world.QIAN, 3))
    again = await room.dispatch.post(f"/workers/{world.ZHAO}/absence", away, who="coordinator")
    assert again.json()["status"] == "duplicate"
    listed = {one["worker_id"]: one["away"] for one in await room.dispatch.items("/workers", who="coordinator")}
    assert (listed[world.ZHAO], listed[world.QIAN]) == (True, False)
    assert all("sex" not in one for one in await room.dispatch.items("/workers", who="coordinator"))
    room.clock.forward(hours=8)
    await eventually(lambda: room.events.bodies("doorstep.worker.returned.v1"))
    await eventually(lambda: grid_with(room, world.ZHAO))
    task_id = await room.offered("after")
    assert (await room.task(task_id))["state"]["worker"] == world.ZHAO
    assert len(tasks) == 3


async def has(room: Room, worker: str, count: int) -> bool:
    return len(await room.dispatch.stored("tasks", {"state.worker": worker})) == count


async def grid_with(room: Room, worker: str) -> bool:
    return bool(await room.dispatch.stored("grids", {"_id": f"{world.TIEBEI}/g1", "state.worker": worker}))


async def test_without_a_cover_the_ladder_passes_over_who_is_away(room: Room) -> None:
    """What he had not set out with is asked of the next; what he carries he finishes."""
    carried = await room.offered("r1")
    for verb in ("accept", "start"):
        await room.act(carried, verb, "grid_worker", verb)
    waiting = await room.offered("r2")
    await room.dispatch.post(f"/workers/{world.ZHAO}/absence", {"command_id": "sick"}, who="coordinator")
    await eventually(lambda: room.dispatch.stored("tasks", {"_id": waiting, "state.role": "volunteer"}))
    assert (await room.task(carried))["state"]["worker"] == world.ZHAO
    new = await room.offered("r3")
    assert (await room.task(new))["state"]["asked"] == [world.SUN, world.WU]


async def test_a_volunteer_who_is_away_takes_no_grid_with_him(room: Room) -> None:
    """He only helps there; the grid stays with whoever answers for it, then and when he is back."""
    await registered(room, {**world.WORKERS[2], "grids": ["g1", "g2"]})
    for command_id, more in (("away", {"cover": world.WU}), ("back", {"until": room.clock.now.isoformat()})):
        body = {"command_id": command_id, **more}
        answer = await room.dispatch.post(f"/workers/{world.SUN}/absence", body, who="coordinator")
        assert answer.status_code == 200
    await eventually(lambda: room.events.bodies("doorstep.worker.returned.v1"))
    await room.offered("r1")
    assert await grid_with(room, world.ZHAO)
    assert not room.events.bodies("doorstep.grid.covered.v1")


async def test_a_cover_with_an_end_is_handed_back_by_itself(room: Room) -> None:
    """The open work goes with it."""
    evening = (room.clock.now + timedelta(hours=2)).isoformat()
    cover = {"command_id": "c1", "worker": world.QIAN, "until": evening}
    assert (await room.dispatch.post("/grids/tiebei/g1/cover", cover, who="coordinator")).status_code == 200
    await room.offered("r1", urgency="normal")
    assert await has(room, world.QIAN, 1)
    room.clock.forward(minutes=5)
    assert await grid_with(room, world.QIAN)
    room.clock.forward(hours=2)
    await eventually(lambda: grid_with(room, world.ZHAO))


# Sign-up


async def test_a_volunteer_who_signs_up_is_asked_once_a_coordinator_has_approved(room: Room) -> None:
    """The coordinators hear of it; the volunteer's name rests sealed."""
    body = {name: value for name, value in READER.items() if name != "role"} | {"phone": "+86 100 0000 0009"}
    assert (await room.dispatch.post("/volunteers", body, who="source")).status_code == 202
    assert (await room.dispatch.post("/volunteers", body, who="source")).json()["status"] == "duplicate"
    (told,) = await eventually(lambda: room.events.bodies("doorstep.worker.signed-up.v1"))
    assert (told["worker_id"], told["community"]) == ("reader", world.TIEBEI)
    assert "郑" not in str(await room.dispatch.stored("workers"))
    waiting = await room.offered("r1", kind="gas_top_up")
    assert (await room.task(waiting))["state"]["role"] == "coordinator"
    approve = {"command_id": "a1"}
    refused = await room.dispatch.post("/workers/reader/approve", approve, who="grid_worker")
    assert refused.status_code == 403
    assert (await room.dispatch.post("/workers/reader/approve", approve, who="coordinator")).status_code == 200
    asked = await room.offered("r2", kind="gas_top_up")
    assert (await room.task(asked))["state"]["asked"] == ["reader"]


# Doors


async def test_a_household_that_does_not_want_somebody_never_sees_him_again(room: Room) -> None:
    """What he had there goes to another; neighbours are not concerned."""
    task_id = await room.offered("r1")
    refused = await room.act(task_id, "exclude", "grid_worker", "x0", worker=world.ZHAO)
    assert refused.status_code == 403
    answers = [await room.act(task_id, "exclude", "coordinator", one, worker=world.ZHAO) for one in ("x1", "x1", "x2")]
    assert [one.json()["status"] for one in answers] == ["accepted", "duplicate", "duplicate"]
    await eventually(lambda: room.dispatch.stored("tasks", {"_id": task_id, "state.role": "volunteer"}))
    again = await room.offered("r2")
    neighbour = await room.offered("r3", household="household-2-1-503")
    assert (await room.task(again))["state"]["role"] == "volunteer"
    assert (await room.task(neighbour))["state"]["worker"] == world.ZHAO


# Bad input


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"skills": ["levitation"]}, ("skills.0", "unknown_skill")),
        ({"languages": ["zh", "tlh"]}, ("languages.1", "unknown_language")),
        ({"kinds": ["snow_clearing"]}, ("kinds.0", "unknown_kind")),
        ({"cap": 0}, ("cap", "greater_than_equal")),
        ({"shifts": [{"begins": "2026-02-30T08:00", "minutes": 60}]}, ("shifts.0.begins", "not_allowed")),
        (
            {"shifts": [{"begins": "2026-11-24T08:00", "minutes": 60, "rule": "FREQ=HOURLY"}]},
            ("shifts.0.rule", "bad_rule"),
        ),
        ({"shifts": [{"begins": "2026-11-24T08:00", "minutes": 60}] * 2}, ("shifts.1", "overlaps")),
    ],
)
async def test_what_no_catalogue_has_is_refused_by_field_and_changes_nothing(
    room: Room, change: dict[str, Any], problem: tuple[str, str]
) -> None:
    """Over HTTP and AMQP alike."""
    answer = await registered(room, {**READER, **change}, status=422)
    assert problems(answer) == [problem]
    assert problems(await room.operator.ask("worker.register", {**READER, **change})) == [problem]
    assert not await room.dispatch.stored("workers", {"_id": "reader"})


async def test_nobody_is_absent_who_is_not_registered_and_nobody_covers_who_is_not(room: Room) -> None:
    """Refused by field; a coordinator of another place learns nothing."""
    for worker, cover, status, problem in (
        ("nobody", None, 404, ("worker_id", "unknown_worker")),
        (world.ZHAO, "nobody", 422, ("cover", "unknown_worker")),
        (world.ZHAO, world.ZHAO, 422, ("cover", "not_allowed")),
    ):
        body = {"command_id": "c", "cover": cover}
        answer = await room.dispatch.post(f"/workers/{worker}/absence", body)
        assert (answer.status_code, problems(answer)) == (status, [problem])


def test_several_asked_fit_into_one_event() -> None:
    """The story of three hundred who are asked at once; and a bound."""
    assert 300 <= MOST_ASKED <= 500
