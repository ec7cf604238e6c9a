"""Shapes of the catalogues that operators edit: what the services agree on about kinds of help and ladders."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.contracts.envelope import Slug
from shared.contracts.intake import Urgency
from shared.contracts.recurrence import is_zone
from shared.contracts.workers import LocalDay, TimeOfDay


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


class AtOnce(Entry):
    """How many are asked at once, by urgency."""

    normal: Annotated[int, Field(ge=1, le=20)] = 1
    soon: Annotated[int, Field(ge=1, le=20)] = 1
    urgent: Annotated[int, Field(ge=1, le=20)] = 1

    def of(self, urgency: Urgency) -> int:
        """For one urgency."""
        return {"normal": self.normal, "soon": self.soon, "urgent": self.urgent}[urgency]


ALONE = AtOnce()


class Step(Entry):
    """One step of an offer ladder: who is asked, and for how long."""

    to: Literal["responsible", "chosen", "grid_pool", "neighbours", "riders", "partner", "coordinator"]
    """`chosen`: one by name, of all who are able, for load, distance and fairness, in a round of a few seconds;
    `responsible`: the worker who answers for the grid; `grid_pool`: every volunteer of the grid may claim;
    `neighbours`: volunteers and grid workers of the community's other grids; `riders`, `partner`: people of that role;
    `coordinator`: a named person takes it in hand. Only those are asked who are able; a step without any is passed
    over."""
    minutes: Minutes
    at_once: AtOnce = ALONE
    """Of a step `chosen`: so many of those who fit best are asked; the first who says yes has it."""


Proof = Literal["note", "photo", "code", "call_back"]


class Span(Entry):
    """Part of every day, in local wall time; past midnight where it ends before it begins."""

    begins: TimeOfDay
    ends: TimeOfDay


class Hours(Entry):
    """Times of day that matter."""

    zone: str = "Asia/Shanghai"
    """A name of the IANA time zone database."""
    evening: TimeOfDay = "18:00"
    """What nobody collected at a point by then is brought to the door."""
    night: Span = Span(begins="21:30", ends="07:00")
    """Nobody is asked for kinds with `night: waits`, unless it is urgent."""
    meals: tuple[Span, ...] = (Span(begins="11:00", ends="13:00"), Span(begins="17:00", ends="19:00"))
    """Kinds with `meal` have the times of what is urgent."""

    @model_validator(mode="after")
    def _zone_exists(self) -> "Hours":
        if not is_zone(self.zone):
            raise ValueError(f"there is no time zone {self.zone}")
        return self


class Ladder(Entry):
    """Who is asked in which order, and how long work may take before somebody else is asked."""

    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
    start_within: Minutes
    """From yes to setting out."""
    finish_within: Minutes
    """From setting out to the door."""
    warn_before: Annotated[float, Field(ge=0, lt=1)] = 0.25
    """Share of either time that is left when whoever has it is warned; 0: never."""


class Kind(Entry):
    """A kind of help."""

    label: Label
    group: Literal["goods", "service"]
    urgency: Urgency = "normal"
    """Where the sender does not say."""
    ladder: Slug = "usual"
    skills: tuple[Slug, ...] = ()
    """What whoever does it must have."""
    language: bool = False
    """Whether he must speak the resident's language; if not, whoever does is asked first, and a phrase sheet helps."""
    proof: tuple[Proof, ...] = ()
    """What must show that it was done: a note, a photo, the code that the resident tells, a call afterwards. Note and
    photo show a failed attempt, too."""
    second_look: Annotated[float, Field(ge=0, le=1)] = 0
    """Share of completions that somebody else than the doer shall look at."""
    night: Literal["goes", "waits"] = "goes"
    meal: bool = False
    walks: Annotated[int, Field(ge=0, le=20)] = 1
    """Walks that one need takes where it is done by itself and as before: the numbers say how many were saved."""


class Aid(Entry):
    """What a resident's need asks of whoever comes."""

    skills: tuple[Slug, ...] = ()
    sex: Literal["f", "m"] | None = None
    proof: tuple[Proof, ...] = ()


