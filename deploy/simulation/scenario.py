"""What a simulated day is made of: who lives there, who helps, what is asked for, how people behave."""

from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, StringConstraints, field_validator, model_validator

import deploy
from services.dispatch.catalogues import Catalogues
from services.dispatch.domain.places import PlaceName
from services.dispatch.domain.shifts import problems_of
from shared.catalogue import CatalogueError, line_of, load
from shared.contracts.catalogue import Entry
from shared.contracts.envelope import Identifier, Slug
from shared.contracts.workers import Abilities, Shift

CATALOGUES = Path(deploy.__file__).parent / "catalogues"
SHIPPED = Path(__file__).parent / "day.yaml"

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Some = Annotated[int, Field(ge=1, le=100)]
Minutes = Annotated[float, Field(ge=0, le=600)]
WorkerId = Annotated[Identifier, StringConstraints(max_length=64)]
Role = Literal["grid_worker", "volunteer", "rider", "partner", "coordinator"]


class Building(Entry):
    """A building, and how many households ask for something there."""

    grid: Slug
    stairwells: Some = 3
    floors: Some = 16
    doors: Some = 2
    """Flats on one floor of one stairwell."""
    households: Annotated[int, Field(ge=0)] | None = None
    """None: one in each flat."""

    @property
    def inhabited(self) -> int:
        """Flats in which somebody lives, those of the first stairwells first."""
        flats = self.stairwells * self.floors * self.doors
        return flats if self.households is None else self.households

    @model_validator(mode="after")
    def _all_have_a_flat(self) -> "Building":
        if self.inhabited > (flats := self.stairwells * self.floors * self.doors):
            raise ValueError(f"{self.households} households, but only {flats} flats")
        return self


class Person(Abilities, extra="forbid", strict=False):
    """Somebody who helps, and where he is in the beginning."""

    worker_id: WorkerId
    role: Role
    grids: tuple[Slug, ...] = ()
    starts: PlaceName

    @field_validator("shifts", mode="before")
    @classmethod
    def _breaks_as_they_travel(cls, shifts: Any) -> Any:
        """A file has lists where a message has tuples."""

        def one(shift: Any) -> Any:
            listed = isinstance(shift, dict) and isinstance(shift.get("breaks"), list)
            return {**shift, "breaks": tuple(shift["breaks"])} if listed else shift

        return [one(shift) for shift in shifts] if isinstance(shifts, list) else shifts

    @field_validator("shifts")
    @classmethod
    def _shifts_can_be_computed(cls, shifts: tuple[Shift, ...]) -> tuple[Shift, ...]:
        if wrong := problems_of(shifts):
            raise ValueError("; ".join(f"{one.field}: {one.message}" for one in wrong))
        return shifts


class Orders(Entry):
    """What is asked for, and when."""

    count: Annotated[int, Field(ge=0, le=1_000_000)]
    by_hour: Annotated[tuple[Weight, ...], Field(min_length=24, max_length=24)]
    """How many come in each hour of the day, relative to the others; from midnight."""
    kinds: Annotated[dict[Slug, Weight], Field(min_length=1)]
    """How common each kind is, relative to the others."""
    urgent: Share = 0.0
    soon: Share = 0.0
    """The others leave it to the catalogue of kinds."""
    first_line: Share = 0.0
    """Of old people living alone."""
    languages: dict[Slug, Share] = Field(default_factory=dict)
    """Of people who speak only that."""
    needs: dict[Slug, Share] = Field(default_factory=dict)
    """Of people who need that."""

    @model_validator(mode="after")
    def _shares_fit(self) -> "Orders":
        if self.urgent + self.soon > 1 or sum(self.languages.values()) > 1:
            raise ValueError("shares that exclude each other are more than 1 together")
        if not sum(self.kinds.values()):
            raise ValueError("no kind is asked for")
        return self


class Span(Entry):
    """From the least to the most, all alike."""

    least: Annotated[float, Field(ge=0)]
    most: Annotated[float, Field(ge=0, le=86_400)]

    @model_validator(mode="after")
    def _in_order(self) -> "Span":
        if self.least > self.most:
            raise ValueError(f"the least, {self.least:g}, is more than the most, {self.most:g}")
        return self


class Yes(Entry):
    """How likely a yes is; a coordinator always says it."""

    grid_worker: Share = 1.0
    volunteer: Share = 1.0
    rider: Share = 1.0
    partner: Share = 1.0

    def of(self, role: Role) -> float:
        """For one role."""
        return 1.0 if role == "coordinator" else float(getattr(self, role))


