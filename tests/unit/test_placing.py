"""Who can be placed at all: as many as there is room for, the first of the list before the last."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from services.dispatch.domain.placing import fill

ABLE = st.lists(st.lists(st.sampled_from("ABC"), unique=True), max_size=6).map(
    lambda lists: {f"t{number}": able for number, able in enumerate(lists)}
)
ROOM = st.dictionaries(st.sampled_from("ABC"), st.integers(0, 3))


def test_whoever_came_later_moves_aside_for_one_who_has_no_other_choice() -> None:
    """To another who is able."""
    placed = fill({"first": ["A", "B"], "second": ["A"]}, {"A": 1, "B": 1})
    assert placed == {"first": "B", "second": "A"}


def test_the_preferred_worker_is_taken_where_he_has_room() -> None:
    """And the next one where he has not."""
    assert fill({"1": ["B", "A"], "2": ["B", "A"]}, {"A": 5, "B": 1}) == {"1": "B", "2": "A"}


def test_room_for_one_is_for_the_first() -> None:
    """The other is left."""
    assert fill({"first": ["A"], "second": ["A"]}, {"A": 1}) == {"first": "A"}


def test_who_is_placed_already_stays_placed() -> None:
    """Even before one with an earlier claim."""
    assert fill({"first": ["A"], "second": ["A"]}, {"A": 1}, {"second": "A"}) == {"second": "A"}


@given(ABLE, ROOM)
def test_no_other_way_places_more_or_better_ones(able: dict[str, list[str]], room: dict[str, int]) -> None:
    """Compared with every way there is: of those left out, the first stands as late as can be."""

    def possible(way: tuple[str | None, ...]) -> bool:
        return all(way.count(worker) <= room.get(worker, 0) for worker in "ABC")

    ways = [way for way in product(*([None, *names] for names in able.values())) if possible(way)]
    best = max(tuple(worker is not None for worker in way) for way in ways)
    most = max(sum(worker is not None for worker in way) for way in ways)
    placed = fill(able, room)
    assert tuple(task in placed for task in able) == best
    assert len(placed) == most
    assert all(worker in able[task] for task, worker in placed.items())
    assert possible(tuple(placed.get(task) for task in able))
