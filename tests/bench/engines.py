"""A broker and a database of their own for measurements of one service."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.engines import MongoNode, RabbitNode
from deploy.local.secrets import Secrets
from tests.running import Engines, Town


@contextmanager
def town() -> Iterator[Town]:
    """Fresh engines in a folder of their own until the block ends."""
    with tempfile.TemporaryDirectory(prefix="doorstep-bench-") as name:
        folder = Path(name)
        secrets = Secrets(folder / "secrets")
        rabbit = RabbitNode(folder / "rabbitmq", passwords=secrets.rabbit)
        mongo = MongoNode(folder / "mongodb", passwords=secrets.mongo, keyfile=secrets.mongo_keyfile)
        try:
            rabbit.start(120.0)
            mongo.start(120.0)
            yield Town(Engines(rabbit, mongo, secrets, folder))
        finally:
            mongo.stop()
            rabbit.stop()
