"""Registers made again of what their events say: whatever was done, in whatever order, they come out as they are."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ledger.domain import (
    cases,
    evidence,
    facilities,
    follow_ups,
    gates,
    money,
    observation,
    people,
    people_life,
    presence,
    programmes,
    register,
)
from services.ledger.domain.cases import Case, Said, Step
from services.ledger.domain.evidence import Owing
from services.ledger.domain.facilities import Facility
from services.ledger.domain.follow_ups import FollowUp, Plan, Rules
from services.ledger.domain.gates import Agreement, Check
from services.ledger.domain.money import Matter
from services.ledger.domain.needs import Need, raise_need
from services.ledger.domain.observation import Observation, OnList
from services.ledger.domain.people import PeopleCatalogue
from services.ledger.domain.people_retold import lived as lived_behind
from services.ledger.domain.presence import Presence
from services.ledger.domain.programmes import Programme
from services.ledger.domain.rebuilding import differing, plain, restored, told_by
from services.ledger.domain.register import Person
from services.ledger.domain.registers import KINDS, OPENED, REGISTERS, about
from shared.catalogue import load
from shared.contracts.audit import PersonalDataOpened
from shared.contracts.gates import Term
from shared.contracts.ledger import GrantAccess, PersonRegistered
from shared.contracts.needs import NeedRaised
from shared.contracts.people import PersonErased
from shared.contracts.registers import RecordRestored
from shared.settings import Settings
from tests import world
from tests.unit.retelling import Do, comes_out, lived, some
from tests.unit.tasks import NINE

RULES = load(Settings().catalogue_dir / "follow-ups.yaml", Rules)
CATALOGUE = load(Settings().catalogue_dir / "people.yaml", PeopleCatalogue)

# Buildings and tokens


@given(
    some(
        lambda known, _: register.register_building(known, world.TIEBEI, "1", "g1"),
        lambda known, _: register.register_building(known, world.TIEBEI, "1", "g2"),
        lambda known, _: register.close_building(known, closed=True),
        lambda known, _: register.close_building(known, closed=False),
    )
)
def test_buildings(dos: list[Do]) -> None:
    """Entered, moved to another grid, closed, opened."""
    comes_out("buildings", *lived(dos))


@given(
    some(
        lambda known, _: register.grant(
            known, GrantAccess(command_id="c", token_hash="a" * 64, name="desk", role="operator")
        ),
        lambda known, _: register.revoke(known),
    )
)
def test_tokens(dos: list[Do]) -> None:
    """Granted and revoked."""
    comes_out("access", *lived(dos))


# People


def person(seal: str, **changes: Any) -> Person:
    facts = PersonRegistered(
        community=world.TIEBEI, grid="g1", person_id="p1", building="1", household=f"h{seal}", sealed=f"own.{seal}"
    )
    given = {
        "fingerprint": f"f{seal}",
        "sources": {"s1": f"f{seal}"},
        "stairwell": f"w{seal}",
        "floor": 3,
        "identities": {"phone": f"i{seal}"},
        "listed": {"assigned_by_city": "close_contact"},
    }
    return Person(**{"facts": facts, **given, **changes})


def told(seal: str) -> Do:
    """News of somebody, as the handler makes it: what was of before stays; whoever was erased is somebody new."""

    def do(known: Person | None, _: datetime) -> Any:
        if known is not None:
            people.known_person(known)
        kept = {} if known is None else {"absorbed": known.absorbed, "merged_into": known.merged_into}
        return register.register_person(known, person(seal, **kept), known)

    return do


def changed(change: Callable[[Person, datetime], Person]) -> Do:
    return lambda known, now: people_life.change(known, known, change(people.known_person(known), now))


def other(name: str) -> Person:
    facts = person("9").facts.model_copy(update={"person_id": name})
    return person("9", facts=facts, sources={name: "f9"})


def absorbs(name: str, seal: str) -> Do:
    def do(known: Person | None, _: datetime) -> Any:
        before = people.known_person(known)
        after = before.model_copy(update={"facts": before.facts.model_copy(update={"sealed": f"own.{seal}"})})
        return people_life.absorb(known, before, after, other(name))

    return do


LIFE: tuple[Do, ...] = (
    told("1"),
    told("2"),
    changed(lambda known, now: people_life.left(known, CATALOGUE, now, died=False)),
    changed(lambda known, now: people_life.left(known, CATALOGUE, now, died=True)),
    changed(lambda known, now: people_life.left(known, CATALOGUE, now, died=True, died_on=now.date())),
    changed(lambda known, _: people_life.back(known)),
    changed(lambda known, _: people_life.alive(known)),
    lambda known, now: people_life.put_off(known, CATALOGUE, now),
    lambda known, _: people_life.regrid(known, "1", "g2"),
    lambda known, _: people_life.move_up(known, {"y0", "y1"}),
    absorbs("p2", "3"),
    absorbs("p3", "4"),
    lambda known, _: people_life.release(known, other("p2")),
    lambda known, _: people_life.release(known, other("p3")),
    lambda known, _: people_life.vanish(known, "p4"),
    lambda known, _: people_life.reappear(known, "p4"),
    lambda known, _: people_life.erase(known),
)


@given(some(*LIFE))
def test_people(dos: list[Do]) -> None:
    """Told of, moved, died, merged, parted, known as somebody else, erased: in any order."""
    comes_out("people", *lived([told("0"), *dos]))


@given(some(*LIFE[:-1]))
def test_whoever_was_erased_stays_so(dos: list[Do]) -> None:
    """Nothing of what was known before is in what is made of the entries."""
    state, entered = lived([told("0"), *dos, LIFE[-1]])
    made = restored(REGISTERS["people"], None, comes_out("people", state, entered), NINE)
    assert isinstance(made, Person)
    assert (made.erased, made.facts.sealed, made.facts.lookups, made.identities) == (True, "", (), {})


def test_news_of_before_says_less_and_is_compared_by_that() -> None:
    """What an older version raised lacks what the register keeps beside the facts; nobody can be made of it alone."""
    state, entered = lived([told("1")])
    (news,) = entered
    older = told_by(REGISTERS["people"], [news.model_copy(update={"kept": None})])
    assert differing(REGISTERS["people"], state, older) == ()
    moved = state.model_copy(update={"facts": state.facts.model_copy(update={"building": "2"})})
    assert differing(REGISTERS["people"], moved, older) == ("facts",)
    assert restored(REGISTERS["people"], None, older, NINE) is None
    mended = restored(REGISTERS["people"], moved, older, NINE)
    assert plain(mended) == plain(state)


def test_behind_which_doors_somebody_lived_is_read_from_the_news() -> None:
    """From one door to the next, away, and back."""
    facts = person("0").facts
    doors = (("h1", True), ("h1", True), ("h2", True), ("h2", False), ("h2", False), ("h1", True))
    news = [
        (NINE + timedelta(hours=hour), facts.model_copy(update={"household": door, "here": here}))
        for hour, (door, here) in enumerate(doors)
    ]
    found = [(one.household, one.since.hour - 9, one.until and one.until.hour - 9) for one in lived_behind(news)]
    assert found == [("h1", 0, 2), ("h2", 2, 3), ("h1", 5, None)]


# Plans and follow-ups


def plan(begins: str) -> Plan:
    return Plan(
        plan_id="plan", community=world.TIEBEI, grid="g1", building="1", person_id="p1", kind="care_call",
        begins=begins, rule="FREQ=DAILY", zone="Asia/Shanghai", hears=False,
    )  # fmt: skip


@given(
    some(
        lambda known, now: follow_ups.plan(known, plan("2026-11-24T09:00"), now),
        lambda known, now: follow_ups.plan(known, plan("2026-11-25T09:00"), now),
        lambda known, _: follow_ups.go_on(known, known.next_at) if known and known.next_at else None,
        lambda known, _: follow_ups.end(known),
    )
)
def test_plans(dos: list[Do]) -> None:
    """Made and ended; whoever is looked after goes on to be, once the plan is made again."""
    state, entered = lived(dos)
    told = comes_out("plans", state, entered)
    if state is not None:
        made = restored(REGISTERS["plans"], None, told, NINE)
        assert made is not None
        assert (made.next_at is None) == state.ended


def follow_up(**changes: Any) -> FollowUp:
    facts = {
        "follow_up_id": "f1", "plan_id": "plan", "community": world.TIEBEI, "grid": "g1", "building": "1",
        "person_id": "p1", "kind": "care_call", "at": NINE,
    }  # fmt: skip
    return FollowUp.model_validate({**facts, **changes})


def tries(sought: FollowUp) -> tuple[Do, ...]:
    return (
        lambda known, now: follow_ups.fall_due(known, sought, RULES, now),
        lambda known, now: follow_ups.record(known, "not_reached", RULES, now),
        lambda known, now: follow_ups.record(known, "reached", RULES, now, temperature=38.5, sealed="k1.AAAA"),
        lambda known, now: follow_ups.record(known, "refused", RULES, now),
        lambda known, now: follow_ups.let_be(known, "gone", RULES, now),
        lambda known, _: follow_ups.lapse(known, RULES, known.due_at) if known and known.due_at else None,
    )


@given(some(*tries(follow_up())))
def test_follow_ups(dos: list[Do]) -> None:
    """Tried, recorded, given up; one that is still due has a time by which somebody is to be asked."""
    state, entered = lived(dos)
    told = comes_out("follow_ups", state, entered)
    if state is not None:
        made = restored(REGISTERS["follow_ups"], None, told, NINE)
        assert made is not None
        assert (made.due_at is None) == (state.state != "due")


@given(
    some(
        *tries(follow_up(round_id="r1", member_id="m1", hears=False)),
        lambda known, _: follow_ups.found(known, known, "done") if known else None,
    )
)
def test_of_those_whom_a_round_seeks_all_but_the_end_is_told(dos: list[Do]) -> None:
    """The round ends it without a word."""
    comes_out("follow_ups", *lived(dos), untold=frozenset({"state"}))


@given(some(lambda known, _: programmes.end(known)))
def test_programmes(dos: list[Do]) -> None:
    """Begun and ended; the next time is found again."""
    told = {"programme_id": "w", "community": world.TIEBEI, "everybody": {"building": "2"}, "kind": "care_call"}
    times = {"begins": "2026-11-24T18:00", "rule": "FREQ=DAILY", "zone": "Asia/Shanghai", "days": "workdays"}
    begun = Programme.model_validate({**told, **times})
    state, entered = lived([lambda known, now: programmes.begin(known, begun, now), *dos])
    said = comes_out("programmes", state, entered)
    made = restored(REGISTERS["programmes"], None, said, NINE)
    assert made == state


# Cases, agreements, checks


def case(**changes: Any) -> Case:
    facts = {
        "case_id": "c1", "community": world.TIEBEI, "grid": "g1", "building": None, "kind": "repair", "urgent": True,
        "person_id": "p1", "owner": world.ZHAO, "parties": ["property"], "topic": "wecom/7", "source": "wecom",
        "sealed": "k1.AAAA", "fingerprint": "f", "opened_at": NINE,
    }  # fmt: skip
    return Case.model_validate({**facts, **changes})


def step(name: str, minutes: int) -> Step:
    due = NINE + timedelta(minutes=minutes)
    return Step(step_id=name, who="property", due=due, sealed="k1.BBBB", fingerprint=name)


def words(what: Any, now: datetime) -> Said:
    return Said(what=what, at=now, by=world.ZHAO, sealed="k1.CCCC")


@given(
    some(
        lambda known, _: cases.assign(known, world.QIAN),
        lambda known, _: cases.add_step(known, step("s1", 3)),
        lambda known, _: cases.add_step(known, step("s2", 100)),
        lambda known, now: cases.done_step(known, "s1", now),
        lambda known, now: cases.done_step(known, "s2", now),
        lambda known, now: cases.lapse(known, now),
        lambda known, now: cases.answer(known, words("answer", now)),
        lambda known, now: cases.close(known, words("outcome", now), now, drop=True),
        lambda known, now: cases.close(known, None, now, drop=False),
        lambda known, now: cases.reopen(known, words("reason", now)),
        lambda known, now: cases.reopen(known, words("reason", now), now + timedelta(minutes=5)),
    ),
    st.booleans(),
)
def test_cases(dos: list[Do], owed: bool) -> None:
    """Opened, handed on, worked on, late, answered, closed, opened again; with an answer that is owed, or without."""
    steps = [step(cases.ANSWER, 4).model_copy(update={"who": world.ZHAO})] if owed else []
    comes_out("cases", *lived([lambda known, _: cases.open_case(known, case(steps=steps)), *dos]))


def test_a_step_of_before_leaves_the_steps_untold_and_all_else_told() -> None:
    """An event of an older version lacks what was to be done."""
    open_it: Do = lambda known, _: cases.open_case(known, case())  # noqa: E731
    state, entered = lived([open_it, lambda known, _: cases.add_step(known, step("s1", 3))])
    told = told_by(REGISTERS["cases"], [entered[0], entered[1].model_copy(update={"sealed": None})])
    assert "steps" not in told
    assert "due_at" not in told
    assert differing(REGISTERS["cases"], state, told) == ()


@given(some(lambda known, now: gates.end(known, now)))
def test_agreements(dos: list[Do]) -> None:
    """Recorded and ended."""
    agreed = Agreement(
        agreement_id="a1", case_id="c1", community=world.TIEBEI, grid=None, kind="bus", owner=world.ZHAO,
        terms=[Term(place="south gate", times=("07:00",))], begins="2026-11-24", ends=None, zone="Asia/Shanghai",
        sealed="k1.AAAA", fingerprint="f",
    )  # fmt: skip
    comes_out("agreements", *lived([lambda known, _: gates.record(known, agreed), *dos]))


@pytest.mark.parametrize("sealed", [None, "k1.AAAA"])
def test_checks_at_a_gate_but_for_the_temperature(sealed: str | None) -> None:
    """It is in no event; that there was a fever is."""
    looked = Check(
        check_id="k1", community=world.TIEBEI, grid="g1", gate="south gate", at=NINE, temperature=38.1,
        pass_shown=True, worker=world.ZHAO, sealed=sealed, fingerprint="f", fever=True, case_id="c1",
    )  # fmt: skip
    comes_out("gate_checks", *lived([lambda known, _: gates.check(known, looked)]))


# Observation, presences, needs, money, what is owed


def on_list(name: str, listing: str, starts: str, last_day: str) -> OnList:
    facts = {"observation_id": name, "listing": listing, "category": "returned", "fingerprint": name}
    return OnList.model_validate({**facts, "starts": starts, "last_day": last_day})


def observed() -> Observation:
    entry = on_list("o1", "assigned_by_city", "2026-11-20", "2026-11-27")
    return Observation(
        observation_id="o1", person_id="p1", under="p1", community=world.TIEBEI, grid="g1", building="1",
        household="h1", owner=world.ZHAO, entries=[entry], rounds=["09:30"], case="medical", zone="Asia/Shanghai",
        starts=entry.starts, last_day=entry.last_day,
    )  # fmt: skip


@given(
    some(
        lambda known, _: observation.start(known, observed()),
        lambda known, _: observation.put_on(known, on_list("o2", "found_by_community", "2026-11-18", "2026-11-25")),
        lambda known, _: observation.put_on(known, on_list("o3", "assigned_by_city", "2026-11-22", "2026-12-01")),
        lambda known, now: observation.release(known, "2026-11-25", "negative_test", now),
        lambda known, now: observation.release(known, None, "negative_test", now),
        lambda known, _: observation.lapse(known, known.due_at) if known and known.due_at else None,
    )
)
def test_observations(dos: list[Do]) -> None:
    """Begun, on another list, shortened, over."""
    comes_out("observations", *lived([lambda known, _: observation.start(known, observed()), *dos]))


@given(some(lambda known, now: presence.end(known, now)))
def test_presences(dos: list[Do]) -> None:
    """Here, and gone."""
    here = Presence(
        presence_id="b1", community=world.TIEBEI, grid="g1", building="3", since=NINE, sealed="k1.AAAA", fingerprint="f"
    )
    comes_out("presences", *lived([lambda known, _: presence.register(known, here), *dos]))


def test_needs() -> None:
    """All of it is in the event."""
    raised = NeedRaised(need_id="n1", kind="medicine", building="1", sealed="k1.AAAA", person_id="p1")
    comes_out("needs", *lived([lambda known, _: raise_need(known, Need(need_id="n1", told=raised), raised)]))


def posted(
    name: str,
    what: Any,
    worker: str,
    amount: int,
    to: str | None = None,
    who: str | None = None,
    corrects: str | None = None,
) -> Do:
    def do(known: Matter | None, now: datetime) -> Any:
        matter = Matter(matter_id="r1", community=world.TIEBEI, grid="g1", person_id=who, changed_at=now)
        new = money.posting(name, what, worker, amount, now, to, corrects)
        return money.post(known, matter, new.model_copy(update={"sealed": "k1.AAAA"}))

    return do


@given(
    some(
        posted("p1", "receipt", world.ZHAO, 3_180),
        posted("p2", "settlement", world.ZHAO, 3_180, who="wang"),
        posted("p3", "advance", world.QIAN, 500),
        posted("p4", "change", world.QIAN, 500),
        posted("p5", "handed_on", world.ZHAO, 700, to=world.QIAN),
        posted("p6", "top_up", world.QIAN, 1),
        posted("p7", "receipt", world.ZHAO, 3_180, corrects="p1"),
        posted("p8", "handed_on", world.ZHAO, 700, to=world.QIAN, corrects="p5"),
    )
)
def test_money(dos: list[Do]) -> None:
    """Both sides of every posting, and whether anybody owes anything."""
    comes_out("money", *lived(dos))


LIFT = Facility(facility_id="lift-3", community=world.TIEBEI, kind="lift", name="3号楼电梯", building="3")


@given(
    some(
        lambda known, _: facilities.register(known, LIFT),
        lambda known, _: facilities.register(known, LIFT.model_copy(update={"partner": "lifts", "where": "一楼"})),
        lambda known, _: facilities.register(known, LIFT.model_copy(update={"until": "2026-12-31"})),
        lambda known, _: facilities.register(known, LIFT.model_copy(update={"community": "other"})),
    )
)
def test_facilities(dos: list[Do]) -> None:
    """Told, told otherwise, taken away; each event says all of it."""
    comes_out("facilities", *lived(dos))


@given(
    some(
        lambda known, _: evidence.go_on(known, known.next_day) if known and known.next_day else None,
        lambda known, _: evidence.forgive(known),
    )
)
def test_what_is_owed(dos: list[Do]) -> None:
    """Owed and forgiven; it goes on to be owed once it is made again."""
    owed = Owing(
        owing_id="o1", community=world.TIEBEI, partner="cleaners", kind="disinfection", places=["yard"],
        reminded="17:00", named="20:00", begins="2026-11-24", ends=None, zone="Asia/Shanghai", fingerprint="f",
    )  # fmt: skip
    state, entered = lived([lambda known, now: evidence.owe(known, owed, now), *dos])
    made = restored(REGISTERS["owing"], None, comes_out("owing", state, entered), NINE)
    assert made is not None
    assert (made.next_at is None) == state.forgiven


# All of them


def test_every_event_is_about_one_document_at_most() -> None:
    """And that somebody put one right is about the same one; what was opened is in no register's place."""
    listed = [kind for one in REGISTERS.values() for kind in one.events]
    assert len(listed) == len(set(listed)) == len(KINDS) - 2
    assert about(PersonErased(person_id="p1")) == "people/p1"
    assert about(RecordRestored(collection="people", record="p1", reader="operator")) == "people/p1"
    opening = PersonalDataOpened(record="person:p1", reader="zhou", role="coordinator", purpose="people")
    assert about(opening) == "opened/person:p1"
    assert OPENED not in REGISTERS


def test_what_somebody_changed_is_named_by_its_field() -> None:
    """In one document, and nothing else."""
    state, entered = lived([lambda known, _: cases.open_case(known, case())])
    kept = REGISTERS["cases"]
    told = told_by(kept, entered)
    wrong = state.model_copy(update={"owner": "nobody", "answered": True})
    assert differing(kept, wrong, told) == ("owner", "answered")
    assert restored(kept, wrong, told, NINE) == state
