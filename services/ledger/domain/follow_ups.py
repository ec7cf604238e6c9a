"""Who is looked after when, how each time went, and what is tried when nobody answers."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.ledger.domain.recurring import Recurring, begun, following
from shared.contracts.envelope import Event, Slug
from shared.contracts.follow_ups import (
    FollowUpDue,
    FollowUpMissed,
    FollowUpRecorded,
    FollowUpsEnded,
    FollowUpsPlanned,
    FollowUpState,
    How,
    Outcome,
    WhyNot,
)
from shared.contracts.refusal import refusal
from shared.contracts.rounds import Ending


class Try(BaseModel):
    """One try of a follow-up."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    how: How
    after: Annotated[float, Field(ge=0)]
    within: Annotated[float, Field(gt=0)]
    request: Slug | None = None
    """A kind of help that is asked for when this try is due, such as a look at the corridor."""


class Rules(BaseModel):
    """The catalogue `follow-ups.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tries: Annotated[tuple[Try, ...], Field(min_length=1)]
    missing: Annotated[tuple[Try, ...], Field(min_length=1)]
    """Of those whom a round did not reach."""
    kinds: dict[Slug, Annotated[tuple[Try, ...], Field(min_length=1)]] = {}
    """By kind, where they are not the usual ones."""
    fever: float
    twice: str
    """Noted of whoever stands on a roster under two ids."""
    gone: str
    """Noted of whoever left, died or was erased while a round had them looked for."""

    @model_validator(mode="after")
    def _not_by_calls_alone(self) -> "Rules":
        ladders = {"tries": self.tries, "missing": self.missing, **self.kinds}
        if by_calls := [name for name, tries in ladders.items() if all(one.how == "call" for one in tries)]:
            raise ValueError(f"{', '.join(by_calls)}: who cannot hear must be reached by something other than calls")
        return self


class Plan(Recurring):
    """Somebody, and when they are looked after."""

    plan_id: str
    community: str | None
    grid: str | None
    building: str
    person_id: str
    kind: str
    hears: bool = True
    """Can be called."""


class Record(BaseModel):
    """How one try went."""

    outcome: Outcome
    how: How
    worker: str | None
    at: datetime | None
    sealed: str | None = None
    """`FollowUpSaid`, under the person's own key."""
    why: WhyNot | None = None
    """Nobody tried: there was no need any more."""


class FollowUp(BaseModel):
    """One time that somebody is looked after."""

    follow_up_id: str
    plan_id: str
    community: str | None
    grid: str | None
    building: str
    person_id: str
    kind: str
    at: datetime
    """When it was due."""
    state: FollowUpState = "due"
    step: int = 0
    """Which of the tries it is at."""
    waits: bool = False
    """For the time of that try."""
    tries: int = 0
    """How many there were."""
    due_at: datetime | None = None
    round_id: str | None = None
    """Sought because this round did not reach them; found when it does."""
    member_id: str | None = None
    """The name on its roster."""
    presence: bool = False
    """`person_id` is that of a presence: somebody who lives elsewhere."""
    hears: bool = True
    """Can be called."""
    records: list[Record] = Field(default_factory=list[Record])
    """How the tries went of which somebody said so."""

    def ladder(self, rules: Rules) -> tuple[Try, ...]:
        """What is tried, one after the other: nobody calls who cannot be heard."""
        usual = rules.missing if self.round_id else rules.kinds.get(self.kind, rules.tries)
        return usual if self.hears else tuple(one for one in usual if one.how != "call")

    def rung(self, rules: Rules, step: int) -> Try:
        """One of them; the last, where the catalogue was made shorter since."""
        tries = self.ladder(rules)
        return tries[min(step, len(tries) - 1)]


def hears(needs: Sequence[str]) -> bool:
    """Whether somebody with these needs can be called."""
    return "deaf" not in needs


_ENDS: dict[Ending, FollowUpState] = {
    "done": "reached",
    "elsewhere": "reached",
    "moved": "excused",
    "refused": "refused",
    "excused": "excused",
}
"""What becomes of looking for somebody when a round knows this of them."""


def plan(known: Plan | None, told: Plan, now: datetime) -> tuple[Plan, Sequence[Event]] | None:
    """Look after somebody; None if it was said before.

    Raises:
        Refusal: its id is used for another plan, or its times are none, or never come.
    """
    if known is not None:
        facts = {"person_id", "kind", "begins", "rule", "zone", "days"}
        if known.model_dump(include=facts) == told.model_dump(include=facts):
            return None
        raise refusal("plan_id", "known_plan", "another plan has this id; take a new one", status=409)
    state = begun(told, now)
    event = FollowUpsPlanned(
        community=told.community,
        grid=told.grid,
        plan_id=told.plan_id,
        person_id=told.person_id,
        kind=told.kind,
        rule=told.rule,
        begins=told.begins,
        days=told.days,
        zone=told.zone,
        building=told.building,
        hears=told.hears,
    )
    return state, [event]


