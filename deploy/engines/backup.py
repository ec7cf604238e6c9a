"""Backup of everything that the four services wrote down, and the way back.

    python -m deploy.engines.backup save    >doorstep.backup      all four databases as they were at one moment
    python -m deploy.engines.backup restore <doorstep.backup      into empty databases, before the services start

The moment is one point of the replica set's own time (a snapshot read), so the four agree with each other, while
everything goes on. Messages that were under way are not in it and need not be: on an empty broker each service
notices that its queues are new and asks for its events again. Personal fields are in it as they rest, sealed: without
the keys (the secrets folder, kept apart) nobody can read them.

The file is gzipped BSON (https://bsonspec.org): before the documents of a collection one that names it, at the very
end one that says how many there were.
"""

import gzip
import sys
from collections.abc import Iterator
from typing import IO, Any

from bson import decode_file_iter, encode
from bson.codec_options import CodecOptions
from bson.errors import InvalidBSON
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from deploy.engines.definitions import SERVICES
from deploy.engines.replica_set import ADMIN, database_of
from shared.settings import Settings, SettingsError

_TOGETHER = 1_000
_MARK = "doorstep_backup"
_PASSING = {"leases", "attempts"}
"""What is true of running processes only."""
_RAW = CodecOptions(document_class=RawBSONDocument)

Client = MongoClient[RawBSONDocument]


class BackupError(Exception):
    """It cannot be done; the message says why, and what to do."""


def save(client: Client, out: IO[bytes]) -> int:
    """Write all databases, as they are at one moment, to `out`; how many documents."""
    total = 0
    with gzip.open(out, "wb") as packed, client.start_session(snapshot=True) as session:
        for service in SERVICES:
            database = client[database_of(service)]
            for name in sorted(set(database.list_collection_names()) - _PASSING):
                packed.write(encode({_MARK: "collection", "database": database.name, "name": name}))
                for document in database[name].find({}, session=session, batch_size=_TOGETHER):
                    packed.write(document.raw)
                    total += 1
        packed.write(encode({_MARK: "end", "documents": total}))
    return total


def restore(client: Client, source: IO[bytes]) -> int:
    """Fill empty databases from `source`; how many documents.

    Raises:
        BackupError: there are documents already, or it is not a whole backup.
    """
    for service in SERVICES:
        database = client[database_of(service)]
        if any(database[name].find_one() for name in database.list_collection_names()):
            raise BackupError(f"{database.name} is not empty: restore into a new one, before the services start")
    total = 0
    try:
        for database_name, name, documents in _batches(source):
            client[database_name][name].insert_many(documents, ordered=False)
            total += len(documents)
    except (EOFError, InvalidBSON, OSError) as error:
        raise BackupError(f"this is not a whole backup of Doorstep: {error}") from error
    return total


def _batches(source: IO[bytes]) -> Iterator[tuple[str, str, list[RawBSONDocument]]]:
    """Database, collection, and some of its documents.

    Raises:
        BackupError: the end is missing.
    """
    total, whole = 0, None
    database, name, batch = "", "", []
    with gzip.open(source) as packed:
        for document in decode_file_iter(packed, _RAW):  # type: ignore[call-overload]
            mark = document.get(_MARK)
            if mark is None:
                batch.append(document)
            if batch and (mark is not None or len(batch) == _TOGETHER):
                yield database, name, batch
                total += len(batch)
                batch = []
            if mark == "collection":
                database, name = document["database"], document["name"]
            elif mark == "end":
                whole = document["documents"]
    if whole != total:
        raise BackupError(f"this is not a whole backup of Doorstep: {total} documents of {whole}")


def main(arguments: list[str]) -> int:
    """`save` to standard output, or `restore` from standard input; the exit code."""
    if arguments not in (["save"], ["restore"]):
        sys.stderr.write("Say save (writes to standard output) or restore (reads standard input).\n")
        return 2
    saving = arguments == ["save"]
    try:
        settings = Settings()
        with MongoClient[Any](
            settings.mongo_url,
            username=ADMIN,
            password=settings.secrets.text("mongo-admin"),
            authSource=ADMIN,
            document_class=RawBSONDocument,
            serverSelectionTimeoutMS=10_000,
            w="majority",
        ) as client:
            total = save(client, sys.stdout.buffer) if saving else restore(client, sys.stdin.buffer)
    except (SettingsError, BackupError, PyMongoError) as error:
        sys.stderr.write(f"The backup could not be {'made' if saving else 'restored'}: {error}\n")
        return 1
    sys.stderr.write(f"{total} documents {'saved' if saving else 'restored'}.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
