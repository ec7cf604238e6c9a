"""The figures of the closing tables: states, waiting times, events. Pure."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from math import ceil
from statistics import median
from typing import Any

from deploy.demo.accounting import Finding, accounted
from deploy.demo.evidence import Evidence
from deploy.demo.orders import Order
from deploy.demo.record import AGAIN, Record
from shared.contracts.dispatch import DeliveryAssigned, DeliveryCompleted


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long people waited, in seconds of the clock on the wall."""

    count: int
    median: float
    p95: float
    """Nineteen of twenty waited no longer."""


@dataclass(slots=True)
class Times:
    """Waiting times of some of the orders, in seconds."""

    orders: int = 0
    assigned: list[float] = field(default_factory=list)
    completed: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table of waiting times."""

    name: str
    orders: int
    assigned: Waiting | None
    completed: Waiting | None


@dataclass(frozen=True, slots=True)
class Closing:
    """What one day came to."""

    orders: int
    accounted: int
    seconds: float
    states: Mapping[str, int]
    answers: Mapping[str, int]
    staff: Mapping[str, int]
    events: Mapping[str, int]
    waiting: Sequence[Row]
    findings: Sequence[Finding]
    troubles: Sequence[str]

    @property
    def good(self) -> bool:
        """True when nothing is missing or doubled."""
        return self.accounted == self.orders

    def data(self) -> dict[str, Any]:
        """As plain data, for `--json`."""
        return {**asdict(self), "good": self.good}


def closing(
    orders: Sequence[Order], record: Record, evidence: Evidence, findings: Sequence[Finding], *, seconds: float
) -> Closing:
    """Add everything up."""
    return Closing(
        orders=len(orders),
        accounted=accounted(orders, findings),
        seconds=round(seconds, 1),
        states=dict(Counter(request.state for request in evidence.requests.values()).most_common()),
        answers=_answers(record),
        staff=dict(record.staff.most_common()),
        events=dict(Counter(entry.type for entries in evidence.entries.values() for entry in entries).most_common()),
        waiting=_rows(orders, record, evidence),
        findings=findings,
        troubles=record.troubles,
    )


def _answers(record: Record) -> dict[str, int]:
    sent = [submission for submissions in record.submissions.values() for submission in submissions]
    counts = Counter(
        f"{submission.status}{', sent again' if submission.planned == AGAIN else ''}" for submission in sent
    )
    retried = sum(max(0, submission.tries - 1) for submission in sent)
    return dict(counts.most_common()) | ({"tries that were not answered": retried} if retried else {})


def _rows(orders: Sequence[Order], record: Record, evidence: Evidence) -> list[Row]:
    groups = defaultdict[str, Times](Times)
    requests = {key: request_id for request_id, key in record.requests.items()}
    for order in orders:
        request_id = requests.get(order.key, "")
        urgency = next((task.urgency for task in evidence.tasks.get(request_id, [])), order.body.urgency or "normal")
        request, sent = evidence.requests.get(request_id), record.sent_at.get(order.key)
        for name in ("all", urgency, order.grid):
            groups[name].orders += 1
            if request and sent:
                _add(groups[name].assigned, sent, request.first(DeliveryAssigned.__name__))
                _add(groups[name].completed, sent, request.first(DeliveryCompleted.__name__))
    return [
        Row(name, groups[name].orders, _waiting(groups[name].assigned), _waiting(groups[name].completed))
        for name in sorted(groups, key=_rank)
    ]


def _rank(name: str) -> tuple[int, str]:
    order = ("all", "urgent", "soon", "normal")
    return (order.index(name) if name in order else len(order), name)


def _add(times: list[float], sent: datetime, then: datetime | None) -> None:
    if then is not None:
        times.append(max(0.0, (then - sent).total_seconds()))


def _waiting(times: list[float]) -> Waiting | None:
    if not times:
        return None
    ordered = sorted(times)
    return Waiting(len(ordered), round(median(ordered), 2), round(ordered[ceil(0.95 * len(ordered)) - 1], 2))
