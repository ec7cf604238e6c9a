"""Who can be placed with whom at all: as many as there is room for, the first of the list before the last."""

from collections import defaultdict
from collections.abc import Mapping, Sequence


def fill(
    able: Mapping[str, Sequence[str]], room: Mapping[str, int], given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Place tasks with workers, so that no other way places more.

    An augmenting path moves others aside for each that finds no room. What is placed stays placed: a task is left
    out only if there is no room for it beside those before it and those in `given`.

    Args:
        able: who is able to do each task, whoever is preferred first; tasks in the order of their claim.
        room: how many tasks each worker may get; none where nothing is said.
        given: where tasks are already, which `room` allows; they stay placed, perhaps with somebody else.

    Returns:
        The worker of each task that is placed.
    """
    placed = dict(given or {})
    held: dict[str, set[str]] = defaultdict(set)
    for task, worker in placed.items():
        held[worker].add(task)
    for task in able:
        if task not in placed:
            for moved, worker in _moves(task, able, room, placed, held):
                if moved in placed:
                    held[placed[moved]].remove(moved)
                placed[moved] = worker
                held[worker].add(moved)
    return placed


def _moves(
    task: str,
    able: Mapping[str, Sequence[str]],
    room: Mapping[str, int],
    placed: Mapping[str, str],
    held: Mapping[str, set[str]],
) -> list[tuple[str, str]]:
    """The fewest moves that make room for the task, itself included: which goes to whom; none if there is no way."""
    came: dict[str, str] = {}
    """The task that would go to a worker."""
    ahead = [task]
    for wanting in ahead:
        for worker in able.get(wanting, ()):
            if worker in came:
                continue
            came[worker] = wanting
            mine = held.get(worker, set())
            if len(mine) < room.get(worker, 0):
                return _traced(worker, task, came, placed)
            ahead.extend(sorted(mine))
    return []


def _traced(worker: str, task: str, came: Mapping[str, str], placed: Mapping[str, str]) -> list[tuple[str, str]]:
    moves = [(came[worker], worker)]
    while moves[-1][0] != task:
        freed = placed[moves[-1][0]]
        moves.append((came[freed], freed))
    return moves
