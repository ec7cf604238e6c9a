"""Where things are in a community, and how far it is from door to door."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from shared.contracts.catalogue import Entry, Label
from shared.contracts.envelope import Slug

PlaceName = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^\s.#*/]{1,32}$")]
"""A building's is its number, as requests name it."""
Length = Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)]
"""Metres."""

UNKNOWN = 200.0
"""Metres between two places where no graph is known."""


class Place(Entry):
    """Where a way begins or ends."""

    name: PlaceName
    kind: Literal["gate", "building", "shop", "point"]
    """`point`: a crossing, a locker, whatever else one walks past."""
    label: Label | None = None


class Way(Entry):
    """Can be walked in both directions."""

    between: tuple[PlaceName, PlaceName]
    metres: Length


class Neighbourhood(Entry):
    """The graph of one community."""

    metres_per_floor: Length
    """What climbing one floor is worth on level ground."""
    metres_between_stairwells: Length
    """From one stairwell of a building to another, at the ground."""
    places: Annotated[tuple[Place, ...], Field(min_length=1)]
    ways: tuple[Way, ...] = ()
    shops: dict[Slug, PlaceName] = Field(default_factory=dict)
    """By kind of help: where goods of that kind are fetched."""

    @model_validator(mode="after")
    def _one_whole(self) -> "Neighbourhood":
        counts = Counter(place.name for place in self.places)
        if twice := [name for name, count in counts.items() if count > 1]:
            raise ValueError(f"named more than once: {_listed(twice)}")
        ends = dict.fromkeys(name for way in self.ways for name in way.between)
        if unknown := [name for name in ends if name not in counts]:
            raise ValueError(f"a way leads to what is not among the places: {_listed(unknown)}")
        if unknown := [name for name in self.shops.values() if name not in counts]:
            raise ValueError(f"goods are fetched from what is not among the places: {_listed(unknown)}")
        if circles := [way.between[0] for way in self.ways if way.between[0] == way.between[1]]:
            raise ValueError(f"a way leads back to where it began: {_listed(circles)}")
        start = self.places[0].name
        reached = _shortest(start, _neighbours(self.ways))
        if lost := [name for name in counts if name not in reached]:
            raise ValueError(f"no way leads from {start} to: {_listed(lost)}")
        return self


class Places(Entry):
    """The catalogue `places.yaml`."""

    communities: dict[Slug, Neighbourhood]


@dataclass(frozen=True, slots=True)
class Door:
    """Where somebody is, or is needed."""

    place: str
    stairwell: str | None = None
    """Opaque id."""
    floor: int | None = None
    """1 is at the ground, -1 the first below; None, not known, counts as the ground."""


@dataclass(frozen=True, slots=True)
class Distances:
    """Metres from each place to each other."""

    metres: Mapping[str, Mapping[str, float]]
    per_floor: float
    between_stairwells: float
    unknown: float
    """Metres to a place that the graph does not have."""
    shops: Mapping[str, str] = field(default_factory=dict[str, str])
    """By kind of help: the place where goods are fetched."""

    def places(self, first: str, second: str) -> float:
        """Metres between two places, on the ground."""
        if first == second:
            return 0.0
        known = self.metres.get(first)
        return self.unknown if known is None else known.get(second, self.unknown)

    def doors(self, first: Door, second: Door) -> float:
        """Metres between two doors, with the stairs as metres; the same in both directions."""
        if first.place != second.place:
            return self.places(first.place, second.place) + self.stairs(first) + self.stairs(second)
        if first.stairwell != second.stairwell:
            return self.between_stairwells + self.stairs(first) + self.stairs(second)
        return abs(level(first.floor) - level(second.floor)) * self.per_floor

    def stairs(self, door: Door) -> float:
        """Metres that the stairs from the ground to the door are worth."""
        return abs(level(door.floor)) * self.per_floor


NO_GRAPH = Distances({}, per_floor=0.0, between_stairwells=0.0, unknown=UNKNOWN)
"""For a community that the catalogue does not have: only the same building is near."""


def distances(neighbourhood: Neighbourhood) -> Distances:
    """The shortest ways between all places: to be computed once, when the catalogue was read.

    A place that is not in the graph is as far from all others as the two that are farthest apart.
    """
    neighbours = _neighbours(neighbourhood.ways)
    metres = {place.name: _shortest(place.name, neighbours) for place in neighbourhood.places}
    farthest = max(max(ways.values()) for ways in metres.values())
    return Distances(
        metres,
        neighbourhood.metres_per_floor,
        neighbourhood.metres_between_stairwells,
        unknown=farthest or UNKNOWN,
        shops=neighbourhood.shops,
    )


def level(floor: int | None) -> int:
    """Floors above the ground; below it, negative."""
    return floor - 1 if floor is not None and floor > 0 else floor or 0


def _neighbours(ways: tuple[Way, ...]) -> dict[str, list[tuple[str, float]]]:
    """Where one gets from each place in one step, and how many metres that is."""
    neighbours: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for way in ways:
        first, second = way.between
        neighbours[first].append((second, way.metres))
        neighbours[second].append((first, way.metres))
    return neighbours


def _shortest(start: str, neighbours: Mapping[str, list[tuple[str, float]]]) -> dict[str, float]:
    """Metres from `start` to all that can be reached (Dijkstra's algorithm)."""
    reached: dict[str, float] = {}
    ahead = [(0.0, start)]
    while ahead:
        metres, place = heapq.heappop(ahead)
        if place in reached:
            continue
        reached[place] = metres
        for name, further in neighbours.get(place, ()):
            if name not in reached:
                heapq.heappush(ahead, (metres + further, name))
    return reached


def _listed(names: list[str]) -> str:
    return ", ".join(names)
