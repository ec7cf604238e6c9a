"""Who is who: numbers and birthdays that can be, news of somebody known, and what is shown in part."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import ric

from services.ledger.domain import people as rules
from services.ledger.domain import people_life as life
from services.ledger.domain.people import PeopleCatalogue, Portrait
from services.ledger.domain.register import Overtaken, Person
from shared.catalogue import CatalogueError, load
from shared.contracts.intake import Address
from shared.contracts.ledger import PersonDetails, PersonRegistered, RegisterPerson
from shared.contracts.people import CorrectPerson
from shared.contracts.refusal import Refusal
from shared.settings import Settings
from tests import world

CATALOGUE = load(Settings().catalogue_dir / "people.yaml", PeopleCatalogue)
TODAY = date(2026, 11, 24)
MAY = date(1937, 5, 1)
NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


def told(**changes: Any) -> RegisterPerson:
    return RegisterPerson.model_validate({**world.MRS_LI, **changes}, strict=False)


def person(**changes: Any) -> Person:
    facts = PersonRegistered(
        community=world.TIEBEI, grid="g1", person_id="p1", building="1", household="h1", sealed="k1.AAAA"
    )
    return Person(**{"facts": facts, "fingerprint": "f1", **changes})


@given(st.integers(0, 9), st.integers(0, 16))
def test_one_wrong_digit_of_an_identity_number_is_always_found(digit: int, place: int) -> None:
    """By the check digit alone."""
    good = "110101193705010024"
    wrong = good[:place] + str(digit) + good[place + 1 :]
    if wrong == good:
        assert rules.checked_id_number(wrong) == good
        return
    with pytest.raises(Refusal) as refused:
        rules.checked_id_number(wrong)
    assert refused.value.problems[0].code == "bad_check_digit"


@pytest.mark.parametrize(
    "number", ["", "1", "11010119370501002", "1101011937050100244", "11010119370501002Y", "一" * 18]
)
def test_what_is_no_identity_number_is_told_apart_from_a_wrong_digit(number: str) -> None:
    """Neither is taken."""
    with pytest.raises(Refusal) as refused:
        rules.checked_id_number(number)
    assert refused.value.problems[0].code in ("bad_id_number", "bad_check_digit")


def test_a_small_x_is_written_large_and_a_place_that_never_was_is_refused() -> None:
    numbers = [f"11010119370501{order:03d}" for order in range(100)]
    with_x = next(one + "X" for one in numbers if ric.calc_check_digit(one + "0") == "X")
    assert rules.checked_id_number(with_x.lower()) == with_x
    nowhere = "99999919370501002"
    with pytest.raises(Refusal) as refused:
        rules.checked_id_number(nowhere + ric.calc_check_digit(nowhere + "0"))
    assert refused.value.problems[0].code == "bad_id_number"


@pytest.mark.parametrize(
    ("room", "floor"),
    [("502", 5), ("1203", 12), ("0502", 5), ("502室", 5), ("12", None), ("底商", None), ("005", None), (None, None)],
)
def test_the_floor_is_what_the_room_tells(room: str | None, floor: int | None) -> None:
    """Or nothing."""
    assert rules.floor_of(room) == floor


def test_the_birthday_comes_from_the_number_and_the_year_from_the_birthday() -> None:
    known = rules.portrait(told(id_number="110101193705010024", birth_year=None), CATALOGUE, TODAY)
    assert (known.details.birthday, known.details.birth_year) == (date(1937, 5, 1), 1937)


def test_news_replace_what_they_speak_of_and_leave_the_rest() -> None:
    """And a building alone says nothing against the door that is known."""
    before = rules.portrait(told(needs=["deaf"], keys="门卫"), CATALOGUE, TODAY)
    news = rules.portrait(
        told(address={"building": "1"}, phone=None, contacts=[], needs=["wheelchair"], hobbies=["下棋"]),
        CATALOGUE,
        TODAY,
    )
    after = rules.combined(before, news)
    assert after.details == before.details.model_copy(update={"hobbies": ("下棋",)})
    assert after.needs == ("deaf", "wheelchair")


def test_of_a_field_that_is_named_the_news_say_all_that_there_is() -> None:
    """Nothing, too; the categories for which somebody is on a list stay with the list."""
    before = rules.portrait(
        told(needs=["deaf"], keys="门卫", categories=["newcomer"], lists=["found_by_community"]), CATALOGUE, TODAY
    )
    named = {"name", "address", "keys", "needs", "categories", "lives_alone"}
    news = rules.portrait(told(address={"building": "1"}, lives_alone=False, categories=["cancer"]), CATALOGUE, TODAY)
    after = rules.combined(before, news, named)
    assert after.details == before.details.model_copy(update={"keys": None})
    assert (after.lives_alone, after.needs, after.categories) == (False, (), ("cancer", "newcomer"))
    assert after.listed == before.listed


@pytest.mark.parametrize(
    ("before", "news", "known"),
    [
        ({"birthday": MAY}, {"birth_year": 1937}, (MAY, None, 1937)),
        ({"birthday": MAY}, {"birth_year": 1936}, (None, None, 1936)),
        ({"birthday": MAY}, {"birth_year": None}, (MAY, None, 1937)),
        ({"birthday": MAY}, {"birth_year": 1937, "birth_month": 5}, (MAY, None, 1937)),
        ({"birthday": MAY}, {"birth_year": 1937, "birth_month": 6}, (None, 6, 1937)),
        ({"birth_year": 1936}, {"birthday": MAY, "birth_year": None}, (MAY, None, 1937)),
        ({"birth_year": 1936, "birth_month": 6}, {"birth_year": 1936}, (None, 6, 1936)),
        ({"birth_year": 1936, "birth_month": 6}, {"birth_year": 1937}, (None, None, 1937)),
        ({"birth_year": 1937, "birth_month": 6}, {"birthday": MAY}, (MAY, None, 1937)),
        ({"id_number": "110101193705010024"}, {"birth_year": 1936, "birth_month": 6}, (MAY, None, 1937)),
    ],
)
def test_birthday_and_year_go_together_after_news(before: dict[str, Any], news: dict[str, Any], known: Any) -> None:
    """The identity number decides, else what is newer."""
    first, then = (rules.portrait(told(**{"birth_year": None, **one}), CATALOGUE, TODAY) for one in (before, news))
    details = rules.combined(first, then, frozenset(news)).details
    assert (details.birthday, details.birth_month, details.birth_year) == known


def corrected(before: Portrait, **said: Any) -> Portrait:
    command = CorrectPerson.model_validate({"command_id": "c1", "person_id": "p1", **said}, strict=False)
    return rules.corrected(before, command, CATALOGUE, TODAY)


def test_a_correction_sets_what_it_names_and_nothing_else() -> None:
    """Also to nothing; whoever stays on a list stays for the same reason."""
    before = rules.portrait(
        told(needs=["deaf"], categories=["returned", "newcomer"], lists=["found_by_community"]), CATALOGUE, TODAY
    )
    assert corrected(before) == before
    after = corrected(before, lives_alone=False, needs=[], phone=None, name="李秀英")
    assert (after.lives_alone, after.needs, after.details.phone) == (False, (), None)
    assert after.details == before.details.model_copy(update={"phone": None, "name": "李秀英"})
    assert (after.categories, after.listed) == (before.categories, before.listed)
    off = corrected(before, lists=[])
    assert (off.listed, off.categories) == ({}, before.categories)
    both = corrected(before, categories=["returned"], lists=[])
    assert (both.listed, both.categories) == ({}, ("returned",))
    for other in (["newcomer"], ["newcomer", "returned"]):
        assert corrected(before, categories=other).listed == {
            "found_by_community": "newcomer" if other == ["newcomer"] else before.listed["found_by_community"]
        }


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"categories": []}, "category_required"),
        ({"birth_year": 1936}, "birthday_differs"),
        ({"id_number": "123"}, "bad_id_number"),
    ],
)
def test_a_correction_that_cannot_be_is_refused(said: dict[str, Any], code: str) -> None:
    """Nobody is on a list for nothing, and the identity number tells the year."""
    known = {"id_number": "110101193705010024", "categories": ["newcomer"], "lists": ["found_by_community"]}
    with pytest.raises(Refusal) as refused:
        corrected(rules.portrait(told(birth_year=None, **known), CATALOGUE, TODAY), **said)
    assert refused.value.problems[0].code == code


def test_nothing_may_speak_against_two_being_one() -> None:
    """What only one of them tells does not."""
    assert rules.agree({"id_number": "a"}, {"id_number": "a", "born": "x"})
    assert rules.agree({"id_number": "a"}, {"born": "x"})
    assert not rules.agree({"id_number": "a"}, {"id_number": "b"})
    assert not rules.agree({"id_number": "a", "born": "x"}, {"id_number": "a", "born": "y"})


def test_whoever_left_is_kept_as_long_as_the_longest_category_says() -> None:
    """And not at all any longer once back."""
    facts = person().facts.model_copy(update={"categories": ("cancer", "close_contact")})
    gone = life.left(person(facts=facts), CATALOGUE, NOW, died=False)
    assert gone.forget_at == NOW + timedelta(days=365)
    assert life.left(gone, CATALOGUE, NOW + timedelta(days=9), died=False).forget_at == gone.forget_at
    day = NOW + timedelta(days=60)
    sooner = life.left(
        person(facts=facts.model_copy(update={"categories": ("close_contact",)})), CATALOGUE, NOW, died=False
    )
    assert (sooner.forget_at, life.put_off(sooner, CATALOGUE, day)) == (day, None)
    later = life.put_off(sooner.model_copy(update={"facts": facts}), CATALOGUE, day)
    assert later is not None
    assert later[0].forget_at == gone.forget_at
    back = life.back(gone)
    assert (back.forget_at, back.left_at, back.facts.here) == (None, None, True)
    assert CATALOGUE.kept(()) == timedelta(days=CATALOGUE.keep_days)


def test_who_did_not_die_after_all_is_as_before() -> None:
    """Whoever moved away stays away."""
    gone = life.left(person(), CATALOGUE, NOW, died=False)
    assert life.alive(gone) == gone
    dead = life.left(person(), CATALOGUE, NOW, died=True, died_on=NOW.date())
    assert life.alive(dead) == person()


def test_a_change_that_rests_on_old_knowledge_is_decided_again() -> None:
    """And one that changes nothing is none."""
    newer = person(facts=person().facts.model_copy(update={"sealed": "k1.BBBB"}))
    with pytest.raises(Overtaken):
        life.change(newer, person(), newer)
    assert life.change(newer, newer, newer) is None
    followed = life.regrid(person(), "1", "g2")
    assert followed is not None
    died = life.left(person(), CATALOGUE, NOW, died=True)
    for meanwhile in (followed[0], died):
        with pytest.raises(Overtaken):
            life.change(meanwhile, person(), newer)
    assert [life.regrid(one, "1", "g2") for one in (None, followed[0], person(erased=True))] == [None] * 3
    assert life.regrid(person(), "2", "g2") is None


def test_who_left_while_known_as_two_is_not_here_when_they_are_parted() -> None:
    """All else is as it was before they were one."""
    facts = person().facts.model_copy(update={"person_id": "p2", "sealed": "k1.CCCC"})
    other = person(facts=facts, fingerprint="f2")
    both = person(facts=person().facts.model_copy(update={"sealed": "k1.BBBB"}))
    merged = life.absorb(person(), person(), both, other)
    assert merged is not None
    assert merged[0].told_by() == {"p1": "f1", "p2": "f2"}, "neither has anything new to say"
    parted = life.release(life.left(merged[0], CATALOGUE, NOW, died=True), other)
    assert parted is not None
    facts = parted[0].facts
    assert (facts.sealed, facts.here, parted[0].died) == (person().facts.sealed, False, True)
    assert parted[0].told_by() == {"p1": "f1"}


def test_of_an_erased_person_nothing_is_left_but_the_id() -> None:
    """Once."""
    decision = life.erase(person(stairwell="1", floor=5, identities={"door": "d"}), ("p1", "p2"))
    assert decision is not None
    state, events = decision
    assert [type(one).__name__ for one in events] == ["PersonErased"]
    assert state.erased
    assert (state.facts.sealed, state.facts.household, state.stairwell, state.identities) == ("", "", None, {})
    assert life.erase(state) is None
    assert state.erasing == ("p1", "p2")
    done = life.all_erased(state)
    assert done is not None
    assert (done[0].erased, done[0].erasing, life.all_erased(done[0])) == (True, (), None)


@pytest.mark.parametrize(
    ("born", "years"),
    [
        ({"birthday": date(1937, 11, 25)}, 88),
        ({"birthday": date(1937, 11, 24)}, 89),
        ({"birth_year": 1937, "birth_month": 11}, 89),
        ({"birth_year": 1937, "birth_month": 12}, 88),
        ({"birth_year": 1937}, 89),
        ({}, None),
    ],
)
def test_age_is_in_whole_years(born: dict[str, Any], years: int | None) -> None:
    details = PersonDetails(address=Address(building="1"), name="李", **born)
    assert rules.age(details, TODAY) == years


def test_a_name_and_a_phone_are_shown_in_part() -> None:
    """Whatever their length."""
    assert [rules.masked_name(one) for one in ("李奶奶", "李", "欧阳娜娜")] == ["李**", "李*", "欧***"]
    assert [rules.masked_number(one) for one in ("+86 138 0000 0000", "12345", None)] == ["138****0000", "****", None]


def test_a_list_that_names_no_category_of_the_catalogue_stops_the_start(tmp_path: Path) -> None:
    """With file and line."""
    path = tmp_path / "people.yaml"
    path.write_text(
        "keep_days: 1\ncategories: {}\nlists:\n  a: {label: {zh: 甲, en: A}, categories: [nothing]}\n", encoding="utf-8"
    )
    with pytest.raises(CatalogueError, match="nothing"):
        load(path, PeopleCatalogue)


def test_a_portrait_without_anything_else_is_a_name_and_a_door() -> None:
    """All else is optional."""
    known = Portrait(world.TIEBEI, PersonDetails(address=Address(building="1"), name="李"))
    assert (known.categories, known.listed, known.lives_alone) == ((), {}, False)
