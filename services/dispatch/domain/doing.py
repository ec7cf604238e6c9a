"""What whoever has a task does with it, from yes to the door, and what others say of it afterwards.

A phone that was out of reach sends its day later, in any order: to set out, or to be done, says yes, too, where he was
asked. What comes after that is refused and changes nothing.
"""

from collections.abc import Sequence

from services.dispatch.domain.offering import WAITED_LONGER, offer, release
from services.dispatch.domain.proving import NOTHING, SHOWS_FAILURE, Evidence, proof_of
from services.dispatch.domain.task import (
    TAKEN,
    Actor,
    Decision,
    Leg,
    Pause,
    Situation,
    Task,
    allow,
    event,
    had,
    held,
    higher,
    is_asked,
    known,
    moved,
)
from shared.contracts.dispatch import (
    DeliveryArrived,
    DeliveryAssigned,
    DeliveryBought,
    DeliveryChecked,
    DeliveryCompleted,
    DeliveryFailed,
    DeliveryFlagged,
    DeliveryHandedOver,
    DeliveryPaused,
    DeliveryReopened,
    DeliveryReturned,
    DeliveryStarted,
    ReleaseReason,
)
from shared.contracts.envelope import Event
from shared.contracts.refusal import refusal

GATE = "gate"
_LEAST_LEFT = 5
"""Minutes that whoever goes on after a pause has at least, though he paused when his time had run out."""


def accept(task: Task | None, actor: Actor, situation: Situation) -> Decision:
    """Say yes to an offer, or claim what is offered to several. Whoever comes second is told who has it."""
    task, facts = known(task)
    if task.state in TAKEN:
        raise refusal("task_id", "taken", f"{task.worker} has this task", status=409)
    allow(task, "accept")
    if not is_asked(task, actor.worker) and not actor.leads:
        raise refusal("worker", "not_offered", f"this task is not offered to {actor.worker}", status=409)
    if actor.full and not actor.leads:
        raise refusal("worker", "cap_reached", f"{actor.worker} has as many tasks as he can have", status=409)
    until = situation.after(situation.ladder.start_within, facts)
    assigned = moved(
        task,
        "accept",
        worker=actor.worker,
        due_at=until,
        warn_at=situation.warning(until),
        holders=[*task.holders, actor.worker],
        slot=actor.slot,
    )
    others = tuple(one for one in task.asked if one != actor.worker)
    return assigned, [
        event(DeliveryAssigned, assigned, until=until, at=actor.at, asked=others, aids=actor.aids),
    ]


def decline(task: Task | None, actor: Actor, situation: Situation) -> Decision:
    """Say no to an offer, or give back what one has; the next on the ladder is asked.

    Where several are asked, one who says no leaves it to the others; the last of them passes it on.
    """
    task, _ = known(task)
    allow(task, "release")
    if task.state == "offered" and task.worker is None and set(task.asked) != {actor.worker}:
        left = [one for one in task.asked if one != actor.worker]
        return task.model_copy(update={"asked": left, "declined": [*task.declined, actor.worker]}), []
    if task.worker is not None or not task.asked:
        held(task, actor)
    reason: ReleaseReason = "declined" if task.state == "offered" else "given_back"
    return release(task, reason, situation, declined=actor.worker, at=actor.at)


def start(task: Task | None, actor: Actor, situation: Situation, goods: str = "intact") -> Decision:
    """Set out, which says yes, too, where he is asked; from a point, with what lies there."""
    task, facts = known(task)
    said_yes: Sequence[Event] = ()
    if task.state == "offered":
        task, said_yes = accept(task, actor, situation)
    allow(task, "start")
    held(task, actor)
    until = situation.after(situation.ladder.finish_within, facts)
    started = moved(task, "start", due_at=until, warn_at=situation.warning(until))
    events: list[Event] = [*said_yes, event(DeliveryStarted, started, until=until, at=actor.at)]
    if task.point is None:
        return started, events
    passed, told = _leg(started, actor, situation, taker=started.worker, point=None, goods=goods)
    return passed, [*events, *told]


def pause(task: Task | None, actor: Actor, reason: str, minutes: int, situation: Situation) -> Decision:
    """It goes on in so many minutes at the latest; what is left of the time is kept."""
    task, _ = known(task)
    allow(task, "pause")
    held(task, actor)
    due = max(task.due_at or situation.now, situation.now + _LEAST_LEFT * situation.minute)
    left = task.paused.left if task.paused else (due - situation.now).total_seconds()
    until = situation.now + minutes * situation.minute
    paused = moved(task, "pause", due_at=until, paused=Pause(reason=reason, left=left))
    return paused, [event(DeliveryPaused, paused, reason=reason, until=until, at=actor.at)]


def buy(task: Task | None, actor: Actor, amount: int, missing: tuple[int, ...]) -> Decision:
    """The shopping is done."""
    task, _ = known(task)
    allow(task, "buy")
    held(task, actor)
    bought = task.model_copy(update={"bought": True})
    return bought, [event(DeliveryBought, bought, amount=amount, missing=missing, at=actor.at)]


def arrive(task: Task | None, actor: Actor) -> Decision:
    """At the door."""
    task, _ = known(task)
    allow(task, "arrive")
    held(task, actor)
    return task, [event(DeliveryArrived, task, at=actor.at)]


