"""Duties: somewhere, for some hours, so many volunteers; who has a place, who was there, how long."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import BaseModel

from services.dispatch.domain.roster import Worker
from shared.contracts.duties import (
    Attendance,
    Attended,
    DutyAttested,
    DutyBooked,
    DutyCancelled,
    DutyEvent,
    DutyPosted,
    DutyState,
    DutyUnattested,
    DutyWithdrawn,
)
from shared.contracts.envelope import Event, Problem
from shared.contracts.refusal import Refusal, refusal

QUARTER = timedelta(minutes=15)
LONGEST = timedelta(hours=12)


class Duty(BaseModel):
    """The state of a duty."""

    duty_id: str
    community: str
    grid: str | None
    kind: str
    place: str
    building: str | None
    begins: datetime
    ends: datetime
    places: int
    skills: tuple[str, ...]
    state: DutyState = "open"
    booked: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    """The quarters of an hour of those who are booked; no two duties can hold the same one."""
    attended: tuple[Attended, ...] = ()
    due_at: datetime | None = None
    """When a coordinator is reminded to attest."""

    @property
    def left(self) -> int:
        """Places that nobody has taken."""
        return self.places - len(self.booked)


Decision = tuple[Duty, Sequence[Event]]
_FACTS = ("community", "grid", "kind", "place", "building", "begins", "ends", "places", "skills")


def quarters(worker: str, begins: datetime, ends: datetime) -> tuple[str, ...]:
    """The quarters of an hour from `begins` until `ends`, each with the worker's name: whoever has one is there."""
    first, last = (int(at.timestamp()) // int(QUARTER.total_seconds()) for at in (begins, ends))
    return tuple(f"{worker}/{number}" for number in range(first, last))


def post(duty: Duty | None, told: Duty, now: datetime) -> Decision | None:
    """Look for volunteers; None if it was said before.

    Raises:
        Refusal: its id was used for another duty, or its times are not acceptable.
    """
    if duty is not None:
        if all(getattr(duty, name) == getattr(told, name) for name in _FACTS):
            return None
        raise refusal("duty_id", "known_duty", "another duty has this id; take a new one", status=409)
    if problems := list(_wrong_times(told, now)):
        raise Refusal(*problems)
    event = _event(DutyPosted, told, places=told.places, skills=told.skills)
    return told.model_copy(update={"due_at": told.ends}), [event]


def book(duty: Duty | None, worker_id: str, worker: Worker | None, now: datetime) -> Decision | None:
    """Somebody takes a place; None if he has one.

    That he has no other duty at that time is not known here: the store refuses his quarters of an hour.

    Raises:
        Refusal: there is no place for him, or he is not able; all reasons why he is not.
    """
    duty = _still_to_come(duty, now)
    if worker_id in duty.booked:
        return None
    if worker is None or worker.community != duty.community:
        raise refusal("worker", "unknown_worker", f"nobody is entered as {worker_id} in {duty.community}")
    if problems := list(_lacks(duty, worker)):
        raise Refusal(*problems, status=409)
    if duty.left <= 0:
        held = ", ".join(duty.booked)
        raise refusal("duty_id", "full", f"all {duty.places} places are taken: {held}", status=409)
    after = duty.model_copy(
        update={
            "booked": (*duty.booked, worker_id),
            "taken": (*duty.taken, *quarters(worker_id, duty.begins, duty.ends)),
        }
    )
    return after, [_event(DutyBooked, after, worker=worker_id, left=after.left)]


def withdraw(duty: Duty | None, worker_id: str, now: datetime) -> Decision:
    """Somebody gives his place back.

    Raises:
        Refusal: he has none, or it is too late.
    """
    duty = _still_to_come(duty, now)
    if worker_id not in duty.booked:
        raise refusal("worker", "not_booked", f"{worker_id} has no place there", status=409)
    given_back = frozenset(quarters(worker_id, duty.begins, duty.ends))
    after = duty.model_copy(
        update={
            "booked": tuple(one for one in duty.booked if one != worker_id),
            "taken": tuple(one for one in duty.taken if one not in given_back),
        }
    )
    return after, [_event(DutyWithdrawn, after, worker=worker_id, left=after.left)]


def leave(duty: Duty | None, worker_id: str, until: datetime | None, now: datetime) -> Decision | None:
    """Somebody is away until then: others can have his place; None if he needs none before that."""
    if duty is None or duty.state != "open" or now >= duty.ends or worker_id not in duty.booked:
        return None
    return withdraw(duty, worker_id, now) if until is None or duty.begins < until else None


def cancel(duty: Duty | None) -> Decision | None:
    """Nobody is needed there any more; None if that was said before.

    Raises:
        Refusal: it was attested that somebody was there.
    """
    duty = known(duty)
    if duty.state == "cancelled":
        return None
    if duty.state == "attested":
        raise refusal("duty_id", "attested", "it took place and was attested", status=409)
    after = duty.model_copy(update={"state": "cancelled", "taken": (), "due_at": None})
    return after, [_event(DutyCancelled, duty, asked=duty.booked)]


def attest(duty: Duty | None, attendances: Sequence[Attendance], now: datetime) -> Decision | None:
    """A coordinator's word on who was there; None if it is known.

    Hours beyond the duty's own do not count: within it nobody can have been anywhere else, so no minute counts twice.

    Raises:
        Refusal: it is not over or was cancelled, or somebody is named who has no place or was there at another time.
    """
    duty = known(duty)
    if duty.state == "cancelled":
        raise refusal("duty_id", "cancelled", "the duty was cancelled", status=409)
    if now < duty.ends:
        raise refusal("duty_id", "not_over", f"the duty ends at {duty.ends.isoformat()}", status=409)
    if problems := list(_wrong_attendances(duty, attendances)):
        raise Refusal(*problems)
    attended = tuple(
        Attended(worker=one.worker, begins=one.begins, ends=one.ends, minutes=_minutes(one)) for one in attendances
    )
    if duty.state == "attested" and duty.attended == attended:
        return None
    after = duty.model_copy(update={"state": "attested", "attended": attended, "due_at": None})
    minutes = sum(one.minutes for one in attended)
    return after, [_event(DutyAttested, after, attended=attended, minutes=minutes, asked=duty.booked)]


def fall_due(duty: Duty | None, now: datetime) -> Decision | None:
    """It is over and nobody has attested: say so once, where somebody was booked; None if that is not so."""
    if duty is None or duty.due_at is None or now < duty.due_at:
        return None
    after = duty.model_copy(update={"due_at": None})
    return after, [_event(DutyUnattested, after, booked=len(duty.booked))] if duty.booked else []


def known(duty: Duty | None) -> Duty:
    """Raises:
    Refusal: there is no such duty.
    """
    if duty is None:
        raise refusal("duty_id", "unknown_duty", "there is no duty of this id", status=404)
    return duty


@dataclass(frozen=True, slots=True)
class Row:
    """One duty that somebody did."""

    duty: Duty
    attended: Attended


@dataclass(frozen=True, slots=True)
class Hours:
    """What somebody did, as coordinators attested."""

    rows: tuple[Row, ...]

    @property
    def minutes(self) -> int:
        """In all."""
        return sum(row.attended.minutes for row in self.rows)

    def by_kind(self) -> dict[str, int]:
        """Minutes of each kind of duty."""
        found: dict[str, int] = {}
        for row in self.rows:
            found[row.duty.kind] = found.get(row.duty.kind, 0) + row.attended.minutes
        return found


def hours_of(worker_id: str, duties: Iterable[Duty]) -> Hours:
    """What a worker did, in the order of the duties."""
    return Hours(tuple(Row(duty, one) for duty in duties for one in duty.attended if one.worker == worker_id))


def _still_to_come(duty: Duty | None, now: datetime) -> Duty:
    duty = known(duty)
    if duty.state == "cancelled":
        raise refusal("duty_id", "cancelled", "the duty was cancelled", status=409)
    if now >= duty.ends:
        raise refusal("duty_id", "over", f"the duty ended at {duty.ends.isoformat()}", status=409)
    return duty


def _wrong_times(duty: Duty, now: datetime) -> Iterator[Problem]:
    for field, at in (("begins", duty.begins), ("ends", duty.ends)):
        if at.timestamp() % QUARTER.total_seconds():
            yield Problem(field=field, code="not_on_quarter", message="say a time on a quarter of an hour")
    if duty.ends <= duty.begins:
        yield Problem(field="ends", code="not_allowed", message="ends must be later than begins")
    elif duty.ends - duty.begins > LONGEST:
        yield Problem(field="ends", code="too_long", message="a duty lasts twelve hours at most; post two")
    elif duty.ends <= now:
        yield Problem(field="ends", code="over", message="that time has passed")


def _lacks(duty: Duty, worker: Worker) -> Iterator[Problem]:
    name = worker.worker_id
    if worker.standing != "approved":
        yield Problem(field="worker", code="not_approved", message=f"no coordinator has approved {name}")
    if missing := sorted(set(duty.skills) - set(worker.skills)):
        yield Problem(field="worker", code="lacks_skill", message=f"{name} lacks {', '.join(missing)}")
    if worker.kinds and duty.kind not in worker.kinds:
        yield Problem(field="worker", code="not_agreed", message=f"{name} did not agree to {duty.kind}")
    # An absence is from now on, so its end alone decides.
    if worker.is_away(duty.begins):
        yield Problem(field="worker", code="absent", message=f"{name} is away then")


def _wrong_attendances(duty: Duty, attendances: Sequence[Attendance]) -> Iterator[Problem]:
    named: set[str] = set()
    for number, one in enumerate(attendances):
        where = f"attended.{number}"
        if one.worker not in duty.booked:
            yield Problem(field=f"{where}.worker", code="not_booked", message=f"{one.worker} has no place there")
        if one.worker in named:
            yield Problem(field=f"{where}.worker", code="named_twice", message=f"{one.worker} is named twice")
        named.add(one.worker)
        if not duty.begins <= one.begins < one.ends <= duty.ends:
            span = f"{duty.begins.isoformat()} and {duty.ends.isoformat()}"
            yield Problem(field=where, code="outside_duty", message=f"say a time between {span}")


def _minutes(one: Attendance) -> int:
    return int((one.ends - one.begins) / timedelta(minutes=1))


def _event(kind: type[DutyEvent], duty: Duty, **more: object) -> DutyEvent:
    facts = {name: getattr(duty, name) for name in DutyEvent.model_fields}
    return kind.model_validate({**facts, **more})
