"""Money: both sides of a posting are equal, a balance is a sum, and a matter is open while anybody owes anything."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.ledger.domain import money as rules
from services.ledger.domain.money import Line, Matter, Posting
from shared.contracts.money import MoneyRecorded
from shared.contracts.refusal import Refusal
from tests import world
from tests.unit.tasks import NINE

RESIDENT = ("resident", "wang")
ZHAO = ("worker", world.ZHAO)
QIAN = ("worker", world.QIAN)


def told(**changes: Any) -> Matter:
    facts = {"matter_id": "r1", "community": world.TIEBEI, "grid": "g1", "person_id": "wang", "changed_at": NINE}
    return Matter.model_validate({**facts, **changes})


def after(matter: Matter | None, name: str, what: Any, amount: int, worker: str = world.ZHAO, **more: Any) -> Matter:
    to, corrects = more.pop("to", None), more.pop("corrects", None)
    decision = rules.post(matter, told(**more), rules.posting(name, what, worker, amount, NINE, to, corrects))
    assert decision is not None
    (event,) = decision[1]
    assert isinstance(event, MoneyRecorded)
    assert (event.worker, event.owed, event.corrects) == (worker, decision[0].owed(), corrects)
    assert event.amount == (amount if corrects is None else -amount)
    return decision[0]


def refused(call: Any) -> tuple[str, str]:
    with pytest.raises(Refusal) as excinfo:
        call()
    return excinfo.value.problems[0].field, excinfo.value.problems[0].code


def owes(matter: Matter) -> dict[Any, int]:
    return {account: amount for account, amount in rules.balances([matter]).items() if amount}


def test_a_posting_whose_sides_are_not_equal_is_none() -> None:
    lines = [Line(worker=None, amount=100), Line(worker=world.ZHAO, amount=-99)]
    with pytest.raises(ValidationError, match="both sides"):
        Posting(posting_id="p", what="receipt", at=NINE, lines=lines)


def test_what_was_bought_is_owed_until_it_is_settled() -> None:
    """To the fen: a part of it leaves the rest."""
    bought = after(None, "p1", "receipt", 3_180)
    assert (owes(bought), bought.is_open) == ({RESIDENT: 3_180, ZHAO: -3_180}, True)
    part = after(bought, "p2", "settlement", 3_000)
    assert (part.owed(), part.is_open) == (180, True)
    settled = after(part, "p3", "settlement", 180)
    assert (owes(settled), settled.owed(), settled.is_open) == ({}, 0, False)


def test_an_advance_is_owed_back_until_it_is_spent_and_the_change_is_given() -> None:
    advance = after(None, "p1", "advance", 5_000)
    assert (owes(advance), advance.owed()) == ({RESIDENT: -5_000, ZHAO: 5_000}, -5_000)
    spent = after(advance, "p2", "receipt", 3_180)
    assert owes(spent) == {RESIDENT: -1_820, ZHAO: 1_820}
    assert not after(spent, "p3", "change", 1_820).is_open


def test_a_top_up_that_failed_after_payment_is_open_until_it_is_refunded_or_done() -> None:
    paid = after(None, "p1", "advance", 10_000)
    assert paid.is_open
    assert not after(paid, "p2", "refund", 10_000).is_open
    assert not after(paid, "p2", "top_up", 10_000).is_open


def test_who_was_paid_for_anothers_receipt_hands_it_on() -> None:
    """The resident is even; the two workers are not, until then."""
    bought = after(None, "p1", "receipt", 3_180)
    paid = after(bought, "p2", "settlement", 3_180, worker=world.QIAN)
    assert (paid.owed(), paid.is_open, owes(paid)) == (0, True, {ZHAO: -3_180, QIAN: 3_180})
    assert not after(paid, "p3", "handed_on", 3_180, worker=world.QIAN, to=world.ZHAO).is_open
    for to in (None, world.QIAN):
        assert refused(lambda to=to: rules.posting("p", "handed_on", world.QIAN, 1, NINE, to)) == ("to", "required")


def test_a_posting_is_entered_once_and_a_matter_is_one_residents() -> None:
    bought = after(None, "p1", "receipt", 3_180)
    same = rules.posting("p1", "receipt", world.ZHAO, 3_180, NINE)
    other = rules.posting("p1", "receipt", world.ZHAO, 3_181, NINE)
    new = rules.posting("p2", "receipt", world.ZHAO, 1, NINE)
    assert rules.post(bought, told(), same) is None
    assert refused(lambda: rules.post(bought, told(), other)) == ("posting_id", "known_posting")
    assert refused(lambda: rules.post(bought, told(person_id="li"), new)) == ("person_id", "other_person")
    assert refused(lambda: rules.post(bought, told(community="x"), new)) == ("community", "other_community")


def test_whose_it_is_can_be_told_later() -> None:
    """What was owed by nobody registered is then owed by them, all of it."""
    bought = after(None, "p1", "receipt", 100, person_id=None)
    assert owes(bought) == {("resident", "r1"): 100, ZHAO: -100}
    assert not after(bought, "p2", "settlement", 100).is_open


def test_what_was_typed_wrongly_is_taken_back_and_said_rightly() -> None:
    """Both stay to be read; a correction that comes again is one."""
    wrong = after(None, "p1", "receipt", 31_800)
    even = after(wrong, "p2", "receipt", 31_800, corrects="p1")
    assert (owes(even), even.is_open, len(even.postings)) == ({}, False, 2)
    assert owes(after(even, "p3", "receipt", 3_180)) == {RESIDENT: 3_180, ZHAO: -3_180}
    assert rules.post(even, told(), rules.posting("p2", "receipt", world.ZHAO, 31_800, NINE, None, "p1")) is None
    handed = after(None, "p1", "handed_on", 700, to=world.QIAN)
    assert owes(handed) == {QIAN: 700, ZHAO: -700}
    assert owes(after(handed, "p2", "handed_on", 700, to=world.QIAN, corrects="p1")) == {}


def test_what_cannot_be_corrected_is_refused() -> None:
    """What there is not, what was corrected, a correction, and what is not as it was said."""
    wrong = after(None, "p1", "receipt", 100)
    corrected = after(wrong, "p2", "receipt", 100, corrects="p1")

    def code(matter: Matter, corrects: str, amount: int = 100, worker: str = world.ZHAO, what: Any = "receipt") -> str:
        new = rules.posting("p9", what, worker, amount, NINE, None, corrects)
        field, found = refused(lambda: rules.post(matter, told(), new))
        assert field == "corrects"
        return found

    assert code(wrong, "p7") == "unknown_posting"
    assert code(wrong, "p9") == "unknown_posting"
    assert code(corrected, "p1") == "corrected"
    assert code(corrected, "p2") == "is_correction"
    assert code(wrong, "p1", amount=99) == code(wrong, "p1", worker=world.QIAN) == "other_posting"
    assert code(wrong, "p1", what="advance") == code(wrong, "p1", what="top_up") == "other_posting"


WHATS = st.sampled_from(["advance", "receipt", "top_up", "change", "refund", "settlement", "handed_on"])
STORY = st.lists(
    st.tuples(
        st.sampled_from(["r1", "r2", "r3"]),
        st.integers(0, 15),
        WHATS,
        st.integers(1, 5_000),
        st.sampled_from([world.ZHAO, world.QIAN]),
    ),
    max_size=40,
)


@given(STORY, st.randoms())
def test_whatever_is_posted_however_often_all_together_is_nothing(
    story: list[tuple[str, int, Any, int, str]], chance: Any
) -> None:
    """The sum over what is open is the sum over everything; a second time, and in another order, it is the same."""
    matters: dict[str, Matter] = {}
    first: dict[tuple[str, str], tuple[Any, int, str]] = {}
    again = [*story, *story]
    chance.shuffle(again)
    for matter, number, what, amount, worker in again:
        name = f"p{number}"
        facts = first.setdefault((matter, name), (what, amount, worker))
        new = rules.posting(name, facts[0], facts[2], facts[1], NINE, to=world.SUN)
        decision = rules.post(matters.get(matter), told(matter_id=matter), new)
        matters[matter] = decision[0] if decision else matters[matter]
    everything = rules.balances(matters.values())
    assert sum(everything.values()) == 0
    opened = rules.balances(one for one in matters.values() if one.is_open)
    assert {name: amount for name, amount in everything.items() if amount} == {
        name: amount for name, amount in opened.items() if amount
    }
    assert sum(len(one.postings) for one in matters.values()) == len(first)


@given(STORY, st.sets(st.integers(0, 39)))
def test_what_is_corrected_is_as_if_it_had_never_been_said(
    story: list[tuple[str, int, Any, int, str]], wrong: set[int]
) -> None:
    """Any postings, each corrected once at any time after it: what is left is the sum over the others; and nothing."""
    matters: dict[str, Matter] = {}
    right: dict[Any, int] = {}
    for number, (name, _, what, amount, worker) in enumerate(story):
        facts = (what, worker, amount, NINE, world.SUN)
        postings = [rules.posting(f"p{number}", *facts)]
        if number in wrong:
            postings.append(rules.posting(f"c{number}", *facts, f"p{number}"))
        else:
            for account, owed in rules.balances([told(matter_id=name, postings=postings)]).items():
                right[account] = right.get(account, 0) + owed
        for new in postings:
            decision = rules.post(matters.get(name), told(matter_id=name), new)
            assert decision is not None
            matters[name] = decision[0]
    everything = rules.balances(matters.values())
    assert sum(everything.values()) == 0
    assert {one: owed for one, owed in everything.items() if owed} == {one: owed for one, owed in right.items() if owed}
