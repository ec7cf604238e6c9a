"""Time is data: due dates rest in the documents, and one replica at a time looks for those that have come.

No timer lives in memory. Whoever holds the lease works; when it dies, another takes the lease when it runs out. Should
two work for a moment all the same, the version of each document lets only one of them move it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog

from shared.bus import BrokerUnavailable
from shared.documents import Collection, StorageUnavailable

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=10)
_ASK_AGAIN = 2.5
"""Seconds after which whoever was refused a lease asks for it again: each asking is a write that fails."""


class Leases:
    """Who may do what only one may do at a time.

    Args:
        collection: where leases rest, one document each.
        holder: name of this process.
        clock: the time now, in UTC.
    """

    def __init__(self, collection: Collection, holder: str, clock: Callable[[], datetime]) -> None:
        self._collection = collection
        self._holder = holder
        self._clock = clock
        self._held: dict[str, datetime] = {}

    async def hold(self, name: str) -> bool:
        """Take or keep the lease for ten seconds; False while another holds it. One conditional write.

        A lease that is good for another five seconds at least is not written again.

        Raises:
            StorageUnavailable: the database did not answer.
        """
        now = self._clock()
        if now + LEASE / 2 < self._held.get(name, now):
            return True
        taken = await self._collection.take(
            {"_id": name, "$or": [{"holder": self._holder}, {"until": {"$lt": now}}]},
            {"$set": {"holder": self._holder, "until": now + LEASE}},
            upsert=True,
        )
        if taken is None:
            self._held.pop(name, None)
            return False
        self._held[name] = now + LEASE
        return True

    async def release(self, name: str) -> None:
        """Let another have it at once."""
        self._held.pop(name, None)
        await self._collection.delete({"_id": name, "holder": self._holder})


class Periodic:
    """Does something again and again, on one replica at a time.

    Args:
        name: of the lease.
        work: does what has come due and says how much that was; called again at once while there was some.
        pause: seconds between looks.
    """

    def __init__(self, leases: Leases, name: str, work: Callable[[], Awaitable[int]], *, pause: float) -> None:
        self._leases = leases
        self._name = name
        self._work = work
        self._pause = pause
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """End, and leave the lease to others."""
        if self._task is None:
            return
        await ended(self._task)
        try:
            await self._leases.release(self._name)
        except StorageUnavailable:
            log.info("the lease runs out by itself", lease=self._name)

    async def _run(self) -> None:
        while True:
            held = True
            try:
                while (held := await self._leases.hold(self._name)) and await self._work():
                    pass
            except (StorageUnavailable, BrokerUnavailable) as error:
                log.warning("will look again later", timer=self._name, reason=str(error))
            except asyncio.CancelledError:
                # A lost connection can surface as a cancellation that nobody asked for.
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                log.warning("will look again later", timer=self._name, reason="the connection was lost")
            # A mistake in one round must not end all later ones: what is due stays due.
            except Exception:
                log.exception("a round failed", timer=self._name)
            await asyncio.sleep(self._pause if held else max(self._pause, _ASK_AGAIN))


async def ended(task: "asyncio.Task[None]") -> None:
    """Cancel a task until it has ended.

    A client that fails while it closes something turns the cancellation into its own error, and a loop that outlives
    errors goes on.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=1.0)