def hand_over(
    task: Task | None,
    actor: Actor,
    situation: Situation,
    *,
    to: str | None = None,
    point: str | None = None,
    goods: str = "intact",
    told: str | None = None,
    slot: str | None = None,
) -> Decision:
    """Pass a task under way to another, or leave its goods at a point, with somebody who minds it or with nobody.

    They are in his hands, so his cap does not keep them from him. At a point they lie until evening.
    """
    task, facts = known(task)
    allow(task, "hand_over")
    held(task, actor)
    until = situation.after(situation.ladder.finish_within, facts)
    if point is not None and situation.evening is not None:
        until = situation.evening
    holders = task.holders if to is None else [*task.holders, to]
    # What lies at a point waits for the resident, not for a worker: there is nobody to warn.
    warn_at = None if point is not None else situation.warning(until)
    passed = moved(task, "hand_over", due_at=until, warn_at=warn_at, holders=holders, slot=slot)
    return _leg(passed, actor, situation, taker=to, point=point, goods=goods, told=told)


def complete(task: Task | None, actor: Actor, situation: Situation, evidence: Evidence = NOTHING) -> Decision:
    """Done at the door. News that comes late, after a lease ran out and before another took it, still counts."""
    task, facts = known(task)
    allow(task, "complete")
    if task.reopened_at is not None and actor.at is not None and actor.at < task.reopened_at:
        raise refusal("at", "before_reopened", "since then the resident said that it is not done", status=409)
    if not _late_news(task, actor, situation):
        held(task, actor)
    proof = proof_of(task, actor, situation, evidence)
    holders = task.holders if actor.worker in task.holders else [*task.holders, actor.worker]
    point = GATE if task.gate else task.point
    update = {"worker": actor.worker, "due_at": None, "holders": holders, "check": situation.drawn, "point": None}
    done = moved(task, "complete", **update)
    told = event(
        DeliveryCompleted,
        done,
        contactless=facts.contactless or task.apart,
        goods=evidence.goods,
        point=point,
        told=evidence.told,
        proof=proof,
        check=situation.drawn,
        at=actor.at,
    )
    return done, [told, *_goods_not_intact(done, evidence.goods)]


def fail(task: Task | None, actor: Actor, situation: Situation, reason: str, note: str = "") -> Decision:
    """It could not be done."""
    task, _ = known(task)
    allow(task, "fail")
    held(task, actor)
    proof_of(task, actor, situation, Evidence(note=note), among=SHOWS_FAILURE)
    failed = moved(task, "fail", due_at=None)
    return failed, [event(DeliveryFailed, failed, reason=reason, at=actor.at)]


def return_goods(task: Task | None, actor: Actor, point: str | None, goods: str) -> Decision | None:
    """What was to be brought went back; None if it had."""
    task, _ = known(task)
    allow(task, "return_goods")
    had(task, actor)
    if task.returned:
        return None
    returned = task.model_copy(update={"returned": True, "point": point})
    return returned, [event(DeliveryReturned, returned, goods=goods, point=point, at=actor.at)]


def check(task: Task | None, actor: Actor, situation: Situation, *, confirmed: bool) -> Decision:
    """A second look, by somebody who never had it. Not as it should be: it is opened again."""
    task, _ = known(task)
    allow(task, "check")
    if actor.worker in task.holders:
        raise refusal("worker", "own_work", "somebody else must take the second look", status=409)
    looked = task.model_copy(update={"check": False})
    told = event(DeliveryChecked, looked, confirmed=confirmed, by=actor.worker, at=actor.at)
    if confirmed:
        return looked, [told]
    reopened, events = reopen(looked, actor, situation)
    return reopened, [told, *events]


def reopen(task: Task | None, actor: Actor, situation: Situation) -> Decision:
    """It was not done after all: the same task, the same history, the ladder from its beginning."""
    task, _ = known(task)
    allow(task, "reopen")
    reopened = moved(
        task,
        "reopen",
        declined=[],
        step=-1,
        priority=higher(task, WAITED_LONGER),
        reopened_at=situation.now,
        check=False,
        returned=False,
        bought=False,
        photos=[],
        wrong_codes=0,
        gate=situation.closed,
    )
    offered, events = offer(reopened, 0, situation)
    return offered, [event(DeliveryReopened, reopened, at=actor.at), *events]


def _late_news(task: Task, actor: Actor, situation: Situation) -> bool:
    """Whether he had it, or was asked beside others and was out of reach, and nobody has it now."""
    if task.state in TAKEN:
        return False
    was_out_of_reach = actor.at is not None and actor.at < situation.now
    asked = task.state == "offered" and is_asked(task, actor.worker) and was_out_of_reach
    return actor.worker in task.holders or asked


def _leg(
    task: Task,
    actor: Actor,
    situation: Situation,
    *,
    taker: str | None,
    point: str | None,
    goods: str,
    told: str | None = None,
) -> Decision:
    """One hand-over, recorded; what is damaged or lost on it is told a coordinator."""
    giver = task.holders[-1] if task.holders and taker is None else _before(task, taker)
    leg = Leg(giver=giver, origin=task.point, taker=taker, point=point, at=actor.at or situation.now, goods=goods)
    passed = task.model_copy(update={"worker": taker, "point": point, "legs": [*task.legs, leg]})
    said = event(
        DeliveryHandedOver,
        passed,
        previous=giver or actor.worker,
        goods=goods,
        point=point,
        origin=task.point,
        leg=len(passed.legs),
        told=told,
        until=task.due_at,
        at=actor.at,
    )
    return passed, [said, *_goods_not_intact(passed, goods)]


def _before(task: Task, taker: str | None) -> str | None:
    """Who had it before him."""
    earlier = task.holders[:-1] if task.holders and task.holders[-1] == taker else task.holders
    return earlier[-1] if earlier else None


def _goods_not_intact(task: Task, goods: str) -> list[Event]:
    return [] if goods == "intact" else [event(DeliveryFlagged, task, reason=f"goods_{goods}")]
