"""Who stays at home until when: one person once, the longest list counts, released in time or before."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dispatch.domain import observed
from services.ledger.catalogues import fit
from services.ledger.domain import observation as rules
from services.ledger.domain.follow_ups import Rules
from services.ledger.domain.observation import Observation, OnList
from shared.catalogue import CatalogueError, load
from shared.contracts.catalogue import CaseCatalogue, Kinds, ObservationCatalogue
from shared.contracts.dispatch import DeliveryApart
from shared.contracts.observation import ObservationStarted, PersonReleased
from shared.contracts.refusal import Refusal
from shared.settings import Settings
from tests import world
from tests.unit.tasks import NINE, completed, situation, under_way

FOLDER = Settings().catalogue_dir
CATALOGUE = load(FOLDER / "observation.yaml", ObservationCatalogue)


def entry(**changes: Any) -> OnList:
    facts = {
        "observation_id": "o1",
        "listing": "assigned_by_city",
        "category": "close_contact",
        "starts": "2026-11-24",
        "last_day": "2026-12-01",
        "fingerprint": changes.get("observation_id", "o1"),
    }
    return OnList.model_validate({**facts, **changes})


def told(first: OnList | None = None) -> Observation:
    first = first or entry()
    return Observation(
        observation_id=first.observation_id,
        person_id="p1",
        under="p1",
        community=world.TIEBEI,
        grid="g1",
        building="2",
        household="h1",
        owner=world.ZHAO,
        entries=[first],
        rounds=["09:30", "15:30"],
        case=None,
        zone="Asia/Shanghai",
        starts=first.starts,
        last_day=first.last_day,
    )


def started() -> Observation:
    decision = rules.start(None, told())
    assert decision is not None
    return decision[0]


def refused(call: Any) -> tuple[str, str]:
    with pytest.raises(Refusal) as excinfo:
        call()
    return excinfo.value.problems[0].field, excinfo.value.problems[0].code


def test_the_days_in_force_on_the_first_day_count() -> None:
    """Fourteen then, others later; the first day is one of them."""
    assert [CATALOGUE.version(day).days for day in ("2019-01-01", "2022-06-27", "2022-06-28", "2022-11-24")] == [
        14,
        14,
        7,
        8,
    ]
    assert rules.last_day("2022-03-01", 14) == "2022-03-14"
    assert len(CATALOGUE.categories) == 5


def test_our_own_catalogues_fit_each_other() -> None:
    """What is done at each round is a kind of help; its tries, and what they ask for, too."""
    fit(FOLDER, load(FOLDER / "kinds.yaml", Kinds), load(FOLDER / "follow-ups.yaml", Rules), CATALOGUE)
    assert "observation" in load(FOLDER / "cases.yaml", CaseCatalogue).kinds


def test_a_kind_that_there_is_not_is_named_with_its_line() -> None:
    """All of them at once."""
    none, rules_of_tries = Kinds(ladders={}, kinds={}), load(FOLDER / "follow-ups.yaml", Rules)
    with pytest.raises(CatalogueError) as excinfo:
        fit(FOLDER, none, rules_of_tries, CATALOGUE)
    told = str(excinfo.value).replace(f"{FOLDER}/", "").splitlines()
    assert [line.partition(": ")[2] for line in told] == [
        "kind: kinds.yaml has no kind temperature",
        "kinds.temperature: kinds.yaml has no kind temperature",
        "kinds.temperature.1.request: kinds.yaml has no kind corridor_check",
    ]
    lines = (FOLDER / "follow-ups.yaml").read_text(encoding="utf-8").splitlines()
    number = int(told[2].split(":")[1])
    assert "corridor_check" in lines[number - 1]


@pytest.mark.parametrize(
    ("before", "after", "error"),
    [
        ('from: "2022-06-28"', 'from: "2022-12-28"', "in the order of their days"),
        ("zone: Asia/Shanghai", "zone: Asia/Nowhere", "there is no time zone"),
        ("days: 14", "days: 0", "versions.0.days"),
        ('"09:30"', '"9:30"', "versions.0.rounds.0"),
    ],
)
def test_a_catalogue_that_cannot_be_is_refused(tmp_path: Any, before: str, after: str, error: str) -> None:
    path = tmp_path / "observation.yaml"
    path.write_text((FOLDER / "observation.yaml").read_text(encoding="utf-8").replace(before, after, 1))
    with pytest.raises(CatalogueError, match=error):
        load(path, ObservationCatalogue)


def test_it_begins_once_and_ends_at_midnight_after_the_last_day() -> None:
    """Midnight in China is four in the afternoon in UTC."""
    decision = rules.start(None, told())
    assert decision is not None
    (event,) = decision[1]
    assert isinstance(event, ObservationStarted)
    assert (event.listing, event.last_day, event.rounds) == ("assigned_by_city", "2026-12-01", ("09:30", "15:30"))
    known = decision[0]
    assert known.due_at == datetime(2026, 12, 1, 16, 0, tzinfo=UTC)
    assert rules.start(known, told()) is None
    assert refused(lambda: rules.start(known, told(entry(fingerprint="other"))))[1] == "known_observation"
    assert rules.lapse(known, known.due_at - timedelta(seconds=1)) is None
    over = rules.lapse(known, known.due_at)
    assert over is not None
    assert [(type(one), one.reason) for one in over[1] if isinstance(one, PersonReleased)] == [
        (PersonReleased, "last_day")
    ]
    assert (over[0].state, over[0].under) == ("released", None)
    assert rules.lapse(over[0], known.due_at) is None


def test_the_last_day_is_over_at_its_own_midnight_where_clocks_change() -> None:
    """Berlin's last Sunday of October has 25 hours."""
    known = told(entry(starts="2026-10-20", last_day="2026-10-25")).model_copy(update={"zone": "Europe/Berlin"})
    decision = rules.start(None, known)
    assert decision is not None
    assert decision[0].due_at == datetime(2026, 10, 25, 23, 0, tzinfo=UTC)


