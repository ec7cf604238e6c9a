"""Rounds that tests plan: a row of buildings, a shop at its end, and whoever helps there."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from services.dispatch.domain.places import Door, Neighbourhood, distances
from services.dispatch.domain.walks import Hands, Plan, Round, Waiting
from tests import world

BUILDINGS = tuple(str(number) for number in range(1, 6))
ROW = distances(
    Neighbourhood.model_validate(
        {
            "metres_per_floor": 8,
            "metres_between_stairwells": 20,
            "places": [{"name": "shop", "kind": "shop"}, {"name": "pharmacy", "kind": "shop"}]
            + [{"name": name, "kind": "building"} for name in BUILDINGS],
            "ways": [
                {"between": ["shop", "1"], "metres": 150},
                {"between": ["5", "pharmacy"], "metres": 100},
                *({"between": list(pair), "metres": 60} for pair in pairwise(BUILDINGS)),
            ],
        }
    )
)
"""Shop, 150 m, building 1, then 60 m to each next, 100 m from the last to the pharmacy."""
EVERYBODY = (world.ZHAO, world.QIAN, world.SUN, world.WU)
ANYBODY = (*EVERYBODY, world.ZHOU)
"""And one who has no part in the round."""


def waiting(task_id: str, building: str = "1", **changes: Any) -> Waiting:
    """A task in the first stairwell of a building, which anybody can do."""
    told: dict[str, Any] = {"stairwell": f"{building}/1", "able": dict.fromkeys(EVERYBODY, 0.0)}
    return Waiting(task_id=task_id, building=building, **(told | changes))


def hands(worker_id: str = world.ZHAO, at: str = "1", free: int = 10, **changes: Any) -> Hands:
    """A worker in front of a building."""
    return Hands(worker_id, Door(at), free, **changes)


def round_of(tasks: list[Waiting], workers: list[Hands], **changes: Any) -> Round:
    return Round(tuple(tasks), tuple(workers), ROW, **changes)


def workers_of(plan: Plan) -> Mapping[str, str]:
    """Who got each task."""
    return {task: walk.worker for walk in plan.walks for task in walk.tasks}


@st.composite
def rounds(draw: st.DrawFn, tasks: int = 14, workers: int = 4) -> Round:
    """Any round, most of them short of hands in one way or the other."""
    names = EVERYBODY[: draw(st.integers(0, workers))]
    known = [
        Hands(
            name,
            Door(draw(st.sampled_from([*BUILDINGS, "shop", "elsewhere"])), floor=draw(st.none() | st.integers(1, 16))),
            free=draw(st.integers(0, 6)),
            load=draw(st.integers(0, 5)),
            week=draw(st.integers(0, 20)),
        )
        for name in names
    ]
    some = []
    for number in range(draw(st.integers(0, tasks))):
        able = draw(st.dictionaries(st.sampled_from(ANYBODY), st.sampled_from([0.0, 40.0]), max_size=4))
        building = draw(st.sampled_from(BUILDINGS))
        floor = draw(st.none() | st.integers(-1, 16))
        some.append(
            waiting(
                f"t{number:02d}",
                building,
                able=able,
                stairwell=f"{building}/{draw(st.sampled_from('12'))}",
                household=draw(st.sampled_from(["", f"{building}/{floor}"])),
                floor=floor,
                shop=draw(st.sampled_from([None, None, "shop", "pharmacy"])),
                priority=draw(st.integers(0, 3)),
                urgency=draw(st.sampled_from(["normal", "soon", "urgent"])),
                waited=draw(st.sampled_from([0.0, 30.0])),
            )
        )
    return round_of(some, known)
