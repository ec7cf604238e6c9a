"""Plays one day against a running system, from the first order to the closing account."""

import asyncio
from collections.abc import Callable, Sequence

from deploy.demo.access import Access
from deploy.demo.accounting import Finding, account
from deploy.demo.broker import Broker
from deploy.demo.community import Community
from deploy.demo.evidence import Evidence, Task, gather, tasks_of
from deploy.demo.figures import Closing, closing
from deploy.demo.gateway import Gateway
from deploy.demo.orders import Order
from deploy.demo.pace import Pace
from deploy.demo.patience import Patience
from deploy.demo.record import Record
from deploy.demo.source import Sources
from deploy.demo.staff import Staff
from deploy.demo.stream import StaffStream

OPEN = ("created", "offered", "assigned", "under_way")
IDLE = 4.0
"""Seconds for which a task lies untouched after the last order before a coordinator takes it in hand."""
END = 90.0
"""Seconds without one task fewer, after the last order, in which the day is taken to have come to a standstill."""
SETTLE = 30.0
"""Seconds without one finding fewer, after the last task's end, in which what is missing is taken to stay missing."""
LOOK = 1.0
"""Seconds between two looks at what is still open."""
TICK = 0.2
"""Seconds between two lines of progress."""

Told = Callable[[Pace, Record], None]
"""Hears a few times a second how the day goes."""


class StreamClosed(Exception):
    """The staff's stream could not be opened."""


class Day:
    """One day, those who play it, and their record."""

    def __init__(
        self, access: Access, community: Community, orders: Sequence[Order], *, seconds: float, seed: int, told: Told
    ) -> None:
        self._access = access
        self._community = community
        self._orders = tuple(orders)
        self._seed = seed
        self._told = told
        self._pace = Pace(seconds)
        self._record = Record(len(self._orders))

    async def play(self) -> Closing:
        """Play it and close the account; raises StreamClosed when staff cannot listen."""
        loop = asyncio.get_running_loop()
        async with (
            Gateway(self._access.http, self._access.tokens) as gateway,
            Broker(self._access.amqp["source"]) as broker,
            asyncio.TaskGroup() as background,
            asyncio.TaskGroup() as work,
        ):
            staff = Staff(gateway, self._community.workers, self._pace, self._record, work, seed=self._seed)
            stream = StaffStream(self._access.http, self._access.tokens["coordinator"], staff.hear)
            helpers = [background.create_task(stream.listen()), background.create_task(self._tell())]
            await _opened(stream)
            begin = loop.time()
            self._pace.start()
            await Sources(gateway, broker, self._pace, self._record).send_all(self._orders)
            evidence, findings = await self._end(gateway, staff, work)
            staff.go_home()
            for helper in helpers:
                helper.cancel()
        return closing(self._orders, self._record, evidence, findings, seconds=loop.time() - begin)

    async def _tell(self) -> None:
        while True:
            self._told(self._pace, self._record)
            await asyncio.sleep(TICK)

    async def _end(self, gateway: Gateway, staff: Staff, work: asyncio.TaskGroup) -> tuple[Evidence, list[Finding]]:
        """See every task to its end, then hold the four services against each other until they agree."""
        time = asyncio.get_running_loop().time
        lying, patience = Lying(), Patience(END)
        while (tasks := await self._still_open(gateway)) and not patience.ended(len(tasks), time()):
            for task in lying.too_long(tasks, time()):
                work.create_task(staff.take_over(task.id, task.state, task.worker, task.grid))
            await asyncio.sleep(LOOK)
        patience = Patience(SETTLE)
        while True:
            evidence = await gather(gateway, self._record.requests)
            findings = account(self._orders, self._record, evidence)
            if not findings or tasks or patience.ended(len(findings), time()):
                return evidence, findings
            await asyncio.sleep(LOOK)

    async def _still_open(self, gateway: Gateway) -> list[Task]:
        states = [await tasks_of(gateway, self._record.requests, state) for state in OPEN]
        return [task for tasks in states for task in tasks]


class Lying:
    """Tells which tasks have not moved for a while."""

    def __init__(self, idle: float = IDLE) -> None:
        """`idle` in seconds."""
        self._idle = idle
        self._since: dict[str, tuple[str, float]] = {}

    def too_long(self, tasks: Sequence[Task], now: float) -> list[Task]:
        """Those of the tasks that are as they were `idle` seconds ago; each is named again only after as long."""
        found = []
        for task in tasks:
            looks = f"{task.state} {task.worker}"
            before, since = self._since.get(task.id, ("", now))
            if before != looks:
                since = now
            elif now - since >= self._idle:
                since = now
                found.append(task)
            self._since[task.id] = (looks, since)
        return found


async def _opened(stream: StaffStream, seconds: float = 30.0) -> None:
    try:
        await asyncio.wait_for(stream.connected.wait(), seconds)
    except TimeoutError:
        raise StreamClosed(f"The staff's stream did not open in {seconds:.0f} s.") from None
