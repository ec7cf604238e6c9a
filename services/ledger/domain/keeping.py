"""How long what is about nobody on the books can be opened: from its end, by the days of `people.yaml`."""

from datetime import UTC, datetime, time, timedelta

from services.ledger.domain.cases import Case
from services.ledger.domain.gates import Agreement
from services.ledger.domain.money import Matter
from services.ledger.domain.presence import Presence
from services.ledger.domain.rounds import Round
from shared.contracts.envelope import YEARS

Kept = Case | Round | Presence | Agreement | Matter
"""What has a key of its own, and an end."""


def kept_until(one: Kept, keep: timedelta, now: datetime) -> datetime:
    """When its key is over; of what is still open: when it may be over at the earliest."""
    end = _end(one)
    return (now if end is None else end) + keep


def _end(one: Kept) -> datetime | None:
    """Since when it is over, or will be; None: it is open."""
    match one:
        case Case():
            return one.closed_at
        case Round():
            return one.told.closes if one.state in ("closed", "settled") else None
        case Presence():
            return one.ended_at
        case Agreement():
            return one.ended_at or (None if one.ends is None else _after(one.ends))
        case Matter():
            return None if one.is_open else one.changed_at


def checks_of(community: str, at: datetime) -> str:
    """Those who come through gates are many, each of a moment: those of one day have one key."""
    return f"gate:{community}/{at.astimezone(UTC).date().isoformat()}"


def day_after(at: datetime) -> datetime:
    """When the day of a moment is over."""
    return datetime.combine(at.astimezone(UTC).date(), time(), UTC) + timedelta(days=1)


def _after(day: str) -> datetime | None:
    last = datetime.fromisoformat(day).replace(tzinfo=UTC)
    # Whoever says 9999 means that it does not end.
    return day_after(last) if last.year in YEARS else None
