"""Engines of their own for these tests, which kill them; a clean world for each test."""

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from logging import ERROR
from pathlib import Path

import pytest
import structlog

from deploy.demo.broker import quiet
from deploy.engines import MongoNode, RabbitNode
from deploy.local.secrets import Secrets
from tests.faults.world import START_SECONDS, FrailEngines, World

TEST_SECONDS = 900
"""What a test may take at most; most take a few seconds."""
HARMLESS = "ignore:coroutine 'Connection.close' was never awaited:RuntimeWarning"
"""The broker's client forgets to close what was closed under it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))
            item.add_marker(pytest.mark.filterwarnings(HARMLESS))


@pytest.fixture(scope="package")
def frail_engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrailEngines]:
    quiet()
    # Four services say much while everything is killed around them.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(ERROR))
    folder = tmp_path_factory.mktemp("faults")
    secrets = Secrets(folder / "secrets")
    rabbit = RabbitNode(folder / "rabbit", passwords=secrets.rabbit)
    mongo = MongoNode(folder / "mongo", passwords=secrets.mongo, keyfile=secrets.mongo_keyfile, cache_gb=0.25)
    try:
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda engine: engine.start(START_SECONDS), (rabbit, mongo)))
        yield FrailEngines(rabbit, mongo, secrets, folder)
    finally:
        rabbit.remove()
        mongo.remove()
        structlog.reset_defaults()


@pytest.fixture
async def world(frail_engines: FrailEngines, tmp_path: Path) -> AsyncIterator[World]:
    """Both engines run, with nothing in them; no service runs yet."""
    for engine in (frail_engines.rabbit, frail_engines.mongo):
        engine.start(START_SECONDS)
    await frail_engines.clean()
    made = World(frail_engines, tmp_path)
    try:
        yield made
    finally:
        await made.close()
