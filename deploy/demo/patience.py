"""How long to wait: for one more try, and for something that gets less and less."""

LONGEST = 30.0
"""Seconds that one try may take at most."""


def longer(first: float, tries: int) -> float:
    """Seconds for the try of that number, from 1: each may take half as long again, so that a slow system is not
    asked again and again for what it is just doing.
    """
    return min(first * 1.5 ** (tries - 1), LONGEST)


class Patience:
    """Lasts as long as a number goes down."""

    def __init__(self, seconds: float) -> None:
        """`seconds` is how long it may stay as it is."""
        self._seconds = seconds
        self._least: tuple[int, float] | None = None

    def ended(self, number: int, now: float) -> bool:
        """True when there has been no smaller number for so long."""
        if self._least is None or number < self._least[0]:
            self._least = (number, now)
        return now - self._least[1] > self._seconds
