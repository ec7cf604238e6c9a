"""What Doorstep must know before a request can be offered: six buildings and who answers for their grids."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import aio_pika
import orjson

from shared.contracts.envelope import Command
from shared.contracts.ledger import RegisterBuilding
from shared.contracts.workers import RegisterWorker
from tests.bench import flow

BUILDINGS = 6
PATIENCE = 30.0
"""Seconds until what was registered must be known everywhere."""


class SetupError(RuntimeError):
    """Doorstep did not take in what a measurement needs."""


def register(broker_url: str) -> None:
    """Publish the registrations."""
    asyncio.run(_publish(broker_url))


def wait_until(known: Callable[[], bool], what: str) -> None:
    """Wait until something is so.

    Raises:
        SetupError: it was not in time.
    """
    deadline = time.monotonic() + PATIENCE
    while not known():
        if time.monotonic() > deadline:
            raise SetupError(f"not so after {PATIENCE:.0f} s: {what}")
        time.sleep(0.1)


async def _publish(broker_url: str) -> None:
    connection = await aio_pika.connect(broker_url)
    async with connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        commands = await channel.get_exchange(flow.COMMANDS_EXCHANGE, ensure=False)
        for number in range(1, BUILDINGS + 1):
            grid = f"g{number}"
            building = {"community": flow.COMMUNITY, "building": str(number), "grid": grid}
            await commands.publish(_command(RegisterBuilding, building), RegisterBuilding.key, mandatory=True)
            worker = {
                "worker_id": f"w-{grid}",
                "community": flow.COMMUNITY,
                "role": "grid_worker",
                "grids": [grid],
                "buildings": [str(number)],
                "name": f"测试网格员{number}",
            }
            await commands.publish(_command(RegisterWorker, worker), RegisterWorker.key, mandatory=True)


def _command(contract: type[Command], body: Mapping[str, Any]) -> aio_pika.Message:
    return aio_pika.Message(
        orjson.dumps(body),
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=flow.new_id(),
        type=contract.wire,
    )
