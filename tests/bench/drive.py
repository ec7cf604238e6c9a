"""The driver: the other system that submits, and the workers who accept and complete.

It runs in a process of its own, is the same for every program, and is not counted. It keeps so many lives in flight, or
begins so many a second whatever becomes of them; a life is whole when its four lines have come on the staff's stream. A
line may be delivered again under the same id, as the broker's delivery is at least once; another line for one event is
a fault. It speaks to the broker through aiormq itself, without confirms and acknowledgements, so as to take little
from the machine that it measures.
Run as `python -m tests.bench.drive`; the outcome is one line of JSON on standard output.
"""

import argparse
import asyncio
import dataclasses
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

import aiormq
import orjson
import uvloop
from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.commands import Basic

from tests.bench import flow

STALL_SECONDS = 45.0
"""So long without one finished life, and the rest counts as lost."""
LATE_ANSWERS_SECONDS = 3.0
ANSWERS_PER_LIFE = 3
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


OFFERED, ASSIGNED = flow.EVENT_NAMES[flow.OFFERED], flow.EVENT_NAMES[flow.ASSIGNED]


@dataclass
class Outcome:
    """What came of one run; times are seconds of the machine's monotonic clock."""

    lives: int
    started: float = 0.0
    finished: float = 0.0
    whole: int = 0
    answers: int = 0
    doubled: int = 0
    """Events of which staff were told under two ids."""
    repeated: int = 0
    """Lines that were delivered again under the same id."""
    duplicates: int = 0
    """Commands that were answered as a repetition: the program had tried again what it had done before."""
    refused: list[str] = field(default_factory=list)
    processor_seconds: float = 0.0


