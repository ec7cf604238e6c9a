"""What comes again by a rule of RFC 5545, in local wall time, on all days or on working days."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Literal, TypeVar
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr
from pydantic import BaseModel

from shared.contracts.envelope import Problem
from shared.contracts.recurrence import NEVER, wrong_times
from shared.contracts.refusal import Refusal
from shared.workdays import is_workday

_LOOKED_AT = 400
"""Times after which a rule that never falls on a working day is given up."""


R = TypeVar("R", bound="Recurring")


class Recurring(BaseModel):
    """What has such a rule."""

    begins: str
    """The first time, by the wall clock."""
    rule: str
    """Of RFC 5545."""
    zone: str
    """Of the IANA time zone database."""
    days: Literal["all", "workdays"] = "all"
    next_at: datetime | None = None
    """None: no more."""
    ended: bool = False


def going_on(one: R, now: datetime) -> R:
    """Made again: its next time is the first that has not come yet; none once it is ended."""
    next_at = None if one.ended else one.next_at or following(one, now - timedelta(minutes=1))
    return one.model_copy(update={"next_at": next_at})


def following(one: Recurring, after: datetime) -> datetime | None:
    """The next time, in UTC; None: there is none. By the wall clock, also where that is changed."""
    zone = ZoneInfo(one.zone)
    local = after.astimezone(zone).replace(tzinfo=None)
    walls = islice(rrulestr(one.rule, dtstart=datetime.fromisoformat(one.begins)).xafter(local), _LOOKED_AT)
    times = (
        wall.replace(tzinfo=zone).astimezone(UTC) for wall in walls if one.days == "all" or is_workday(wall.date())
    )
    # Where the clocks show an hour twice, what comes next by the wall clock may have been the first time round.
    return next((at for at in times if at > after), None)


def begun(one: R, now: datetime) -> R:
    """With its first time from now on.

    Raises:
        Refusal: its times are none, or never come.
    """
    problems = list(wrong_times(one.begins, one.rule, one.zone)) or list(_unread(one))
    next_at = None if problems else following(one, now - timedelta(minutes=1))
    if next_at is None:
        raise Refusal(*(problems or [NEVER]))
    return one.model_copy(update={"next_at": next_at})


def _unread(one: Recurring) -> Iterator[Problem]:
    try:
        rrulestr(one.rule, dtstart=datetime.fromisoformat(one.begins))
    except (ValueError, TypeError, KeyError) as error:
        yield Problem(field="rule", code="bad_rule", message=f"not a rule of RFC 5545: {error}")
