"""Each safeguard, taken away: exactly one line of the runtime does not do what it does.

Every function is handed `replace(owner, name, value)`: `setattr` in a process of its own, else `monkeypatch.setattr`.
"""

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

from pymongo import InsertOne, UpdateOne

import services.dispatch.handlers
import services.intake.handlers
import services.notification.handlers
import shared.documents
from shared.bus import Bus, Receipt
from shared.consumer import Consumer
from shared.identity import new_id
from shared.messages import Incoming, Outgoing
from shared.timers import Leases

Replace = Callable[[object, str, object], None]


def write_before_acknowledge(replace: Replace) -> None:
    """A delivery is acknowledged first and handled then."""
    receive = Consumer.receive

    class Done(Receipt):
        def __init__(self) -> None:
            """Nothing is left to be said."""

        def done(self) -> None:
            """Said already."""

        async def give_back(self) -> None:
            """Cannot be any more."""

    async def hasty(self: Consumer[Any], incoming: Incoming, receipt: Receipt) -> None:
        receipt.done()
        # As a handler with no write before it would: the acknowledgement leaves while the handling goes on.
        await asyncio.sleep(0.5)
        await receive(self, incoming, Done())

    replace(Consumer, "receive", hasty)


def derived_request_id(replace: Replace) -> None:
    """A request gets any id instead of that of its source."""
    replace(services.intake.handlers, "request_id_of", lambda command: new_id())


def derived_task_id(replace: Replace) -> None:
    """A task gets any id instead of that of its request."""
    replace(services.dispatch.handlers, "task_id_of", lambda request_id: new_id())


def derived_notification_id(replace: Replace) -> None:
    """A message to staff gets any id instead of that of its event."""
    replace(services.notification.handlers, "derived_id", lambda *parts: new_id())


def confirm(replace: Replace) -> None:
    """Whoever publishes does not wait for the broker's word."""
    publish = Bus.publish

    async def hasty(self: Bus, message: Outgoing) -> None:
        task = asyncio.get_running_loop().create_task(publish(self, message))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    replace(Bus, "publish", hasty)


def mandatory(replace: Replace) -> None:
    """A message that reaches no queue counts as sent."""
    publish = Bus.publish

    async def careless(self: Bus, message: Outgoing) -> None:
        await publish(self, dataclasses.replace(message, mandatory=False))

    replace(Bus, "publish", careless)


def persist(replace: Replace) -> None:
    """Messages live in the broker's memory alone."""
    publish = Bus.publish

    async def careless(self: Bus, message: Outgoing) -> None:
        await publish(self, dataclasses.replace(message, persistent=False))

    replace(Bus, "publish", careless)


def version_filter(replace: Replace) -> None:
    """A document is written over whatever somebody else made of it meanwhile."""
    operation = shared.documents._Decision.operation

    def blind(self: Any) -> InsertOne[Any] | UpdateOne:
        one = operation(self)
        if isinstance(one, InsertOne):
            return one
        return UpdateOne({"_id": one._filter["_id"]}, one._doc, upsert=True)

    replace(shared.documents._Decision, "operation", blind)


def lease(replace: Replace) -> None:
    """Whoever asks for a lease has it."""

    async def granted(self: Leases, name: str) -> bool:
        return True

    replace(Leases, "hold", granted)


TAKE_AWAY: dict[str, Callable[[], None]] = {"write-before-acknowledge": lambda: write_before_acknowledge(setattr)}
"""Those that must be missing in a process that dies."""
