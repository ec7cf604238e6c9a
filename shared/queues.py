"""Sees that a service's queues are there and take messages; makes anew what is not, and asks for its events again.

A broker that is killed just after a quorum queue was declared can come back with a queue that has no leader: it
confirms nothing, for good, and what it had confirmed is lost. A broker may also come back with nothing on it at all.
Nobody but the owner of a queue can know what should be there, so it is written down: a queue that was seen once and is
gone was lost. What was in it is asked of those who raised it, from a moment at which the queue was known to be empty.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from pydantic import BaseModel

from shared.aggregates import Aggregates
from shared.bus import RETRY_PAUSES, Bus, QueueState, retry_exchange
from shared.contracts.envelope import Event, Meta
from shared.contracts.queues import QueueRebuilt
from shared.documents import Collection
from shared.identity import new_id
from shared.timers import Leases

log = structlog.get_logger(__name__)

SILENCE = 30.0
"""Seconds that a queue may confirm nothing, while the broker confirms other messages, before it is given up."""
MARGIN = timedelta(hours=1)
"""What was delivered before the queue was last seen empty is acknowledged or delivered again within this time: the
broker takes a delivery back after 30 minutes."""
_NOTE_AGAIN = 60.0
_PAUSES = {retry_exchange(seconds) for seconds in RETRY_PAUSES}


class Rebuild(BaseModel):
    """One queue that was made anew."""

    queue: str


class Queues:
    """Keeps the queues of one service.

    Args:
        marks: where it is written down which queues there are, and when each was last seen empty.
        rebuilds: where rebuilds rest until all have heard of them.
        types: by queue of events, the wire types that it takes.
        clock: the time now, in UTC.
    """

    model = Rebuild

    def __init__(
        self,
        bus: Bus,
        marks: Collection,
        rebuilds: Aggregates[Rebuild],
        leases: Leases,
        types: Mapping[str, Sequence[str]],
        clock: Callable[[], datetime],
    ) -> None:
        self._bus = bus
        self._marks = marks
        self._rebuilds = rebuilds
        self._leases = leases
        self._types = types
        self._clock = clock
        self._silent_since: dict[str, float] = {}
        self._noted: dict[str, float] = {}
        self._probed = 0

    async def look(self) -> bool:
        """Look after all queues; False when the bus must declare what is missing, or something is not yet well.

        Raises:
            BrokerUnavailable: the broker does not answer, or takes nothing from us at all, as while an alarm lasts.
            StorageUnavailable: the database does not answer.
        """
        connection = self._bus.connections
        well = True
        for name, state in (await self._bus.look(probing=self._probed != connection)).items():
            if state is None:
                await self._lost(name, "is gone")
            elif state.silent:
                await self._silent(name)
            else:
                self._silent_since.pop(name, None)
                if name not in _PAUSES:
                    await self._note(name, state)
                continue
            well = False
        if well:
            self._probed = connection
        return well

    async def _silent(self, name: str) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._silent_since.setdefault(name, now) < SILENCE or not await self._leases.hold("queues"):
            return
        # Another replica may just have done it.
        state = (await self._bus.look(probing=True))[name]
        if state is not None and state.silent:
            await self._lost(name, "confirms nothing")
            await self._bus.delete(name)
            del self._silent_since[name]

    async def _lost(self, name: str, how: str) -> None:
        """Write it down before the queue is made anew; what was in it is asked for when it is there again."""
        # What waited in a pause would have come back to the queue of events.
        name = next(iter(self._types), name) if name in _PAUSES else name
        self._noted.pop(name, None)
        mark = await self._marks.get(name)
        if mark is not None and not mark["lost"]:
            log.error("a queue of ours was lost and is made anew", queue=name, how=how)
            await self._marks.put(name, {"lost": True})

    async def _note(self, name: str, state: QueueState) -> None:
        now = asyncio.get_running_loop().time()
        noted = self._noted.get(name)
        if noted is not None and (state.messages or now - noted < _NOTE_AGAIN):
            return
        mark = await self._marks.get(name)
        if mark is not None and mark["lost"]:
            await self._ask(name, mark["empty"] - MARGIN)
        if mark is None or not state.messages:
            await self._marks.put(name, {"empty": self._clock(), "lost": False})
        elif mark["lost"]:
            await self._marks.put(name, {"lost": False})
        self._noted[name] = now

    async def _ask(self, name: str, since: datetime) -> None:
        """Ask for everything since then. Should we die before the mark says so, it is asked for once more."""
        event = QueueRebuilt(queue=name, since=since, types=tuple(self._types.get(name, ())))

        def decide(_: Rebuild | None) -> tuple[Rebuild, Sequence[Event]]:
            return Rebuild(queue=name), [event]

        identity = new_id()
        cause = Meta(identity, "", self._bus.service, self._clock(), name)
        await self._rebuilds.update(identity, decide, cause, new=True)
