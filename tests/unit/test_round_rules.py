"""The rules of rounds and of the sheets of their rosters."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ledger.domain import reports, rounds, sheets, strangers
from services.ledger.domain.reports import Line, Report
from services.ledger.domain.rounds import Round
from services.ledger.domain.sheets import Entrance, Member, Met, RoundFacts, Sheet
from services.ledger.domain.strangers import Stranger
from shared.contracts.refusal import Refusal
from shared.contracts.rounds import Counts, Ending, OpenRound, Roster, RoundRecorded

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
FACTS = RoundFacts(round_id="r", community="tiebei", kind="testing", title="核酸", of="person")
TOLD = OpenRound(
    round_id="r", community="tiebei", kind="testing", title="核酸", roster=Roster(), closes=NOW + timedelta(hours=4)
)
NAMES = ("a", "b", "c")
ENDINGS: tuple[Ending, ...] = ("done", "elsewhere", "moved", "refused", "excused")


def sheet(*names: str) -> Sheet:
    entrance = Entrance(grid="g1", building="3", stairwell="s")
    (made,) = sheets.cut(FACTS, [(entrance, Member(member_id=name, person_id=name)) for name in names or NAMES])
    return made


def said(name: str, outcome: Ending = "done", minutes: int = 0, unchecked: tuple[str, ...] = ()) -> tuple[str, Met]:
    return name, Met(outcome=outcome, at=NOW + timedelta(minutes=minutes), unchecked=unchecked)


def after(known: Sheet, *told: Sequence[tuple[str, Met]]) -> Sheet:
    """Each of these lists, one after the other."""
    for one in told:
        outcome = sheets.record(known, one)
        known = outcome[0] if outcome else known
    return known


def states(known: Sheet) -> list[str]:
    return [one.state for one in known.members]


records = st.builds(said, st.sampled_from(NAMES), st.sampled_from(ENDINGS), st.integers(0, 3))


@given(st.lists(records, max_size=12), st.randoms(use_true_random=False))
def test_in_whatever_order_and_however_often_records_come_the_state_is_the_same(
    told: list[tuple[str, Met]], chance: Random
) -> None:
    """Everyone is in exactly one state, and the states together are the roster."""
    shuffled = [*told, *told]
    chance.shuffle(shuffled)
    one, other = after(sheet(), *[[each] for each in told]), after(sheet(), shuffled)
    assert states(one) == states(other)
    assert one.counts == other.counts
    counts = one.counts
    assert counts.missing + counts.done + counts.elsewhere + counts.moved + counts.refused + counts.excused == 3
    assert {name for name, state in zip(NAMES, states(one), strict=True) if state != "missing"} == {
        name for name, _ in told
    }


@given(st.lists(records, max_size=8), st.lists(records, max_size=8), st.randoms(use_true_random=False))
def test_the_sums_of_a_building_are_those_of_the_latest_sheets_in_whatever_order_they_are_told(
    first: list[tuple[str, Met]], second: list[tuple[str, Met]], chance: Random
) -> None:
    """Two replicas tell what they wrote, late, twice and one overtaken by the other."""
    told, latest = [], []
    for place, lists in (("0000", first), ("0001", second)):
        known = sheet().model_copy(update={"sheet_id": f"r/3/{place}"})
        told += [known, *(known := after(known, [each]) for each in lists)]
        latest.append(known)
    chance.shuffle(told)
    tally: dict[str, Sequence[int]] = {}
    for one in [*told, *told[:3]]:
        tally = sheets.tallied(tally, [one])
    assert set(tally) == {"0000", "0001"}
    whole = [member for one in latest for member in one.members]
    assert sheets.summed(tally) == sheets.count(whole).model_dump()


def test_what_was_done_stays_done_whatever_is_said_afterwards() -> None:
    """Else the latest word counts."""
    known = after(sheet(), [said("a", "refused", 1), said("b", "moved", 5), said("b", "excused", 2)])
    assert states(known) == ["refused", "moved", "missing"]
    known = after(known, [said("a", "done", 3), said("a", "refused", 9)])
    assert states(known) == ["done", "moved", "missing"]


def test_a_second_time_is_counted_as_such_and_the_same_again_is_none() -> None:
    """Whoever is tested twice counts once."""
    known = after(sheet(), [said("a"), said("a"), said("a", minutes=5), said("b")])
    assert (known.counts.done, known.counts.again) == (2, 1)
    assert sheets.record(known, [said("a"), said("b")]) is None


def test_a_record_of_somebody_who_is_not_on_the_sheet_is_passed_over() -> None:
    """Somebody took him off; the others of the list are heard."""
    known = after(sheet("a", "b"), [said("gone"), said("b")])
    assert states(known) == ["missing", "done"]
    assert sheets.record(known, [said("gone")]) is None


def test_a_list_is_told_once_and_applied_once() -> None:
    """In between it is due to be applied again."""
    lines = tuple(Line(sheet_id=place, member_id=name, met=said(name)[1]) for place, name in ("1a", "1b", "2c"))
    told = Report(report_id="r/1", round_id="r", lines=lines, due_at=NOW)
    kept = reports.keep(None, told, FACTS)
    assert kept is not None
    (event,) = kept[1]
    assert isinstance(event, RoundRecorded)
    assert [one.member_id for one in event.records] == ["a", "b", "c"]
    assert {place: len(met) for place, met in kept[0].by_sheet().items()} == {"1": 2, "2": 1}
    assert reports.keep(kept[0], told, FACTS) is None
    done = reports.applied(kept[0])
    assert done is not None
    assert reports.applied(done[0]) is None


def test_what_is_left_of_the_checklist_shows_until_it_is_done() -> None:
    """A second visit does the rest."""
    known = after(sheet(), [said("a", unchecked=("sills", "screens"))])
    assert (known.counts.done, known.counts.incomplete) == (1, 1)
    known = after(known, [said("a", minutes=60, unchecked=("panes", "screens"))])
    assert sheets.undone(known.members[0]) == {"screens"}
    known = after(known, [said("a", minutes=90, unchecked=("panes",))])
    assert known.counts.incomplete == 0


def test_nobody_is_recorded_without_bound() -> None:
    """A program that has gone wild makes no document large."""
    known = after(sheet(), [said("a", minutes=number) for number in range(3 * sheets.MOST)])
    assert len(known.members[0].met) == sheets.MOST


def test_who_comes_at_last_is_heard_however_often_he_refused() -> None:
    """Once, and no more than that."""
    refused = [said("a", "refused", minutes=number) for number in range(sheets.MOST + 5)]
    known = after(sheet(), [*refused, *(said("a", minutes=100 + number) for number in range(5))])
    assert (known.members[0].state, len(known.members[0].met)) == ("done", sheets.MOST + 1)
    known = after(sheet(), [said("a", "elsewhere"), *refused, said("a", minutes=100)])
    assert known.members[0].state == "done", "also who was met elsewhere before"


def test_a_stranger_is_recorded_without_bound_no_more_than_others_are() -> None:
    """What is not kept is not told, however often it is sent."""
    known: Stranger | None = None
    for number in range(2 * sheets.MOST):
        met = said("x", "refused", minutes=number)[1]
        told = Stranger(stranger_id="r/x", round_id="r", person_id=None, met=(met,), sealed=None, at=met.at)
        outcome = strangers.record(known, FACTS, told)
        assert (outcome is None) is (number >= sheets.MOST)
        known = outcome[0] if outcome else known
    assert known is not None
    assert len(known.met) == sheets.MOST


def test_a_building_is_cut_by_entrance_and_no_sheet_is_long() -> None:
    """Those of one entrance stay together."""
    living = [
        (
            Entrance(grid="g1", building="10", stairwell=f"s{number // 40}"),
            Member(member_id=f"p{number}", person_id="p"),
        )
        for number in range(60)
    ]
    cut = list(sheets.cut(FACTS, living))
    assert [len(one.members) for one in cut] == [25, 15, 20]
    assert len({one.sheet_id for one in cut}) == 3
    assert sorted(one.order for one in cut) == [one.order for one in cut]
    assert sheets.natural("2") < sheets.natural("10") < sheets.natural("10A")


def test_closing_names_the_missing_once() -> None:
    """And late news still counts."""
    known = after(sheet(), [said("a")])
    closed = sheets.close(known, FACTS)
    assert closed is not None
    assert [one.model_dump()["member_id"] for one in closed[1]] == ["b", "c"]
    assert sheets.close(closed[0], FACTS) is None
    assert states(after(closed[0], [said("b", "elsewhere")])) == ["done", "elsewhere", "missing"]


def test_a_round_goes_from_planned_to_settled() -> None:
    """Each step once."""
    known = _state(rounds.open_round(None, TOLD, NOW))
    assert rounds.open_round(known, TOLD, NOW) is None
    known = _state(rounds.begin(known, NOW))
    known = _state(rounds.took_down(known, "", "3", 3))
    assert rounds.took_down(known, "", "3", 3) is None, "another replica was faster"
    opened = rounds.opened(known)
    assert opened is not None
    assert opened[1][0].model_dump()["members"] == 3
    known = opened[0]
    assert rounds.close(known, NOW) is None, "it is not time"
    known = _state(rounds.close(known, NOW + timedelta(hours=4)))
    known = _state(rounds.closed_up_to(known, "", "r/3/0000"))
    closed = rounds.closed(known, Counts(members=3, missing=1, done=2))
    assert closed is not None
    assert [type(one).__name__ for one in closed[1]] == ["RoundClosed"]
    settled = rounds.settle(closed[0], Counts(members=3, done=3))
    assert settled is not None
    assert (settled[0].state, _state(rounds.unsettle(settled[0])).state) == ("settled", "closed")
    assert rounds.settle(settled[0], Counts(members=3, done=3)) is None


def test_a_round_from_door_to_door_closes_only_when_every_sheet_was_somebodys_walk() -> None:
    """Sheet by sheet, each step once."""
    known = Round(told=TOLD.model_copy(update={"walks": True}), state="opening", created_at=NOW, due_at=NOW)
    known = _state(rounds.opened(known))
    assert (known.state, known.walking, known.due_at) == ("open", True, NOW)
    known = _state(rounds.sent_up_to(known, "", "r/3/0000"))
    assert rounds.sent_up_to(known, "", "r/3/0001") is None, "another replica was faster"
    known = _state(rounds.sent(known))
    assert (known.walking, known.due_at) == (False, TOLD.closes)
    assert rounds.sent(known) is None


def test_who_still_sends_people_out_leaves_a_round_alone_that_closes_by_now() -> None:
    """It was closed before its time: how far the closing is must not move, nor the time to go on with it."""
    known = Round(told=TOLD, state="open", walking=True, created_at=NOW, due_at=NOW)
    closing = _state(rounds.close(known, NOW, early=True))
    assert rounds.sent_up_to(closing, "", "r/3/0000") is None
    assert rounds.sent(closing) is None


def test_a_round_in_which_nobody_is_missing_is_settled_when_it_closes() -> None:
    """Both are told."""
    known = Round(told=TOLD, state="closing", created_at=NOW, due_at=NOW)
    outcome = rounds.closed(known, Counts(members=3, done=3))
    assert outcome is not None
    assert (outcome[0].state, len(outcome[1])) == ("settled", 2)


@pytest.mark.parametrize(
    ("known", "told", "code"),
    [
        (None, TOLD.model_copy(update={"closes": NOW}), "in_the_past"),
        (Round(told=TOLD, created_at=NOW, due_at=NOW), TOLD.model_copy(update={"kind": "notice"}), "known_round"),
    ],
)
def test_a_round_that_cannot_be_is_refused(known: Round | None, told: OpenRound, code: str) -> None:
    """Its time is over, or its id is another's."""
    with pytest.raises(Refusal) as refused:
        rounds.open_round(known, told, NOW)
    assert refused.value.problems[0].code == code


