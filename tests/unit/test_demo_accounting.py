"""The closing account names whatever is missing or doubled, and nothing else."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from deploy.demo.accounting import account, accounted
from deploy.demo.evidence import Entry, Evidence, Moment, Request, Task
from deploy.demo.figures import closing
from deploy.demo.orders import Order
from deploy.demo.record import AGAIN, AT_FIRST, Record, Submission
from shared.contracts.intake import Address, SubmitRequest

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Books:
    """Two orders, sent, done and entered as they should be; the second was sent again, the third amended."""

    def __init__(self) -> None:
        self.orders = [an_order("k1"), an_order("k2", again=True), an_order("k3", astray=True)]
        self.record = Record(3)
        self.requests = dict[str, Request]()
        self.tasks = dict[str, list[Task]]()
        self.entries = dict[str, list[Entry]]()
        for number, order in enumerate(self.orders, 1):
            self._live(order, f"r{number}", "needs_review" if order.amended else "accepted")
        self.record.submitted("k2", Submission("http", AGAIN, 1, "duplicate", "r2", "T2"))

    def _live(self, order: Order, request_id: str, status: str) -> None:
        code = request_id.replace("r", "T")
        self.record.sent_at[order.key] = NOON
        self.record.submitted(order.key, Submission("amqp", AT_FIRST, 1, status, request_id, code))
        self.record.seen[request_id]["e-created"] = 1
        history = (
            Moment(event="DeliveryAssigned", at=NOON + timedelta(seconds=2)),
            Moment(event="DeliveryCompleted", at=NOON + timedelta(seconds=8)),
        )
        self.requests[request_id] = Request(id=request_id, state="completed", history=history)
        self.tasks[request_id] = [a_task(request_id, "completed")]
        self.entries[request_id] = [an_entry(request_id, "RequestCreated"), an_entry(request_id, "DeliveryCompleted")]

    @property
    def evidence(self) -> Evidence:
        return Evidence(self.requests, self.tasks, self.entries)

    def codes(self) -> list[tuple[str, str]]:
        return [(finding.key, finding.code) for finding in account(self.orders, self.record, self.evidence)]


def an_order(key: str, *, again: bool = False, astray: bool = False) -> Order:
    body = SubmitRequest(
        source="demo",
        source_id=key,
        kind="parcel",
        community="tiebei",
        address=Address(building="9", unit="1", room="101"),
    )
    return Order(body, "g3", 600.0, "amqp", (5.0, "http") if again else None, Address(building="9") if astray else None)


def a_task(request_id: str, state: str) -> Task:
    return Task(
        id=f"t-{request_id}", request_id=request_id, kind="parcel", grid="g3", state=state, worker="tiebei-g3-1"
    )


def an_entry(request_id: str, kind: str, number: int = 1) -> Entry:
    return Entry(id=f"{request_id}-{kind}-{number}", type=kind, at=NOON, request_id=request_id)


def set_answer(books: Books, key: str, **changes: object) -> None:
    books.record.submissions[key][0] = replace(books.record.submissions[key][0], **changes)  # type: ignore[arg-type]


def unanswered(books: Books) -> None:
    set_answer(books, "k1", request_id=None, tracking_code=None, status="unanswered")


def forgotten(books: Books) -> None:
    del books.requests["r1"], books.tasks["r1"], books.entries["r1"], books.record.seen["r1"]


def still_open(books: Books) -> None:
    books.requests["r1"] = books.requests["r1"].model_copy(update={"state": "assigned"})


def completed_twice(books: Books) -> None:
    books.entries["r1"].append(an_entry("r1", "DeliveryCompleted", 2))


def created_twice(books: Books) -> None:
    books.entries["r1"].append(an_entry("r1", "RequestCreated", 2))
    books.record.seen["r1"]["e-other"] = 1


def failed_and_completed(books: Books) -> None:
    books.entries["r1"].append(an_entry("r1", "DeliveryFailed"))


def two_tasks(books: Books) -> None:
    books.tasks["r1"].append(a_task("r1", "completed"))


def sent_again_and_taken_as_new(books: Books) -> None:
    books.record.submitted("k2", Submission("http", AGAIN, 1, "accepted", "r9", "T9"))


def taken_as_known_at_the_first_try(books: Books) -> None:
    set_answer(books, "k1", status="duplicate")


def taken_for_somebody_elses(books: Books) -> None:
    set_answer(books, "k1", request_id="r3", tracking_code="T3")


def not_seen_as_wrong(books: Books) -> None:
    set_answer(books, "k3", status="accepted")


def test_all_is_accounted_for_when_everything_is_there_once() -> None:
    books = Books()
    assert books.codes() == []
    assert accounted(books.orders, []) == 3


@pytest.mark.parametrize(
    ("spoil", "codes"),
    [
        (unanswered, [("k1", "order_unanswered")]),
        (
            forgotten,
            [
                ("k1", "request_missing"),
                ("k1", "task_missing"),
                ("k1", "entry_missing"),
                ("k1", "stream_missing"),
            ],
        ),
        (still_open, [("k1", "request_open"), ("k1", "states_differ"), ("k1", "entry_doubled")]),
        (completed_twice, [("k1", "entry_doubled")]),
        (created_twice, [("k1", "entry_doubled"), ("k1", "stream_doubled")]),
        (failed_and_completed, [("k1", "entry_doubled")]),
        (two_tasks, [("k1", "task_doubled")]),
        (sent_again_and_taken_as_new, [("k2", "wrong_answer"), ("k2", "order_doubled"), ("k2", "order_doubled")]),
        (taken_as_known_at_the_first_try, [("k1", "wrong_answer")]),
        (taken_for_somebody_elses, [("k3", "request_shared")]),
        (not_seen_as_wrong, [("k3", "wrong_answer")]),
    ],
)
def test_what_is_missing_or_doubled_is_named(spoil: Callable[[Books], None], codes: list[tuple[str, str]]) -> None:
    books = Books()
    spoil(books)
    assert books.codes() == codes


def test_after_a_try_without_an_answer_a_duplicate_is_right() -> None:
    """The first try may have come through before its answer was lost."""
    books = Books()
    set_answer(books, "k1", status="duplicate", tries=3)
    assert books.codes() == []


def test_the_figures_count_waiting_from_the_sending_of_the_order() -> None:
    books = Books()
    findings = account(books.orders, books.record, books.evidence)
    day = closing(books.orders, books.record, books.evidence, findings, seconds=61.23)
    assert day.good
    assert (day.accounted, day.orders, day.states) == (3, 3, {"completed": 3})
    assert day.events == {"RequestCreated": 3, "DeliveryCompleted": 3}
    assert day.answers == {"accepted": 2, "needs_review": 1, "duplicate, sent again": 1}
    everyone = day.waiting[0]
    assert (everyone.name, everyone.orders) == ("all", 3)
    assert everyone.assigned is not None
    assert everyone.completed is not None
    assert (everyone.assigned.median, everyone.completed.p95) == (2.0, 8.0)
    assert [row.name for row in day.waiting] == ["all", "normal", "g3"]
    assert day.data()["good"] is True


def test_a_day_with_a_finding_is_not_good() -> None:
    books = Books()
    two_tasks(books)
    findings = account(books.orders, books.record, books.evidence)
    assert not closing(books.orders, books.record, books.evidence, findings, seconds=60).good
