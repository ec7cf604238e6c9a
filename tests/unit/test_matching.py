"""Who is able: skills, language, sex, consent, conflict, duty, caps; and who is nearest where nobody is."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.dispatch.domain import doing, offering
from services.dispatch.domain.ladder import Roster
from services.dispatch.domain.matching import Requirement, aids, lacks, nearest, requirement
from services.dispatch.domain.roster import Worker
from services.dispatch.domain.task import Actor, Situation, Task
from shared.contracts.catalogue import AbilityCatalogue, AtOnce, Kinds, Ladder
from shared.contracts.refusal import Refusal
from shared.contracts.workers import Shift
from tests import world
from tests.unit import tasks
from tests.unit.tasks import EVERYBODY, HELPERS, LADDER, MINUTES, NINE, facts, helper, situation

KINDS = Kinds.model_validate(
    {
        "ladders": {"usual": LADDER.model_dump()},
        "kinds": {
            "gas_top_up": {"label": {"zh": "燃气充值", "en": "Gas top-up"}, "group": "service", "skills": ["reader"]},
            "translation": {"label": {"zh": "翻译", "en": "Translation"}, "group": "service", "language": True},
        },
    }
)
ABILITIES = AbilityCatalogue.model_validate(
    {
        "skills": {"reader": {"zh": "读卡器", "en": "Reader"}, "lifting": {"zh": "搬抬", "en": "Lifting"}},
        "languages": {},
        "needs": {"heavy": {"skills": ["lifting"]}, "woman_only": {"sex": "f"}, "man_only": {"sex": "m"}},
    }
)


def need(**changes: Any) -> Requirement:
    """What a request asks for."""
    return requirement(facts(**changes), KINDS, ABILITIES)


def test_kind_and_needs_together_say_what_whoever_comes_must_have() -> None:
    """A need that no catalogue knows asks for nothing."""
    found = need(kind="gas_top_up", needs=("heavy", "deaf", "woman_only"), language="fr")
    assert (found.skills, found.sexes, found.language) == ({"reader", "lifting"}, {"f"}, "fr")
    assert (need(kind="gone").skills, need(kind="translation").language_is_must) == (frozenset(), True)


@pytest.mark.parametrize(
    ("has", "asks", "missing"),
    [
        ({}, {}, ()),
        ({"skills": ("reader",)}, {"kind": "gas_top_up"}, ()),
        ({}, {"kind": "gas_top_up", "needs": ("heavy",)}, ("skill:lifting", "skill:reader")),
        ({"sex": "f"}, {"needs": ("woman_only",)}, ()),
        ({"sex": "m"}, {"needs": ("woman_only",)}, ("sex",)),
        ({}, {"needs": ("woman_only",)}, ("sex",)),
        ({"sex": "f"}, {"needs": ("woman_only", "man_only")}, ("sex",)),
        ({"kinds": ("groceries",)}, {}, ()),
        ({"kinds": ("parcel",)}, {}, ("not_agreed",)),
        ({"standing": "waiting"}, {}, ("not_approved",)),
        ({"away": True}, {}, ("off_duty",)),
        ({"away": True, "away_until": NINE}, {}, ()),
        ({"shifts": (Shift(begins="2026-11-24T08:00", minutes=60),)}, {}, ("off_duty",)),
        ({"languages": ("zh", "fr")}, {"language": "fr"}, ()),
        ({}, {"language": "fr"}, ("language",)),
    ],
)
def test_each_constraint_is_checked(has: dict[str, Any], asks: dict[str, Any], missing: tuple[str, ...]) -> None:
    """By what the worker has, is, speaks, agreed to, and when. Nine in UTC is five in the afternoon in Tiebei."""
    assert lacks(helper("w", **has), need(**asks), NINE) == missing


def test_who_is_not_wanted_there_is_never_able() -> None:
    """Whatever he can do."""
    assert lacks(helper("w"), replace(need(), never=frozenset({"w"})), NINE) == ("not_wanted",)


def test_a_phrase_sheet_helps_where_the_language_is_not_spoken() -> None:
    """And only there."""
    assert aids(helper("w"), need(language="fr")) == ("phrase_sheet",)
    assert aids(helper("w", languages=("fr",)), need(language="fr")) == ()
    assert aids(helper("w"), need()) == ()


def test_the_nearest_is_who_lacks_least_and_could_be_helped() -> None:
    """Not who is unwelcome, and not who waits for approval."""
    workers = [
        helper("unwelcome"),
        helper("waiting", standing="waiting"),
        helper("far", away=True, sex="m"),
        helper("near", sex="m"),
    ]
    asked = replace(need(needs=("woman_only",)), never=frozenset({"unwelcome"}))
    assert nearest(workers, asked, NINE) == ("near", ("sex",))
    assert nearest(workers, asked, NINE, without={"near"}) == ("far", ("sex", "off_duty"))
    assert nearest([workers[0]], asked, NINE) is None


# The ladder


def opened(roster: Roster, ladder: Ladder = LADDER, **changes: Any) -> tuple[Task, Any]:
    """A request that has just become known."""
    decision = offering.open_task(None, "t1", facts(**changes), 1, situation(roster=roster, ladder=ladder))
    assert decision is not None
    return decision[0], decision[1]


def roster(*workers: Worker, **changes: Any) -> Roster:
    """Zhao answers for the grid, Zhou coordinates, and these help."""
    return Roster(responsible=world.ZHAO, coordinator=world.ZHOU, workers=workers, need=need(**changes))


def test_whoever_answers_for_the_grid_is_passed_over_when_he_is_not_able() -> None:
    """The one with the reader is asked, in another grid if need be."""
    asks = {"kind": "gas_top_up"}
    zhao = helper(world.ZHAO, role="grid_worker", grids=("g1",))
    reader = helper("reader", grids=("g2",), skills=("reader",))
    ladder = Ladder.model_validate(
        {**LADDER.model_dump(), "steps": [{"to": to, "minutes": MINUTES} for to in STEPS if to != "riders"]}
    )
    task, _ = opened(roster(zhao, reader, **asks), ladder, **asks)
    assert (task.worker, task.asked, task.role, task.step) == (None, ["reader"], "volunteer", 2)


STEPS = ("responsible", "grid_pool", "neighbours", "riders", "partner", "coordinator")
FULL = Ladder.model_validate({**LADDER.model_dump(), "steps": [{"to": to, "minutes": MINUTES} for to in STEPS]})


def test_the_whole_ladder_is_climbed_step_by_step_each_told() -> None:
    """Responsible, pool of the grid, neighbours, riders, partner, coordinator; each with its own end."""
    everybody = roster(
        helper(world.ZHAO, role="grid_worker", grids=("g1",)),
        helper(world.SUN, grids=("g1",)),
        helper(world.QIAN, role="grid_worker", grids=("g2",)),
        helper(world.WU, grids=("g2", "g3")),
        helper("rider", role="rider"),
        helper("plumber", role="partner"),
    )
    task, seen = opened(everybody, FULL)[0], []
    for _ in range(6):
        assert task.due_at is not None
        seen.append((task.role, task.worker, task.asked))
        late = situation(minutes=(task.due_at - NINE) / timedelta(minutes=1), roster=everybody, ladder=FULL)
        decision = offering.lapse(task, late)
        assert decision is not None
        task = decision[0]
    assert seen == [
        ("grid_worker", world.ZHAO, []),
        ("volunteer", None, [world.SUN]),
        ("volunteer", None, [world.QIAN, world.WU]),
        ("rider", None, ["rider"]),
        ("partner", None, ["plumber"]),
        ("coordinator", world.ZHOU, []),
    ]


def test_where_nobody_is_able_a_coordinator_hears_who_is_nearest() -> None:
    """And what he lacks."""
    asks = {"kind": "gas_top_up"}
    task, events = opened(roster(*HELPERS, **asks), **asks)
    assert (task.role, task.worker) == ("coordinator", world.ZHOU)
    assert (events[0].reason, events[0].nearest, events[0].lacks) == ("nobody_able", world.ZHAO, ("skill:reader",))


def test_who_speaks_the_language_is_asked_before_who_answers_for_the_grid() -> None:
    """Somebody of the same grid who can talk with the resident."""
    zhao = helper(world.ZHAO, role="grid_worker", grids=("g1",))
    task, _ = opened(roster(zhao, helper(world.SUN, languages=("zh", "fr")), language="fr"), language="fr")
    assert task.asked == [world.SUN]


def test_without_a_speaker_on_shift_the_usual_ones_are_asked() -> None:
    """With a phrase sheet; but not for a translation."""
    zhao = helper(world.ZHAO, role="grid_worker", grids=("g1",))
    away = helper(world.SUN, languages=("fr",), away=True)
    assert opened(roster(zhao, away, language="fr"), language="fr")[0].worker == world.ZHAO
    asks = {"kind": "translation", "language": "fr"}
    assert opened(roster(zhao, away, **asks), **asks)[1][0].nearest == world.ZHAO


def test_who_has_as_many_tasks_as_he_can_have_is_not_asked() -> None:
    """The next one is."""
    full = replace(EVERYBODY, full=frozenset({world.ZHAO, world.WU}))
    task, _ = opened(full)
    assert task.asked == [world.SUN]


def test_a_claim_over_the_cap_is_refused_unless_a_coordinator_gives_it() -> None:
    """Who leads may ask for more of somebody."""
    task, _ = opened(replace(EVERYBODY, responsible=None))
    with pytest.raises(Refusal) as excinfo:
        doing.accept(task, Actor(world.SUN, full=True), situation())
    assert (excinfo.value.status, excinfo.value.problems[0].code) == (409, "cap_reached")
    assert doing.accept(task, Actor(world.SUN, leads=True, full=True), situation())[0].worker == world.SUN


def test_the_others_who_were_asked_are_told_who_has_it() -> None:
    """And may forget it."""
    task, _ = opened(replace(EVERYBODY, responsible=None))
    claimed, events = doing.accept(task, Actor(world.SUN, slot="s/1"), situation())
    assert (claimed.asked, claimed.slot) == ([], "s/1")
    assert events[0].asked == (world.WU,)  # type: ignore[attr-defined]


def test_the_last_of_several_who_says_no_passes_it_on() -> None:
    """Nobody waits for an answer that cannot come."""
    task, _ = opened(replace(EVERYBODY, responsible=None))
    task, _ = doing.decline(task, Actor(world.SUN), situation())
    task, events = doing.decline(task, Actor(world.WU), situation())
    assert (task.role, tasks.names(events)[0]) == ("coordinator", "DeliveryReleased")


@pytest.mark.parametrize("verb", ["complete", "fail", "decline"])
def test_a_place_under_the_cap_is_free_again_when_the_task_leaves_his_hands(verb: str) -> None:
    """Done, failed, or given back."""
    task, _ = doing.accept(tasks.offered(), Actor(world.ZHAO, slot="z/1"), situation())
    assert task.slot == "z/1"
    after, _ = {
        "complete": lambda: doing.complete(task, tasks.ZHAO, situation()),
        "fail": lambda: doing.fail(task, tasks.ZHAO, situation(), "refused"),
        "decline": lambda: doing.decline(task, tasks.ZHAO, situation()),
    }[verb]()
    assert after.slot is None


def test_who_leaves_gives_back_what_he_has_not_set_out_with() -> None:
    """And is not asked for it again; what he carries he finishes."""
    for task in (tasks.offered(), tasks.assigned()):
        decision = offering.leave(task, world.ZHAO, situation())
        assert decision is not None
        assert decision[0].declined == [world.ZHAO]
        assert decision[0].asked == [world.SUN, world.WU]
    assert offering.leave(tasks.under_way(), world.ZHAO, situation()) is None
    assert offering.leave(tasks.assigned(), world.QIAN, situation()) is None


# Rounds


CHOSEN = Ladder.model_validate(
    {**LADDER.model_dump(), "steps": [{"to": to, "minutes": MINUTES} for to in ("chosen", "grid_pool", "coordinator")]}
)


def chosen_at(minutes: float = 0) -> Situation:
    """With a ladder that begins with a round."""
    return situation(minutes=minutes, ladder=CHOSEN)


def test_a_task_waits_for_the_round_that_chooses_whom_to_ask() -> None:
    """Nobody is told of anything yet; then one is, and may read why."""
    task, events = opened(EVERYBODY, CHOSEN)
    assert (task.state, task.waits, task.worker, list(events)) == ("created", True, None, [])
    decision = offering.choose(task, [world.QIAN, world.SUN], "grid_worker", ("nearest", "metres:12"), chosen_at())
    assert decision is not None
    asked, (event,) = decision
    assert (asked.state, asked.waits, asked.worker, asked.why) == (
        "offered",
        False,
        world.QIAN,
        ["nearest", "metres:12"],
    )
    assert event.why == ("nearest", "metres:12")  # type: ignore[attr-defined]
    assert asked.due_at == NINE + timedelta(minutes=20)
    assert offering.choose(asked, [world.SUN], "volunteer", (), chosen_at()) is None, "another round came too late"
    assert doing.accept(asked, tasks.QIAN, chosen_at())[0].why == []


def test_a_step_may_ask_several_of_the_best_and_more_of_them_what_is_urgent() -> None:
    """The first who says yes has it; the others learn that they need not think about it any more."""
    steps = [CHOSEN.steps[0].model_copy(update={"at_once": AtOnce(normal=2, urgent=3)}), *CHOSEN.steps[1:]]
    ladder = CHOSEN.model_copy(update={"steps": tuple(steps)})
    task, _ = opened(EVERYBODY, ladder)
    now = situation(ladder=ladder)
    decision = offering.choose(task, [world.SUN, world.QIAN, world.WU], "volunteer", ("nearest",), now)
    assert decision is not None
    asked, (event,) = decision
    assert (asked.worker, asked.asked) == (None, [world.SUN, world.QIAN])
    assert event.asked == (world.SUN, world.QIAN)  # type: ignore[attr-defined]
    taken, (told,) = doing.accept(asked, tasks.QIAN, now)
    assert (taken.worker, taken.asked) == (world.QIAN, [])
    assert told.asked == (world.SUN,)  # type: ignore[attr-defined]


def test_a_round_that_finds_nobody_passes_the_task_on() -> None:
    """To the next step, at once."""
    decision = offering.pass_over(opened(EVERYBODY, CHOSEN)[0], chosen_at())
    assert decision is not None
    assert (decision[0].step, decision[0].asked) == (1, [world.SUN, world.WU])
    assert offering.pass_over(decision[0], chosen_at()) is None


def test_a_task_that_no_round_looks_at_goes_on_by_itself() -> None:
    """After a minute, whatever is the matter with the rounds."""
    task, _ = opened(EVERYBODY, CHOSEN)
    assert offering.lapse(task, chosen_at(minutes=0.9)) is None
    decision = offering.lapse(task, chosen_at(minutes=1))
    assert decision is not None
    assert (decision[0].step, decision[0].waits) == (1, False)


def test_what_waits_can_be_cancelled_amended_and_was_perhaps_done_already() -> None:
    """Like any other task."""
    task, _ = opened(EVERYBODY, CHOSEN)
    cancelled = offering.cancel(task, "t1", "r1")
    assert cancelled is not None
    assert (cancelled[0].state, cancelled[0].waits) == ("cancelled", False)
    moved = offering.amend(task, "t1", facts(grid="g2", building="3"), 2, chosen_at())
    assert moved is not None
    assert (moved[0].waits, moved[0].facts and moved[0].facts.grid) == (True, "g2")


def test_where_nobody_is_able_no_round_is_waited_for() -> None:
    """The coordinator hears at once."""
    asks = {"kind": "gas_top_up"}
    task, _ = opened(roster(*HELPERS, **asks), CHOSEN, **asks)
    assert (task.waits, task.role) == (False, "coordinator")
