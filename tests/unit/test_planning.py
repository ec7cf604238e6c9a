"""Planning in a process of its own: better than greedy, or greedy, but always a plan."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator

import psutil
import pytest
from hypothesis import HealthCheck, given, settings

from services.dispatch.domain.choosing import greedy
from services.dispatch.domain.walks import Round
from services.dispatch.planning import Planner
from services.dispatch.solver import solve
from tests import world
from tests.unit.rounds import BUILDINGS, EVERYBODY, hands, round_of, rounds, waiting
from tests.unit.test_walks import check

SOME = round_of(
    [waiting(f"t{number}", BUILDINGS[number * 3 % 5], stairwell=f"{number % 7}") for number in range(30)],
    [hands(name, at) for name, at in zip(EVERYBODY, ("1", "5", "shop", "3"), strict=True)],
)
HELPERS = [f"helper-{number}" for number in range(20)]
MANY = round_of(
    [
        waiting(f"t{number}", BUILDINGS[number * 3 % 5], stairwell=f"{number}", able=dict.fromkeys(HELPERS, 0.0))
        for number in range(120)
    ],
    [hands(name, BUILDINGS[number % 5]) for number, name in enumerate(HELPERS)],
)
SILENT = (sys.executable, "-c", "import sys; sys.stdout.buffer.write(bytes(4)); sys.stdout.flush(); sys.stdin.read()")
"""Says that it is ready, and then nothing more."""


PARENT = """
import asyncio
from services.dispatch.planning import Planner

async def main():
    planner = Planner()
    await planner.warm_up()
    print(planner.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
"""Starts a solver, says its id, and waits."""


@pytest.fixture
async def planner() -> AsyncIterator[Planner]:
    planner = Planner(seconds=5.0, grace=60.0)
    yield planner
    await planner.stop()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rounds())
def test_a_solved_plan_keeps_every_promise_and_costs_no_more_than_the_greedy_one(round_: Round) -> None:
    """And places the same tasks."""
    plan, simple = solve(round_, seconds=5.0), greedy(round_)
    check(round_, plan)
    assert plan.cost <= simple.cost + 1e-6
    assert {one.task_id for one in plan.choices if one.worker} == {one.task_id for one in simple.choices if one.worker}


def test_the_solver_finds_what_the_greedy_rule_does_not() -> None:
    """Where the first choice spoils the second: Zhao, who is nearer to both, is the only one for the other."""
    only = dict.fromkeys([world.ZHAO], 0.0)
    tasks = [waiting("1", "2", priority=9), waiting("2", "1", able=only)]
    round_ = round_of(tasks, [hands(world.ZHAO, "2", free=1), hands(world.QIAN, "3")])
    assert solve(round_, seconds=5.0).cost <= greedy(round_).cost
    assert solve(SOME, seconds=5.0).cost < greedy(SOME).cost
    assert solve(SOME, seconds=5.0).by == "solver"


def test_without_time_the_greedy_plan_is_the_answer() -> None:
    """It is found in any case."""
    assert solve(SOME, seconds=0.0) == greedy(SOME)


async def test_a_round_is_planned_in_another_process_which_stays_for_the_next(planner: Planner) -> None:
    """What comes back is what the solver found there."""
    plan = await planner.plan(SOME)
    check(SOME, plan)
    assert plan.by == "solver"
    pid = planner.pid
    assert pid not in (None, os.getpid())
    await asyncio.gather(*(planner.plan(SOME) for _ in range(3)))
    assert planner.pid == pid


async def test_when_the_process_is_killed_the_greedy_rule_chooses_and_the_next_round_has_a_new_one(
    planner: Planner,
) -> None:
    """Killed before it is asked, and while it is at work."""
    await planner.warm_up()
    first = planner.pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)
    asked = asyncio.create_task(planner.plan(SOME))
    await asyncio.sleep(0)
    os.kill(first, signal.SIGKILL)
    assert await asked == greedy(SOME)
    assert (await planner.plan(SOME)).by == "solver"
    second = planner.pid
    assert second not in (None, first)


async def test_a_process_that_gives_no_answer_in_time_is_ended() -> None:
    """And the greedy rule chooses."""
    planner = Planner(seconds=0.1, grace=0.1, program=SILENT)
    await planner.warm_up()
    assert planner.pid is not None
    silent = psutil.Process(planner.pid)
    assert await planner.plan(SOME) == greedy(SOME)
    assert not silent.is_running()
    await planner.stop()


@pytest.mark.parametrize("program", [("/nowhere/solver",), (sys.executable, "-c", "")])
async def test_without_a_process_there_is_a_plan_all_the_same(program: tuple[str, ...]) -> None:
    """Whether it is missing or ends at once."""
    planner = Planner(program=program)
    await planner.warm_up()
    assert await planner.plan(SOME) == greedy(SOME)
    await planner.stop()


async def test_whoever_gives_up_does_not_leave_his_answer_to_the_next(planner: Planner) -> None:
    """The process is ended with the question."""
    await planner.warm_up()
    asked = asyncio.create_task(planner.plan(SOME))
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    alone = round_of([waiting("alone")], [hands()])
    assert [choice.task_id for choice in (await planner.plan(alone)).choices] == ["alone"]


async def test_after_the_end_no_process_is_left_and_plans_are_greedy(planner: Planner) -> None:
    """A service that stops may still be asked."""
    await planner.warm_up()
    assert planner.pid is not None
    process = psutil.Process(planner.pid)
    await planner.stop()
    assert not process.is_running()
    assert await planner.plan(SOME) == greedy(SOME)
    assert planner.pid is None


async def test_the_process_ends_when_whoever_started_it_is_killed() -> None:
    """Nothing is left behind that nobody waits for."""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    solver = psutil.Process(int(await parent.stdout.readline()))
    parent.kill()
    await parent.wait()
    gone, _ = await asyncio.to_thread(psutil.wait_procs, [solver], 60)
    assert gone == [solver]


async def test_the_event_loop_goes_on_while_a_round_is_planned(planner: Planner) -> None:
    """It never stands still for half of the time that planning takes; one that waits would, for all of it."""
    await planner.warm_up()
    gaps: list[float] = []

    async def tick() -> None:
        before = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            gaps.append(time.perf_counter() - before)
            before = time.perf_counter()

    ticking = asyncio.create_task(tick())
    begun = time.perf_counter()
    await planner.plan(MANY)
    taken = time.perf_counter() - begun
    ticking.cancel()
    assert max(gaps) < taken / 2