class Driver:
    """Submits `lives` requests, `in_flight` at a time or `per_second`, and carries each to its end."""

    def __init__(self, run: str, lives: int, in_flight: int, per_second: float | None = None) -> None:
        self.outcome = Outcome(lives)
        self._per_second = per_second
        self._run = run
        self._in_flight = in_flight
        self._submitted = 0
        self._lines: dict[str, dict[str, str]] = {}
        """Id of the line by event, by request."""
        self._accepted: set[str] = set()
        self._all = asyncio.Event()
        self._all_answered = asyncio.Event()
        self._commands: aiormq.Channel
        self._replies = ""

    async def go(self, commands_url: str, staff_url: str) -> Outcome:
        """Run to the end, or until nothing moves any more."""
        sending, listening = await aiormq.connect(commands_url), await aiormq.connect(staff_url)
        # Without `wait`, which only the concrete channel knows, messages of one moment leave in one system call.
        self._commands = cast(aiormq.Channel, await sending.channel(publisher_confirms=False))
        self._replies = await private_queue(self._commands)
        await self._commands.basic_consume(self._replies, self._answered, no_ack=True)
        staff = await listening.channel()
        stream = await private_queue(staff)
        await staff.queue_bind(stream, flow.NOTIFICATIONS_EXCHANGE, "#")
        await staff.basic_consume(stream, self._told, no_ack=True)
        self.outcome.started = time.monotonic()
        if self._per_second is None:
            for _ in range(min(self._in_flight, self.outcome.lives)):
                await self._submit()
        else:
            await self._submit_all(self._per_second)
        await self._until_all_or_stalled()
        self.outcome.finished = time.monotonic()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._all_answered.wait(), LATE_ANSWERS_SECONDS)
        await sending.close()
        await listening.close()
        self.outcome.processor_seconds = time.process_time()
        return self.outcome

    async def _until_all_or_stalled(self) -> None:
        done = -1
        while not self._all.is_set() and done < self.outcome.whole:
            done = self.outcome.whole
            try:
                await asyncio.wait_for(self._all.wait(), STALL_SECONDS)
            except TimeoutError:
                continue

    async def _publish(self, key: str, body: dict[str, Any], correlation_id: str) -> None:
        wire, event_id = flow.type_by_key[key], flow.new_id()
        properties = Basic.Properties(
            headers=flow.headers(wire, event_id, "bench", correlation_id, "", TRACE),
            content_type="application/json",
            delivery_mode=2,
            message_id=event_id,
            correlation_id=correlation_id,
            reply_to=self._replies,
            message_type=wire,
            app_id="bench",
        )
        await self._commands.basic_publish(
            orjson.dumps(body),
            exchange=flow.COMMANDS_EXCHANGE,
            routing_key=key,
            properties=properties,
            mandatory=True,
            wait=False,
        )

    async def _submit(self) -> None:
        number = self._submitted
        self._submitted += 1
        await self._publish(flow.SUBMIT, flow.submission(number, self._run), f"submit:{number}")

    async def _submit_all(self, per_second: float) -> None:
        """At even steps; one that comes late because the machine was busy is made up for at once."""
        for number in range(self.outcome.lives):
            due = self.outcome.started + number / per_second
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await self._submit()

    async def _answered(self, message: DeliveredMessage) -> None:
        body = orjson.loads(message.body)
        self.outcome.answers += 1
        if self.outcome.answers == ANSWERS_PER_LIFE * self.outcome.lives:
            self._all_answered.set()
        if body["status"] == "duplicate":
            self.outcome.duplicates += 1
        elif body["status"] != "accepted":
            self.outcome.refused.append(message.body.decode()[:300])
            return
        what, _, task_id = (message.header.properties.correlation_id or "").partition(":")
        if what == "accept":
            await self._complete(task_id, body["worker"])

    async def _told(self, message: DeliveredMessage) -> None:
        line = orjson.loads(message.body)
        event, task_id, worker = line["event"], line["task_id"], line["worker"]
        lines = self._lines.setdefault(line["request_id"], {})
        if event in lines:
            self._note_again(lines[event] == line["id"])
            return
        lines[event] = line["id"]
        if event == OFFERED:
            await self._publish(flow.ACCEPT, _command("accept", task_id, worker), f"accept:{task_id}")
        elif event == ASSIGNED:
            # The answer says the same, and comes first as a rule; it is not promised to come.
            await self._complete(task_id, worker)
        if len(lines) == len(flow.EVENT_NAMES):
            await self._close()

    def _note_again(self, same: bool) -> None:
        if same:
            self.outcome.repeated += 1
        else:
            self.outcome.doubled += 1

    async def _complete(self, task_id: str, worker: str) -> None:
        if task_id not in self._accepted:
            self._accepted.add(task_id)
            await self._publish(flow.COMPLETE, _command("complete", task_id, worker), f"complete:{task_id}")

    async def _close(self) -> None:
        self.outcome.whole += 1
        if self.outcome.whole == self.outcome.lives:
            self._all.set()
        elif self._per_second is None and self._submitted < self.outcome.lives:
            await self._submit()


def _command(verb: str, task_id: str, worker: str) -> dict[str, Any]:
    return {"task_id": task_id, "command_id": f"{verb}-{task_id}", "worker": worker}


async def private_queue(channel: AbstractChannel) -> str:
    """A queue that is ours alone and ends with the connection; its name."""
    declared = await channel.queue_declare(f"reply.bench-{flow.new_id()}", exclusive=True)
    return declared.queue or ""


def main() -> None:
    """Read the options, run, write the outcome."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--commands", required=True, help="AMQP address with which commands are published")
    options.add_argument("--staff", required=True, help="AMQP address with which notifications are read")
    options.add_argument("--lives", type=int, default=1000)
    options.add_argument("--in-flight", type=int, default=200)
    options.add_argument("--per-second", type=float, help="begin so many a second instead of keeping so many in flight")
    options.add_argument("--run", required=True, help="name of the run; part of every source_id")
    given = options.parse_args()
    driver = Driver(given.run, given.lives, given.in_flight, given.per_second)
    outcome = uvloop.run(driver.go(given.commands, given.staff))
    sys.stdout.buffer.write(orjson.dumps(dataclasses.asdict(outcome)) + b"\n")


if __name__ == "__main__":
    main()