class Habits(Entry):
    """How people who help behave."""

    seconds_to_answer: Span
    says_yes: Yes = Yes()
    forgets: Share = 0.0
    """Offers to which nothing is said at all."""
    minutes_until_off: Minutes
    """From a yes to setting out, for somebody who is not on the way."""
    carries: Some
    """Tasks that are begun on one walk; more only where one stairwell alone asks for more."""
    metres_per_minute: Annotated[float, Field(gt=0, le=1000)]
    minutes_at_shop: Minutes
    minutes_at_door: Minutes
    minutes_at_door_of: dict[Slug, Minutes] = Field(default_factory=dict)
    """Kinds that take another time."""
    shops: dict[Slug, PlaceName] = Field(default_factory=dict)
    """By kind: where one goes before the door."""

    def at_door(self, kind: str) -> float:
        """Minutes that a kind takes at the door."""
        return self.minutes_at_door_of.get(kind, self.minutes_at_door)


class Scenario(Entry):
    """One day, or some hours of it, or some days."""

    community: Slug
    """Its graph is the one in `places.yaml`."""
    begins: AwareDatetime
    hours: Annotated[int, Field(ge=1, le=168)]
    seed: int
    seconds_between_rounds: Annotated[float, Field(gt=0, lt=60)]
    """Less than the minute after which a task does without."""
    buildings: Annotated[dict[PlaceName, Building], Field(min_length=1)]
    workers: Annotated[tuple[Person, ...], Field(min_length=1, max_length=400)]
    orders: Orders
    habits: Habits

    @model_validator(mode="after")
    def _possible(self) -> "Scenario":
        names = [one.worker_id for one in self.workers]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"workers named more than once: {', '.join(twice)}")
        if not any(one.inhabited for one in self.buildings.values()):
            raise ValueError("nobody lives there")
        if not any(self.weight_of(hour) for hour in range(self.hours)):
            raise ValueError("orders.by_hour: nothing is asked for in these hours")
        return self

    def weight_of(self, hour: int) -> float:
        """How many orders come in that hour from the beginning, relative to the others."""
        return self.orders.by_hour[(self.begins.hour + hour) % 24]

    def without(self, workers: Iterable[str]) -> "Scenario":
        """The same day with fewer people."""
        left = tuple(one for one in self.workers if one.worker_id not in set(workers))
        return self.model_copy(update={"workers": left})


def read(path: Path, known: Catalogues) -> Scenario:
    """A scenario from a file.

    Raises:
        CatalogueError: it is missing or wrong, or names what the catalogues do not have.
    """
    scenario = load(path, Scenario)
    problems = [
        f"{path}:{line_of(path, location)}: {'.'.join(map(str, location))}: {catalogue} has no {name}"
        for location, name, there, catalogue in _named(scenario, known)
        if name not in there
    ]
    if problems:
        raise CatalogueError("\n".join(problems))
    return scenario


Named = tuple[tuple[int | str, ...], str, Container[str], str]
"""Where a scenario names something, what, those that there are, and which catalogue has them."""


def _named(scenario: Scenario, known: Catalogues) -> Iterator[Named]:
    habits, orders, abilities = scenario.habits, scenario.orders, known.abilities
    yield ("community",), scenario.community, known.distances, "places.yaml"
    graph = known.distances.get(scenario.community)
    # Without a graph there is no saying what is not in it.
    if graph is not None:
        places = graph.metres
        yield from ((("buildings", name), name, places, "places.yaml") for name in scenario.buildings)
        yield from (
            (("workers", number, "starts"), one.starts, places, "places.yaml")
            for number, one in enumerate(scenario.workers)
        )
        yield from ((("habits", "shops", kind), shop, places, "places.yaml") for kind, shop in habits.shops.items())
    for number, worker in enumerate(scenario.workers):
        yield from (
            (("workers", number, "skills"), skill, abilities.skills, "abilities.yaml") for skill in worker.skills
        )
    kinds = known.kinds.kinds
    yield from ((("orders", "kinds", name), name, kinds, "kinds.yaml") for name in orders.kinds)
    yield from ((("habits", "shops", name), name, kinds, "kinds.yaml") for name in habits.shops)
    of_kinds = habits.minutes_at_door_of
    yield from ((("habits", "minutes_at_door_of", name), name, kinds, "kinds.yaml") for name in of_kinds)
    spoken = abilities.languages
    yield from ((("orders", "languages", name), name, spoken, "abilities.yaml") for name in orders.languages)
    yield from ((("orders", "needs", name), name, abilities.needs, "abilities.yaml") for name in orders.needs)
