"""In which order one walk makes its visits."""

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise, permutations

from services.dispatch.domain.places import Door
from services.dispatch.domain.walks import Hands, Round, Visit, itinerary, rise

LONG = 9
"""A walk of more visits keeps the order in which it came: to try others takes too long."""


def step(round_: Round, first: Visit | Hands, second: Visit) -> float:
    """What it costs to go from one visit, or from where a worker is, straight to the next, in metres.

    Shops that only the second needs are on the way. A walk, which goes to no shop twice, costs no
    more than its steps together.
    """
    if isinstance(first, Visit):
        at, been, metres = first.door, first.shops, rise(round_.weights, first, second)
    else:
        at, been, metres = first.at, frozenset[str](), 0.0
    if not second.shops <= been:
        for _, shop in itinerary(round_.distances, at, [second], been):
            if shop is not None:
                metres += round_.distances.doors(at, Door(shop))
                at = Door(shop)
    return metres + round_.distances.doors(at, second.door)


def way(round_: Round, worker: Hands, order: Sequence[Visit]) -> float:
    """What it costs to make the visits in this order, in metres; what `rise` adds is in it."""
    at, total = worker.at, 0.0
    for here, shop in itinerary(round_.distances, at, order):
        door = here.door if shop is None else Door(shop)
        total += round_.distances.doors(at, door)
        at = door
    return total + sum(rise(round_.weights, *pair) for pair in pairwise(order))


def inserted(round_: Round, worker: Hands, order: Sequence[Visit], new: Visit) -> tuple[float, int]:
    """The place in the order where one more visit costs least, after how many metres that adds."""
    best = (float("inf"), 0)
    for place in range(len(order) + 1):
        before: Visit | Hands = order[place - 1] if place else worker
        extra = step(round_, before, new)
        if place < len(order):
            extra += step(round_, new, order[place]) - step(round_, before, order[place])
        best = min(best, (extra, place))
    return best


def ordered(round_: Round, worker: Hands, order: Sequence[Visit]) -> list[Visit]:
    """The order that costs least, found step by step from the one given; never a worse one."""
    best = list(order)
    if len(best) > LONG:
        return best
    least = way(round_, worker, best)
    better = True
    while better:
        better = False
        for tried in _others(best):
            if (metres := way(round_, worker, tried)) < least - 1e-6:
                best, least, better = tried, metres, True
                break
    return best


def _others(order: list[Visit]) -> Iterator[list[Visit]]:
    """Orders that differ in one thing: a visit elsewhere, or a stretch the other way round."""
    for start, end in permutations(range(len(order)), 2):
        rest = order[:start] + order[start + 1 :]
        yield [*rest[:end], order[start], *rest[end:]]
    for start, end in combinations(range(len(order) + 1), 2):
        if end - start > 2:
            yield order[:start] + order[start:end][::-1] + order[end:]
