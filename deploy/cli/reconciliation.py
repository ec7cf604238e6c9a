"""Whether the services agree, request by request: pure, and in bounded memory however many requests there are."""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

from shared.contracts import EVENTS, dispatch, intake

COMPARED = frozenset(event.wire for event in (*intake.EVENTS, *dispatch.EVENTS))
"""Events that a request or its task raised. Other entries that name a request (who opened its details, who read of it)
come from elsewhere and are not compared here."""
MOST = 10_000
"""Differences that are remembered by name."""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A request as intake has it, or a task as dispatch has it."""

    request_id: str
    state: str
    known: bool
    """False where only the consequences of a request were heard of, and not yet the request itself."""
    events: tuple[tuple[str, str], ...] = ()
    """Id and wire type of every event that it raised."""
    unsent: int = 0

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> "Aggregate":
        """From a service's reconciliation."""
        return cls(item["request_id"], item["state"], item["known"], _events(item), item["unsent"])


@dataclass(frozen=True, slots=True)
class Entries:
    """What the ledger entered of a request."""

    request_id: str
    events: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> "Entries":
        """From the ledger's reconciliation."""
        return cls(item["request_id"], _events(item))


class Difference(NamedTuple):
    """Something that does not agree. The same difference, found again later, is equal to this one."""

    code: str
    service: str
    """Where it shows."""
    request_id: str
    what: str = ""
    """States, or an event's id and type."""


@dataclass(slots=True)
class Counts:
    """How much was compared."""

    requests: int = 0
    tasks: int = 0
    raised: int = 0
    entered: int = 0


@dataclass(slots=True)
class Findings:
    """The result of looking once."""

    counts: Counts = field(default_factory=Counts)
    differences: dict[Difference, None] = field(default_factory=dict)
    """In order of finding, at most `most` of them."""
    left_out: int = 0
    most: int = MOST

    def add(self, difference: Difference) -> None:
        """Remember it, unless there are too many."""
        if len(self.differences) < self.most:
            self.differences[difference] = None
        else:
            self.left_out += 1

    def still(self, before: "Findings") -> "Findings":
        """What was there when one looked before, too: the rest was only under way."""
        both = {one: None for one in self.differences if one in before.differences}
        return Findings(self.counts, both, min(self.left_out, before.left_out))


class OutOfOrder(Exception):
    """A service did not list by request id, so that nothing can be compared."""


def compare(
    requests: Iterable[Aggregate], tasks: Iterable[Aggregate], entries: Iterable[Entries]
) -> Iterator[tuple[Counts, Sequence[Difference]]]:
    """Walk along three lists that are sorted by request id: for each request, what was counted and what differs.

    Raises:
        OutOfOrder: a list is not sorted.
    """
    lists = (_tagged(0, requests), _tagged(1, tasks), _tagged(2, entries))
    tagged = heapq.merge(*lists, key=lambda one: one[0])
    for request_id, group in groupby(tagged, key=lambda one: one[0]):
        found: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
        for _, place, thing in group:
            found[place].append(thing)
        yield _one(request_id, *found)


def _one(
    request_id: str, requests: list[Aggregate], tasks: list[Aggregate], entries: list[Entries]
) -> tuple[Counts, Sequence[Difference]]:
    entered = [event for one in entries for event in one.events if event[1] in COMPARED or event[1] not in EVENTS]
    raised = {"intake": _raised(requests), "dispatch": _raised(tasks)}
    counts = Counts(len(requests), len(tasks), sum(len(events) for events in raised.values()), len(entered))
    differences = [
        *_states(request_id, requests, tasks, entered),
        *(
            Difference("unsent", service, request_id)
            for service, aggregates in (("intake", requests), ("dispatch", tasks))
            if any(one.unsent for one in aggregates)
        ),
        *_ledger(request_id, raised, entered),
    ]
    return counts, differences


def _states(
    request_id: str, requests: list[Aggregate], tasks: list[Aggregate], entered: list[tuple[str, str]]
) -> Iterator[Difference]:
    request = next((one for one in requests if one.known), None)
    if request is None:
        if requests or tasks or entered:
            yield Difference("unknown_request", "intake", request_id)
        return
    if not tasks:
        yield Difference("no_task", "dispatch", request_id, request.state)
    elif len(tasks) > 1:
        yield Difference("two_tasks", "dispatch", request_id, ", ".join(one.state for one in tasks))
    elif not tasks[0].known:
        yield Difference("empty_task", "dispatch", request_id, request.state)
    elif tasks[0].state != request.state:
        yield Difference("state", "dispatch", request_id, f"{request.state} ≠ {tasks[0].state}")


def _ledger(
    request_id: str, raised: Mapping[str, Sequence[tuple[str, str]]], entered: Sequence[tuple[str, str]]
) -> Iterator[Difference]:
    """Every event entered exactly once, and nothing entered that nobody raised."""
    there: dict[str, int] = {}
    for event_id, _ in entered:
        there[event_id] = there.get(event_id, 0) + 1
    known: set[str] = set()
    for service, events in raised.items():
        for event_id, wire in events:
            known.add(event_id)
            if event_id not in there:
                yield Difference("not_entered", service, request_id, f"{_name(wire)} {event_id}")
    for event_id, wire in dict(entered).items():
        if event_id not in known:
            yield Difference("unknown_entry", "ledger", request_id, f"{_name(wire)} {event_id}")
        elif there[event_id] > 1:
            yield Difference("entered_twice", "ledger", request_id, f"{_name(wire)} {event_id}")


def _tagged(place: int, things: Iterable[Aggregate | Entries]) -> Iterator[tuple[str, int, Any]]:
    last = ""
    for thing in things:
        if thing.request_id < last:
            raise OutOfOrder(f"{thing.request_id} after {last}")
        last = thing.request_id
        yield last, place, thing


def _raised(aggregates: Iterable[Aggregate]) -> list[tuple[str, str]]:
    return [event for one in aggregates for event in one.events]


def _events(item: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((one["id"], one["type"]) for one in item["events"])


def _name(wire: str) -> str:
    """The event's class name, where there is such an event."""
    return EVENTS[wire].__name__ if wire in EVENTS else wire
