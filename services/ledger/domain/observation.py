"""Who stays at home until when: on one list or two, once; released at the end of the last day, or before."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from services.ledger.domain.rebuilding import Told, but, said
from shared.contracts.envelope import YEARS, Event
from shared.contracts.observation import (
    Listing,
    ObservationEvent,
    ObservationListed,
    ObservationShortened,
    ObservationStarted,
    ObservationState,
    PersonReleased,
)
from shared.contracts.refusal import refusal

LAST_DAY = "last_day"
"""The reason of a release that comes by itself."""
GONE = "gone"
"""The reason of the release of somebody who moved away, died or was erased."""
MOST_ENTRIES = 20


class OnList(BaseModel):
    """Why somebody is on a list."""

    observation_id: str
    """As it was told."""
    listing: Listing
    category: str
    starts: str
    last_day: str
    fingerprint: str
    replaced: bool = False
    """The same list says something else since."""


class Observation(BaseModel):
    """Somebody who stays at home."""

    observation_id: str
    person_id: str
    under: str | None
    """The person, while observed: nobody is observed twice at once."""
    community: str
    grid: str | None
    building: str
    household: str
    owner: str
    entries: list[OnList]
    rounds: list[str]
    case: str | None
    zone: str
    starts: str
    last_day: str
    reason: str = LAST_DAY
    state: ObservationState = "observed"
    released_at: datetime | None = None
    due_at: datetime | None = None
    """When the last day is over."""


Decision = tuple[Observation, Sequence[Event]]


def last_day(starts: str, days: int) -> str:
    """The last of so many days, of which `starts` is the first.

    Raises:
        Refusal: of such a day nobody tells.
    """
    first = date.fromisoformat(starts)
    if first.year not in YEARS:
        raise refusal("starts", "not_allowed", f"the years are {YEARS.start} to {YEARS.stop - 1}")
    return (first + timedelta(days=days - 1)).isoformat()


def start(known: Observation | None, told: Observation) -> Decision | None:
    """Somebody stays at home; None if it was said before.

    Raises:
        Refusal: its id is used for another observation.
    """
    (entry,) = told.entries
    if known is not None:
        repeated(known, entry)
        return None
    event = _event(
        ObservationStarted,
        told,
        listing=entry.listing,
        category=entry.category,
        starts=told.starts,
        last_day=told.last_day,
        rounds=tuple(told.rounds),
        case=told.case,
        zone=told.zone,
        fingerprint=entry.fingerprint,
    )
    return _until(told, told.last_day), [event]


def repeated(known: Observation, entry: OnList) -> None:
    """Nothing, for what was told before.

    Raises:
        Refusal: the id was told with something else.
    """
    if not any(one.fingerprint == entry.fingerprint for one in known.entries):
        raise refusal(
            "observation_id", "known_observation", "another observation has this id; take a new one", status=409
        )


def put_on(known: Observation | None, entry: OnList) -> Decision | None:
    """Who is observed is on another list, too; the longest of them counts. None if that is known.

    Raises:
        Refusal: they were released a moment ago, or it was changed too often.
    """
    if known is None or known.state != "observed":
        raise refusal("person_id", "released", "they were released a moment ago; send it again", status=409)
    if any(one.observation_id == entry.observation_id for one in known.entries):
        return None
    if len(known.entries) >= MOST_ENTRIES:
        raise refusal("person_id", "too_many", f"at most {MOST_ENTRIES} entries for one observation", status=409)
    first = min(known.starts, entry.starts)
    listed = known.model_copy(update={"entries": _added(known.entries, entry), "starts": first})
    last = max(one.last_day for one in listed.entries if not one.replaced)
    after = _until(listed, last)
    told = _event(
        ObservationListed,
        after,
        listing=entry.listing,
        category=entry.category,
        last_day=last,
        told=entry.observation_id,
        starts=entry.starts,
        until=entry.last_day,
        fingerprint=entry.fingerprint,
    )
    return after, [told]


def _added(entries: Sequence[OnList], entry: OnList) -> list[OnList]:
    """What a list says now replaces what it said before."""
    replaced = {"replaced": True}
    return [*(one.model_copy(update=replaced) if one.listing == entry.listing else one for one in entries), entry]


def release(known: Observation | None, on: str | None, reason: str, now: datetime) -> Decision | None:
    """They need not stay at home any more, now or from a day on; None if they were released.

    Raises:
        Refusal: there is no such observation, it has not begun by then, or it is over before.
    """
    if known is None:
        raise refusal("observation_id", "unknown_observation", "there is no observation of this id", status=404)
    if known.state == "released":
        return None
    today = now.astimezone(ZoneInfo(known.zone)).date().isoformat()
    if (on or today) < known.starts or today < known.starts:
        raise refusal("on", "before_start", f"it begins on {known.starts}", status=409)
    if on is None or on <= today:
        return _released(known, reason, now)
    last = (date.fromisoformat(on) - timedelta(days=1)).isoformat()
    if last >= known.last_day:
        raise refusal("on", "after_last_day", f"it ends by itself after {known.last_day}", status=409)
    after = _until(known.model_copy(update={"reason": reason, "entries": _shortened(known.entries, last)}), last)
    return after, [_event(ObservationShortened, after, last_day=last, reason=reason)]


def _shortened(entries: Sequence[OnList], last: str) -> list[OnList]:
    """No list says any more that it lasts longer."""
    return [one.model_copy(update={"last_day": min(one.last_day, last)}) for one in entries]


def lapse(known: Observation | None, now: datetime) -> Decision | None:
    """The last day is over; None if it is not."""
    if known is None or known.due_at is None or known.due_at > now:
        return None
    return _released(known, known.reason, now)


def leave(known: Observation | None, now: datetime) -> Decision | None:
    """They are not here any more; None if they are not observed."""
    return None if known is None or known.state != "observed" else _released(known, GONE, now)


def _released(known: Observation, reason: str, now: datetime) -> Decision:
    update = {"state": "released", "under": None, "due_at": None, "released_at": now, "reason": reason}
    after = known.model_copy(update=update)
    return after, [_event(PersonReleased, after, reason=reason, released_at=now)]


def _until(known: Observation, last: str) -> Observation:
    return known.model_copy(update={"last_day": last, "due_at": _midnight(last, known.zone)})


def _midnight(last: str, zone: str) -> datetime:
    """When that day is over."""
    return datetime.combine(date.fromisoformat(last) + timedelta(days=1), time(), ZoneInfo(zone)).astimezone(UTC)


def _event(kind: type[ObservationEvent], known: Observation, **more: Any) -> ObservationEvent:
    return kind(
        community=known.community,
        grid=known.grid,
        observation_id=known.observation_id,
        person_id=known.person_id,
        household=known.household,
        building=known.building,
        worker=known.owner,
        **more,
    )


def retold(known: Told, event: Event) -> Told:
    """What is told of an observation after one more event."""
    match event:
        case ObservationStarted():
            return _retold_start(event)
        case ObservationListed():
            return _retold_entry(known, event)
        case ObservationShortened():
            entries = {"entries": _shortened(known["entries"], event.last_day)} if "entries" in known else {}
            return _retold_until({**known, **entries, "reason": event.reason}, event.last_day)
        case PersonReleased():
            over = {"state": "released", "under": None, "due_at": None, "reason": event.reason}
            return {**but(known, "released_at"), **over, **said(released_at=event.released_at)}
        case _:
            return known


def _retold_start(event: ObservationStarted) -> Told:
    names = ("observation_id", "person_id", "community", "grid", "building", "household", "case", "starts", "last_day")
    told = {name: getattr(event, name) for name in names}
    told |= {"under": event.person_id, "owner": event.worker, "rounds": list(event.rounds), "reason": LAST_DAY}
    told |= {"state": "observed", "released_at": None}
    if event.fingerprint is None:
        return told
    of_entry = ("observation_id", "listing", "category", "starts", "last_day", "fingerprint")
    entry = OnList.model_validate({name: getattr(event, name) for name in of_entry})
    return _retold_until({**told, "entries": [entry], "zone": event.zone}, event.last_day)


def _retold_entry(known: Told, event: ObservationListed) -> Told:
    if "entries" not in known or event.fingerprint is None or event.starts is None:
        return _retold_until(but(known, "entries", "starts"), event.last_day)
    entry = OnList.model_validate(
        {
            "observation_id": event.told,
            "listing": event.listing,
            "category": event.category,
            "starts": event.starts,
            "last_day": event.until,
            "fingerprint": event.fingerprint,
        }
    )
    starts = min(known["starts"], event.starts)
    return _retold_until({**known, "entries": _added(known["entries"], entry), "starts": starts}, event.last_day)


def _retold_until(known: Told, last: str) -> Told:
    return {**known, "last_day": last, **({"due_at": _midnight(last, known["zone"])} if "zone" in known else {})}
