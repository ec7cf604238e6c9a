"""A request: what intake knows of a need, and what it heard of its delivery."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import BaseModel

from shared.contracts.dispatch import (
    DeliveryArrived,
    DeliveryAssigned,
    DeliveryCancelled,
    DeliveryCompleted,
    DeliveryEscalated,
    DeliveryEvent,
    DeliveryFailed,
    DeliveryHandedOver,
    DeliveryOffered,
    DeliveryPostponed,
    DeliveryReleased,
    DeliveryReopened,
    DeliveryStarted,
)
from shared.contracts.envelope import Event
from shared.contracts.intake import (
    AmendRequest,
    RequestAmended,
    RequestCancelled,
    RequestCreated,
    RequestFacts,
    RequestState,
)
from shared.contracts.refusal import refusal

STATE_AFTER: dict[type[DeliveryEvent], RequestState] = {
    DeliveryOffered: "offered",
    DeliveryAssigned: "assigned",
    DeliveryReleased: "created",
    DeliveryStarted: "under_way",
    DeliveryPostponed: "created",
    DeliveryArrived: "under_way",
    DeliveryHandedOver: "under_way",
    DeliveryCompleted: "completed",
    DeliveryFailed: "failed",
    DeliveryReopened: "created",
    DeliveryCancelled: "cancelled",
    DeliveryEscalated: "offered",
}
"""What each event in the life of its task makes of a request."""

WAITED_FOR = (DeliveryOffered, DeliveryAssigned, DeliveryCompleted)
"""What a need waits for: that somebody is asked, that somebody says yes, that it is done."""

CLOSED: frozenset[RequestState] = frozenset({"completed", "failed", "cancelled", "merged"})


class Observed(BaseModel):
    """Something that dispatch said of the request's task."""

    sequence: int
    event: str
    at: datetime
    state: RequestState


class Request(BaseModel):
    """The state of a request.

    Dispatch may be heard before the request is known here, when a database was restored or a queue ran ahead: then
    `facts` is None until the request itself comes.
    """

    request_id: str
    facts: RequestFacts | None = None
    source: str | None = None
    fingerprint: str | None = None
    """Keyed hash of the body, to tell a repetition from another body under the same key."""
    tracking_code: str | None = None
    submitted_by: str | None = None
    created_at: datetime | None = None
    withdrawn: bool = False
    observed: list[Observed] = []
    state: RequestState = "created"

    def after(self, **changes: object) -> "Request":
        """A copy with changes, and the state that follows from them."""
        request = self.model_copy(update=changes)
        return request.model_copy(update={"state": _state(request)})


@dataclass(frozen=True, slots=True)
class Submission:
    """A request as it came in, understood."""

    created: RequestCreated
    fingerprint: str
    tracking_code: str
    submitted_by: str


def submit(request: Request | None, submission: Submission, now: datetime) -> tuple[Request, Sequence[Event]] | None:
    """Put a need on the books; None if it is there already.

    Raises:
        Refusal: its key was used for another body.
    """
    if request is not None and request.facts is not None:
        if request.fingerprint == submission.fingerprint:
            return None
        raise refusal(
            "source_id", "key_used", "this source and source_id were used for another body; take a new one", status=409
        )
    facts = RequestFacts.model_construct(
        **{name: getattr(submission.created, name) for name in RequestFacts.model_fields}
    )
    known = request or Request(request_id=submission.created.request_id)
    return known.after(
        facts=facts,
        source=submission.created.source,
        fingerprint=submission.fingerprint,
        tracking_code=submission.tracking_code,
        submitted_by=submission.submitted_by,
        created_at=now,
    ), [submission.created]


def amend(request: Request | None, facts: RequestFacts) -> tuple[Request, Sequence[Event]]:
    """Change what is needed.

    Raises:
        Refusal: there is no such request, or it is closed.
    """
    request = _open(request)
    return request.after(facts=facts), [RequestAmended.model_construct(**dict(facts))]


def cancel(request: Request | None) -> tuple[Request, Sequence[Event]] | None:
    """The need is gone; None if that is known.

    Raises:
        Refusal: there is no such request, or it is done already.
    """
    if request is not None and request.state == "cancelled":
        return None
    request = _open(request)
    facts = request.facts
    return request.after(withdrawn=True), [
        RequestCancelled(
            request_id=request.request_id,
            community=facts.community if facts else None,
            grid=facts.grid if facts else None,
        )
    ]


def observe(
    request: Request | None, event: DeliveryEvent, sequence: int, at: datetime
) -> tuple[Request, Sequence[Event]] | None:
    """Take note of what dispatch says, in whatever order it comes; None if it is known."""
    request = request or Request(request_id=event.request_id)
    if any(one.sequence == sequence for one in request.observed):
        return None
    note = Observed(sequence=sequence, event=type(event).__name__, at=at, state=STATE_AFTER[type(event)])
    return request.after(observed=sorted([*request.observed, note], key=lambda one: one.sequence)), []


def waited(request: Request | None, event: DeliveryEvent, at: datetime) -> timedelta | None:
    """How long a need waited for what was just heard; None if nobody waits for it, or it was not the first time."""
    if request is None or request.created_at is None or not isinstance(event, WAITED_FOR):
        return None
    times = [one for one in request.observed if one.event == type(event).__name__]
    return at - request.created_at if len(times) == 1 else None


def known(request: Request | None) -> Request:
    """Raises:
    Refusal: there is no such request.
    """
    if request is None or request.facts is None:
        raise refusal("request_id", "unknown_request", "there is no request of this id", status=404)
    return request


def priority(urgency: str, *, first_line: bool, needs: Sequence[str]) -> int:
    """0 to 100; whoever is old and lives alone comes before everybody else, whatever the urgency."""
    base = {"normal": 10, "soon": 25, "urgent": 40}[urgency]
    return base + (50 if first_line else 0) + (5 if needs else 0)


def changed_details(command: AmendRequest) -> dict[str, object]:
    """The personal fields that an amendment changes."""
    return {name: value for name in ("address", "items", "note") if (value := getattr(command, name)) is not None}


def _open(request: Request | None) -> Request:
    request = known(request)
    if request.state in CLOSED:
        raise refusal("request_id", "closed", f"the request is {request.state}; submit a new one", status=409)
    return request


def _state(request: Request) -> RequestState:
    heard: RequestState = request.observed[-1].state if request.observed else "created"
    # A withdrawal that came after the work was done changed nothing; dispatch has the last word.
    if request.withdrawn and not any(one.state in CLOSED for one in request.observed):
        return "cancelled"
    return heard
