"""The closing account: everything that was sent is there, once, in all four services. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from deploy.demo.evidence import Entry, Evidence, Request, Task
from deploy.demo.orders import Order
from deploy.demo.record import AGAIN, Record, Submission
from shared.contracts.dispatch import DeliveryCancelled, DeliveryCompleted, DeliveryFailed
from shared.contracts.intake import RequestCreated

ENDS = {
    "completed": DeliveryCompleted.__name__,
    "failed": DeliveryFailed.__name__,
    "cancelled": DeliveryCancelled.__name__,
}
"""How a request can end, and the entry that the ledger has of it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something missing or doubled."""

    key: str
    """The order's key."""
    code: str
    message: str


def account(orders: Sequence[Order], record: Record, evidence: Evidence) -> list[Finding]:
    """Everything that is missing or doubled; empty when all is accounted for."""
    findings: list[Finding] = []
    owners: dict[str, str] = {}
    for order in orders:
        submissions = record.submissions.get(order.key, [])
        findings.extend(_answers(order, submissions))
        request_id = next((submission.request_id for submission in submissions if submission.request_id), None)
        if request_id is None:
            continue
        if request_id in owners:
            message = f"request {request_id} is also that of {owners[request_id]}"
            findings.append(Finding(order.key, "request_shared", message))
        owners.setdefault(request_id, order.key)
        findings.extend(
            Finding(order.key, code, f"{message} (request {request_id})")
            for code, message in _life(
                evidence.requests.get(request_id),
                evidence.tasks.get(request_id, []),
                evidence.entries.get(request_id, []),
                record.seen.get(request_id, {}),
            )
        )
    return findings


def accounted(orders: Sequence[Order], findings: Sequence[Finding]) -> int:
    """How many orders have no finding."""
    return len(orders) - len({finding.key for finding in findings})


def _answers(order: Order, submissions: Sequence[Submission]) -> Iterator[Finding]:
    """Each answer is what it should be, and all name the same request."""
    for submission in submissions:
        if submission.request_id is None:
            code = f"order_{submission.status}"
            yield Finding(order.key, code, f"over {submission.way}: {submission.status} {submission.problem}")
        elif submission.status not in _expected(order, submission):
            message = f"over {submission.way} answered {submission.status} in {submission.tries} tries"
            yield Finding(order.key, "wrong_answer", f"sent {submission.planned}, {message}")
    if not submissions:
        yield Finding(order.key, "order_unsent", "was never sent")
    for name, values in (
        ("request_id", {submission.request_id for submission in submissions if submission.request_id}),
        ("tracking_code", {submission.tracking_code for submission in submissions if submission.tracking_code}),
    ):
        if len(values) > 1:
            yield Finding(order.key, "order_doubled", f"answers name more than one {name}: {', '.join(sorted(values))}")


def _expected(order: Order, submission: Submission) -> tuple[str, ...]:
    if submission.planned == AGAIN:
        return ("duplicate",)
    fresh = "needs_review" if order.amended else "accepted"
    # After a try that was not answered, nobody but the service can know whether it was the first.
    return (fresh,) if submission.tries == 1 else (fresh, "duplicate")


def _life(
    request: Request | None, tasks: Sequence[Task], entries: Sequence[Entry], seen: Mapping[str, int]
) -> Iterator[tuple[str, str]]:
    """One request in intake, one task in dispatch, one beginning and one end in the ledger, one on the stream."""
    if request is None:
        yield "request_missing", "intake does not know it"
    elif request.state not in ENDS:
        yield "request_open", f"intake has it as {request.state}"
    if len(tasks) != 1:
        yield ("task_missing" if not tasks else "task_doubled"), f"dispatch has {len(tasks)} tasks for it"
    for task in tasks:
        if request is not None and task.state != request.state:
            yield "states_differ", f"task {task.id} is {task.state}, the request {request.state}"
    counts = Counter(entry.type for entry in entries)
    expected = {RequestCreated.__name__: 1, **dict.fromkeys(ENDS.values(), 0)}
    if request is not None and request.state in ENDS:
        expected[ENDS[request.state]] = 1
    for kind, wanted in expected.items():
        if counts[kind] != wanted:
            code = "entry_missing" if counts[kind] < wanted else "entry_doubled"
            yield code, f"the ledger has {counts[kind]} entries {kind}, not {wanted}"
    if len(seen) != 1:
        code = "stream_missing" if not seen else "stream_doubled"
        yield code, f"the staff's stream told of {len(seen)} events RequestCreated for it"
