"""Rounds: every few seconds, whoever fits best is chosen for what waits, all of it looked at together."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from services.dispatch.domain import offering
from services.dispatch.domain.choosing import greedy
from services.dispatch.domain.matching import requirement
from services.dispatch.domain.places import NO_GRAPH
from services.dispatch.domain.rounds import Work, hands, waiting
from services.dispatch.domain.task import Task
from services.dispatch.domain.walks import Choice, Round
from services.dispatch.house import Dispatch
from services.dispatch.planning import Planner
from shared.contracts.envelope import Meta
from shared.contracts.intake import RequestFacts

MOST = 200
"""Tasks of one round."""
_WEEK = timedelta(days=7)

Waits = Sequence[tuple[str, Task, RequestFacts]]


async def choose(house: Dispatch, planner: Planner) -> int:
    """Choose for all that waits; how much that was. What is urgent does not wait for the solver."""
    found = [(task_id, one, one.facts) for task_id, one in await house.store.to_choose(MOST) if one.facts is not None]
    parts: dict[tuple[bool, str], list[tuple[str, Task, RequestFacts]]] = defaultdict(list)
    for each in found:
        parts[each[2].urgency != "urgent", each[2].community or ""].append(each)
    for (patient, community), waits in sorted(parts.items(), key=lambda part: part[0]):
        await _choose(house, community, waits, planner if patient and len(waits) > 1 else None)
    return len(found)


async def _choose(house: Dispatch, community: str, waits: Waits, planner: Planner | None) -> None:
    now, store, distances = house.runtime.clock(), house.store, house.distances.get(community, NO_GRAPH)
    askable, unwanted = await asyncio.gather(
        store.askable(community), store.unwanted({one[2].household for one in waits})
    )
    helpers = askable.workers
    work = await store.work_of([one.worker_id for one in helpers], now - _WEEK)
    round_ = Round(
        waiting=tuple(
            waiting(
                one,
                facts,
                requirement(facts, house.kinds, house.abilities, unwanted.get(facts.household, ())),
                helpers,
                now,
                distances,
            )
            for _, one, facts in waits
        ),
        hands=tuple(
            hands(one, work.get(one.worker_id, Work())) for one in helpers if one.worker_id not in askable.full
        ),
        distances=distances,
    )
    # In a thread, for two hundred tasks take longer than anybody else should wait.
    plan = await (asyncio.to_thread(greedy, round_) if planner is None else planner.plan(round_))
    roles = {one.worker_id: one.role for one in helpers}
    known = {task_id: (one, facts) for task_id, one, facts in waits}
    await asyncio.gather(*(_ask(house, choice, roles, *known[choice.task_id], now) for choice in plan.choices))


async def _ask(
    house: Dispatch, choice: Choice, roles: Mapping[str, str], known: Task, facts: RequestFacts, now: datetime
) -> None:
    # Whoever chooses twice finds that it does not wait any more, so a cause need not be recognised.
    cause = Meta(house.runtime.new_id(), "", "dispatch", now, known.request_id)
    worker = choice.worker
    situation = await house.situation(facts, asks=worker is None)
    if worker is None:
        await house.store.tasks.update(choice.task_id, lambda current: offering.pass_over(current, situation), cause)
        return
    best = (worker, *choice.others)
    why = (*choice.codes, f"metres:{choice.extra_metres:.0f}", f"load:{choice.load_before}", f"week:{choice.week}")
    await house.store.tasks.update(
        choice.task_id, lambda current: offering.choose(current, best, roles[worker], why, situation), cause
    )