def test_on_two_lists_one_is_one_and_the_longest_counts() -> None:
    """Said again it is nothing; the same list with another category replaces."""
    found = entry(observation_id="o2", listing="found_by_community", last_day="2026-12-03")
    joined = rules.put_on(started(), found)
    assert joined is not None
    assert (joined[0].last_day, joined[0].observation_id) == ("2026-12-03", "o1")
    assert rules.put_on(joined[0], found) is None
    corrected = rules.put_on(joined[0], entry(observation_id="o3", listing="found_by_community", category="returned"))
    assert corrected is not None
    current = [(one.listing, one.category) for one in corrected[0].entries if not one.replaced]
    assert current == [("assigned_by_city", "close_contact"), ("found_by_community", "returned")]
    assert corrected[0].last_day == "2026-12-01"


def test_a_release_is_at_once_or_from_a_day_on_but_never_before_it_began() -> None:
    """Nor after it ends by itself."""
    known, nine = started(), datetime(2026, 11, 25, 1, 0, tzinfo=UTC)
    assert refused(lambda: rules.release(known, None, "negative_test", nine - timedelta(days=2))) == (
        "on",
        "before_start",
    )
    assert refused(lambda: rules.release(known, "2026-11-23", "x", nine)) == ("on", "before_start")
    assert refused(lambda: rules.release(known, "2026-12-02", "x", nine)) == ("on", "after_last_day")
    assert refused(lambda: rules.release(None, None, "x", nine)) == ("observation_id", "unknown_observation")
    later = rules.release(known, "2026-11-28", "negative_test", nine)
    assert later is not None
    assert (later[0].last_day, later[0].state) == ("2026-11-27", "observed")
    again = rules.put_on(later[0], entry(observation_id="o3", listing="found_by_community", last_day="2026-11-26"))
    assert again is not None
    assert again[0].last_day == "2026-11-27", "what another list says of less time takes nothing back"
    over = rules.lapse(later[0], datetime(2026, 11, 27, 16, 0, tzinfo=UTC))
    assert over is not None
    assert over[0].reason == "negative_test"
    now = rules.release(known, None, "negative_test", nine)
    assert now is not None
    assert now[0].released_at == nine
    assert rules.release(now[0], None, "negative_test", nine) is None
    assert refused(lambda: rules.put_on(now[0], entry(observation_id="o2"))) == ("person_id", "released")


@given(
    st.lists(st.tuples(st.sampled_from(["list", "free", "later", "lapse"]), st.integers(0, 5), st.integers(1, 3))),
)
def test_whatever_happens_somebody_is_released_once_and_open_has_an_end(story: list[tuple[str, int, int]]) -> None:
    """And nobody is held longer than his longest list."""
    known, now, releases = started(), NINE, 0
    for move, number, days in story:
        now += timedelta(days=days)
        day = (now.date() + timedelta(days=number)).isoformat()
        new = entry(observation_id=f"n{number}", listing=("assigned_by_city", "found_by_community")[number % 2])
        try:
            decision = moved(known, move, new, day, now)
        except Refusal:
            continue
        known, events = decision or (known, ())
        releases += sum(isinstance(one, PersonReleased) for one in events)
        assert (known.due_at is not None) == (known.state == "observed") == (known.under is not None)
        assert known.last_day <= "2026-12-01"
    assert releases == (known.state == "released")


def moved(known: Observation, move: str, new: OnList, day: str, now: datetime) -> tuple[Observation, Any] | None:
    match move:
        case "list":
            return rules.put_on(known, new)
        case "lapse":
            return rules.lapse(known, now)
        case _:
            return rules.release(known, day if move == "later" else None, "x", now)


# At the door


def test_news_of_the_release_may_come_before_news_of_the_beginning() -> None:
    """Then nobody is kept apart for ever."""
    released = observed.free(None, "h1", "o1")
    assert released is not None
    assert observed.observe(released[0], "h1", "o1", "p1") is None
    assert observed.free(released[0], "h1", "o1") is None
    both = observed.observe(released[0], "h1", "o2", "p2")
    assert both is not None
    assert both[0].observed == {"o2": "p2"}
    assert observed.observe(both[0], "h1", "o2", "p2") is None


def test_whoever_is_on_the_way_hears_once_that_the_door_is_another() -> None:
    """What is done is of the past."""
    usual = situation()
    apart = replace(usual, roster=replace(usual.roster, apart=True))
    decision = observed.keep_apart(under_way(), apart)
    assert decision is not None
    (event,) = decision[1]
    assert isinstance(event, DeliveryApart)
    assert (event.apart, event.worker, decision[0].apart) == (True, world.ZHAO, True)
    assert observed.keep_apart(decision[0], apart) is None
    assert observed.keep_apart(completed(), apart) is None
    free = observed.keep_apart(decision[0], usual)
    assert free is not None
    assert free[0].apart is False
