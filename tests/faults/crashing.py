"""A real service with one injected part that ends the process, as kill -9 would, at an exact point.

`python -m tests.faults.crashing SERVICE FAULT COUNT`; settings come from the environment as for the service itself.
"""

import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from fastapi import FastAPI
from pymongo import InsertOne

from shared.consumer import Handler, Router
from shared.contracts.envelope import Meta
from shared.messages import Outgoing
from shared.runtime import Runtime
from shared.service import run
from shared.settings import Settings
from tests.faults import absence

EFFECTS = {"intake": "requests", "dispatch": "tasks", "notification": "messages", "ledger": "entries"}
"""Where each service writes down what a message made it do."""
POISON = "poison"
"""The `source` of a request whose handling ends the process."""


def die() -> None:
    """As kill -9: nothing is flushed, closed or said."""
    os.kill(os.getpid(), signal.SIGKILL)


class Fatal:
    """A collection at which the process dies, before or after the write that inserts the so-manieth document."""

    def __init__(self, raw: Any, count: int, *, after: bool) -> None:
        self._raw = raw
        self._left = count
        self._after = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    async def bulk_write(self, operations: list[Any], **options: Any) -> Any:
        return await self._write(
            sum(isinstance(one, InsertOne) for one in operations), self._raw.bulk_write(operations, **options)
        )

    async def insert_many(self, documents: list[Any], **options: Any) -> Any:
        return await self._write(len(documents), self._raw.insert_many(documents, **options))

    async def _write(self, inserts: int, write: Any) -> Any:
        self._left -= inserts
        if self._left <= 0 and not self._after:
            die()
        done = await write
        if self._left <= 0:
            die()
        return done


def before_write(runtime: Runtime, count: int) -> None:
    """Dies with the effects decided and not written."""
    effects = runtime.database.collection(EFFECTS[runtime.name])
    effects.raw = Fatal(effects.raw, count, after=False)  # type: ignore[assignment]


def after_write(runtime: Runtime, count: int) -> None:
    """Dies with the effects written; nobody has been told, nothing acknowledged."""
    effects = runtime.database.collection(EFFECTS[runtime.name])
    effects.raw = Fatal(effects.raw, count, after=True)  # type: ignore[assignment]


def after_confirm(runtime: Runtime, count: int) -> None:
    """Dies when the broker has confirmed so many events, before they are marked as sent."""
    publish = runtime.bus.publish
    confirmed = 0

    async def publish_and_die(message: Outgoing) -> None:
        nonlocal confirmed
        await publish(message)
        confirmed += 1
        if confirmed >= count:
            die()

    runtime.bus.publish = publish_and_die  # type: ignore[method-assign]


FAULTS: dict[str, Callable[[Runtime, int], None]] = {
    "before-write": before_write,
    "after-write": after_write,
    "after-confirm": after_confirm,
}


def poisoned(router: Router[Any]) -> None:
    """Every handler of the router dies of a message whose source is poison."""

    def wrapped(handler: Handler[Any]) -> Handler[Any]:
        async def handle(house: Any, message: Any, meta: Meta) -> Any:
            if getattr(message, "source", None) == POISON:
                os._exit(3)
            return await handler(house, message, meta)

        return handle

    for wire, (event, handler) in list(router.events.items()):
        router.events[wire] = (event, wrapped(handler))


def main() -> None:
    service, fault, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    for safeguard in sys.argv[4:]:
        absence.TAKE_AWAY[safeguard]()
    module = import_module(f"services.{service}.app")
    if fault == "poison":
        poisoned(import_module(f"services.{service}.handlers").router)

    def build(settings: Settings) -> FastAPI:
        runtime = Runtime(service, settings)
        app: FastAPI = module.build(settings, runtime)
        if fault in FAULTS:
            FAULTS[fault](runtime, count)
        return app

    run(build, service)


if __name__ == "__main__":
    main()
