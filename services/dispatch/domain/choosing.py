"""Who does what: bundles, the greedy choice, and a plan from anybody's wish that keeps every promise.

Whoever wishes, this holds: nobody gets what he is not able to do, or more than he has room for; as many as can be are
placed, those with the first claim before the others; nobody gets more than his share where that can be avoided.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from services.dispatch.domain.ordering import inserted, ordered
from services.dispatch.domain.placing import fill
from services.dispatch.domain.reasons import choices
from services.dispatch.domain.walks import Hands, Plan, Round, Visit, Waiting, Walk, burden, cost, visits, walk

Wish = Mapping[str, Sequence[str]]
"""Tasks for each worker, in the order in which he would go."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What can be chosen at all in a round."""

    round_: Round
    able: dict[str, list[str]]
    """Who is able to do each task; only tasks that can be placed together, the first claim first."""
    room: dict[str, int]
    """Tasks that each worker may get."""
    fair: dict[str, int]
    """Tasks that each worker may get without passing his share."""
    bundles: tuple[Visit, ...]
    """Tasks that belong together, each with at least one worker who can take it whole; the first claim first."""

    def takers(self, bundle: Visit) -> list[Hands]:
        """Who is able to do all of it."""
        common = set(self.able[bundle.tasks[0].task_id]).intersection(
            *(self.able[one.task_id] for one in bundle.tasks[1:])
        )
        return [worker for worker in self.round_.hands if worker.worker_id in common]


def scope(round_: Round) -> Scope:
    """Look at a round: who can be placed, what belongs together, what is a share."""
    workers = round_.workers
    able = {task: [name for name in workers if name in one.able] for task, one in round_.tasks.items()}
    room = {name: max(0, worker.free) for name, worker in workers.items()}
    places = fill(able, room)
    share = round_.share(len(places))
    fair = {name: min(room[name], max(0, share - worker.load)) for name, worker in workers.items()}
    able = {task: names for task, names in able.items() if task in places}
    return Scope(round_, able, room, fair, _bundled(round_, able, fair))


def greedy(round_: Round) -> Plan:
    """Bundle after bundle, the first claim first, to whomever it costs least now."""
    found = scope(round_)
    return told(round_, settle(found, greedy_wish(found)))


def greedy_wish(scope: Scope) -> Wish:
    """What the greedy choice wishes."""
    round_ = scope.round_
    orders: dict[str, list[Visit]] = {name: [] for name in round_.workers}
    count = dict.fromkeys(round_.workers, 0)
    for bundle in scope.bundles:
        best: tuple[float, str, int] | None = None
        for worker in scope.takers(bundle):
            name = worker.worker_id
            if count[name] + len(bundle.tasks) > scope.fair[name]:
                continue
            extra, place = inserted(round_, worker, orders[name], bundle)
            offer = (extra + burden(round_, worker, bundle.tasks, count[name]), name, place)
            best = offer if best is None else min(best, offer)
        if best is not None:
            orders[best[1]].insert(best[2], bundle)
            count[best[1]] += len(bundle.tasks)
    return {name: [one.task_id for each in order for one in each.tasks] for name, order in orders.items()}


def settle(scope: Scope, wish: Wish) -> tuple[Walk, ...]:
    """The walks that follow a wish as far as the promises allow, with the rest placed beside it."""
    round_ = scope.round_
    given: dict[str, str] = {}
    for name, tasks in wish.items():
        possible = [task for task in dict.fromkeys(tasks) if task not in given and name in scope.able.get(task, ())]
        given |= dict.fromkeys(possible[: scope.fair.get(name, 0)], name)
    placed = given
    if len(placed) < len(scope.able):
        able = _preferring(scope, given)
        placed = fill(able, scope.room, fill(able, scope.fair, given))
    orders = {name: _order(round_, name, wish.get(name, ()), placed) for name in round_.workers}
    return tuple(walk(round_, name, order) for name, order in orders.items() if order)


def told(round_: Round, walks: tuple[Walk, ...], by: Literal["greedy", "solver"] = "greedy") -> Plan:
    """The walks as a plan, with a reason for each choice."""
    return Plan(walks, choices(round_, walks), cost(round_, walks), by)


def _order(round_: Round, name: str, wished: Iterable[str], placed: Mapping[str, str]) -> list[Visit]:
    """The visits of one worker: in the order of the wish, others where they cost least, then made better."""
    worker = round_.workers[name]
    mine = {task: round_.tasks[task] for task in dict.fromkeys(wished) if placed.get(task) == name}
    others = [one for task, one in round_.tasks.items() if placed.get(task) == name and task not in mine]
    stairwells = {(one.building, one.stairwell) for one in mine.values()}
    on_the_way = [one for one in others if (one.building, one.stairwell) in stairwells]
    order = visits([*mine.values(), *on_the_way])
    for new in visits(one for one in others if (one.building, one.stairwell) not in stairwells):
        order.insert(inserted(round_, worker, order, new)[1], new)
    return ordered(round_, worker, order)


def _preferring(scope: Scope, given: Mapping[str, str]) -> dict[str, list[str]]:
    """Who is able, whoever goes to that stairwell anyway first, then whomever it costs least."""
    round_ = scope.round_
    going: dict[tuple[str, str], set[str]] = defaultdict(set)
    for task, name in given.items():
        going[round_.tasks[task].building, round_.tasks[task].stairwell].add(name)

    def dislike(one: Waiting, name: str) -> tuple[bool, float, str]:
        worker = round_.workers[name]
        metres = round_.distances.doors(worker.at, one.door) + burden(round_, worker, [one])
        return (name not in going[one.building, one.stairwell], metres, name)

    return {
        task: sorted(names, key=lambda name, one=round_.tasks[task]: dislike(one, name))  # type: ignore[misc]
        for task, names in scope.able.items()
    }


def _bundled(round_: Round, able: Mapping[str, Sequence[str]], fair: Mapping[str, int]) -> tuple[Visit, ...]:
    """The needs of each stairwell as one bundle; where nobody can take it whole, by households, or one by one."""

    def fits(tasks: Sequence[Waiting]) -> bool:
        common = set(able[tasks[0].task_id]).intersection(*(able[one.task_id] for one in tasks[1:]))
        return any(fair[name] >= len(tasks) for name in common)

    def pieces(tasks: Sequence[Waiting], by: Sequence[str]) -> list[list[Waiting]]:
        if not by or fits(tasks):
            return [list(tasks)]
        groups: dict[str, list[Waiting]] = defaultdict(list)
        for one in tasks:
            groups[getattr(one, by[0]) or one.task_id].append(one)
        packed: list[list[Waiting]] = []
        for piece in (piece for group in groups.values() for piece in pieces(group, by[1:])):
            if packed and fits([*packed[-1], *piece]):
                packed[-1] = [*packed[-1], *piece]
            else:
                packed.append(piece)
        return packed

    stairwells: dict[tuple[str, str], list[Waiting]] = defaultdict(list)
    for task in able:
        one = round_.tasks[task]
        stairwells[one.building, one.stairwell].append(one)
    found = [visits(piece)[0] for group in stairwells.values() for piece in pieces(group, ("household", "task_id"))]
    return tuple(sorted(found, key=lambda each: min(one.claim for one in each.tasks)))
