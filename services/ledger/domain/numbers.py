"""The numbers of a day: what was needed, how long it took, who was served, and how many walks were saved."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any, Literal

from pydantic import BaseModel

from shared.contracts.dispatch import (
    DeliveryAssigned,
    DeliveryCompleted,
    DeliveryEvent,
    DeliveryFailed,
    DeliveryReopened,
)
from shared.contracts.envelope import Event
from shared.contracts.follow_ups import FollowUpRecorded
from shared.contracts.intake import RequestAmended, RequestCancelled, RequestCreated, RequestFacts

ONE_WALK = timedelta(minutes=30)
"""What somebody brings to one building with no longer pauses than this between the doors is one walk."""

OF_REQUESTS: tuple[type[Event], ...] = (
    RequestCreated,
    RequestAmended,
    RequestCancelled,
    DeliveryAssigned,
    DeliveryCompleted,
    DeliveryFailed,
    DeliveryReopened,
)
"""Events that are counted; all but the last of a day are those of requests."""
COUNTED: tuple[type[Event], ...] = (*OF_REQUESTS, FollowUpRecorded)

Dimension = Literal["day", "grid", "worker", "kind", "urgency"]


class Row(BaseModel):
    """What is counted of one worker's doings of one kind and urgency in one grid, on one day."""

    grid: str | None = None
    worker: str | None = None
    """None for what nobody has done yet: needs, and what was cancelled."""
    kind: str
    urgency: str | None = None
    """None for follow-ups."""
    needs: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    reopened: int = 0
    left: int = 0
    """Of the needs of that day, those that it ended without."""
    answered: list[int] = []
    """Minutes from each need to the first yes."""
    waited: list[int] = []
    """Minutes from each need to the door."""
    households: set[str] = set()
    """Opaque ids of the doors at which something was done."""
    alone: int = 0
    """Walks that all this takes where each is done by itself."""
    walks: int = 0
    """Walks that it took."""
    follow_ups: int = 0
    """Calls and visits of plans that somebody recorded."""
    reached: int = 0
    """Those of them in which the person was reached."""


@dataclass(frozen=True, slots=True)
class Happened:
    """An event, and when it did."""

    at: datetime
    event: Event


@dataclass(slots=True)
class Day:
    """One day as it is counted."""

    begins: datetime
    ends: datetime
    walks_alone: Callable[[str], int]
    """Walks that one need of a kind takes, done by itself."""
    rows: dict[tuple[str | None, ...], Row] = field(default_factory=dict[tuple[str | None, ...], Row])
    _doors: list[tuple[str, str, datetime, Row]] = field(default_factory=list[tuple[str, str, datetime, Row]])

    def today(self, one: Happened) -> bool:
        """Whether it happened on this day."""
        return self.begins <= one.at < self.ends

    def row(self, grid: str | None, worker: str | None, kind: str, urgency: str | None = None) -> Row:
        """Where something is counted."""
        key = (grid, worker, kind, urgency)
        if key not in self.rows:
            self.rows[key] = Row(grid=grid, worker=worker, kind=kind, urgency=urgency)
        return self.rows[key]

    def at_the_door(self, event: DeliveryCompleted, at: datetime, row: Row) -> None:
        """Somebody was at a door; who goes to several of one building walks once."""
        row.alone += self.walks_alone(event.kind)
        self._doors.append((event.worker or "", event.building, at, row))

    def count_walks(self) -> None:
        """Say of whose walk each door was the first."""
        self._doors.sort(key=lambda one: one[:3])
        for _, _, _, row in self._doors[:1]:
            row.walks += 1
        for before, one in pairwise(self._doors):
            if one[:2] != before[:2] or one[2] - before[2] > ONE_WALK:
                one[3].walks += 1


def count(day: Day, lives: Iterable[Sequence[Happened]], talks: Iterable[Happened]) -> list[Row]:
    """The rows of a day.

    Args:
        day: which, with nothing counted yet.
        lives: what happened to each request of which something happened on that day, from its beginning to the day's
            end, in any order.
        talks: recorded follow-ups of that day.
    """
    for life in lives:
        _count_life(day, life)
    day.count_walks()
    for one in talks:
        if isinstance(one.event, FollowUpRecorded) and one.event.why is None:
            row = day.row(one.event.grid, one.event.worker, one.event.kind)
            row.follow_ups += 1
            row.reached += one.event.outcome == "reached"
    return list(day.rows.values())