@pytest.mark.parametrize("before", [None, TOLD.model_copy(update={"community": "other"})])
def test_a_round_comes_after_one_of_its_own_community(before: OpenRound | None) -> None:
    """After one that is not there, nobody would be on its roster."""
    known = before and Round(told=before, created_at=NOW, due_at=NOW)
    with pytest.raises(Refusal) as refused:
        rounds.can_follow(known, TOLD)
    assert [(one.field, one.code) for one in refused.value.problems] == [("roster.after", "unknown_round")]
    rounds.can_follow(Round(told=TOLD, created_at=NOW, due_at=NOW), TOLD)


def test_a_round_that_is_not_open_cannot_be_closed() -> None:
    """Nor one that is not there."""
    with pytest.raises(Refusal) as refused:
        rounds.close(Round(told=TOLD, created_at=NOW, due_at=NOW), NOW, early=True)
    assert refused.value.problems[0].code == "not_open_yet"
    with pytest.raises(Refusal) as refused:
        rounds.close(None, NOW, early=True)
    assert refused.value.problems[0].code == "unknown_round"


def test_a_stranger_is_told_once_for_each_time_and_added_once() -> None:
    """What was recorded of him is kept."""
    told = Stranger(stranger_id="r/x", round_id="r", person_id=None, met=(said("x")[1],), sealed="k1.x", at=NOW)
    first = strangers.record(None, FACTS, told)
    assert first is not None
    assert strangers.record(first[0], FACTS, told) is None
    sealed_anew = told.model_copy(update={"met": (told.met[0].model_copy(update={"sealed": "k1.y"}),)})
    assert strangers.record(first[0], FACTS, sealed_anew) is None
    second = strangers.record(first[0], FACTS, told.model_copy(update={"met": (said("x", minutes=9)[1],)}))
    assert second is not None
    assert len(second[0].met) == 2
    added = strangers.add(second[0], FACTS, "x")
    assert added is not None
    assert strangers.add(added[0], FACTS, "x") is None


def _state(decision: rounds.Decision) -> Round:
    assert decision is not None
    return decision[0]
