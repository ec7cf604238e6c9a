"""When something comes, and comes again: which times, zones and rules of RFC 5545 are taken."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shared.contracts.envelope import Problem

PARTS = {
    "FREQ": "DAILY|WEEKLY|MONTHLY",
    "INTERVAL": "[1-9][0-9]?",
    "COUNT": "[1-9][0-9]{0,3}",
    "UNTIL": r"[0-9]{8}(T[0-9]{6})?",
    "BYDAY": "([1-4]?(MO|TU|WE|TH|FR|SA|SU),?){1,7}",
    "BYMONTHDAY": "(([1-9]|1[0-9]|2[0-8]),?){1,28}",
    "BYHOUR": "(([0-9]|1[0-9]|2[0-3]),?){1,24}",
    "WKST": "MO|SU",
}
"""Parts of a rule, and their values: those with which it comes again soon, so that none can be searched for ever."""
NEVER = Problem(field="rule", code="never", message="by this rule it never comes from now on")
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_YEARS = range(1900, 2200)
"""Of which anybody tells: not every time is one in every zone."""


def is_zone(name: str) -> bool:
    """Whether the IANA time zone database has it."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # Part of a name, such as `Asia`, is a folder.
        return False
    return True


def wrong_zone(zone: str) -> Iterator[Problem]:
    """That there is no such zone, if that is so."""
    if not is_zone(zone):
        yield Problem(field="zone", code="unknown_zone", message=f"there is no time zone {zone}")


def wrong_times(begins: str, rule: str | None, zone: str) -> Iterator[Problem]:
    """What is wrong with the first time, by the wall clock of a zone, and with the rule by which it comes again."""
    yield from wrong_zone(zone)
    first = datetime.fromisoformat(begins)
    if first.year not in _YEARS:
        message = f"it begins in one of the years {_YEARS[0]} to {_YEARS[-1]}"
        yield Problem(field="begins", code="not_allowed", message=message)
    parts: dict[str, str] = {}
    for part in rule.split(";") if rule is not None else ():
        name, _, parts[name] = part.partition("=")
        if name not in PARTS or not re.fullmatch(PARTS[name], parts[name]):
            message = f"{part!r} is not a part of a rule that is taken here: {', '.join(PARTS)}"
            yield Problem(field="rule", code="bad_rule", message=message)
            return
    if _never(first, parts):
        yield NEVER


def _never(first: datetime, parts: Mapping[str, str]) -> bool:
    """What would be looked for until the end of all years.

    Each seventh day is the same day of the week, and the second Monday of a month may be none of those named.
    """
    days = parts.get("BYDAY", "")
    if days and parts.get("FREQ") == "DAILY" and int(parts.get("INTERVAL", "1")) % 7 == 0:
        return _WEEKDAYS[first.weekday()] not in days
    return "BYMONTHDAY" in parts and any(one.isdigit() for one in days)
