"""Gathers what many callers want at one moment, so that it is done together."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

BUSY_LINGER = 0.004
"""Seconds that are well spent on gathering more, while there is much to do."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Job(Generic[Item, Result]):
    """One caller's item, and where its result goes."""

    __slots__ = ("future", "item")

    def __init__(self, item: Item, future: "asyncio.Future[Result]") -> None:
        self.item = item
        self.future = future

    def resolve(self, result: Result) -> None:
        """Hand the result to the caller, if it still waits."""
        if not self.future.done():
            self.future.set_result(result)

    def fail(self, error: BaseException) -> None:
        """Raise `error` at the caller, if it still waits."""
        if not self.future.done():
            self.future.set_exception(error)


class Batcher(Generic[Item, Result]):
    """Hands the items of one moment to `work` in one list.

    While `lanes` lists are being worked on, further items gather for the next one: the busier it is, the larger the
    lists. `work` resolves or fails each job; an exception that it raises fails all that it left open.

    Args:
        work: does a list of jobs.
        size: the most items in one list.
        lanes: how many lists may be under way at once.
        linger: seconds to wait for more before a list is started; 0 takes what one turn of the event loop brought.
        busy_linger: the same while lists hold several items. Under load a few milliseconds make lists long and each
            item cheap; a single item does not wait.
    """

    def __init__(
        self,
        work: Callable[[list[Job[Item, Result]]], Awaitable[None]],
        *,
        size: int = 500,
        lanes: int = 1,
        linger: float = 0.0,
        busy_linger: float = 0.0,
    ) -> None:
        self._work = work
        self._size = size
        self._free_lanes = lanes
        self._linger = linger
        self._busy_linger = busy_linger
        self._last = 1
        self._waiting: list[Job[Item, Result]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, item: Item) -> "asyncio.Future[Result]":
        """Add an item to the next list; the future carries its result."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append(Job(item, future))
        if self._free_lanes:
            self._free_lanes -= 1
            task = asyncio.get_running_loop().create_task(self._run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return future

    async def drain(self) -> None:
        """Wait until everything submitted so far is done."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _run(self) -> None:
        try:
            while self._waiting:
                linger = max(self._linger, self._busy_linger if self._last > 1 else 0.0)
                if linger and len(self._waiting) < self._size:
                    await asyncio.sleep(linger)
                jobs, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
                self._last = len(jobs)
                await self._do(jobs)
        finally:
            self._free_lanes += 1

    async def _do(self, jobs: list[Job[Item, Result]]) -> None:
        try:
            await self._work(jobs)
        except asyncio.CancelledError:
            for job in jobs:
                job.future.cancel()
            raise
        # Whatever goes wrong belongs to the callers, each of whom decides what it means for him.
        except Exception as error:  # noqa: BLE001
            for job in jobs:
                job.fail(error)
