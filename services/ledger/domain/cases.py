"""What somebody answers for until it has its end: who, what was promised until when, what was told."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from shared.contracts.cases import (
    CaseAnswered,
    CaseAssigned,
    CaseClosed,
    CaseEvent,
    CaseOpened,
    CaseReopened,
    CaseState,
    CaseStepAdded,
    CaseStepDone,
    CaseStepLate,
    CaseWords,
)
from shared.contracts.envelope import Event
from shared.contracts.refusal import refusal

MOST_STEPS = 100
MOST_SAID = 200
ANSWER = "answer"
"""The step that a case has from the beginning, where those who raised it are told something within a time."""
URGENT = 60
"""Priority on the list of what waits to be read."""


class Step(BaseModel):
    """What is to be done, or was promised."""

    step_id: str
    who: str
    due: datetime
    sealed: str
    fingerprint: str
    """Keyed hash of what was said, to tell a repetition from another step."""
    state: Literal["open", "done", "dropped"] = "open"
    late: bool = False
    done_at: datetime | None = None


class Said(BaseModel):
    """What was told, and why it was closed or opened again."""

    what: Literal["answer", "outcome", "reason"]
    at: datetime
    by: str
    sealed: str


class Case(BaseModel):
    """Something that somebody answers for."""

    case_id: str
    community: str
    grid: str | None
    building: str | None
    kind: str
    urgent: bool
    person_id: str | None
    owner: str
    parties: list[str]
    topic: str | None
    """Source and its id; None: it has none."""
    source: str | None = None
    sealed: str
    fingerprint: str
    opened_at: datetime
    state: CaseState = "open"
    answered: bool = False
    """Since it was opened, or opened again."""
    closed_at: datetime | None = None
    steps: list[Step] = []
    said: list[Said] = []
    due_at: datetime | None = None
    """When the next step will be late."""


Decision = tuple[Case, Sequence[Event]]


def open_case(known: Case | None, told: Case) -> Decision | None:
    """Somebody answers for this from now on; None if it, or its topic in other words, was said before.

    Raises:
        Refusal: its id is used for another case.
    """
    if known is None:
        opened = _with_steps(told, told.steps)
        said = _event(
            CaseOpened,
            opened,
            source=told.source,
            topic=told.topic,
            opened_at=told.opened_at,
            sealed=told.sealed,
            fingerprint=told.fingerprint,
        )
        return opened, [said, *(_added(opened, one) for one in told.steps)]
    if known.fingerprint == told.fingerprint or (told.topic is not None and told.topic == known.topic):
        return None
    raise refusal("case_id", "known_case", "another case has this id; take a new one", status=409)


def assign(known: Case | None, owner: str) -> Decision | None:
    """Somebody else answers for it; None if it is he.

    Raises:
        Refusal: there is no such case, or it is closed.
    """
    case = _open(known)
    if case.owner == owner:
        return None
    # Whoever answers for it now is who owes the answer.
    steps = [one.model_copy(update={"who": owner}) if awaits_answer(one) else one for one in case.steps]
    after = case.model_copy(update={"owner": owner, "steps": steps})
    return after, [_event(CaseAssigned, after, previous=case.owner)]


def add_step(known: Case | None, step: Step) -> Decision | None:
    """Something is to be done; None if that was said.

    Raises:
        Refusal: there is no such case, it is closed, or the step's id is used for another step.
    """
    case = existing(known)
    same = next((one for one in case.steps if one.step_id == step.step_id), None)
    if same is not None and same.fingerprint == step.fingerprint:
        return None
    if same is not None:
        raise refusal("step_id", "known_step", "another step has this id; take a new one", status=409)
    _open(case)
    if len(case.steps) >= MOST_STEPS:
        raise refusal("case_id", "too_many", f"a case has {MOST_STEPS} steps at most; open another", status=409)
    after = _with_steps(case, [*case.steps, step])
    return after, [_added(after, step)]


def done_step(known: Case | None, step_id: str, now: datetime) -> Decision | None:
    """It was done; None if it had been.

    Raises:
        Refusal: there is no such case or step, it was dropped, or it is to answer and nobody did.
    """
    case = existing(known)
    step = next((one for one in case.steps if one.step_id == step_id), None)
    if step is None:
        raise refusal("step_id", "unknown_step", "there is no step of this id", status=404)
    if step.state == "done":
        return None
    if step.state == "dropped":
        raise refusal("step_id", "wrong_state", "it was dropped when the case was closed", status=409)
    if awaits_answer(step):
        raise refusal("step_id", "required", "tell those who raised it; that does this step", status=409)
    done = step.model_copy(update={"state": "done", "done_at": now})
    after = _with_steps(case, [done if one is step else one for one in case.steps])
    return after, [_event(CaseStepDone, after, step_id=step_id, who=step.who, late=now > step.due, done_at=now)]


def lapse(known: Case | None, now: datetime) -> Decision | None:
    """The time of a step is over: told once for each; None if that is not so."""
    if known is None or known.due_at is None or known.due_at > now:
        return None
    late = [one.step_id for one in known.steps if _waits(one) and one.due <= now]
    steps = [one.model_copy(update={"late": True}) if one.step_id in late else one for one in known.steps]
    after = _with_steps(known, steps)
    return after, [
        _event(CaseStepLate, after, step_id=one.step_id, who=one.who, due=one.due)
        for one in steps
        if one.step_id in late
    ]


def answer(known: Case | None, said: Said) -> Decision:
    """Those who raised it were told something, which does the step of that name.

    Raises:
        Refusal: there is no such case, or it is closed.
    """
    case = _saying(_open(known), said, answered=True)
    owed = [one for one in case.steps if awaits_answer(one)]
    done = {"state": "done", "done_at": said.at}
    after = _with_steps(case, [one.model_copy(update=done) if one in owed else one for one in case.steps])
    told = [
        _event(CaseStepDone, after, step_id=one.step_id, who=one.who, late=said.at > one.due, done_at=said.at)
        for one in owed
    ]
    return after, [_event(CaseAnswered, after, said=_words(said)), *told]


def close(known: Case | None, said: Said | None, now: datetime, *, drop: bool) -> Decision | None:
    """It has its end; None if it had.

    Raises:
        Refusal: there is no such case, nobody was told anything, or a step is still open.
    """
    case = existing(known)
    if case.state == "closed":
        return None
    if said is None and not case.answered:
        raise refusal("outcome", "required", "say how it ended, or answer those who raised it first", status=409)
    dropped = [one.step_id for one in case.steps if one.state == "open"]
    if dropped and not drop:
        raise refusal("drop_steps", "open_steps", f"still to be done: {', '.join(dropped)}", status=409)
    steps = [one.model_copy(update={"state": "dropped"}) if one.state == "open" else one for one in case.steps]
    closed = _with_steps(case, steps).model_copy(update={"state": "closed", "closed_at": now})
    after = closed if said is None else _saying(closed, said)
    return after, [_event(CaseClosed, after, dropped=tuple(dropped), closed_at=now, said=_words(said))]


def reopen(known: Case | None, said: Said, answer_by: datetime | None = None) -> Decision | None:
    """It had no end after all; None if it is open. Where an answer is owed, another is, by this time.

    Raises:
        Refusal: there is no such case.
    """
    case = existing(known)
    if case.state == "open":
        return None
    opened = _saying(case.model_copy(update={"state": "open", "closed_at": None}), said, answered=False)
    told = _event(CaseReopened, opened, said=_words(said))
    if answer_by is None or all(one.step_id != ANSWER for one in case.steps):
        return opened, [told]
    owed = {"state": "open", "who": case.owner, "due": answer_by, "late": False, "done_at": None}
    steps = [one.model_copy(update=owed) if one.step_id == ANSWER else one for one in case.steps]
    after = _with_steps(opened, steps)
    return after, [told, *(_added(after, one) for one in steps if one.step_id == ANSWER)]


def existing(known: Case | None) -> Case:
    """Raises:
    Refusal: there is none.
    """
    if known is None:
        raise refusal("case_id", "unknown_case", "there is no case of this id", status=404)
    return known


def _open(known: Case | None) -> Case:
    case = existing(known)
    if case.state != "open":
        raise refusal("case_id", "wrong_state", "it is closed; open it again first", status=409)
    return case


def next_due(steps: Sequence[Step]) -> datetime | None:
    """When the next of them will be late."""
    return min((one.due for one in steps if _waits(one)), default=None)


def _waits(step: Step) -> bool:
    return step.state == "open" and not step.late


def awaits_answer(step: Step) -> bool:
    """Whether it is the answer that is owed to those who raised it."""
    return step.step_id == ANSWER and step.state == "open"


def _added(case: Case, step: Step) -> CaseEvent:
    told = step.model_dump(include={"step_id", "who", "due", "sealed", "fingerprint"})
    return _event(CaseStepAdded, case, **told)


def _with_steps(case: Case, steps: list[Step]) -> Case:
    return case.model_copy(update={"steps": steps, "due_at": next_due(steps)})


def _saying(case: Case, said: Said, **more: Any) -> Case:
    if len(case.said) >= MOST_SAID:
        raise refusal("case_id", "too_many", f"at most {MOST_SAID} words about a case; open another", status=409)
    return case.model_copy(update={"said": [*case.said, said], **more})


def _words(said: Said | None) -> CaseWords | None:
    return None if said is None else CaseWords(**dict(said))


def _event(kind: type[CaseEvent], case: Case, **more: Any) -> CaseEvent:
    return kind(
        community=case.community,
        grid=case.grid,
        case_id=case.case_id,
        kind=case.kind,
        building=case.building,
        person_id=case.person_id,
        worker=case.owner,
        asked=tuple(case.parties),
        urgency="urgent" if case.urgent else "normal",
        priority=URGENT if case.urgent else 0,
        **more,
    )
