"""Somebody answers for it until it has its end: steps with their times, late once each, and an answer."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ledger.domain import cases as rules
from services.ledger.domain.cases import Case, Said, Step
from shared.catalogue import CatalogueError, load
from shared.contracts.cases import (
    CaseAnswered,
    CaseClosed,
    CaseOpened,
    CaseReopened,
    CaseStepAdded,
    CaseStepDone,
    CaseStepLate,
)
from shared.contracts.catalogue import CaseCatalogue
from shared.contracts.refusal import Refusal
from shared.settings import Settings
from tests import world
from tests.unit.tasks import NINE

CATALOGUE = Settings().catalogue_dir / "cases.yaml"


def told(**changes: Any) -> Case:
    facts = {
        "case_id": "bus",
        "community": world.TIEBEI,
        "grid": "g1",
        "building": None,
        "kind": "outside_company",
        "urgent": False,
        "person_id": None,
        "owner": world.ZHOU,
        "parties": ["property"],
        "topic": "wecom/bus",
        "sealed": "k1.AAAA",
        "fingerprint": "f1",
        "opened_at": NINE,
    }
    return Case.model_validate({**facts, **changes})


def step(name: str = "s1", hours: float = 24, **changes: Any) -> Step:
    facts = {"step_id": name, "who": world.ZHOU, "due": NINE + timedelta(hours=hours), "sealed": "k1.AAAA"}
    return Step.model_validate({**facts, "fingerprint": name, **changes})


def said(what: str = "answer") -> Said:
    return Said.model_validate({"what": what, "at": NINE, "by": world.ZHOU, "sealed": "k1.AAAA"})


def after(decision: tuple[Case, Any] | None) -> Case:
    assert decision is not None
    return decision[0]


def refused(call: Any) -> tuple[str, str]:
    with pytest.raises(Refusal) as excinfo:
        call()
    problem = excinfo.value.problems[0]
    return problem.field, problem.code


def test_our_own_catalogue_says_words_and_days() -> None:
    """In both languages; and a fever at the gate has its kind."""
    catalogue = load(CATALOGUE, CaseCatalogue)
    assert {"outside_company", "medical", "repair_dispute", "council_topic", "fever"} <= catalogue.kinds.keys()
    assert all(kind.label.zh and kind.label.en and kind.days for kind in catalogue.kinds.values())


def test_a_fever_of_a_kind_that_there_is_not_is_named(tmp_path: Any) -> None:
    """Before somebody stands at the gate with one."""
    path = tmp_path / "cases.yaml"
    path.write_text(CATALOGUE.read_text(encoding="utf-8").replace("fever: fever ", "fever: chill "), encoding="utf-8")
    with pytest.raises(CatalogueError, match=r"names the kind chill, which is not there"):
        load(path, CaseCatalogue)


def test_a_case_is_opened_once_and_names_who_answers() -> None:
    """Said again it is nothing; another case under its id is refused; the same topic in other words is the same."""
    opened = rules.open_case(None, told())
    assert opened is not None
    (event,) = opened[1]
    assert isinstance(event, CaseOpened)
    assert (event.worker, event.asked, event.urgency) == (world.ZHOU, ("property",), "normal")
    assert rules.open_case(opened[0], told()) is None
    assert rules.open_case(opened[0], told(fingerprint="f2")) is None
    assert refused(lambda: rules.open_case(opened[0], told(fingerprint="f2", topic=None))) == ("case_id", "known_case")


def test_where_an_answer_is_owed_it_is_a_step_from_the_beginning_and_only_an_answer_does_it() -> None:
    """With the owner, whoever that is by then; opened again, the case owes another."""
    opened = rules.open_case(None, told(steps=[step(rules.ANSWER, 24)]))
    assert opened is not None
    assert [type(one) for one in opened[1]] == [CaseOpened, CaseStepAdded]
    assert opened[0].due_at == NINE + timedelta(hours=24)
    assert refused(lambda: rules.done_step(opened[0], rules.ANSWER, NINE)) == ("step_id", "required")
    assert refused(lambda: rules.close(opened[0], said("outcome"), NINE, drop=False)) == ("drop_steps", "open_steps")
    given = after(rules.assign(opened[0], world.ZHAO))
    assert given.steps[0].who == world.ZHAO
    answered, events = rules.answer(given, said())
    assert [type(one) for one in events] == [CaseAnswered, CaseStepDone]
    assert (answered.steps[0].state, answered.due_at) == ("done", None)
    assert [type(one) for one in rules.answer(answered, said())[1]] == [CaseAnswered], "told once more, it was done"
    closed = after(rules.close(answered, None, NINE, drop=False))
    again = rules.reopen(closed, said("reason"), NINE + timedelta(hours=30))
    assert again is not None
    assert (again[0].steps[0].state, again[0].due_at) == ("open", NINE + timedelta(hours=30))
    assert [type(one) for one in again[1]] == [CaseReopened, CaseStepAdded]


def test_an_urgent_case_stands_on_top() -> None:
    """Of what waits to be read."""
    opened = rules.open_case(None, told(urgent=True))
    assert opened is not None
    (event,) = opened[1]
    assert isinstance(event, CaseOpened)
    assert (event.urgency, event.priority) == ("urgent", rules.URGENT)


def test_a_step_is_late_once_and_can_still_be_done() -> None:
    """The next one has a time of its own."""
    case = after(rules.add_step(after(rules.add_step(told(), step("s1", 24))), step("s2", 48)))
    assert case.due_at == NINE + timedelta(hours=24)
    assert rules.lapse(case, NINE + timedelta(hours=23)) is None
    lapsed = rules.lapse(case, NINE + timedelta(hours=25))
    assert lapsed is not None
    assert [(type(one), one.step_id) for one in lapsed[1] if isinstance(one, CaseStepLate)] == [(CaseStepLate, "s1")]
    assert lapsed[0].due_at == NINE + timedelta(hours=48)
    assert rules.lapse(lapsed[0], NINE + timedelta(hours=26)) is None
    done = rules.done_step(lapsed[0], "s1", NINE + timedelta(hours=26))
    assert done is not None
    (event,) = done[1]
    assert isinstance(event, CaseStepDone)
    assert event.late
    assert rules.done_step(done[0], "s1", NINE) is None


def test_a_step_said_twice_is_one_and_its_id_is_its_own() -> None:
    """Also after the case was closed."""
    case = after(rules.add_step(told(), step()))
    assert rules.add_step(case, step()) is None
    assert refused(lambda: rules.add_step(case, step(fingerprint="other"))) == ("step_id", "known_step")
    closed = after(rules.close(case, said("outcome"), NINE, drop=True))
    assert rules.add_step(closed, step()) is None
    assert refused(lambda: rules.add_step(closed, step("s2"))) == ("case_id", "wrong_state")
    assert refused(lambda: rules.done_step(closed, "s1", NINE)) == ("step_id", "wrong_state")
    assert refused(lambda: rules.done_step(case, "s9", NINE)) == ("step_id", "unknown_step")


def test_it_is_not_closed_without_a_word_or_with_something_open() -> None:
    """Unless the steps are dropped, which the event says."""
    case = after(rules.add_step(told(), step()))
    assert refused(lambda: rules.close(case, None, NINE, drop=True)) == ("outcome", "required")
    answered = rules.answer(case, said())[0]
    assert refused(lambda: rules.close(answered, None, NINE, drop=False)) == ("drop_steps", "open_steps")
    closed = rules.close(answered, None, NINE, drop=True)
    assert closed is not None
    (event,) = closed[1]
    assert isinstance(event, CaseClosed)
    assert (event.dropped, closed[0].due_at, closed[0].closed_at) == (("s1",), None, NINE)
    assert rules.close(closed[0], None, NINE, drop=False) is None
    assert refused(lambda: rules.answer(closed[0], said())) == ("case_id", "wrong_state")


def test_opened_again_it_keeps_what_was_said_and_wants_another_answer() -> None:
    """The old one did not do."""
    closed = after(rules.close(rules.answer(told(), said())[0], None, NINE, drop=False))
    again = after(rules.reopen(closed, said("reason")))
    assert ([one.what for one in again.said], again.state) == (["answer", "reason"], "open")
    assert rules.reopen(again, said("reason")) is None
    assert refused(lambda: rules.close(again, None, NINE, drop=False)) == ("outcome", "required")


def test_it_goes_to_another_once() -> None:
    """Not while it is closed; and what is not there goes to nobody."""
    assert rules.assign(told(), world.ZHOU) is None
    assert after(rules.assign(told(), world.ZHAO)).owner == world.ZHAO
    closed = after(rules.close(told(), said("outcome"), NINE, drop=False))
    assert refused(lambda: rules.assign(closed, world.ZHAO)) == ("case_id", "wrong_state")
    assert refused(lambda: rules.assign(None, world.ZHAO)) == ("case_id", "unknown_case")


MOVES = st.tuples(
    st.sampled_from(["step", "done", "late", "answer", "close", "drop", "reopen"]),
    st.sampled_from(["s1", "s2", "s3"]),
    st.floats(0, 60),
)


@given(st.lists(MOVES, max_size=30))
def test_whatever_happens_a_closed_case_waits_for_nothing_and_each_step_is_late_once(
    story: list[tuple[str, str, float]],
) -> None:
    """And an open one has a time exactly when a step waits."""
    case, now, late = told(), NINE, list[str]()
    for move, name, hours in story:
        now += timedelta(hours=hours)
        try:
            decision = moved(case, move, name, now)
        except Refusal:
            continue
        case, events = decision or (case, ())
        late += [one.step_id for one in events if isinstance(one, CaseStepLate)]
        waiting = [one.due for one in case.steps if one.state == "open" and not one.late]
        assert case.due_at == (min(waiting) if waiting else None)
        if case.state == "closed":
            assert not [one for one in case.steps if one.state == "open"]
    assert len(late) == len(set(late))


def moved(case: Case, move: str, name: str, now: datetime) -> tuple[Case, Any] | None:
    match move:
        case "step":
            return rules.add_step(case, step(name, due=now + timedelta(hours=24)))
        case "done":
            return rules.done_step(case, name, now)
        case "late":
            return rules.lapse(case, now)
        case "answer":
            return rules.answer(case, said())
        case "reopen":
            return rules.reopen(case, said("reason"))
        case _:
            return rules.close(case, None, now, drop=move == "drop")
