"""The day report: what a street office reads of a community's day, as tables that any form can show."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

from services.ledger.domain.numbers import FIGURES, Dimension, Group, Row, figures, grouped
from shared.contracts import EVENTS
from shared.contracts.catalogue import Kinds, Label

Language = Literal["zh", "en"]
Cell = str | int | float | None
SECTIONS: tuple[Dimension, ...] = ("grid", "kind", "worker", "urgency")
_DRAWN = ("grid", "kind")


class Reports(BaseModel):
    """The catalogue `reports.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Label
    made: Label
    all: Label
    nobody: Label
    of_households: Label
    sections: dict[Literal["all", "notable"] | Dimension, Label]
    dimensions: dict[Dimension, Label]
    urgencies: dict[str, Label]
    figures: dict[str, Label]
    notable: dict[str, Label]
    """By the class name of an event."""

    @field_validator("figures")
    @classmethod
    def _of_all_figures(cls, told: dict[str, Label]) -> dict[str, Label]:
        if told.keys() != set(FIGURES):
            raise ValueError(f"these have a name each, and no other: {', '.join(FIGURES)}")
        return told

    @field_validator("notable")
    @classmethod
    def _events(cls, told: dict[str, Label]) -> dict[str, Label]:
        if unknown := told.keys() - {one.__name__ for one in EVENTS.values()}:
            raise ValueError(f"no event is called {', '.join(sorted(unknown))}")
        return told


@dataclass(frozen=True, slots=True)
class Table:
    """One section: a heading, what stands above the columns, and the rows."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    sums_up: bool = False
    """Whether the last row is what the others add up to."""
    drawn: bool = False
    """Whether needs and what was done, the first two figures, are drawn as bars, too."""


@dataclass(frozen=True, slots=True)
class Words:
    """The catalogues, in one language."""

    reports: Reports
    kinds: Kinds
    language: Language

    def of(self, label: Label) -> str:
        """What a person reads."""
        return label.zh if self.language == "zh" else label.en

    def value(self, dimension: Dimension, value: str | None) -> str:
        """What a grid, a worker, a kind, an urgency or a day is called."""
        if value is None:
            return self.of(self.reports.nobody)
        if dimension == "kind":
            return self.of(self.kinds.label_of(value))
        known = self.reports.urgencies.get(value) if dimension == "urgency" else None
        return self.of(known) if known else value

    def headings(self, by: Sequence[Dimension]) -> list[str]:
        """What stands above the columns of groups."""
        names = [self.reports.dimensions[name] for name in by]
        return [self.of(one) for one in (*names, *(self.reports.figures[name] for name in FIGURES))]

    def row(self, by: Sequence[Dimension], group: Group) -> list[Cell]:
        """The cells of a group."""
        return [*(self.value(name, group.of[name]) for name in by), *group.figures.values()]

    def total(self, by: Sequence[Dimension], rows: Sequence[Row]) -> list[Cell]:
        """The cells of all groups together."""
        first = [self.of(self.reports.all), *([""] * (len(by) - 1))] if by else []
        return [*first, *figures(rows).values()]


def tables(words: Words, day: date, rows: Sequence[Row], happened: Mapping[str, int], households: int) -> list[Table]:
    """The report.

    Args:
        words: the catalogues.
        day: which.
        rows: what was counted of it.
        happened: how often each event was entered, by its class name.
        households: how many are on the books.
    """
    reports, all_of_it = words.reports, figures(rows)
    glance: list[tuple[str, Cell]] = [(words.of(reports.figures[name]), all_of_it[name]) for name in FIGURES]
    glance.append((words.of(reports.of_households), f"{all_of_it['households']} / {households}"))
    notable = [(words.of(label), happened.get(name, 0)) for name, label in reports.notable.items()]
    return [
        Table(words.of(reports.sections["all"]), (), glance),
        Table(words.of(reports.sections["notable"]), (), notable),
        *_by(words, day, rows),
    ]


def _by(words: Words, day: date, rows: Sequence[Row]) -> Iterable[Table]:
    for name in SECTIONS:
        groups = [words.row((name,), group) for group in grouped([(day, rows)], (name,))]
        body = [*groups, words.total((name,), rows)]
        yield Table(
            words.of(words.reports.sections[name]), words.headings((name,)), body, sums_up=True, drawn=name in _DRAWN
        )
