"""A sheet of a roster: some who live behind one entrance, and how it went with each of them.

What is known of somebody is a set of records, and their state follows from the set alone: records may come in any order
and any number of times.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import repeat
from typing import Annotated, Any, Literal, Self, overload

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator

from shared.contracts.envelope import Event
from shared.contracts.rounds import Counts, Encounter, Ending, Of, PersonMissing

LENGTH = 25
"""Members of a sheet at most: one walk, and a small document."""
MOST = 20
"""Records of one member at most, but for one that ends it; what is beyond that stands in the entries alone."""
MET: tuple[Ending, ...] = ("done", "elsewhere")
"""What stays true whatever else is told."""


class Met(BaseModel):
    """One record of a member."""

    model_config = ConfigDict(frozen=True)

    outcome: Ending
    at: datetime
    point: str | None = None
    worker: str | None = None
    unchecked: tuple[str, ...] = ()
    card: str | None = None
    sealed: str | None = None


class Member(BaseModel):
    """A person or household on the roster."""

    model_config = ConfigDict(frozen=True)

    member_id: str
    person_id: str
    """The person, or one of the household; of somebody who lives elsewhere, the presence."""
    presence: bool = False
    """Lives elsewhere."""
    hears: bool = True
    """Can be called; who cannot is visited at once."""
    state: Literal["missing"] | Ending = "missing"
    met: list[Met] = Field(default_factory=list[Met])


class Members(Sequence[Member]):
    """Members as they rest in their document, each made out when it is looked at: a record is of one of many."""

    def __init__(self, resting: list[dict[str, Any]]) -> None:
        self.resting = resting

    @classmethod
    def of(cls, told: Iterable[Member | dict[str, Any]]) -> Self:
        """These, made or resting."""
        if isinstance(told, cls):
            return told
        return cls([one if isinstance(one, dict) else _resting(one) for one in told])

    @overload
    def __getitem__(self, place: int) -> Member: ...
    @overload
    def __getitem__(self, place: slice) -> Self: ...
    def __getitem__(self, place: int | slice) -> Member | Self:
        """One of them, or some."""
        if isinstance(place, slice):
            return type(self)(self.resting[place])
        return Member.model_validate(self.resting[place], strict=False)

    def __len__(self) -> int:
        """How many they are."""
        return len(self.resting)

    def __eq__(self, other: object) -> bool:
        """Whether all is the same of the same."""
        return isinstance(other, Members) and self.resting == other.resting

    __hash__ = None  # type: ignore[assignment]

    def place_of(self, name: str) -> int | None:
        """Where the member of that name stands; None: on another sheet, or somebody changed this one."""
        return next((place for place, one in enumerate(self.resting) if one["member_id"] == name), None)

    def changed(self, place: int, member: Member) -> Self:
        """The same with that one as he is now."""
        return type(self)([*self.resting[:place], _resting(member), *self.resting[place + 1 :]])

    def records(self) -> int:
        """How many there are of all of them."""
        return sum([len(one.get("met", ())) for one in self.resting])


def _resting(member: Member) -> dict[str, Any]:
    return member.model_dump(exclude_defaults=True)


class Sheet(BaseModel):
    """Some of the roster of one round."""

    sheet_id: str
    round_id: str
    community: str
    grid: str | None
    building: str
    order: str
    """Sheets stand in the order of buildings and entrances."""
    members: Annotated[Members, PlainValidator(Members.of), PlainSerializer(lambda those: those.resting)]
    counts: Counts
    closed: bool

    @property
    def place(self) -> str:
        """Its name within its building."""
        return self.sheet_id.removeprefix(f"{self.round_id}/{self.building}/")


class RoundFacts(BaseModel):
    """What a sheet must know of its round."""

    model_config = ConfigDict(frozen=True)

    round_id: str
    community: str
    kind: str
    title: str
    of: Of


class Entrance(BaseModel):
    """Where some members live."""

    model_config = ConfigDict(frozen=True)

    grid: str | None
    building: str
    stairwell: str | None


def cut(
    facts: RoundFacts, living: Iterable[tuple[Entrance, Member]], *, late: bool = False, length: int = LENGTH
) -> Iterator[Sheet]:
    """Sheets of those who live in one building, entrance by entrance, in the order in which they are given."""
    entrances: dict[Entrance, list[Member]] = {}
    for entrance, member in living:
        entrances.setdefault(entrance, []).append(member)
    number = 0
    for entrance, members in entrances.items():
        for start in range(0, len(members), length):
            part = members[start : start + length]
            place = f"late/{part[0].member_id}" if late else f"{number:04d}"
            number += 1
            yield Sheet(
                sheet_id=f"{facts.round_id}/{entrance.building}/{place}",
                round_id=facts.round_id,
                community=facts.community,
                grid=entrance.grid,
                building=entrance.building,
                order=order_of(entrance.building, place),
                members=Members.of(part),
                counts=count(part),
                closed=False,
            )


def order_of(building: str, place: str) -> str:
    """Where a sheet stands among those of its round."""
    return f"{natural(building)}/{place}"


def record(known: Sheet | None, told: Sequence[tuple[str, Met]]) -> tuple[Sheet, Sequence[Event]] | None:
    """How it went with some of its members, by name; None if all that was known."""
    if known is None:
        return None
    members, counts = known.members, Counter(dict(known.counts))
    for name, met in told:
        if (place := members.place_of(name)) is None:
            continue
        before = members[place]
        if not is_news(before.met, met):
            continue
        every = [*before.met, met]
        after = before.model_copy(update={"met": every, "state": state_of(every)})
        members = members.changed(place, after)
        counts.update(_counted(after))
        counts.subtract(_counted(before))
    if members is known.members:
        return None
    return known.model_copy(update={"members": members, "counts": Counts(**counts)}), []


def close(known: Sheet | None, facts: RoundFacts) -> tuple[Sheet, Sequence[Event]] | None:
    """The round is over: who is missing is named; None if that was done."""
    if known is None or known.closed:
        return None
    events = [
        PersonMissing(
            community=known.community,
            grid=known.grid,
            round_id=known.round_id,
            kind=facts.kind,
            title=facts.title,
            building=known.building,
            member_id=one.member_id,
            of=facts.of,
            presence_id=one.member_id if one.presence else None,
        )
        for one in known.members
        if one.state == "missing"
    ]
    return known.model_copy(update={"closed": True}), events


def met_at(told: Encounter) -> Met:
    """A record as an event tells it."""
    return Met(**told.model_dump(include=set(Met.model_fields)))


def state_of(met: Sequence[Met]) -> Literal["missing"] | Ending:
    """What a set of records says: what was done stays done, else the latest word counts."""
    if not met:
        return "missing"
    for outcome in MET:
        if any(one.outcome == outcome for one in met):
            return outcome
    return max(met, key=lambda one: (_minute(one), one.outcome)).outcome


def count(members: Sequence[Member]) -> Counts:
    """How many are in which state."""
    return Counts(**Counter(name for one in members for name in _counted(one)))


def _counted(member: Member) -> list[str]:
    """In which of the counts somebody is one."""
    found = ["members", member.state]
    if len({(_minute(one), one.point) for one in member.met if one.outcome in MET}) > 1:
        found.append("again")
    if undone(member):
        found.append("incomplete")
    return found


def tallied(known: Mapping[str, Sequence[int]], told: Iterable[Sheet]) -> dict[str, Sequence[int]]:
    """What each sheet of a building adds to the sums: its records, then its counts in their order.

    A sheet only ever gets more records, so of two tellings of it the one with more of them is the later.
    """
    found = dict(known)
    for one in told:
        records = one.members.records()
        if records >= found.get(one.place, (-1,))[0]:
            found[one.place] = [records, *dict(one.counts).values()]
    return found


def summed(tally: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """The counts of a whole building."""
    sums = [sum(column) for column in zip(*tally.values(), strict=True)][1:]
    return dict(zip(Counts.model_fields, sums or repeat(0), strict=False))


def undone(member: Member) -> set[str]:
    """What of the checklist was done at no time."""
    times = [one.unchecked for one in member.met if one.outcome == "done"]
    return {name for name in times[0] if all(name in other for other in times)} if times else set()


def natural(name: str) -> str:
    """A key that sorts building 2 before building 10."""
    return re.sub(r"[0-9]+", lambda digits: digits[0].zfill(6), name)


def is_news(known: Sequence[Met], met: Met) -> bool:
    """Whether a record says something that is not known, and is kept."""
    if any(is_same(met, one) for one in known):
        return False
    return len(known) < MOST or (met.outcome in MET and all(one.outcome not in (met.outcome, MET[0]) for one in known))


def is_same(one: Met, other: Met) -> bool:
    """The same record, told twice: on a device to the millisecond, on a list to the minute.

    Who told it does not matter, nor what was noted: no two seals look the same.
    """
    names = ("outcome", "point", "unchecked", "card")
    return _minute(one) == _minute(other) and all(getattr(one, name) == getattr(other, name) for name in names)


def _minute(one: Met) -> datetime:
    return one.at.replace(second=0, microsecond=0)