def end(known: Plan | None) -> tuple[Plan, Sequence[Event]] | None:
    """Look after somebody no more by this plan; None if it was ended.

    Raises:
        Refusal: there is no such plan.
    """
    if known is None:
        raise refusal("plan_id", "unknown_plan", "there is no plan of this id", status=404)
    if known.ended:
        return None
    event = FollowUpsEnded(
        community=known.community,
        grid=known.grid,
        plan_id=known.plan_id,
        person_id=known.person_id,
        kind=known.kind,
    )
    return known.model_copy(update={"ended": True, "next_at": None}), [event]


def go_on(known: Plan | None, at: datetime) -> tuple[Plan, Sequence[Event]] | None:
    """That time has come; None if it was dealt with."""
    if known is None or known.next_at is None or known.next_at > at:
        return None
    return known.model_copy(update={"next_at": following(known, at)}), []


def fall_due(
    known: FollowUp | None, told: FollowUp, rules: Rules, now: datetime
) -> tuple[FollowUp, Sequence[Event]] | None:
    """It is time for the first try; None if that was said."""
    return None if known is not None else _try(told, 0, rules, now)


def record(
    known: FollowUp | None,
    outcome: Outcome,
    rules: Rules,
    now: datetime,
    *,
    worker: str | None = None,
    at: datetime | None = None,
    temperature: float | None = None,
    sealed: str | None = None,
    said: str | None = None,
    why: WhyNot | None = None,
) -> tuple[FollowUp, Sequence[Event]]:
    """How it went. Who was not reached is tried again, with more weight; news that comes after all was tried counts.

    Raises:
        Refusal: there is no such follow-up, or it has its end.
    """
    if known is None:
        raise refusal("follow_up_id", "unknown_follow_up", "there is no follow-up of this id", status=404)
    if known.state not in ("due", "missed") or (known.state == "missed" and outcome == "not_reached"):
        raise refusal("follow_up_id", "wrong_state", f"it is {known.state} already", status=409)
    alarm = temperature is not None and temperature > rules.fever
    how = known.rung(rules, known.step).how
    told = _event(
        FollowUpRecorded,
        known,
        outcome=outcome,
        how=how,
        worker=worker,
        at=at,
        alarm=alarm,
        sealed=sealed,
        said=said,
        why=why,
    )
    this = Record(outcome=outcome, how=how, worker=worker, at=at, sealed=said, why=why)
    tried = known.model_copy(update={"tries": known.tries + 1, "records": [*known.records, this]})
    talked = outcome == "reached" and known.round_id is not None
    if outcome != "not_reached" and not talked:
        return tried.model_copy(update={"state": outcome, "due_at": None, "waits": False}), [told]
    after, events = _next(tried, rules, now)
    return after, [told, *events]


def let_be(known: FollowUp | None, why: WhyNot, rules: Rules, now: datetime) -> tuple[FollowUp, Sequence[Event]] | None:
    """Nobody is to look after them any more; None if nobody does."""
    return None if known is None or known.state != "due" else record(known, "excused", rules, now, why=why)


def found(known: FollowUp | None, sought: FollowUp, state: Ending) -> tuple[FollowUp, Sequence[Event]] | None:
    """A round knows of them by now: they are sought no more, nor if that was not begun yet; None if that is so."""
    ends = _ENDS[state]
    if known is None:
        return sought.model_copy(update={"state": ends}), []
    if known.state == ends:
        return None
    return known.model_copy(update={"state": ends, "due_at": None, "waits": False}), []


def lapse(known: FollowUp | None, rules: Rules, now: datetime) -> tuple[FollowUp, Sequence[Event]] | None:
    """The time of a try came, or ran out and nobody said how it went; None if that is not so."""
    if known is None or known.due_at is None or known.due_at > now:
        return None
    return _try(known, known.step, rules, now) if known.waits else _next(known, rules, now)


def _next(known: FollowUp, rules: Rules, now: datetime) -> tuple[FollowUp, Sequence[Event]]:
    """The try that follows, now or when its time comes; after the last, they are missed."""
    step = known.step + 1
    if step >= len(known.ladder(rules)):
        missed = known.model_copy(update={"state": "missed", "due_at": None, "waits": False})
        return missed, [_event(FollowUpMissed, missed, tries=missed.tries)]
    pause = known.rung(rules, step).after
    if not pause:
        return _try(known, step, rules, now)
    return known.model_copy(update={"step": step, "waits": True, "due_at": now + timedelta(minutes=pause)}), []


def _try(known: FollowUp, step: int, rules: Rules, now: datetime) -> tuple[FollowUp, Sequence[Event]]:
    this = known.rung(rules, step)
    until = now + timedelta(minutes=this.within)
    tried = known.model_copy(update={"step": step, "waits": False, "due_at": until})
    told = _event(
        FollowUpDue,
        tried,
        how=this.how,
        tries=tried.tries,
        until=until,
        request=this.request,
        at=tried.at,
        step=step,
        hears=tried.hears,
        round_id=tried.round_id,
        member_id=tried.member_id,
        presence=tried.presence,
    )
    return tried, [told]


def _event(kind: type[Event], known: FollowUp, **more: Any) -> Event:
    facts: dict[str, Any] = {
        name: getattr(known, name)
        for name in ("community", "grid", "follow_up_id", "plan_id", "person_id", "kind", "building")
    }
    return kind(**{**facts, **more})
