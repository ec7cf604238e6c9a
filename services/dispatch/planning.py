"""Plans rounds in a process of its own, so that no message waits while walks are computed.

The process is `services.dispatch.solver`; it gets one round at a time over its standard input, answers on its standard
output, and has a bounded time for each. Whoever asks gets a plan in any case: without an answer in time, or without a
process, the greedy rule chooses, and the next round has a new process.

A pool of processes would have to import the service's main module into each, can end none that is stuck, and leaves one
behind when the service is killed; this process imports what it needs and ends with its input.
"""

import asyncio
import struct
import sys
from asyncio import IncompleteReadError
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from pydantic import TypeAdapter, ValidationError

from services.dispatch.domain.choosing import greedy
from services.dispatch.domain.walks import Plan, Round

log = structlog.get_logger(__name__)

PROGRAM = (sys.executable, "-m", "services.dispatch.solver")
SIZE = struct.Struct(">I")
"""Stands before each message: how many bytes it has. An empty one says that the solver is ready."""
START_SECONDS = 30.0
"""How long the process may take to start."""
GRACE_SECONDS = 1.0
"""How much longer than its time the solver is waited for."""


@dataclass(frozen=True, slots=True)
class Job:
    """What the solver is asked."""

    round_: Round
    seconds: float


JOBS = TypeAdapter(Job)
PLANS = TypeAdapter(Plan)


class Planner:
    """Plans one round at a time; whoever asks meanwhile waits for his turn."""

    def __init__(self, seconds: float = 1.5, grace: float = GRACE_SECONDS, program: Sequence[str] = PROGRAM) -> None:
        """Nothing starts yet.

        Args:
            seconds: how long the solver may look for a better plan.
            grace: seconds that it is waited for beyond that.
            program: the solver's, with its arguments.
        """
        self._seconds = seconds
        self._grace = grace
        self._program = program
        self._process: Process | None = None
        self._turn = asyncio.Lock()
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        """Nothing yet: the process, which takes memory, comes with the first round that needs it."""

    async def warm_up(self) -> None:
        """Start the process now, so that the first round need not wait; if it cannot start, that is only logged."""
        async with self._turn:
            try:
                await self._running()
            except (OSError, IncompleteReadError) as error:
                log.warning("the solver does not start", reason=repr(error))

    async def plan(self, round_: Round) -> Plan:
        """The plan for a round: the solver's, or the greedy one where that costs no more or the solver gives none."""
        if round_.waiting and round_.hands:
            async with self._turn:
                try:
                    return await self._asked(round_)
                except (OSError, IncompleteReadError, ValidationError) as error:
                    log.warning("the solver gave no plan, the greedy rule chooses", reason=repr(error))
        return await asyncio.to_thread(greedy, round_)

    async def stop(self) -> None:
        """End the process. Rounds that are asked for afterwards are planned by the greedy rule."""
        self._closed = True
        async with self._turn:
            await self._end()

    async def _asked(self, round_: Round) -> Plan:
        message = JOBS.dump_json(Job(round_, self._seconds))
        process = await self._running()
        answered = False
        try:
            async with asyncio.timeout(self._seconds + self._grace):
                assert process.stdin is not None
                process.stdin.write(SIZE.pack(len(message)) + message)
                await process.stdin.drain()
                answer = await _message(process)
                answered = True
        finally:
            # What is left of an answer would be taken for the next one.
            if not answered:
                await self._end()
        return PLANS.validate_json(answer)

    async def _running(self) -> Process:
        """The process, started if there is none.

        Raises:
            OSError: it cannot be started, or not in time; or this is closed.
            IncompleteReadError: it ended before it was ready.
        """
        if self._closed:
            raise OSError("the planner is closed")
        if self._process is not None and self._process.returncode is None:
            return self._process
        # In a session of its own Ctrl-C does not reach it: it ends with its input.
        self._process = await asyncio.create_subprocess_exec(
            *self._program, stdin=PIPE, stdout=PIPE, start_new_session=True
        )
        ready = False
        try:
            async with asyncio.timeout(START_SECONDS):
                ready = await _message(self._process) == b""
        finally:
            if not ready:
                await self._end()
        return self._process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def _message(process: Process) -> bytes:
    assert process.stdout is not None
    size = SIZE.unpack(await process.stdout.readexactly(SIZE.size))[0]
    return await process.stdout.readexactly(size)
