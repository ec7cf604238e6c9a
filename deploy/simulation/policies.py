"""Ways to find somebody, to be compared: nothing but other ladders handed to the same rules."""

from collections.abc import Callable
from dataclasses import dataclass

from shared.contracts.catalogue import ALONE, AtOnce, Kinds, Ladder, Step

Steps = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """A way to find somebody."""

    name: str
    kinds: Kinds
    everybody: bool = False
    """The pool of a grid is everybody who helps: grid workers too, and those of other grids."""


def policies(kinds: Kinds) -> dict[str, Policy]:
    """All of them by name; `kinds` are those of today.

    `today`: the ladders as they are. `broadcast`: everybody able is asked at once, the first who claims has it.
    `responsible`: whoever answers for the grid. `rounds`: a round chooses, then the ladder as it is. `shortlist`: two
    rounds, and as many of the best as `SHORTLIST` says are asked at once. At the end of each stands a coordinator.
    Minutes of a step are those of the first step of today, and no other time is changed.
    """
    found = (
        Policy("today", kinds),
        Policy("broadcast", _other(kinds, lambda ladder: (*_first(ladder, "grid_pool"), ladder.steps[-1])), True),
        Policy("responsible", _other(kinds, lambda ladder: (*_first(ladder, "responsible"), ladder.steps[-1]))),
        Policy("rounds", _other(kinds, _chosen_first)),
        Policy(
            "shortlist",
            _other(kinds, lambda ladder: (*_first(ladder, "chosen", SHORTLIST), *_chosen_first(ladder, SHORTLIST))),
        ),
    )
    return {one.name: one for one in found}


NAMES = ("today", "broadcast", "responsible", "rounds", "shortlist")
SHORTLIST = AtOnce(normal=3, soon=4, urgent=5)


def _other(kinds: Kinds, steps: Callable[[Ladder], Steps]) -> Kinds:
    ladders = {name: ladder.model_copy(update={"steps": steps(ladder)}) for name, ladder in kinds.ladders.items()}
    return kinds.model_copy(update={"ladders": ladders})


def _first(ladder: Ladder, to: str, at_once: AtOnce = ALONE) -> Steps:
    return (Step.model_validate({"to": to, "minutes": ladder.steps[0].minutes, "at_once": at_once}),)


def _chosen_first(ladder: Ladder, at_once: AtOnce = ALONE) -> Steps:
    return (*_first(ladder, "chosen", at_once), *(step for step in ladder.steps if step.to != "chosen"))
