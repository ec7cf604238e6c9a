"""S19: thirty riders bring five hundred vegetable packs to one point; each hand-over is recorded, one by one."""

from collections import Counter
from collections.abc import AsyncIterator

import pytest

from tests import world
from tests.running import Town, eventually
from tests.stories.stage import Stage, stage

RIDERS, PACKS, LEFT_OVER = 30, 500, 40
POINT = "lockers"
KEEPER = "keeper"
"""Minds the point, where nobody touches anybody."""
DAMAGED, LOST = 13, 77
"""Packs that something happens to on their first leg."""


@pytest.fixture
async def packs(town: Town) -> AsyncIterator[Stage]:
    """Six buildings, thirty riders who are on duty until five, some volunteers."""
    async with stage(town) as one:
        day = {"begins": "2026-11-01T08:00", "minutes": 540, "rule": "FREQ=DAILY"}
        await one.enter(
            {f"{number}": "g1" for number in range(1, 7)},
            [
                *({"worker_id": f"rider-{n}", "role": "rider", "shifts": [day]} for n in range(RIDERS)),
                {"worker_id": KEEPER, "role": "volunteer", "kinds": ["gate_duty"]},
                *({"worker_id": f"v{n}", "role": "volunteer", "cap": 10} for n in range(8)),
                {"worker_id": world.ZHOU, "role": "coordinator"},
            ],
        )
        yield one


def pack(number: int) -> dict[str, object]:
    """A household's vegetables."""
    address = {"building": f"{number % 6 + 1}", "unit": "1", "room": f"{number}"}
    return world.groceries(f"pack-{number}", kind="vegetable_pack", address=address, resident={}, items=[])


@pytest.mark.timeout(600)
async def test_five_hundred_packs_go_from_riders_over_a_point_to_every_door(packs: Stage) -> None:
    """Most are collected; what lies there in the evening is brought; what is damaged or lost is seen on its leg."""
    tasks = await packs.request([pack(number) for number in range(PACKS)])
    riders = {task: f"rider-{number % RIDERS}" for number, task in enumerate(tasks)}
    offered = await packs.tasks(role="rider")
    assert set(offered) == set(tasks), "riders are asked first"
    for verb in ("claim", "start"):
        await packs.all_do(verb, riders.items())

    goods = {tasks[DAMAGED]: "damaged", tasks[LOST]: "missing"}
    whole = [(task, rider) for task, rider in riders.items() if task not in goods]
    await packs.all_do("hand-over", whole, to=KEEPER, point=POINT, told="message")
    for task, state in goods.items():
        answer = await packs.command("hand-over", task, riders[task], to=KEEPER, point=POINT, goods=state)
        assert answer["status"] == "accepted"
    await eventually(lambda: packs.entered("DeliveryHandedOver", PACKS))
    flagged = await eventually(lambda: len(packs.heard("DeliveryFlagged")) == 2 and packs.heard("DeliveryFlagged"))
    assert {one["task_id"] for one in flagged} == set(goods)
    assert {one["role"] for one in flagged} == {"coordinator"}

    await packs.all_do("fail", [(tasks[LOST], KEEPER)], reason="goods_missing")
    rest = [task for task in tasks if task != tasks[LOST]]
    left = rest[:LEFT_OVER]
    await packs.all_do("complete", [(task, KEEPER) for task in rest[LEFT_OVER:]])

    await evening(packs)
    await eventually(lambda: waits(packs, left))
    carriers = {task: f"v{number % 8}" for number, task in enumerate(left)}
    await packs.all_do("claim", carriers.items())
    await packs.all_do("start", carriers.items())
    await packs.all_do("complete", carriers.items(), told="door")

    done = await packs.tasks(state="completed")
    assert len(done) == PACKS - 1
    chains = Counter(
        tuple((leg["giver"][:5], leg["taker"][:5], leg["point"], leg["goods"]) for leg in state["legs"])
        for state in (await packs.tasks()).values()
    )
    first = ("rider", "keepe", POINT)
    assert chains == {
        ((*first, "intact"),): PACKS - LEFT_OVER - 1,
        ((*first, "missing"),): 1,
        ((*first, "damaged"), ("keepe", f"v{DAMAGED % 8}", None, "intact")): 1,
        **Counter(
            ((*first, "intact"), ("keepe", f"v{number % 8}", None, "intact"))
            for number in range(LEFT_OVER)
            if number != DAMAGED
        ),
    }

    await eventually(lambda: packs.entered("DeliveryCompleted", PACKS - 1))
    await eventually(lambda: packs.entered("DeliveryHandedOver", PACKS + LEFT_OVER))
    assert (await packs.at.ledger.get("/chain"))["broken"] == []
    await eventually(lambda: len(packs.heard("DeliveryCompleted")) == PACKS - 1)


async def evening(packs: Stage) -> None:
    """Six o'clock by the wall: riders are off duty, the point closes."""
    due = {one["due_at"] for one in (await packs.tasks(point=POINT, state="under_way")).values()}
    assert len(due) == 1
    packs.clock.forward(seconds=(due.pop() - packs.clock()).total_seconds())


async def waits(packs: Stage, tasks: list[str]) -> bool:
    """Whether volunteers are asked for all of these."""
    return set(tasks) == set(await packs.tasks(role="volunteer", state="offered"))


async def test_a_resident_who_comes_to_a_point_that_nobody_minds_is_recorded_by_who_left_it(packs: Stage) -> None:
    """And the request says that it is done."""
    (task,) = await packs.request([pack(1)])
    for verb in ("claim", "start"):
        await packs.all_do(verb, [(task, "rider-1")])
    await packs.all_do("hand-over", [(task, "rider-1")], point=POINT, told="phone")
    lying = await packs.task(task)
    assert (lying["worker"], lying["point"], lying["state"]) == (None, POINT, "under_way")
    refused = await packs.command("complete", task, "rider-2")
    assert refused["problems"][0]["code"] == "not_yours"
    await packs.all_do("complete", [(task, "rider-1")])
    state = await eventually(lambda: packs.at.intake.get(f"/requests/{lying['request_id']}"))
    await eventually(lambda: has_state(packs, lying["request_id"], "completed"))
    assert [one["event"] for one in state["history"]][:2] == ["RequestCreated", "DeliveryOffered"]


async def has_state(packs: Stage, request_id: str, state: str) -> bool:
    return bool((await packs.at.intake.get(f"/requests/{request_id}"))["state"] == state)


async def test_nothing_is_handed_over_to_nobody(packs: Stage) -> None:
    """Neither without a name nor to one that nobody has."""
    (task,) = await packs.request([pack(2)])
    for verb in ("claim", "start"):
        await packs.all_do(verb, [(task, "rider-1")])
    before = await packs.task(task)
    for more, problem in (({}, ("to", "required")), ({"to": "nobody"}, ("to", "unknown_worker"))):
        refused = await packs.command("hand-over", task, "rider-1", **more)
        assert [(one["field"], one["code"]) for one in refused["problems"]] == [problem]
    assert await packs.task(task) == before
