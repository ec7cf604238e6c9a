"""What somebody does who is offered a task, and how soon."""

import random
from dataclasses import dataclass
from typing import Literal

from deploy.simulation.scenario import Habits, Role


@dataclass(frozen=True, slots=True)
class Mood:
    """One answer to one offer."""

    seconds: float
    says: Literal["yes", "no", "nothing"]


class Moods:
    """Answers by task, person and how often the task was offered; what came between changes none of them."""

    def __init__(self, habits: Habits, dice: random.Random) -> None:
        self._habits = habits
        self._salt = dice.getrandbits(64)

    def of(self, task_id: str, worker: str, role: Role, offer: int) -> Mood:
        """What he says to it; a coordinator always says yes."""
        dice = random.Random(f"{self._salt}/{task_id}/{worker}/{offer}")  # noqa: S311  # behaviour, not secrets
        habits = self._habits
        seconds = dice.uniform(habits.seconds_to_answer.least, habits.seconds_to_answer.most)
        if role == "coordinator":
            return Mood(seconds, "yes")
        if dice.random() < habits.forgets:
            return Mood(seconds, "nothing")
        return Mood(seconds, "yes" if dice.random() < habits.says_yes.of(role) else "no")
