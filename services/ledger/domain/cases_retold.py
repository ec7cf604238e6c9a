"""Cases, made again of what their events say."""

from collections.abc import Callable
from typing import Any

from services.ledger.domain.cases import Said, Step, awaits_answer, next_due
from services.ledger.domain.rebuilding import Told, but
from shared.contracts.cases import (
    CaseAnswered,
    CaseAssigned,
    CaseClosed,
    CaseOpened,
    CaseReopened,
    CaseStepAdded,
    CaseStepDone,
    CaseStepLate,
    CaseWords,
)
from shared.contracts.envelope import Event


def retold(known: Told, event: Event) -> Told:  # a line for each event
    """What is told of a case after one more event."""
    match event:
        case CaseOpened():
            return _opened(event)
        case CaseAssigned():
            return _steps({**known, "owner": event.worker}, awaits_answer, {"who": event.worker})
        case CaseStepAdded():
            return _step_added(known, event)
        case CaseStepDone():
            done = {"state": "done", "done_at": event.done_at}
            return _steps(known, lambda step: step.step_id == event.step_id, done, told=event.done_at is not None)
        case CaseStepLate():
            return _steps(known, lambda step: step.step_id == event.step_id, {"late": True})
        case CaseAnswered():
            return {**_saying(known, event.said), "answered": True}
        case CaseClosed():
            return _closed(known, event)
        case CaseReopened():
            return {**_saying(known, event.said), "answered": False, "state": "open", "closed_at": None}
        case _:
            return known


def _opened(event: CaseOpened) -> Told:
    told = event.model_dump(include={"case_id", "community", "grid", "building", "kind", "person_id", "source"})
    told |= {"urgent": event.urgency == "urgent", "owner": event.worker, "parties": list(event.asked)}
    told |= {"state": "open", "answered": False, "closed_at": None, "steps": [], "said": [], "due_at": None}
    if event.fingerprint is None:
        return told
    return {**told, **{name: getattr(event, name) for name in ("topic", "opened_at", "sealed", "fingerprint")}}


def _step_added(known: Told, event: CaseStepAdded) -> Told:
    if "steps" not in known or event.sealed is None:
        return but(known, "steps", "due_at")
    step = Step.model_validate(event.model_dump(include={"step_id", "who", "due", "sealed", "fingerprint"}))
    steps = known["steps"]
    if all(one.step_id != step.step_id for one in steps):
        return _with_steps(known, [*steps, step])
    # The answer is owed again, in the place where it was.
    return _with_steps(known, [step if one.step_id == step.step_id else one for one in steps])


def _steps(known: Told, which: Callable[[Step], bool], change: dict[str, Any], *, told: bool = True) -> Told:
    if "steps" not in known or not told:
        return but(known, "steps", "due_at")
    return _with_steps(known, [one.model_copy(update=change) if which(one) else one for one in known["steps"]])


def _with_steps(known: Told, steps: list[Step]) -> Told:
    return {**known, "steps": steps, "due_at": next_due(steps)}


def _saying(known: Told, words: CaseWords | None) -> Told:
    if "said" not in known or words is None:
        return but(known, "said")
    return {**known, "said": [*known["said"], Said(**dict(words))]}


def _closed(known: Told, event: CaseClosed) -> Told:
    dropped = _steps(known, lambda step: step.step_id in event.dropped, {"state": "dropped"})
    if event.closed_at is None:
        return {**but(dropped, "said", "closed_at"), "state": "closed"}
    after = dropped if event.said is None else _saying(dropped, event.said)
    return {**after, "state": "closed", "closed_at": event.closed_at}
