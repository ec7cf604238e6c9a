"""What the rules of dispatch need to be asked about a task: facts, ladders, who can be asked."""

from datetime import UTC, datetime, timedelta
from typing import Any

from services.dispatch.domain.doing import accept, complete, fail, start
from services.dispatch.domain.ladder import Roster
from services.dispatch.domain.matching import Requirement
from services.dispatch.domain.offering import open_task
from services.dispatch.domain.roster import Worker
from services.dispatch.domain.task import Actor, Decision, Situation, Task
from shared.contracts.catalogue import Ladder
from shared.contracts.intake import RequestFacts
from tests import world

NINE = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
MINUTES = {"normal": 20.0, "soon": 10.0, "urgent": 5.0}
LADDER = Ladder.model_validate(
    {
        "steps": [{"to": to, "minutes": MINUTES} for to in ("responsible", "grid_pool", "coordinator")],
        "start_within": {"normal": 60.0, "soon": 30.0, "urgent": 15.0},
        "finish_within": {"normal": 180.0, "soon": 90.0, "urgent": 45.0},
    }
)


def helper(worker_id: str, /, **changes: Any) -> Worker:
    """Somebody who helps in Tiebei: a volunteer, unless told otherwise."""
    known = {"worker_id": worker_id, "community": world.TIEBEI, "role": "volunteer", "fingerprint": "f", "sealed": "s"}
    return Worker(**{**known, **changes})


HELPERS = tuple(
    helper(str(one["worker_id"]), role=one["role"], grids=tuple(one.get("grids", ())))
    for one in world.WORKERS
    if one["role"] != "coordinator"
)
"""Zhao of g1, Qian of g2, Sun and Wu who help anywhere."""
EVERYBODY = Roster(responsible=world.ZHAO, coordinator=world.ZHOU, workers=HELPERS, need=Requirement(kind="groceries"))
ZHAO, QIAN, SUN, ZHOU = (Actor(name) for name in (world.ZHAO, world.QIAN, world.SUN, world.ZHOU))


def facts(**changes: Any) -> RequestFacts:
    """A request for groceries in grid g1, as dispatch hears of it."""
    told = world.created("r1", **changes)
    return RequestFacts.model_construct(
        **{**{name: field.default for name, field in RequestFacts.model_fields.items()}, **told}
    )


def situation(*, minutes: float = 0, roster: Roster = EVERYBODY, ladder: Ladder = LADDER) -> Situation:
    """So many minutes after nine."""
    return Situation(now=NINE + timedelta(minutes=minutes), ladder=ladder, roster=roster)


def offered(**changes: Any) -> Task:
    """Offered to Zhao at nine."""
    decision = open_task(None, "t1", facts(**changes), 1, situation())
    assert decision is not None
    return decision[0]


def sure(decision: Decision | None) -> Decision:
    """A decision that must be one."""
    assert decision is not None
    return decision


def assigned() -> Task:
    """Zhao said yes at nine."""
    return accept(offered(), ZHAO, situation())[0]


def under_way() -> Task:
    """Zhao set out at nine."""
    return start(assigned(), ZHAO, situation())[0]


def completed() -> Task:
    """Zhao was at the door."""
    return complete(under_way(), ZHAO, situation())[0]


def failed() -> Task:
    """Nobody was at home."""
    return fail(under_way(), ZHAO, situation(), "nobody_home")[0]


def names(events: Any) -> list[str]:
    """The classes of events."""
    return [type(event).__name__ for event in events]
