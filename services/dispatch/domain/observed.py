"""Doors behind which somebody is observed: what is brought there is not handed over in person."""

from collections.abc import Sequence

from services.dispatch.domain.roster import Door
from services.dispatch.domain.task import Decision, Situation, Task, event
from shared.contracts.dispatch import DeliveryApart
from shared.contracts.envelope import Event


def observe(door: Door | None, household: str, observation: str, person: str) -> tuple[Door, Sequence[Event]] | None:
    """Somebody behind the door stays at home; None if that is known, or over already."""
    door = door or Door(household=household)
    if observation in door.observed or observation in door.released:
        return None
    return door.model_copy(update={"observed": {**door.observed, observation: person}}), []


def free(door: Door | None, household: str, observation: str) -> tuple[Door, Sequence[Event]] | None:
    """That one need not stay at home any more; None if that is known."""
    door = door or Door(household=household)
    if observation in door.released:
        return None
    left = {name: person for name, person in door.observed.items() if name != observation}
    return door.model_copy(update={"observed": left, "released": [*door.released, observation]}), []


def keep_apart(task: Task | None, situation: Situation) -> Decision | None:
    """The door is as it is now; None if the task is of the past, or knows."""
    apart = situation.roster.apart
    if task is None or task.facts is None or not task.open or task.apart == apart:
        return None
    after = task.model_copy(update={"apart": apart})
    return after, [event(DeliveryApart, after, apart=apart)]
