"""The demonstration community: 6 grids, 24 buildings, 2,265 households, 7,000 people, all of them invented.

Pure: the same generator state gives the same community.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from deploy.demo.people import Home, People
from deploy.demo.words import MARK
from shared.contracts.envelope import Command
from shared.contracts.ledger import RegisterBuilding, RegisterPerson
from shared.contracts.workers import RegisterWorker

COMMUNITY = "tiebei"
SEED = 2265
"""The seed of the community that everybody sees."""

GRIDS = tuple(f"g{number}" for number in range(1, 7))
BUILDINGS = tuple(str(number) for number in range(1, 25))
UNITS = ("1", "2", "3")
FLOORS = 16
DOORS = 2
"""Flats on one floor of one unit."""
HOUSEHOLDS = 2_265
"""Of 2,304 flats; the others stand empty."""
PEOPLE = 7_000
OLD_AND_ALONE = 25
NEWCOMERS = 20
"""Households that read no Chinese."""
DEAF = 7
WHEELCHAIR = 5
VOLUNTEERS = 12

SIZES = {1: 10, 2: 28, 3: 30, 4: 18, 5: 9, 6: 5}
"""How many people live behind one door, and how common that is."""


@dataclass(frozen=True, slots=True)
class Household:
    """The people behind one door."""

    home: Home
    grid: str
    people: tuple[RegisterPerson, ...]

    @property
    def first_line(self) -> bool:
        """An old person living alone."""
        return any(person.contacts for person in self.people)


@dataclass(frozen=True, slots=True)
class Community:
    """Everything that the demonstration registers."""

    buildings: tuple[RegisterBuilding, ...]
    workers: tuple[RegisterWorker, ...]
    households: tuple[Household, ...]

    def people(self) -> Iterator[RegisterPerson]:
        """Everybody, door by door."""
        for household in self.households:
            yield from household.people

    def commands(self) -> Iterator[Command]:
        """What has to be published, places first."""
        yield from self.buildings
        yield from self.workers
        yield from self.people()


def grid_of(building: str) -> str:
    """Four neighbouring buildings are one grid."""
    return GRIDS[(int(building) - 1) * len(GRIDS) // len(BUILDINGS)]


def make_community(rng: random.Random) -> Community:
    """Invent the community."""
    homes = _inhabited(rng)
    alone, newcomers = _special(rng, homes)
    sizes = iter(_sizes(rng, HOUSEHOLDS - OLD_AND_ALONE, PEOPLE - OLD_AND_ALONE))
    people = People(rng, COMMUNITY)
    households = []
    for home in homes:
        if home in alone:
            members = people.old_and_alone(home)
        elif home in newcomers:
            members = people.newcomers(home, next(sizes))
        else:
            members = people.family(home, next(sizes))
        households.append(Household(home, grid_of(home.building), members))
    return Community(_buildings(), tuple(_workers()), tuple(_with_needs(rng, households)))


@cache
def demonstration() -> Community:
    """The one community that every running demonstration has."""
    return make_community(random.Random(SEED))  # noqa: S311  # invented people, not secrets


def _inhabited(rng: random.Random) -> list[Home]:
    flats = [
        Home(building, unit, f"{floor}{door:02d}")
        for building in BUILDINGS
        for unit in UNITS
        for floor in range(1, FLOORS + 1)
        for door in range(1, DOORS + 1)
    ]
    empty = set(rng.sample(range(len(flats)), len(flats) - HOUSEHOLDS))
    return [flat for index, flat in enumerate(flats) if index not in empty]


def _special(rng: random.Random, homes: list[Home]) -> tuple[set[Home], set[Home]]:
    """Doors of old people living alone, at least one in every building, and doors of newcomers."""
    alone = {rng.choice([home for home in homes if home.building == building]) for building in BUILDINGS}
    others = [home for home in homes if home not in alone]
    rng.shuffle(others)
    missing = OLD_AND_ALONE - len(alone)
    return alone | set(others[:missing]), set(others[missing : missing + NEWCOMERS])


def _sizes(rng: random.Random, households: int, people: int) -> list[int]:
    """Sizes of so many households that together are exactly so many people."""
    sizes = rng.choices(tuple(SIZES), tuple(SIZES.values()), k=households)
    difference = people - sum(sizes)
    while difference:
        step = 1 if difference > 0 else -1
        index = rng.randrange(households)
        if sizes[index] + step in SIZES:
            sizes[index] += step
            difference -= step
    return sizes


def _with_needs(rng: random.Random, households: list[Household]) -> list[Household]:
    """Some of the grown-ups are deaf, some use a wheelchair; the first person of a door is grown up."""
    doors = rng.sample(range(len(households)), DEAF + WHEELCHAIR)
    for position, door in enumerate(doors):
        first, *others = households[door].people
        needs = ("deaf",) if position < DEAF else ("wheelchair",)
        people = (first.model_copy(update={"needs": needs}), *others)
        households[door] = replace(households[door], people=people)
    return households


def _buildings() -> tuple[RegisterBuilding, ...]:
    return tuple(
        RegisterBuilding(community=COMMUNITY, building=building, grid=grid_of(building)) for building in BUILDINGS
    )


def _workers() -> Iterator[RegisterWorker]:
    for number, grid in enumerate(GRIDS, 1):
        yield RegisterWorker(
            worker_id=f"{COMMUNITY}-{grid}-1",
            community=COMMUNITY,
            role="grid_worker",
            grids=(grid,),
            buildings=tuple(building for building in BUILDINGS if grid_of(building) == grid),
            name=f"网格员{number}{MARK}",
            skills=("gas_card_reader",),
            phone=f"+86 100 0001 {number:04d}",
        )
    for number in range(1, VOLUNTEERS + 1):
        yield RegisterWorker(
            worker_id=f"{COMMUNITY}-v{number:02d}",
            community=COMMUNITY,
            role="volunteer",
            grids=(GRIDS[(number - 1) % len(GRIDS)], GRIDS[number % len(GRIDS)]),
            name=f"志愿者{number}{MARK}",
            phone=f"+86 100 0002 {number:04d}",
        )
    yield RegisterWorker(
        worker_id=f"{COMMUNITY}-c01",
        community=COMMUNITY,
        role="coordinator",
        grids=GRIDS,
        name=f"协调员{MARK}",
        phone="+86 100 0003 0001",
    )
