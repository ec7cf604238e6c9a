"""What outsiders agreed to, and which checks at a gate belong to it."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from services.ledger.domain.rebuilding import Told, but, said
from shared.contracts.envelope import Event, Problem
from shared.contracts.gates import NO_AGREEMENT, AgreementEnded, AgreementRecorded, GateChecked, Term
from shared.contracts.recurrence import wrong_zone
from shared.contracts.refusal import Refusal, refusal

LONGEST = timedelta(days=366)
"""Of an agreement, and until a check is told."""


class Agreement(BaseModel):
    """What an outsider agreed to."""

    agreement_id: str
    case_id: str
    community: str
    grid: str | None
    kind: str
    """Of the case."""
    owner: str
    """Who answered for the case when it was recorded."""
    terms: list[Term]
    begins: str
    ends: str | None
    zone: str
    sealed: str
    fingerprint: str
    ended_at: datetime | None = None


class Check(BaseModel):
    """Somebody came through a gate."""

    check_id: str
    community: str
    grid: str | None
    gate: str
    at: datetime
    temperature: float | None
    pass_shown: bool
    worker: str
    sealed: str | None
    fingerprint: str
    fever: bool = False
    agreement_id: str | None = None
    case_id: str | None = None
    """Of the agreement, or that it was told with."""
    applies: str = NO_AGREEMENT


def record(known: Agreement | None, told: Agreement) -> tuple[Agreement, Sequence[Event]] | None:
    """An outsider agreed to something; None if it was said before.

    Raises:
        Refusal: its id is used for another agreement, or its times are none.
    """
    if known is not None:
        if known.fingerprint == told.fingerprint:
            return None
        raise refusal("agreement_id", "known_agreement", "another agreement has this id; take a new one", status=409)
    if problems := list(_wrong(told)):
        raise Refusal(*problems)
    event = AgreementRecorded(
        community=told.community,
        grid=told.grid,
        agreement_id=told.agreement_id,
        case_id=told.case_id,
        kind=told.kind,
        worker=told.owner,
        terms=tuple(told.terms),
        begins=told.begins,
        ends=told.ends,
        zone=told.zone,
        sealed=told.sealed,
        fingerprint=told.fingerprint,
    )
    return told, [event]


def end(known: Agreement | None, now: datetime) -> tuple[Agreement, Sequence[Event]] | None:
    """It applies no more; None if it was ended.

    Raises:
        Refusal: there is no such agreement.
    """
    if known is None:
        raise refusal("agreement_id", "unknown_agreement", "there is no agreement of this id", status=404)
    if known.ended_at is not None:
        return None
    event = AgreementEnded(
        community=known.community,
        grid=known.grid,
        agreement_id=known.agreement_id,
        case_id=known.case_id,
        kind=known.kind,
        worker=known.owner,
        ended_at=now,
    )
    return known.model_copy(update={"ended_at": now}), [event]


def recent(at: datetime, now: datetime) -> None:
    """Nothing, for a check that is told within a year.

    Raises:
        Refusal: it was more than a year ago.
    """
    if at < now - LONGEST:
        raise refusal("at", "too_old", "this was more than a year ago; look at the device's clock")


def check(known: Check | None, told: Check) -> tuple[Check, Sequence[Event]] | None:
    """Somebody was looked at; None if that was said.

    Raises:
        Refusal: its id is used for another check.
    """
    if known is not None:
        if known.fingerprint == told.fingerprint:
            return None
        raise refusal("check_id", "known_check", "another check has this id; take a new one", status=409)
    event = GateChecked(
        community=told.community,
        grid=told.grid,
        check_id=told.check_id,
        gate=told.gate,
        at=told.at,
        worker=told.worker,
        pass_shown=told.pass_shown,
        alarm=told.fever,
        agreement_id=told.agreement_id,
        applies=told.applies,
        case_id=told.case_id,
        sealed=told.sealed,
        fingerprint=told.fingerprint,
    )
    return told, [event]


def stop_of(
    agreements: Iterable[Agreement], gate: str, at: datetime, tolerance: float
) -> tuple[Agreement, datetime] | None:
    """The agreed stop nearest to a moment, in its wall time, of those within so many minutes; None: there is none."""
    found = [
        (abs(moment - at), wall, agreement)
        for agreement in agreements
        for moment, wall in _stops(agreement, gate, at)
        if _stands(agreement, wall.date(), at)
    ]
    near = [one for one in found if one[0] <= timedelta(minutes=tolerance)]
    if not near:
        return None
    _, wall, agreement = min(near, key=lambda one: (one[0], one[2].agreement_id))
    return agreement, wall


def _stops(agreement: Agreement, gate: str, at: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Moments and wall times of the stops at a gate, of that day and its neighbours: one near midnight is of either."""
    zone = ZoneInfo(agreement.zone)
    today = at.astimezone(zone).date()
    for day in (today - timedelta(days=1), today, today + timedelta(days=1)):
        for term in agreement.terms:
            for text in term.times if term.place == gate else ():
                wall = datetime.combine(day, time.fromisoformat(text))
                yield wall.replace(tzinfo=zone).astimezone(UTC), wall


def _stands(agreement: Agreement, day: date, at: datetime) -> bool:
    """Whether it applies to the stops of a day, and had not been ended by then."""
    if agreement.ended_at is not None and agreement.ended_at <= at:
        return False
    first, last = date.fromisoformat(agreement.begins), agreement.ends
    return first <= day and (last is None or day <= date.fromisoformat(last))


def _wrong(told: Agreement) -> Iterator[Problem]:
    yield from wrong_zone(told.zone)
    if told.ends is not None:
        span = date.fromisoformat(told.ends) - date.fromisoformat(told.begins)
        if not timedelta(0) <= span <= LONGEST:
            yield Problem(field="ends", code="bad_span", message="it ends on its first day or later, within a year")


def retold_agreement(known: Told, event: Event) -> Told:
    """What is told of an agreement after one more event."""
    match event:
        case AgreementRecorded():
            names = ("agreement_id", "case_id", "community", "grid", "kind", "begins", "ends")
            told = {**{name: getattr(event, name) for name in names}, "owner": event.worker, "terms": list(event.terms)}
            more = said(zone=event.zone, sealed=event.sealed, fingerprint=event.fingerprint)
            return {**told, **more, "ended_at": None}
        case AgreementEnded():
            return {**but(known, "ended_at"), **said(ended_at=event.ended_at)}
        case _:
            return known


def retold_check(known: Told, event: Event) -> Told:
    """What is told of a check at a gate; the temperature itself is in no event."""
    if not isinstance(event, GateChecked):
        return known
    names = ("check_id", "community", "grid", "gate", "at", "worker", "pass_shown", "agreement_id", "applies")
    told = {**{name: getattr(event, name) for name in names}, "fever": event.alarm, "temperature": None}
    if event.fingerprint is None:
        return told
    return {**told, "case_id": event.case_id, "sealed": event.sealed, "fingerprint": event.fingerprint}
