"""How the people who help behave: most say yes, some say no, some forget. Pure and told by the seed."""

import random
from dataclasses import dataclass
from enum import Enum


class Reaction(Enum):
    """What somebody does who is offered a task."""

    ACCEPT = "accepted"
    DECLINE = "declined"
    FORGET = "forgot the offer"
    STALL = "accepted and forgot"


WEIGHTS = {Reaction.ACCEPT: 84, Reaction.DECLINE: 7, Reaction.FORGET: 5, Reaction.STALL: 4}


@dataclass(frozen=True, slots=True)
class Plan:
    """One person's plan for one task; durations in minutes of the day."""

    reaction: Reaction
    answer: float
    """From the offer to the answer."""
    travel: float
    """From the answer to setting out."""
    work: float
    """From setting out to done at the door."""


def plan(seed: int, task_id: str, worker: str, *, reliable: bool = False) -> Plan:
    """The same person does the same with the same task; somebody reliable says yes and does it."""
    rng = random.Random(f"{seed}/{task_id}/{worker}")  # noqa: S311  # behaviour, not secrets
    reaction = rng.choices(tuple(WEIGHTS), tuple(WEIGHTS.values()))[0]
    return Plan(
        Reaction.ACCEPT if reliable else reaction,
        answer=rng.uniform(3, 15),
        travel=rng.uniform(3, 20),
        work=rng.uniform(5, 25),
    )
