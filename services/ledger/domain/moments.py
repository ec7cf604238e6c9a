"""Moments that somebody tells of."""

from datetime import datetime, timedelta

from shared.contracts.refusal import refusal


def happened(at: datetime | None, now: datetime, ahead: float) -> None:
    """Nothing, for a time that can be, or none. `ahead`: minutes that a device's clock may be ahead of ours.

    Raises:
        Refusal: it has not come yet.
    """
    if at is not None and at > now + timedelta(minutes=ahead):
        raise refusal("at", "not_yet", "this time has not come yet; look at the device's clock")
