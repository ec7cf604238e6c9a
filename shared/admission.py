"""What a service asks of its surroundings before it starts; what waiting does not mend is told in one line."""

from datetime import UTC, datetime, timedelta

from shared.bus import Bus
from shared.documents import Collection, Database, Document, Write

DOCUMENTS = 1
"""Version of the shapes in which documents rest. It is raised with every change of them."""
OLDEST_READER = 1
"""The oldest version of this program that still reads what this one writes."""
OLDEST_BROKER = (3, 10)
"""Message times to live on quorum queues, which the pauses before a retry rest on, came with it."""
CLOCKS_APART = timedelta(minutes=1)


class CannotStart(Exception):
    """The surroundings are not such that the service may start; the message says what to do."""


async def admit(database: Database, bus: Bus, schema: Collection) -> None:
    """Look at database and broker, and write down in which version documents are written from now on.

    Raises:
        CannotStart: something is wrong that does not pass by itself.
        StorageUnavailable, BrokerUnavailable: one of them does not answer.
    """
    server = await database.server()
    if server.replica_set is None:
        raise CannotStart("MongoDB runs without a replica set: start it with --replSet and initiate it")
    apart = abs(server.time - datetime.now(UTC))
    if apart > CLOCKS_APART:
        raise CannotStart(
            f"the clocks of this machine and of MongoDB's are {apart.total_seconds():.0f} s apart: set them (NTP)"
        )
    version = bus.broker_version()
    if version < OLDEST_BROKER:
        raise CannotStart(f"RabbitMQ is {_dotted(version)}: install {_dotted(OLDEST_BROKER)} or newer")
    await schema.update("documents", _enter)


def _enter(known: Document | None) -> tuple[Write | None, None]:
    if known is not None and known["oldest_reader"] > DOCUMENTS:
        raise CannotStart(
            f"the database was written by a newer Doorstep (documents {known['version']}, readable from"
            f" {known['oldest_reader']} on; this program writes {DOCUMENTS}): start that one, or restore a backup"
        )
    if known is not None and known["version"] >= DOCUMENTS:
        return None, None
    return Write({"version": DOCUMENTS, "oldest_reader": OLDEST_READER}), None


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
