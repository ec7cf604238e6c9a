"""Three nodes of each engine: one of each may die under load."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from tests.compose.conftest import Deployment, deployed
from tests.compose.engine import Docker
from tests.compose.test_one_machine import kill_one, verified
from tests.running import eventually

NODES = ("rabbitmq", "rabbitmq-2", "rabbitmq-3")


@pytest.fixture(scope="module")
def town(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment with the profile `cluster`."""
    with deployed(docker, tmp_path_factory.mktemp("cluster"), "cluster") as town:
        town.up()
        yield town


def test_every_queue_has_three_members_and_the_replica_set_too(town: Deployment) -> None:
    """What is written is on three machines, as far as these are machines."""
    queues = town.compose("exec", "-T", "rabbitmq", *_rabbitmqctl("list_queues", "name", "members", "type"))
    listed = [one for one in json.loads(queues) if one["type"] != "classic"]
    assert {one["name"] for one in listed} >= {"doorstep.intake.commands", "doorstep.ledger.events"}
    assert {len(one["members"]) for one in listed} == {3}
    assert primary(town) in ("mongodb", "mongodb-2", "mongodb-3")


async def test_a_broker_node_and_the_primary_die_under_load_and_nothing_is_lost(town: Deployment) -> None:
    """Requests go on with two of three; the dead come back and are members again."""
    async with town.users() as users:
        await users.settle()
        async with users.load("cluster"):
            await eventually(lambda: len(users.lived) >= 3)
            for service in ("rabbitmq-2", await asyncio.to_thread(primary, town)):
                before = len(users.lived)
                await asyncio.to_thread(kill_one, town, service)
                await eventually(lambda before=before: len(users.lived) > before + 5, 120)  # type: ignore[misc]
            await asyncio.to_thread(town.up)
        await users.completed()
    await verified(town)


def primary(town: Deployment) -> str:
    """The service whose member is MongoDB's primary, as that says itself."""
    said = town.compose("run", "--rm", "--no-TTY", "--entrypoint", "python", "backup", "-c", _WHO)
    return said.strip().partition(":")[0]


def _rabbitmqctl(*arguments: str) -> list[str]:
    return ["rabbitmqctl", "--quiet", "--vhost", "doorstep", "--formatter", "json", *arguments]


_WHO = """
from pymongo import MongoClient
from shared.settings import Settings
settings = Settings()
who = {"username": "admin", "password": settings.secrets.text("mongo-admin"), "authSource": "admin"}
print(MongoClient(settings.mongo_url, **who).admin.command("hello")["primary"])
"""
