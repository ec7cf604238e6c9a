"""Rounds and days of evidence made again of what their events say, and sheets of what those of three registers say."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ledger.domain import evidence, reports, rosters, rounds, sheets, sheets_retold, strangers
from services.ledger.domain.evidence import Day, Owing
from services.ledger.domain.evidence import Report as Reported
from services.ledger.domain.rebuilding import restored, told_by
from services.ledger.domain.registers import REGISTERS
from services.ledger.domain.reports import PART, Line, Report
from services.ledger.domain.rounds import Round
from services.ledger.domain.sheets import LENGTH, MOST, Entrance, Member, Members, Met, RoundFacts, Sheet
from services.ledger.domain.sheets_retold import ToldSheet
from services.ledger.domain.strangers import Stranger
from shared.contracts.envelope import EVENT_LIMIT, Event
from shared.contracts.evidence import Picture
from shared.contracts.rounds import (
    Counts,
    Ending,
    OpenRound,
    RosterExtended,
    RosterFrozen,
    RoundOpened,
    RoundRecorded,
    RoundSettled,
    StrangerRecorded,
)
from tests import world
from tests.unit.retelling import Do, comes_out, lived, some
from tests.unit.tasks import NINE

FACTS = RoundFacts(round_id="r", community=world.TIEBEI, kind="testing", title="核酸", of="person")
COUNTS = Counts(members=3, missing=1, done=2)


def plan(**changes: Any) -> OpenRound:
    told = {"round_id": "r", "community": world.TIEBEI, "kind": "testing", "title": "核酸"}
    return OpenRound(**{**told, "closes": NINE + timedelta(hours=4), **changes})


@given(
    some(
        lambda known, now: rounds.begin(known, now),
        lambda known, _: rounds.took_down(known, known.reached, "3", 3) if known else None,
        lambda known, _: rounds.opened(known),
        lambda known, _: rounds.sent(known),
        lambda known, now: rounds.close(known, now, early=True),
        lambda known, _: rounds.closed(known, COUNTS),
        lambda known, _: rounds.settle(known, COUNTS.model_copy(update={"missing": 0})),
        lambda known, _: rounds.unsettle(known),
    ),
    st.booleans(),
)
def test_rounds(dos: list[Do], walks: bool) -> None:
    """What is under way is told by its beginning and its end, and goes on from there."""
    state, entered = lived([lambda known, now: rounds.open_round(known, plan(walks=walks), now), *dos])
    told = comes_out("rounds", state, entered)
    made = restored(REGISTERS["rounds"], None, told, NINE)
    assert isinstance(made, Round)
    assert (made.due_at is None) == (made.state in ("closed", "settled"))
    assert made.walking == (walks and made.state == "open")


def test_of_a_round_of_before_its_state_is_told_and_that_is_not_enough_to_make_it() -> None:
    """The event that opened it did not tell the roster."""
    event = RoundOpened(
        community=world.TIEBEI, round_id="r", kind="testing", title="核酸", of="person", members=3, closes=NINE
    )
    told = rounds.retold({}, event)
    assert (told["state"], told["members"]) == ("open", 3)
    assert restored(REGISTERS["rounds"], None, told, NINE) is None
    settled = RoundSettled(community=world.TIEBEI, round_id="r", kind="testing", title="核酸", counts=COUNTS)
    # Nobody told when it was not settled any more.
    assert "state" not in rounds.retold(told, settled)


@pytest.mark.parametrize(
    ("forged", "state"),
    [
        ({"state": "open", "due_at": NINE}, "closed"),
        ({"state": "opening", "reached": "3", "due_at": NINE}, "open"),
        ({"state": "closed", "due_at": None}, "open"),
    ],
)
def test_a_round_that_is_put_right_goes_on_as_its_state_says(forged: dict[str, Any], state: str) -> None:
    """With what is to be done, and from the beginning, not with what stood in the document."""
    dos: list[Do] = [
        lambda known, now: rounds.open_round(known, plan(walks=True), now),
        lambda known, now: rounds.begin(known, now),
        lambda known, _: rounds.opened(known),
        lambda known, now: rounds.close(known, now, early=True),
        lambda known, _: rounds.closed(known, COUNTS),
    ]
    good, entered = lived(dos[:3] if state == "open" else dos)
    told = told_by(REGISTERS["rounds"], entered)
    made = restored(REGISTERS["rounds"], good.model_copy(update=forged), told, NINE)
    assert isinstance(made, Round)
    assert (made.state, made.reached, made.walking) == (state, "", state == "open")
    assert (made.due_at is None) == (state == "closed")


def cut(count: int, *, late: bool = False, first: int = 0, **more: Any) -> list[Sheet]:
    entrance = Entrance(grid="g1", building="3", stairwell="s")
    those = (Member(member_id=f"m{number}", person_id=f"m{number}", **more) for number in range(first, first + count))
    return list(sheets.cut(FACTS, [(entrance, one) for one in those], late=late))


@given(
    some(
        lambda known, _: rosters.extend(known, FACTS, *cut(1, late=True, first=90)),
        lambda known, _: rosters.extend(known, FACTS, *cut(1, late=True, first=91)),
    )
)
def test_rosters(dos: list[Do]) -> None:
    """Frozen, with many or few; some were put on it later, once each."""
    comes_out("rosters", *lived(dos))
    frozen = lived([lambda known, _: rosters.freeze(known, FACTS, "3", cut(60)), *dos])
    told = comes_out("rosters", *frozen)
    assert told["members"] == 60 + len(told["added"])


def test_a_great_building_is_told_in_parts_that_an_event_can_hold() -> None:
    """Of households it says for each whom to ask for."""
    entrance = Entrance(grid="g1", building="3", stairwell="s")
    members = [Member(member_id=f"{one:064d}", person_id=f"{one:036d}", hears=one % 2 == 0) for one in range(2_000)]
    made = list(sheets.cut(FACTS, [(entrance, one) for one in members]))
    decision = rosters.freeze(None, FACTS, "3", made)
    assert decision is not None
    _, events = decision
    assert max(len(one.model_dump_json()) for one in events) < EVENT_LIMIT / 2
    assert [one.frozen for each in events for one in sheets_retold.frozen(frozen_by(each))] == made


def frozen_by(event: Event) -> RosterFrozen | RosterExtended:
    assert isinstance(event, RosterFrozen | RosterExtended)
    return event


def line(name: str, outcome: Ending = "done", minute: int = 0, **more: Any) -> Line:
    met = Met(outcome=outcome, at=NINE + timedelta(minutes=minute), **more)
    return Line(sheet_id="r/3/0000", member_id=name, met=met)


def listed(*lines: Line) -> Do:
    told = Report(report_id="r/1", round_id="r", lines=lines, due_at=NINE)
    return lambda known, _: reports.keep(known, told, FACTS)


@pytest.mark.parametrize("lines", [(), (line("a"), line("b", "refused", 3, sealed="k1.AAAA", card="K-1"))])
def test_lists(lines: Sequence[Line]) -> None:
    """All of it is told, and it is put on the sheets again; when it was, nothing more is said."""
    told = comes_out("reports", *lived([listed(*lines), lambda known, _: reports.applied(known)]))
    made = restored(REGISTERS["reports"], None, told, NINE)
    assert isinstance(made, Report)
    assert (made.lines, made.due_at) == (tuple(lines), NINE)


def test_a_list_with_long_notes_is_told_in_parts() -> None:
    """None of which is more than an event can hold; together they are the list."""
    lines = [line(f"m{number}", sealed="k1." + "A" * 11_000) for number in range(50)]
    state, entered = lived([listed(*lines)])
    assert len(entered) > 50 * 11_000 // PART
    assert max(len(one.model_dump_json()) for one in entered) < EVENT_LIMIT
    comes_out("reports", state, entered)


def test_a_list_of_before_is_not_told_whole() -> None:
    """It did not say on which sheets those stand of whom it is."""
    _, (event,) = lived([listed(line("a"))])
    assert isinstance(event, RoundRecorded)
    older = event.model_copy(update={"records": tuple(one.model_copy(update={"sheet": None}) for one in event.records)})
    assert "lines" not in reports.retold({}, older)


def beside(minute: int) -> Do:
    met = Met(outcome="done", at=NINE + timedelta(minutes=minute), point="南门", card=f"K-{minute}")
    told = Stranger(stranger_id="r/x", round_id="r", person_id=None, met=(met,), sealed=f"k1.{minute}", at=met.at)
    return lambda known, _: strangers.record(known, FACTS, told)


@given(some(beside(1), beside(2), lambda known, _: strangers.add(known, FACTS, "m7")))
def test_strangers(dos: list[Do]) -> None:
    """Recorded, again, and put on the roster."""
    comes_out("strangers", *lived(dos))


def test_of_a_stranger_of_before_it_is_not_told_what_was_recorded() -> None:
    """Nor when he comes again."""
    _, (first, again) = lived([beside(1), beside(2)])
    assert isinstance(first, StrangerRecorded)
    told = strangers.retold(strangers.retold({}, first.model_copy(update={"records": ()})), again)
    assert told.keys().isdisjoint({"met", "sealed", "added"})
    _, (*_, added) = lived([beside(1), lambda known, _: strangers.add(known, FACTS, "m7")])
    assert strangers.retold(told, added)["added"] is True


# Sheets


records = st.lists(
    st.builds(
        line,
        st.sampled_from(["m0", "m1", "m2"]),
        st.sampled_from(["done", "elsewhere", "refused"]),
        st.integers(0, 30),
        point=st.sampled_from([None, "南门"]),
    ),
    max_size=40,
)


def filled(known: Sheet, lines: Sequence[Line]) -> Sheet:
    for one in lines:
        after = sheets.record(known, [(one.member_id, one.met)])
        known = known if after is None else after[0]
    return known


def retold(known: Sheet, lines: Sequence[Line]) -> ToldSheet:
    """By the events that were entered, each list by itself."""
    _, (event,) = lived([lambda there, _: rosters.freeze(there, FACTS, "3", [known])])
    (told,) = sheets_retold.frozen(frozen_by(event))
    sheet_of = {one.member_id: told for one in told.frozen.members}
    for one in lines:
        _, (news,) = lived([listed(one)])
        assert isinstance(news, RoundRecorded)
        sheets_retold.recorded(sheet_of, news)
    return told


@given(records, st.booleans())
def test_sheets(lines: list[Line], closed: bool) -> None:
    """Whatever was recorded, in whatever order: as it rests and as it is made again, all of it is as it was told."""
    (blank,) = cut(3, hears=False)
    stored = filled(blank, lines).model_copy(update={"closed": closed})
    told = retold(blank, lines)
    assert sheets_retold.differing(stored, told, closed=closed) == ()
    made = told.made(None, closed=closed)
    assert made is not None
    assert sheets_retold.differing(made, told, closed=closed) == ()
    assert [one.state for one in made.members] == [one.state for one in stored.members]
    assert made.counts == stored.counts


def test_of_somebody_with_too_many_records_some_are_enough() -> None:
    """The rest stand in the entries alone."""
    (blank,) = cut(1)
    lines = [line("m0", "refused", minute) for minute in range(MOST + 5)]
    told = retold(blank, lines)
    assert sheets_retold.differing(filled(blank, lines), told, closed=False) == ()
    assert sheets_retold.differing(filled(blank, lines[5:]), told, closed=False) == ()
    assert sheets_retold.differing(filled(blank, lines[: MOST - 1]), told, closed=False) == ("members",)


def rid(sheet: Sheet) -> Sheet:
    return sheet.model_copy(update={"members": sheet.members[:-1]})


def member_changed(**changes: Any) -> Any:
    def change(known: Sheet) -> Sheet:
        members = [one.model_copy(update=changes) if one.member_id == "m0" else one for one in known.members]
        return known.model_copy(update={"members": Members.of(members)})

    return change


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        (lambda known: known, ()),
        (rid, ("members", "counts")),
        (member_changed(state="excused"), ("members", "counts")),
        (member_changed(met=[]), ("members",)),
        (member_changed(met=[Met(outcome="done", at=NINE, worker="forged")]), ("members",)),
        (member_changed(person_id="somebody"), ("members",)),
        (member_changed(hears=False), ("members",)),
        (lambda known: known.model_copy(update={"counts": Counts(members=3, done=3)}), ("counts",)),
        (lambda known: known.model_copy(update={"grid": "g9", "closed": False}), ("grid", "closed")),
    ],
)
def test_what_somebody_changed_on_a_sheet_is_named(change: Any, fields: tuple[str, ...]) -> None:
    """By its field; a round that was told to be over has no open sheet."""
    (blank,) = cut(3)
    lines = [line("m0"), line("m1", "refused", 1, sealed="k1.AAAA")]
    stored = filled(blank, lines).model_copy(update={"closed": True})
    assert set(sheets_retold.differing(change(stored), retold(blank, lines), closed=True)) == set(fields)


def test_of_whom_an_event_of_before_tells_he_is_passed_over() -> None:
    """It did not tell all that was recorded."""
    (blank,) = cut(2)
    told = retold(blank, [])
    _, (news,) = lived([listed(line("m0", sealed="k1.AAAA"))])
    assert isinstance(news, RoundRecorded)
    older = tuple(one.model_copy(update={"sheet": None, "sealed": None}) for one in news.records)
    sheet_of = {one.member_id: told for one in told.frozen.members}
    sheets_retold.recorded(sheet_of, news.model_copy(update={"records": older}))
    stored = filled(blank, [line("m0", sealed="k1.AAAA")])
    assert sheets_retold.differing(stored, told, closed=False) == ()
    forged = filled(stored, [line("m1")])
    assert sheets_retold.differing(forged, told, closed=False) == ("members",)
    # What is known of him stays; where nothing is, there is not enough to make the sheet.
    assert told.made(forged, closed=False) == stored
    assert told.made(None, closed=False) is None


def test_sheets_are_no_longer_than_a_walk() -> None:
    """Those of a building, in parts."""
    assert [len(one.members) for one in cut(60)] == [LENGTH, LENGTH, 10]


# Days of evidence


OWED = Owing(
    owing_id="o1", community=world.TIEBEI, partner="cleaners", kind="disinfection", places=["yard", "gate"],
    reminded="17:00", named="20:00", begins="2026-11-24", ends=None, zone="Asia/Shanghai", fingerprint="f",
)  # fmt: skip


def report_of(place: str, look: str, hours: int) -> Do:
    def do(known: Day | None, now: datetime) -> Any:
        told = Reported(
            report_id=f"{place}{look}",
            place=place,
            at=now + timedelta(hours=hours),
            by="cleaners",
            pictures=[Picture(look=look * 16)],
        )
        return evidence.report_on(known, OWED, "2026-11-24", told, [("2026-11-23/yard", "a" * 16)])

    return do


@given(
    some(
        lambda known, _: evidence.begin(known, evidence.day_of(OWED, "2026-11-24")),
        report_of("yard", "0", 0),
        report_of("yard", "a", 0),
        report_of("gate", "f", 9),
        lambda known, now: evidence.lapse(known, now),
        lambda known, now: evidence.lapse(known, now + timedelta(hours=9)),
        lambda known, now: evidence.lapse(known, now + timedelta(hours=13)),
    )
)
def test_days_of_evidence(dos: list[Do]) -> None:
    """Begun by midnight or by the first report, reported, doubted, reminded, named."""
    state, entered = lived(dos)
    told = comes_out("evidence_days", state, entered)
    if state is not None:
        made = restored(REGISTERS["evidence_days"], None, told, NINE)
        assert isinstance(made, Day)
        assert made.due_at is not None or made.named
