"""What many want at one moment is done together, and each gets his own answer."""

import asyncio

import pytest

from shared.batching import Batcher, Job


class Work:
    """Doubles numbers, list by list, when it is let."""

    def __init__(self) -> None:
        self.lists: list[list[int]] = []
        self.under_way = 0
        self.most = 0
        self.let = asyncio.Event()

    async def __call__(self, jobs: list[Job[int, int]]) -> None:
        self.lists.append([job.item for job in jobs])
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await self.let.wait()
        self.under_way -= 1
        for job in jobs:
            job.resolve(job.item * 2)


async def test_the_items_of_one_moment_are_one_list_and_each_gets_his_result() -> None:
    """In the order in which they came."""
    work = Work()
    work.let.set()
    batcher = Batcher(work)
    assert await asyncio.gather(*(batcher.submit(number) for number in range(100))) == [2 * one for one in range(100)]
    assert work.lists == [list(range(100))]


async def test_while_one_list_is_worked_on_the_next_one_gathers() -> None:
    """The busier, the larger the lists."""
    work = Work()
    batcher = Batcher(work)
    first = batcher.submit(0)
    await asyncio.sleep(0)
    others = [batcher.submit(number) for number in range(1, 50)]
    work.let.set()
    await asyncio.gather(first, *others)
    assert [len(one) for one in work.lists] == [1, 49]


async def test_a_list_has_a_bound() -> None:
    """The rest comes after."""
    work = Work()
    work.let.set()
    batcher = Batcher(work, size=10)
    await asyncio.gather(*(batcher.submit(number) for number in range(25)))
    assert [len(one) for one in work.lists] == [10, 10, 5]


async def test_no_more_lists_are_under_way_than_there_are_lanes() -> None:
    """Nor fewer, when there is enough to do."""
    work = Work()
    batcher = Batcher(work, size=1, lanes=3)
    futures = [batcher.submit(number) for number in range(9)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert work.under_way == 3
    work.let.set()
    await asyncio.gather(*futures)
    assert work.most == 3


async def test_a_failure_is_told_to_everybody_of_its_list_and_to_nobody_else() -> None:
    """The next list is done as ever."""
    calls = 0

    async def fails_once(jobs: list[Job[int, int]]) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            jobs[0].resolve(7)
            raise ConnectionError("gone")
        for job in jobs:
            job.resolve(job.item)

    batcher = Batcher(fails_once, size=3)
    outcomes = await asyncio.gather(*(batcher.submit(number) for number in range(5)), return_exceptions=True)
    assert outcomes[0] == 7
    assert [type(one) for one in outcomes[1:3]] == [ConnectionError, ConnectionError]
    assert outcomes[3:] == [3, 4]


async def test_a_caller_who_went_away_harms_nobody() -> None:
    """His neighbour still gets his answer."""
    work = Work()
    batcher = Batcher(work)
    gone, there = batcher.submit(1), batcher.submit(2)
    gone.cancel()
    work.let.set()
    assert await there == 4
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_drain_waits_for_everything_that_was_submitted() -> None:
    """And returns at once when there is nothing."""
    work = Work()
    batcher = Batcher(work, size=1)
    await batcher.drain()
    futures = [batcher.submit(number) for number in range(3)]
    draining = asyncio.ensure_future(batcher.drain())
    await asyncio.sleep(0)
    assert not draining.done()
    work.let.set()
    await draining
    assert all(future.done() for future in futures)
