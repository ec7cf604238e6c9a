"""The clock of the day that is played: a whole day in so many seconds."""

import asyncio

from deploy.demo.orders import DAY


class Pace:
    """Turns minutes of the day into seconds of ours."""

    def __init__(self, seconds: float) -> None:
        """`seconds` is how long the whole day lasts."""
        self._minute = seconds / DAY
        self._begin: float | None = None

    def start(self) -> None:
        """It is midnight now, and the day begins."""
        self._begin = asyncio.get_running_loop().time()

    @property
    def now(self) -> float:
        """Minutes since the day began; runs on past midnight."""
        return 0.0 if self._begin is None else (asyncio.get_running_loop().time() - self._begin) / self._minute

    async def sleep(self, minutes: float) -> None:
        """Wait that many minutes of the day."""
        await asyncio.sleep(minutes * self._minute)

    async def until(self, minute: float) -> None:
        """Wait for that minute of the day; at once where it is past."""
        await self.sleep(max(0.0, minute - self.now))

    def __str__(self) -> str:
        """As a clock shows it: `14:32`, or `+1 00:05` after midnight."""
        day, minute = divmod(int(self.now), DAY)
        return f"{f'+{day} ' if day else ''}{minute // 60:02d}:{minute % 60:02d}"