def _count_life(day: Day, life: Sequence[Happened]) -> None:
    """One request. Services stamp what happens by clocks of their own: that it was made comes first all the same."""
    facts: RequestFacts | None = None
    made: datetime | None = None
    answered = ended = False
    for one in sorted(life, key=lambda one: (not isinstance(one.event, RequestCreated), one.at)):
        event = one.event
        match event:
            case RequestCreated():
                facts, made = event, one.at
            case RequestAmended():
                facts = event
            case RequestCancelled() | DeliveryCompleted() | DeliveryFailed():
                ended = True
            case DeliveryReopened():
                ended = False
            case _:
                pass
        if day.today(one):
            _count_event(day, one, facts, made, answered=answered)
        answered = answered or isinstance(event, DeliveryAssigned)
    if facts is not None and made is not None and made >= day.begins and not ended:
        day.row(facts.grid, None, facts.kind, facts.urgency).left += 1


def _count_event(day: Day, one: Happened, facts: RequestFacts | None, made: datetime | None, *, answered: bool) -> None:
    event = one.event
    if not isinstance(event, DeliveryEvent):
        if facts is not None:
            row = day.row(facts.grid, None, facts.kind, facts.urgency)
            row.needs += isinstance(event, RequestCreated)
            row.cancelled += isinstance(event, RequestCancelled)
        return
    row = day.row(event.grid, event.worker, event.kind, event.urgency)
    at = event.at or one.at
    waited = [] if made is None else [max(0, round((at - made) / timedelta(minutes=1)))]
    match event:
        case DeliveryAssigned() if not answered:
            row.answered += waited
        case DeliveryCompleted():
            row.done += 1
            row.waited += waited
            row.households |= {facts.household} if facts is not None else set()
            day.at_the_door(event, at, row)
        case DeliveryFailed():
            row.failed += 1
        case DeliveryReopened():
            row.reopened += 1
        case _:
            pass


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that have the same in these dimensions."""

    of: Mapping[str, str | None]
    figures: Mapping[str, Any]


FIGURES = (
    "needs",
    "done",
    "left",
    "failed",
    "cancelled",
    "reopened",
    "answered_median",
    "answered_p95",
    "waited_median",
    "waited_p95",
    "households",
    "walks",
    "walks_saved",
    "follow_ups",
    "reached",
)
"""What is said of every group, in this order; times in minutes, None where there is nothing to take them of."""


def figures(rows: Sequence[Row]) -> dict[str, int | None]:
    """What these rows add up to; a household counts once, however often something was done there."""
    answered = sorted(one for row in rows for one in row.answered)
    waited = sorted(one for row in rows for one in row.waited)
    walks = sum(row.walks for row in rows)
    return {
        "needs": sum(row.needs for row in rows),
        "done": sum(row.done for row in rows),
        "left": sum(row.left for row in rows),
        "failed": sum(row.failed for row in rows),
        "cancelled": sum(row.cancelled for row in rows),
        "reopened": sum(row.reopened for row in rows),
        "answered_median": _share(answered, 0.5),
        "answered_p95": _share(answered, 0.95),
        "waited_median": _share(waited, 0.5),
        "waited_p95": _share(waited, 0.95),
        "households": len(set[str]().union(*(row.households for row in rows))),
        "walks": walks,
        "walks_saved": sum(row.alone for row in rows) - walks,
        "follow_ups": sum(row.follow_ups for row in rows),
        "reached": sum(row.reached for row in rows),
    }


def grouped(days: Iterable[tuple[date, Sequence[Row]]], by: Sequence[Dimension]) -> list[Group]:
    """The figures of every group, in the order of what makes it one; what is not known stands last."""
    found: dict[tuple[str | None, ...], list[Row]] = {}
    for day, rows in days:
        for row in rows:
            key = tuple(day.isoformat() if name == "day" else getattr(row, name) for name in by)
            found.setdefault(key, []).append(row)
    order = sorted(found, key=lambda key: [(one is None, one or "") for one in key])
    return [Group(dict(zip(by, key, strict=True)), figures(found[key])) for key in order]


def _share(times: Sequence[int], share: float) -> int | None:
    """The time within which this share of them was done (nearest rank)."""
    return times[math.ceil(share * len(times)) - 1] if times else None
