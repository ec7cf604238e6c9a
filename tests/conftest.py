"""Real engines for the whole run, and a town in which each test takes place."""

import asyncio
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, settings

from deploy.engines import MongoNode, RabbitNode
from deploy.local.secrets import Secrets
from tests.running import Engines, Town

# How fast a machine is says nothing about a rule.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

# A run that a script started in the background ignores Ctrl-C, and so would every program that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """RabbitMQ and MongoDB on free ports, with data in a private folder; ended with the run."""
    folder = tmp_path_factory.mktemp("engines")
    secrets = Secrets(folder / "secrets")
    rabbit = RabbitNode(folder / "rabbitmq", passwords=secrets.rabbit)
    mongo = MongoNode(folder / "mongodb", passwords=secrets.mongo, keyfile=secrets.mongo_keyfile)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda engine: engine.start(120.0), (rabbit, mongo)))
    try:
        yield Engines(rabbit, mongo, secrets, folder)
    finally:
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda engine: engine.stop(), (rabbit, mongo)))


@pytest.fixture
async def town(engines: Engines) -> Town:
    """An empty town: no documents, no queues."""
    await asyncio.gather(asyncio.to_thread(engines.empty_databases), engines.empty_queues())
    return Town(engines)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever needs the engines may take longer: the first of them waits for their start, on whatever machine."""
    for item in items:
        if "engines" in getattr(item, "fixturenames", ()) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(300))
