"""Shapes of the catalogues that operators edit: what the services agree on about kinds of help and ladders."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.contracts.envelope import Slug
from shared.contracts.intake import Urgency


class Entry(BaseModel):
    """One entry of a catalogue; what is not known is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Label(Entry):
    """What a person reads."""

    zh: str
    en: str


class Minutes(Entry):
    """Minutes, by urgency."""

    normal: Annotated[float, Field(gt=0)]
    soon: Annotated[float, Field(gt=0)]
    urgent: Annotated[float, Field(gt=0)]

    def of(self, urgency: Urgency) -> float:
        """Minutes for one urgency."""
        return {"normal": self.normal, "soon": self.soon, "urgent": self.urgent}[urgency]


class Step(Entry):
    """One step of an offer ladder: who is asked, and for how long."""

    to: Literal["responsible", "grid_pool", "coordinator"]
    """`responsible`: the worker who answers for the grid; `grid_pool`: every volunteer of the grid may claim;
    `coordinator`: a named person takes it in hand."""
    minutes: Minutes


class Ladder(Entry):
    """Who is asked in which order, and how long work may take before somebody else is asked."""

    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
    start_within: Minutes
    """From yes to setting out."""
    finish_within: Minutes
    """From setting out to the door."""


class Kind(Entry):
    """A kind of help."""

    label: Label
    group: Literal["goods", "service"]
    urgency: Urgency = "normal"
    """Where the sender does not say."""
    ladder: Slug = "usual"


class Kinds(Entry):
    """The catalogue `kinds.yaml`."""

    ladders: dict[Slug, Ladder]
    kinds: dict[Slug, Kind]

    @model_validator(mode="after")
    def _ladders_exist(self) -> "Kinds":
        for code, kind in self.kinds.items():
            if kind.ladder not in self.ladders:
                raise ValueError(f"kind {code} names the ladder {kind.ladder}, which is not there")
        return self

    def ladder_of(self, kind: str) -> Ladder:
        """The ladder of a kind; the usual one for a kind that is no longer in the catalogue."""
        known = self.kinds.get(kind)
        return self.ladders[known.ladder if known else "usual"]
