"""The people who help: they hear the staff's stream and act on the tasks that are offered to them.

Some act with their own token, a coordinator speaks for the others. Each action carries an id of its own, so that
sending it again does no harm. A refusal (somebody else was faster, the offer is over) ends the matter for who tried.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from deploy.demo.community import COMMUNITY
from deploy.demo.gateway import Answer, Gateway, NoAnswer
from deploy.demo.habits import Plan, Reaction, plan
from deploy.demo.pace import Pace
from deploy.demo.record import Record
from shared.contracts.dispatch import DeliveryOffered
from shared.contracts.intake import RequestCreated
from shared.contracts.notification import StaffNotification
from shared.contracts.workers import RegisterWorker

OWN_TOKENS = {f"{COMMUNITY}-g1-1": "grid_worker", f"{COMMUNITY}-v01": "volunteer"}
"""Who acts with a token of their own; a coordinator speaks for everybody else."""

TAKEN_OVER = "taken over at the end"
HANDS = 4
"""Tasks that one person does on one walk."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Somebody is asked to do a task."""

    event_id: str
    task_id: str
    request_id: str
    worker: str
    open_to_all: bool
    """Several are asked, and the first who claims it has it."""

    @classmethod
    def of(cls, notification: StaffNotification, worker: str) -> "Offer":
        """What a line of the stream means to one worker."""
        return cls(
            event_id=notification.event_id,
            task_id=notification.task_id or "",
            request_id=notification.request_id or "",
            worker=worker,
            open_to_all=notification.worker is None,
        )


class Staff:
    """Everybody who helps in the community."""

    def __init__(
        self,
        gateway: Gateway,
        workers: Iterable[RegisterWorker],
        pace: Pace,
        record: Record,
        group: asyncio.TaskGroup,
        *,
        seed: int,
    ) -> None:
        self._gateway = gateway
        self._workers = {worker.worker_id: worker for worker in workers}
        self._pace = pace
        self._record = record
        self._group = group
        self._seed = seed
        self._hands = {worker: asyncio.Semaphore(HANDS) for worker in self._workers}
        self._heard: set[tuple[str, str]] = set()
        self._gone = False
        self._running: Counter[str] = Counter()

    def hear(self, notification: StaffNotification) -> None:
        """Take note of a line on the staff's stream; whoever is asked to do something begins to."""
        if self._gone or notification.request_id is None:
            return
        if notification.event == RequestCreated.__name__:
            self._record.seen[notification.request_id][notification.event_id] += 1
        elif notification.event == DeliveryOffered.__name__ and notification.task_id and notification.grid:
            # Without a grid there is nowhere to go yet: a coordinator puts the address right first.
            for worker in self._asked(notification):
                self._begin(Offer.of(notification, worker))

    def go_home(self) -> None:
        """Nobody hears anything any more."""
        self._gone = True

    def busy(self, task_id: str) -> bool:
        """True while somebody acts on the task."""
        return self._running[task_id] > 0

    def answering_for(self, grid: str | None, role: str) -> list[str]:
        """Who of a role is there for a grid."""
        return [
            worker.worker_id
            for worker in self._workers.values()
            if worker.role == role and grid in (*worker.grids, None)
        ]

    async def take_over(self, task_id: str, state: str, worker: str | None, grid: str | None) -> None:
        """Bring a task that was left lying to its end, as a coordinator does at the end of a day."""
        doer = worker or next(iter(self.answering_for(grid, "volunteer")), None)
        if doer is None or self.busy(task_id):
            return
        steps = {"offered": ("accept" if worker else "claim", "start", "complete"), "assigned": ("start", "complete")}
        self._record.staff[TAKEN_OVER] += 1
        occasion = f"end-{self._record.staff[TAKEN_OVER]}"
        async with self._at_work(task_id):
            for verb in steps.get(state, ("complete",)):
                if not (await self._act(task_id, verb, doer, occasion)).good:
                    return

    def _asked(self, notification: StaffNotification) -> list[str]:
        """The worker who is asked or, where everybody of a role is, two who are quick."""
        if notification.worker:
            return [notification.worker]
        return self.answering_for(notification.grid, notification.role)[:2]

    def _begin(self, offer: Offer) -> None:
        if (offer.event_id, offer.worker) not in self._heard and offer.worker in self._workers:
            self._heard.add((offer.event_id, offer.worker))
            attending = self._attend(offer)
            try:
                self._group.create_task(attending)
            except RuntimeError:
                # The day is being ended; nobody begins anything any more.
                attending.close()

    async def _attend(self, offer: Offer) -> None:
        async with self._at_work(offer.task_id):
            await self._react(offer)

    @asynccontextmanager
    async def _at_work(self, task_id: str) -> AsyncIterator[None]:
        self._running[task_id] += 1
        try:
            yield
        except NoAnswer as error:
            self._record.troubles.append(str(error))
        finally:
            self._running[task_id] -= 1

    async def _react(self, offer: Offer) -> None:
        reliable = self._workers[offer.worker].role == "coordinator"
        habit = plan(self._seed, offer.task_id, offer.worker, reliable=reliable)
        await self._pace.sleep(habit.answer)
        if not await self._record.ours(offer.request_id):
            return
        if habit.reaction is Reaction.FORGET or (habit.reaction is Reaction.DECLINE and offer.open_to_all):
            self._record.staff[Reaction.FORGET.value] += 1
            return
        if habit.reaction is Reaction.DECLINE:
            await self._act(offer.task_id, "decline", offer.worker, offer.event_id)
            return
        taken = await self._act(offer.task_id, "claim" if offer.open_to_all else "accept", offer.worker, offer.event_id)
        if taken.good and habit.reaction is Reaction.STALL:
            self._record.staff[Reaction.STALL.value] += 1
        elif taken.good:
            await self._do(offer.task_id, offer.worker, offer.event_id, habit)

    async def _do(self, task_id: str, worker: str, event_id: str, habit: Plan) -> None:
        await self._pace.sleep(habit.travel)
        async with self._hands[worker]:
            if (await self._act(task_id, "start", worker, event_id)).good:
                await self._pace.sleep(habit.work)
                await self._act(task_id, "complete", worker, event_id)

    async def _act(self, task_id: str, verb: str, worker: str, occasion: str) -> Answer:
        """Do one thing with a task. `occasion` is what made somebody do it, so that each has an id of its own."""
        body = {
            "command_id": f"{task_id}/{verb}/{worker}/{occasion}",
            "at": datetime.now(UTC).isoformat(),
            "worker": worker,
            # Nobody is there who could be called; some kinds want it.
            **({"called_back": True} if verb == "complete" else {}),
        }
        role = OWN_TOKENS.get(worker, "coordinator")
        answer = await self._gateway.send("POST", f"/api/dispatch/tasks/{task_id}/{verb}", body, role=role)
        self._record.staff[verb if answer.good else f"{verb}: {answer.code or answer.status}"] += 1
        return answer
