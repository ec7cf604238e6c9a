"""Dispatch, as its handlers know it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from services.dispatch.domain import hours, matching
from services.dispatch.domain.ladder import Roster
from services.dispatch.domain.places import Distances
from services.dispatch.domain.task import Situation, Task
from services.dispatch.store import Store
from shared.contracts.catalogue import AbilityCatalogue, Kinds
from shared.contracts.envelope import Event, Meta
from shared.contracts.intake import RequestFacts
from shared.identity import derived_id
from shared.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Dispatch:
    """The service, as its handlers know it."""

    runtime: Runtime
    store: Store
    kinds: Kinds
    abilities: AbilityCatalogue
    distances: Mapping[str, Distances]
    """By community."""

    async def situation(self, facts: RequestFacts, *, asks: bool = True) -> Situation:
        """What a decision about a request there rests on; `asks`: it may ask somebody else."""
        need = matching.requirement(facts, self.kinds, self.abilities)
        now, kind, times = self.runtime.clock(), self.kinds.kinds.get(facts.kind), self.kinds.hours
        roster, gate = Roster(need=need), None
        if asks:
            roster, gate = await asyncio.gather(
                self.store.roster(facts, need), self.store.gates.get(f"{facts.community}/{facts.building}")
            )
        return Situation(
            now=now,
            ladder=self.kinds.ladder_of(facts.kind),
            roster=roster,
            minute=timedelta(minutes=1) / self.runtime.settings.time_scale,
            hurries=hours.hurries(times, kind, now),
            rests_until=hours.rests_until(times, kind, facts.urgency, now),
            evening=hours.following(times.evening, times.zone, now),
            closed=gate is not None and gate.closed,
            enters=kind is not None and kind.group == "service",
            drawn=kind is not None and drawn(facts.request_id, kind.second_look),
        )


async def apply_to_each(
    house: Dispatch,
    tasks: Sequence[tuple[str, Task]],
    rule: Callable[[Task | None, Situation], tuple[Task, Sequence[Event]] | None],
    meta: Meta,
) -> None:
    """Apply a rule to each of several tasks, in their order."""

    async def one(task_id: str, known: Task) -> None:
        if known.facts is not None:
            situation = await house.situation(known.facts)
            await house.store.tasks.update(task_id, lambda current: rule(current, situation), meta)

    await asyncio.gather(*(one(task_id, known) for task_id, known in tasks))


def drawn(request_id: str, share: float) -> bool:
    """Whether a request is among the share of those that are looked at a second time: by its id, so always the same."""
    return UUID(derived_id("second look", request_id)).int < share * 2**128
