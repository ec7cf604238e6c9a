"""Where things are in a community, and how far it is from door to door."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from deploy.demo.community import BUILDINGS, COMMUNITY
from services.dispatch.domain.places import NO_GRAPH, UNKNOWN, Distances, Door, Neighbourhood, Places, distances, level
from shared.catalogue import CatalogueError, load
from shared.settings import Settings

OURS = Settings().catalogue_dir / "places.yaml"


def neighbourhood(**changes: Any) -> Neighbourhood:
    """A gate, three buildings in a row behind it, and a shop on the other side."""
    told: dict[str, Any] = {
        "metres_per_floor": 10,
        "metres_between_stairwells": 20,
        "places": [
            {"name": "gate", "kind": "gate"},
            {"name": "1", "kind": "building"},
            {"name": "2", "kind": "building"},
            {"name": "3", "kind": "building"},
            {"name": "shop", "kind": "shop"},
        ],
        "ways": [
            {"between": ["gate", "1"], "metres": 50},
            {"between": ["1", "2"], "metres": 60},
            {"between": ["2", "3"], "metres": 70},
            {"between": ["gate", "3"], "metres": 300},
            {"between": ["shop", "gate"], "metres": 40},
        ],
    }
    return Neighbourhood.model_validate(told | changes)


WAYS = distances(neighbourhood())


def test_the_shortest_way_is_taken_in_both_directions() -> None:
    """Through the row, not around it."""
    assert WAYS.places("gate", "3") == WAYS.places("3", "gate") == 180
    assert WAYS.places("shop", "2") == 150
    assert WAYS.places("2", "2") == 0


def test_a_place_that_the_graph_does_not_have_is_as_far_as_the_farthest() -> None:
    """From anywhere; and no way at all from itself."""
    assert WAYS.places("gate", "9") == WAYS.places("9", "1") == WAYS.places("shop", "3") == 220
    assert WAYS.places("9", "9") == 0


def test_without_a_graph_only_the_same_building_is_near() -> None:
    """Everything else is equally far."""
    assert NO_GRAPH.doors(Door("1", "s1", 9), Door("2", "s2", 1)) == UNKNOWN
    assert NO_GRAPH.doors(Door("1", "s1", 9), Door("1", "s2", 1)) == 0
    alone = distances(neighbourhood(places=[{"name": "1", "kind": "building"}], ways=[]))
    assert alone.places("1", "2") == UNKNOWN


@pytest.mark.parametrize(
    ("first", "second", "metres"),
    [
        (Door("1", "a", 5), Door("1", "a", 5), 0),
        (Door("1", "a", 5), Door("1", "a", 2), 30),
        (Door("1", "a", -1), Door("1", "a", 2), 20),
        (Door("1", "a", 5), Door("1", "a"), 40),
        (Door("1", "a", 3), Door("1", "b", 2), 20 + 20 + 10),
        (Door("1", "a", 3), Door("2", "c", 2), 20 + 60 + 10),
        (Door("1", "a", 3), Door("2", "c"), 20 + 60),
        (Door("gate"), Door("2", "c", 4), 110 + 30),
    ],
)
def test_from_door_to_door_stairs_count(first: Door, second: Door, metres: float) -> None:
    """Down to the ground and up again; within a stairwell only the floors between."""
    assert WAYS.doors(first, second) == WAYS.doors(second, first) == metres


def test_there_is_no_floor_between_the_first_below_and_the_ground() -> None:
    """Unknown is the ground."""
    assert [level(floor) for floor in (-2, -1, None, 0, 1, 2)] == [-2, -1, 0, 0, 0, 1]


DOORS = st.builds(
    Door,
    st.sampled_from(["gate", "1", "2", "3", "shop"]),
    st.sampled_from(["a", "b"]),
    st.none() | st.integers(-2, 30),
)


@given(DOORS, DOORS, DOORS)
def test_no_detour_is_shorter_than_the_way(first: Door, over: Door, last: Door) -> None:
    """Otherwise a walk could be made shorter by an errand more."""
    assert WAYS.doors(first, last) <= WAYS.doors(first, over) + WAYS.doors(over, last)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"ways": [{"between": ["gate", "9"], "metres": 5}]}, "a way leads to what is not among the places: 9"),
        ({"ways": [{"between": ["1", "1"], "metres": 5}]}, "a way leads back to where it began: 1"),
        ({"ways": [{"between": ["1", "2"], "metres": 0}]}, "greater than 0"),
        ({"ways": [{"between": ["1", "2"], "metres": -5}]}, "greater than 0"),
        ({"ways": [{"between": ["1", "2"], "metres": "far"}]}, "valid number"),
        ({"ways": [{"between": ["1"], "metres": 5}]}, "Field required"),
        ({"ways": [{"between": ["gate", "1"], "metres": 5}]}, "no way leads from gate to: 2, 3, shop"),
        ({"places": [{"name": "1", "kind": "gate"}, {"name": "1", "kind": "shop"}]}, "named more than once: 1"),
        ({"places": []}, "at least 1 item"),
        ({"places": [{"name": "1", "kind": "castle"}]}, "'gate', 'building', 'shop' or 'point'"),
        ({"places": [{"name": "a b", "kind": "gate"}]}, "match pattern"),
        ({"metres_per_floor": 0}, "greater than 0"),
        ({"metres_between_stairwells": -1}, "greater than 0"),
        ({"colour": "red"}, "not permitted"),
        ({"shops": {"groceries": "bazaar"}}, "fetched from what is not among the places: bazaar"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(changes: dict[str, Any], error: str) -> None:
    """As an operator who edits the file needs it."""
    with pytest.raises(ValidationError, match=error):
        neighbourhood(**changes)


def test_our_own_catalogue_has_every_building_of_the_demonstration() -> None:
    """And a gate and a shop to start from."""
    ours = load(OURS, Places).communities[COMMUNITY]
    assert {place.name for place in ours.places if place.kind == "building"} == set(BUILDINGS)
    assert {"gate", "shop"} <= {place.kind for place in ours.places}
    assert isinstance(distances(ours), Distances)


def test_an_error_names_file_and_line(tmp_path: Path) -> None:
    """Of the community, or of the field."""
    text = OURS.read_text(encoding="utf-8")
    path = tmp_path / "places.yaml"
    path.write_text(text.replace("metres: 150}", "metres: 0}", 1), encoding="utf-8")
    with pytest.raises(CatalogueError, match=r"places.yaml:\d+: communities.tiebei.ways.0.metres: "):
        load(path, Places)
    path.write_text(text.replace("name: north-gate", "name: south-gate", 1), encoding="utf-8")
    with pytest.raises(CatalogueError, match=r"yaml:\d+: communities.tiebei: .*more than once: south-gate"):
        load(path, Places)
