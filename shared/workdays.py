"""The official working days of China."""

from datetime import date

import chinese_calendar  # pyright: ignore[reportMissingTypeStubs]


def is_workday(day: date) -> bool:
    """By the calendar of the State Council, which is published a year ahead; beyond it, Monday to Friday."""
    try:
        return bool(chinese_calendar.is_workday(day))  # pyright: ignore[reportUnknownMemberType]
    except NotImplementedError:
        return day.weekday() < 5
