"""Whether services agree: the comparison, on lists made by hand."""

from collections.abc import Iterable, Iterator

import pytest

from deploy.cli.reconciliation import Aggregate, Counts, Difference, Entries, Findings, OutOfOrder, compare
from shared.contracts.audit import PersonalDataOpened
from shared.contracts.dispatch import DeliveryOffered
from shared.contracts.intake import RequestCreated
from shared.contracts.notification import NotificationAcknowledged

CREATED = ("e1", RequestCreated.wire)
OFFERED = ("e2", DeliveryOffered.wire)
REQUEST = Aggregate("r1", "offered", True, (CREATED,))
TASK = Aggregate("r1", "offered", True, (OFFERED,))
BOOK = Entries("r1", (CREATED, OFFERED))


def differences(
    requests: Iterable[Aggregate] = (REQUEST,),
    tasks: Iterable[Aggregate] = (TASK,),
    entries: Iterable[Entries] = (BOOK,),
) -> list[Difference]:
    return [one for _, found in compare(requests, tasks, entries) for one in found]


def codes(found: Iterable[Difference]) -> list[tuple[str, str]]:
    return [(one.code, one.request_id) for one in found]


def test_a_request_with_its_task_and_entries_differs_in_nothing() -> None:
    [(counts, found)] = compare([REQUEST], [TASK], [BOOK])
    assert counts == Counts(requests=1, tasks=1, raised=2, entered=2)
    assert not found


def test_nothing_compared_with_nothing_agrees() -> None:
    assert list(compare([], [], [])) == []


def test_a_request_without_a_task_is_named() -> None:
    found = differences(tasks=[], entries=[Entries("r1", (CREATED,))])
    assert found == [Difference("no_task", "dispatch", "r1", "offered")]


def test_a_second_task_is_named() -> None:
    second = Aggregate("r1", "created", True)
    assert differences(tasks=[TASK, second]) == [Difference("two_tasks", "dispatch", "r1", "offered, created")]


def test_a_task_whose_request_dispatch_has_not_heard_of_is_named() -> None:
    found = differences(tasks=[Aggregate("r1", "created", False, (OFFERED,))])
    assert codes(found) == [("empty_task", "r1")]


@pytest.mark.parametrize("requests", [[], [Aggregate("r1", "offered", False)]])
def test_a_task_of_a_request_that_intake_does_not_know_is_named(requests: list[Aggregate]) -> None:
    found = differences(requests=requests, entries=[Entries("r1", (OFFERED,))])
    assert codes(found) == [("unknown_request", "r1")]


def test_states_that_differ_are_named_with_both() -> None:
    found = differences(tasks=[Aggregate("r1", "completed", True, (OFFERED,))])
    assert found == [Difference("state", "dispatch", "r1", "offered ≠ completed")]


def test_unsent_events_are_named_with_their_service() -> None:
    found = differences(tasks=[Aggregate("r1", "offered", True, (OFFERED,), unsent=1)])
    assert found == [Difference("unsent", "dispatch", "r1")]


def test_an_event_that_is_not_in_the_ledger_is_named() -> None:
    found = differences(entries=[Entries("r1", (CREATED,))])
    assert found == [Difference("not_entered", "dispatch", "r1", "DeliveryOffered e2")]


def test_an_entry_that_nobody_raised_is_named() -> None:
    found = differences(entries=[Entries("r1", (CREATED, OFFERED, ("e3", DeliveryOffered.wire)))])
    assert found == [Difference("unknown_entry", "ledger", "r1", "DeliveryOffered e3")]


def test_an_entry_of_no_known_type_is_named() -> None:
    found = differences(entries=[Entries("r1", (CREATED, OFFERED, ("e3", "doorstep.forged.v1")))])
    assert found == [Difference("unknown_entry", "ledger", "r1", "doorstep.forged.v1 e3")]


def test_an_event_entered_twice_is_named_once() -> None:
    found = differences(entries=[Entries("r1", (CREATED, OFFERED, OFFERED))])
    assert found == [Difference("entered_twice", "ledger", "r1", "DeliveryOffered e2")]


@pytest.mark.parametrize("wire", [PersonalDataOpened.wire, NotificationAcknowledged.wire])
def test_entries_that_neither_request_nor_task_raises_are_left_alone(wire: str) -> None:
    assert not differences(entries=[Entries("r1", (CREATED, OFFERED, ("x", wire)))])
    assert not differences(requests=[], tasks=[], entries=[Entries("r1", (("x", wire),))])


def test_lists_are_matched_by_request_whichever_has_more() -> None:
    def aggregates(*ids: str) -> list[Aggregate]:
        return [Aggregate(one, "offered", True) for one in ids]

    found = differences(aggregates("a", "c", "d"), aggregates("b", "c"), [Entries("e", (CREATED,))])
    assert codes(found) == [
        ("no_task", "a"),
        ("unknown_request", "b"),
        ("no_task", "d"),
        ("unknown_request", "e"),
        ("unknown_entry", "e"),
    ]


def test_a_list_out_of_order_is_not_compared() -> None:
    with pytest.raises(OutOfOrder):
        differences(requests=[Aggregate("b", "offered", True), Aggregate("a", "offered", True)])


def test_lists_are_read_side_by_side_and_never_whole() -> None:
    read = 0

    def endless() -> Iterator[Aggregate]:
        nonlocal read
        while True:
            read += 1
            yield Aggregate(f"{read:09}", "offered", True)

    pairs = compare(endless(), endless(), [])
    for _ in range(100):
        next(pairs)
    assert read < 400


def test_what_differs_only_for_a_moment_is_dropped() -> None:
    stays, passes, comes = (Difference("no_task", "dispatch", name) for name in ("stays", "passes", "comes"))
    before, after = Findings(), Findings()
    for one in (stays, passes):
        before.add(one)
    for one in (stays, comes):
        after.add(one)
    assert list(after.still(before).differences) == [stays]


def test_a_state_that_moves_on_between_two_looks_is_no_difference() -> None:
    before, after = Findings(), Findings()
    before.add(Difference("state", "dispatch", "r1", "created ≠ offered"))
    after.add(Difference("state", "dispatch", "r1", "offered ≠ assigned"))
    assert not after.still(before).differences


def test_more_differences_than_can_be_named_are_counted() -> None:
    findings = Findings(most=2)
    for number in range(5):
        findings.add(Difference("no_task", "dispatch", str(number)))
    assert (len(findings.differences), findings.left_out) == (2, 3)
