"""A clock that jumps from one thing that happens to the next."""

import heapq
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import count

Act = Callable[[], None]


class Clock:
    """What is to happen at which moment; what is due at the same moment happens in the order in which it was said."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self._ahead: list[tuple[datetime, int, Act]] = []
        self._numbers = count()

    def at(self, moment: datetime, act: Act) -> None:
        """Let it happen then, or at once where that has passed."""
        heapq.heappush(self._ahead, (max(moment, self.now), next(self._numbers), act))

    def after(self, seconds: float, act: Act) -> None:
        """Let it happen so many seconds from now."""
        self.at(self.now + timedelta(seconds=seconds), act)

    def run(self, end: datetime) -> Iterator[datetime]:
        """Live until then, not including it; tells each moment at which something happened."""
        while self._ahead and self._ahead[0][0] < end:
            self.now, _, act = heapq.heappop(self._ahead)
            act()
            yield self.now
        self.now = end