class AbilityCatalogue(Entry):
    """The catalogue `abilities.yaml`."""

    skills: dict[Slug, Label]
    languages: dict[Slug, Label]
    needs: dict[Slug, Aid]
    """By the code of a resident's need."""

    @model_validator(mode="after")
    def _skills_exist(self) -> "AbilityCatalogue":
        for code, aid in self.needs.items():
            if missing := set(aid.skills) - self.skills.keys():
                raise ValueError(f"need {code} asks for {', '.join(sorted(missing))}, which no skill is called")
        return self


class Kinds(Entry):
    """The catalogue `kinds.yaml`."""

    hours: Hours = Hours()
    labels: dict[Slug, Label] = {}
    """Names of other kinds, such as those of cases, for who reads of them."""
    ladders: dict[Slug, Ladder]
    kinds: dict[Slug, Kind]

    @model_validator(mode="after")
    def _ladders_exist(self) -> "Kinds":
        for code, kind in self.kinds.items():
            if kind.ladder not in self.ladders:
                raise ValueError(f"kind {code} names the ladder {kind.ladder}, which is not there")
        return self

    def skills_missing(self, abilities: AbilityCatalogue) -> list[str]:
        """Kinds that ask for a skill which `abilities.yaml` does not have: one line each."""
        return [
            f"kinds.{code}.skills: {skill} is not among the skills of abilities.yaml"
            for code, kind in self.kinds.items()
            for skill in kind.skills
            if skill not in abilities.skills
        ]

    def label_of(self, kind: str) -> Label:
        """What a person reads; the code itself for a kind that is no longer in the catalogue."""
        known = self.kinds.get(kind)
        return known.label if known else self.labels.get(kind, Label(zh=kind, en=kind))

    def ladder_of(self, kind: str) -> Ladder:
        """The ladder of a kind; the usual one for a kind that is no longer in the catalogue."""
        known = self.kinds.get(kind)
        return self.ladders[known.ladder if known else "usual"]


class CaseKind(Entry):
    """A kind of case."""

    label: Label
    days: Annotated[float, Field(gt=0, le=365)]
    """Within how many days a step is promised, where nobody says a time."""
    answer_days: Annotated[float, Field(gt=0, le=365)] | None = None
    """Within how many days those who raised it are told something, which is a step of its own; None: there is none."""


class GateRules(Entry):
    """How checks at a gate are matched with what was agreed."""

    tolerance: Annotated[float, Field(ge=0, le=240)]
    """Minutes before and after a stop in which a check belongs to it."""
    ahead: Annotated[float, Field(ge=0, le=60)]
    """Minutes that a device's clock may be ahead of ours."""
    fever: Slug
    """The kind of the case that a fever at the gate is."""


class CaseCatalogue(Entry):
    """The catalogue `cases.yaml`."""

    gate: GateRules
    council: Slug = "council_topic"
    """The kind of the case that a topic of the residents' council is."""
    kinds: dict[Slug, CaseKind]

    @model_validator(mode="after")
    def _named_kinds_exist(self) -> "CaseCatalogue":
        for place, kind in (("gate.fever", self.gate.fever), ("council", self.council)):
            if kind not in self.kinds:
                raise ValueError(f"{place} names the kind {kind}, which is not there")
        return self


class ObservationVersion(Entry):
    """What is in force from a day on."""

    since: Annotated[LocalDay, Field(alias="from")]
    days: Annotated[int, Field(ge=1, le=60)]
    """The first and the last are among them."""
    rounds: Annotated[tuple[TimeOfDay, ...], Field(max_length=24)]
    """When somebody looks after them, every day."""


class ObservationCatalogue(Entry):
    """The catalogue `observation.yaml`."""

    zone: str
    kind: Slug
    versions: Annotated[tuple[ObservationVersion, ...], Field(min_length=1)]
    categories: dict[Slug, Label]

    @model_validator(mode="after")
    def _in_order(self) -> "ObservationCatalogue":
        days = [one.since for one in self.versions]
        if days != sorted(set(days)):
            raise ValueError("versions stand in the order of their days, each day once")
        if not is_zone(self.zone):
            raise ValueError(f"there is no time zone {self.zone}")
        return self

    def version(self, day: str) -> ObservationVersion:
        """What was in force on a day; before the first version, that one."""
        found = [one for one in self.versions if one.since <= day]
        return found[-1] if found else self.versions[0]
