"""MongoDB behind one door: the only module that imports a driver.

Group commit: callers read, decide and write as if each were alone; beneath, the loads and saves of one moment become
one `find` and one unordered `bulk_write`. A lost race is told per document and decided again on fresh data.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from bson.codec_options import CodecOptions
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection
from pymongo import IndexModel, InsertOne, ReadPreference, UpdateOne, WriteConcern
from pymongo.errors import BulkWriteError, ConnectionFailure, ExecutionTimeout, OperationFailure, WTimeoutError
from pymongo.read_concern import ReadConcern

from shared.batching import BUSY_LINGER, Batcher, Job

Document = dict[str, Any]
T = TypeVar("T")

DUPLICATE_KEY = 11000
PATCH_LINGER = 0.3
"""Seconds that patches wait for others of the same document."""
REMEMBERED = 500
"""Documents just written, or read to be written, that a collection keeps in memory."""
_TRIES = 50
_NOTHING = object()
_PLAIN = re.compile(r"[^.$]+").fullmatch
"""A name that can be part of a path."""
# Not primary, stepping down, shutting down, interrupted, no such primary yet, and a password that was changed a moment
# ago, until the service is started with the new one: all pass.
_NOT_NOW = {18, 91, 189, 10058, 10107, 11600, 11602, 13435, 13436}


class StorageUnavailable(Exception):
    """The database cannot be reached or cannot write just now; the same call later will do."""


class StorageConflict(Exception):
    """A document was changed by others so often that no write got through."""

    def __init__(self, collection: str, document_id: str) -> None:
        super().__init__(f"{collection}/{document_id} was changed by others {_TRIES} times in a row")


class Occupied(Exception):
    """A unique index holds another document where this one should be; nothing was written."""

    def __init__(self, collection: str, document_id: str, fields: Sequence[str]) -> None:
        self.fields = tuple(fields)
        super().__init__(f"another document has the {', '.join(fields)} meant for {collection}/{document_id}")


@dataclass(frozen=True, slots=True)
class Index:
    """An index, declared beside the query that needs it."""

    keys: tuple[tuple[str, int], ...]
    unique: bool = False
    where: Document | None = None
    """Only documents that match are in the index."""
    seconds: int | None = None
    """The database deletes a document so long after the time that it holds under the key."""

    def model(self) -> IndexModel:
        """As the driver wants it."""
        options: Document = {"unique": True} if self.unique else {}
        if self.seconds is not None:
            options["expireAfterSeconds"] = self.seconds
        if self.where is not None:
            options["partialFilterExpression"] = self.where
            # Without a name of its own, it would be taken for the index of the same keys over all documents.
            options["name"] = "_".join([*(key for key, _ in self.keys), "where", *self.where])
        return IndexModel(list(self.keys), **options)


@dataclass(frozen=True, slots=True)
class Write:
    """What is to become of one document.

    An existing document is changed only if its version is still the one that was read.
    """

    set: Document = field(default_factory=dict)
    push: dict[str, list[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Patch:
    """A change that needs no version: fields to set, and numbered elements to take out of arrays."""

    set: Document
    pull: dict[str, list[int]]
    """By array: the `n` of the elements to take out."""

    def joined(self, other: "Patch") -> "Patch":
        """Both."""
        pull = {name: [*self.pull.get(name, ()), *numbers] for name, numbers in other.pull.items()}
        return Patch({**self.set, **other.set}, {**self.pull, **pull})

    def change(self) -> Document:
        """As the database wants it."""
        pull = {name: {"n": {"$in": numbers}} for name, numbers in self.pull.items()}
        return {"$set": self.set, **({"$pull": pull} if pull else {})}


@dataclass(slots=True)
class _Update:
    document_id: str
    decide: Callable[[Document | None], tuple[Write | None, Any]]
    new: bool
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Server:
    """What the database says of itself."""

    replica_set: str | None
    time: datetime


class Database:
    """One service's own database."""

    def __init__(self, url: str, database: str, *, user: str | None = None, password: str | None = None) -> None:
        credentials: Document = {"username": user, "password": password, "authSource": "admin"} if user else {}
        self._client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(
            url,
            appname="doorstep",
            serverSelectionTimeoutMS=3_000,
            connectTimeoutMS=3_000,
            socketTimeoutMS=10_000,
            maxPoolSize=50,
            retryWrites=True,
            **credentials,
        )
        self._database = self._client.get_database(
            database,
            codec_options=CodecOptions(tz_aware=True, tzinfo=UTC),
            read_preference=ReadPreference.PRIMARY,
            write_concern=WriteConcern("majority", j=True, wtimeout=10_000),
            read_concern=ReadConcern("local"),
        )
        self._collections: dict[str, Collection] = {}

    def collection(self, name: str, indexes: Sequence[Index] = ()) -> "Collection":
        """The collection of that name; its indexes are made by `prepare`."""
        if name not in self._collections:
            self._collections[name] = Collection(self._database[name], indexes)
        return self._collections[name]

    async def prepare(self) -> None:
        """Make the declared indexes, where missing.

        Raises:
            StorageUnavailable: the database did not answer.
        """
        with _translated():
            await asyncio.gather(*(collection.prepare() for collection in self._collections.values()))

    async def ping(self) -> None:
        """Ask whether the primary answers.

        Raises:
            StorageUnavailable: it does not.
        """
        with _translated():
            await self._database.command("ping")

    async def server(self) -> Server:
        """What it is.

        Raises:
            StorageUnavailable: it does not answer.
        """
        with _translated():
            hello = await self._database.command("hello", codec_options=self._database.codec_options)
        return Server(hello.get("setName"), hello["localTime"])

    async def drain(self) -> None:
        """Wait until every write that was asked for is done."""
        for collection in self._collections.values():
            await collection.drain()

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()


class Collection:
    """Documents with an `_id`, and a version `v` that every write through `update` raises by one."""

    def __init__(self, collection: "AsyncIOMotorCollection[Document]", indexes: Sequence[Index]) -> None:
        self.name = collection.name
        self.raw = collection
        self.indexes = tuple(indexes)
        self._recent: dict[str, Document] = {}
        self._loads: Batcher[str, Document | None] = Batcher(self._load_many, busy_linger=BUSY_LINGER)
        self._updates: Batcher[_Update, Any] = Batcher(self._update_many, busy_linger=BUSY_LINGER)
        self._patches: Batcher[tuple[str, Patch], None] = Batcher(self._patch_many, linger=PATCH_LINGER)

    async def prepare(self) -> None:
        """Make the declared indexes, where missing."""
        if self.indexes:
            await self.raw.create_indexes([index.model() for index in self.indexes])

    async def get(self, document_id: str) -> Document | None:
        """One document; the reads of one moment become one query.

        Raises:
            StorageUnavailable: the database did not answer.
        """
        return await self._loads.submit(document_id)

    async def glance(self, document_id: str) -> Document | None:
        """One document as it was when it was last written here, or as it is: for what does not change."""
        return self._recent.get(document_id) or await self.get(document_id)

    async def update(
        self, document_id: str, decide: Callable[[Document | None], tuple[Write | None, T]], *, new: bool = False
    ) -> T:
        """Load, decide, save: all or nothing, and decided again when somebody else was faster.

        Args:
            document_id: which document.
            decide: pure; gets the document as it is now (None: there is none) and says what to write, if anything,
                and what to answer. What it raises is raised here, and nothing is written. It must not change its input.
            new: it most likely does not exist yet, so the load is left out until an insert says otherwise.

        Raises:
            StorageUnavailable: the outcome is not known; the same call again does no harm if `decide` recognises
                what it did before.
            StorageConflict: too many lost races.
            Occupied: a unique index does not let it in; decide again on what is so now.
        """
        return cast(T, await self._updates.submit(_Update(document_id, decide, new)))

    def forget(self, document_id: str) -> None:
        """Rest on nothing that is remembered: somebody may have changed the document without raising its version."""
        self._recent.pop(document_id, None)

    def patch(self, document_id: str, patch: "Patch") -> "asyncio.Future[None]":
        """Apply what needs no version and may be applied again: a little later, with others of the same document."""
        return self._patches.submit((document_id, patch))

    async def put(self, document_id: str, document: Document) -> None:
        """Keep a copy of a fact: set these fields on the document, made when missing. Safe to repeat."""
        await self.update(document_id, lambda old: (_if_changed(old, document), None))

    async def find(
        self,
        query: Document,
        *,
        sort: Sequence[tuple[str, int]] = (),
        limit: int = 0,
        fields: Document | None = None,
    ) -> list[Document]:
        """Documents that match, at most `limit` (0: all)."""
        with _translated():
            return await self.raw.find(query, fields, sort=list(sort) or None, limit=limit).to_list(None)

    async def find_to_write(self, query: Document) -> list[Document]:
        """Documents that match, whole, and remembered: most likely each is written next, and the look is saved."""
        found = await self.find(query)
        for document in found:
            self._remember(document)
        return found

    async def stream(
        self, query: Document, *, sort: Sequence[tuple[str, int]] = (), fields: Document | None = None
    ) -> AsyncGenerator[Document, None]:
        """Documents that match, without holding all of them in memory."""
        with _translated():
            async for document in self.raw.find(query, fields, sort=list(sort) or None, batch_size=1000):
                yield document

    async def aggregate(self, pipeline: list[Document], *, seconds: float | None = None) -> list[Document]:
        """The pipeline's result, which must be small; the database itself gives up after `seconds`."""
        bound = {} if seconds is None else {"maxTimeMS": round(seconds * 1000)}
        with _translated():
            return await self.raw.aggregate(pipeline, **bound).to_list(None)

    async def count(self, query: Document | None = None) -> int:
        """How many match; without a query, how many there are."""
        with _translated():
            if query is None:
                return await self.raw.estimated_document_count()
            return await self.raw.count_documents(query)

    async def insert_in_order(self, documents: list[Document]) -> "DuplicateAt | None":
        """Insert one after the other and stop at the first that is there already.

        Returns:
            Where it stopped, or None when all are in.
        """
        with _translated():
            try:
                await self.raw.insert_many(documents, ordered=True)
            except BulkWriteError as error:
                first = next(iter(error.details["writeErrors"]), None)
                # Written here and not by most members is not written: it may be taken back.
                if first is None or first["code"] != DUPLICATE_KEY or error.details["writeConcernErrors"]:
                    raise
                return DuplicateAt(first["index"], tuple(first["keyPattern"]))
            return None

    async def insert_new(self, documents: list[Document]) -> set[str]:
        """Insert those whose `_id` is not there yet, all in one go; the ids of those that were."""
        with _translated():
            try:
                await self.raw.insert_many(documents, ordered=False)
            except BulkWriteError as error:
                errors = error.details["writeErrors"]
                if error.details["writeConcernErrors"] or any(one["code"] != DUPLICATE_KEY for one in errors):
                    raise
                return {documents[one["index"]]["_id"] for one in errors}
            return set()

    async def take(self, query: Document, change: Document, *, upsert: bool = False) -> Document | None:
        """Change one document that matches, in one step; the document as it then is, or None.

        Losing the race to create it counts as no match.
        """
        with _translated():
            try:
                found = await self.raw.find_one_and_update(query, change, upsert=upsert, return_document=True)
            except OperationFailure as error:
                if error.code == DUPLICATE_KEY:
                    return None
                raise
            return cast("Document | None", found)

    async def delete(self, query: Document) -> int:
        """Delete what matches; how many."""
        with _translated():
            deleted = (await self.raw.delete_many(query)).deleted_count
        self._recent.clear()
        return deleted

    async def drain(self) -> None:
        """Wait until every write that was asked for is done."""
        await self._updates.drain()
        await self._patches.drain()

    async def _load_many(self, jobs: list[Job[str, Document | None]]) -> None:
        found = await self._fetch({job.item for job in jobs})
        for job in jobs:
            job.resolve(found.get(job.item))

    async def _fetch(self, ids: Iterable[str]) -> dict[str, Document]:
        wanted = list(ids)
        if not wanted:
            return {}
        return {document["_id"]: document for document in await self.find({"_id": {"$in": wanted}})}

    async def _update_many(self, jobs: list[Job[_Update, Any]]) -> None:
        groups: dict[str, list[Job[_Update, Any]]] = {}
        for job in jobs:
            groups.setdefault(job.item.document_id, []).append(job)
        alone: list[Job[_Update, Any]] = []
        while groups or alone:
            if not groups:
                job = alone.pop(0)
                groups = {job.item.document_id: [job]}
            guesses: dict[str, Document | None] = {}
            for key, group in groups.items():
                first = group[0].item
                recent = self._recent.pop(key, None) if first.tries == 0 else None
                if recent is not None or (first.new and first.tries == 0):
                    guesses[key] = recent
            loaded = await self._fetch(key for key in groups if key not in guesses)
            decisions = [_Decision(key, guesses.get(key, loaded.get(key)), group) for key, group in groups.items()]
            writes = [decision for decision in decisions if decision.changed]
            refused = await self._write([decision.operation() for decision in writes])
            fields = {id(writes[position]): names for position, names in refused.items()}
            groups = {}
            for decision in decisions:
                names = fields.get(id(decision))
                # A write is refused by the version if it rests on a wrong guess; a decision not to write is not.
                guessed = not decision.changed and decision.document_id in guesses
                if names is None and not guessed:
                    decision.settle()
                    if decision.changed:
                        self._remember(decision.result())
                elif again := decision.again(self.name):
                    if names is None or names == ("_id",):
                        groups[decision.document_id] = again
                    elif len(again) > 1:
                        # Which of them wanted what another has is not known, so each is tried alone.
                        alone += again
                    else:
                        again[0].fail(Occupied(self.name, decision.document_id, names))

    def _remember(self, document: Document) -> None:
        """Keep what was just written: most documents are written again soon, and the look is saved."""
        self._recent[document["_id"]] = document
        if len(self._recent) > REMEMBERED:
            del self._recent[next(iter(self._recent))]

    async def _write(self, operations: "list[InsertOne[Document] | UpdateOne]") -> dict[int, tuple[str, ...]]:
        """Write in one go; the positions of those that were refused, with the fields that another document has."""
        if not operations:
            return {}
        refused: dict[int, tuple[str, ...]] = {}
        with _translated():
            try:
                halves = (await self.raw.bulk_write(operations, ordered=False)).upserted_ids or {}
            except BulkWriteError as error:
                errors = error.details["writeErrors"]
                if error.details["writeConcernErrors"] or any(one["code"] != DUPLICATE_KEY for one in errors):
                    raise
                refused = {one["index"]: tuple(one["keyPattern"]) for one in errors}
                halves = {one["index"]: one["_id"] for one in error.details["upserted"]}
            if halves:
                # Somebody deleted it since it was read, so this write made half of one: it is decided again on nothing.
                await self.raw.delete_many({"_id": {"$in": list(halves.values())}})
        return refused | dict.fromkeys(halves, ("_id",))

    async def _patch_many(self, jobs: list[Job[tuple[str, Patch], None]]) -> None:
        patches: dict[str, Patch] = {}
        for job in jobs:
            document_id, patch = job.item
            known = patches.get(document_id)
            patches[document_id] = patch if known is None else known.joined(patch)
        operations = [UpdateOne({"_id": document_id}, patch.change()) for document_id, patch in patches.items()]
        with _translated():
            await self.raw.bulk_write(operations, ordered=False)
        for job in jobs:
            job.resolve(None)


@dataclass(frozen=True, slots=True)
class DuplicateAt:
    """Where an ordered insert stopped, and which fields were there already."""

    position: int
    fields: tuple[str, ...]


class _Decision:
    """All updates of one document in one moment: decided one after the other, written at once."""

    def __init__(self, document_id: str, document: Document | None, group: list[Job[_Update, Any]]) -> None:
        self.document_id = document_id
        self.changed = False
        self._document = document
        self._group = group
        self._write = Write()
        self._outcomes: list[Any] = []
        for job in group:
            self._outcomes.append(self._decide(job.item))

    def _decide(self, update: _Update) -> Any:
        current = self.result() if self.changed else self._document
        try:
            write, answer = update.decide(current)
        # A refusal, or a mistake in one caller's rule, is that caller's alone.
        except Exception as error:  # noqa: BLE001
            return _Failure(error)
        if write is not None:
            self.changed = True
            self._write = _joined(self._write, write)
        return answer

    def result(self) -> Document:
        """The document as it is after the write."""
        return _applied(self._document, self._write, self.document_id)

    def operation(self) -> "InsertOne[Document] | UpdateOne":
        """The one write that carries all of them."""
        write = self._write
        if self._document is None:
            return InsertOne({"_id": self.document_id, "v": 1, **write.set, **write.push})
        change: Document = {"$set": {**_differing(self._document, write.set), "v": self._document["v"] + 1}}
        if write.push:
            change["$push"] = {name: {"$each": values} for name, values in write.push.items()}
        # With upsert, a version that is no longer there comes back as a duplicate `_id` with its position.
        return UpdateOne({"_id": self.document_id, "v": self._document["v"]}, change, upsert=True)

    def settle(self) -> None:
        """It is written, or there was nothing to write: answer those who asked."""
        for job, outcome in zip(self._group, self._outcomes, strict=True):
            if isinstance(outcome, _Failure):
                job.fail(outcome.error)
            else:
                job.resolve(outcome)

    def again(self, collection: str) -> list[Job[_Update, Any]]:
        """Those that decide once more, on fresh data."""
        waiting = [job for job in self._group if not job.future.done()]
        for job in waiting:
            job.item.tries += 1
            if job.item.tries >= _TRIES:
                job.fail(StorageConflict(collection, self.document_id))
        return [job for job in waiting if not job.future.done()]


@dataclass(frozen=True, slots=True)
class _Failure:
    error: Exception


def _applied(document: Document | None, write: Write, document_id: str) -> Document:
    """The document as it will be."""
    base = document or {"_id": document_id, "v": 0}
    pushed = {name: [*base.get(name, ()), *values] for name, values in write.push.items()}
    return {**base, **write.set, **pushed, "v": base["v"] + 1}


def _differing(before: Document, after: Document) -> Document:
    """What to set, by path, so that the fields named in `after` are as they are there.

    No more than differs: every index over what is named is made again by the database.
    """
    changes: Document = {}
    for name, value in after.items():
        _compare(before.get(name, _NOTHING), value, name, changes)
    return changes


def _compare(known: Any, value: Any, path: str, changes: Document) -> None:
    if known is value:
        return
    # What has parts is compared part by part, once: most of them are the very same.
    if isinstance(known, dict) and isinstance(value, dict):
        inner, outer = cast("Document", known), cast("Document", value)
        others = [name for name, one in outer.items() if inner.get(name, _NOTHING) != one]
        if inner.keys() <= outer.keys() and all(map(_PLAIN, others)):
            for name in others:
                _compare(inner.get(name, _NOTHING), outer[name], f"{path}.{name}", changes)
            return
    # Patches take elements out of the arrays of a document itself without a version, so places there may have moved.
    elif "." in path and isinstance(known, (list, tuple)) and isinstance(value, (list, tuple)):
        olds, news = cast("Sequence[Any]", known), cast("Sequence[Any]", value)
        if len(olds) == len(news):
            differ = [number for number, (old, new) in enumerate(zip(olds, news, strict=True)) if old != new]
            # What has no parts is set whole: that is shorter than the paths to what differs in it.
            if all(isinstance(news[number], (dict, list)) for number in differ):
                for number in differ:
                    _compare(olds[number], news[number], f"{path}.{number}", changes)
                return
    if known != value:
        changes[path] = value


def _joined(first: Write, second: Write) -> Write:
    """Both writes, one after the other."""
    whole, push = {**first.set, **second.set}, dict(first.push)
    for name, values in second.push.items():
        # The database does not take an array that is set and added to at once.
        into = whole if name in whole else push
        into[name] = [*into.get(name, ()), *values]
    return Write(whole, push)


def _if_changed(old: Document | None, document: Document) -> Write | None:
    if old is not None and all(name in old and old[name] == value for name, value in document.items()):
        return None
    return Write(set=document)


@contextmanager
def _translated() -> Iterator[None]:
    """The driver's many ways of saying "not now" become one."""
    try:
        yield
    except (ConnectionFailure, ExecutionTimeout, WTimeoutError) as error:
        raise StorageUnavailable(_first_words(error)) from error
    except BulkWriteError as error:
        if error.details["writeConcernErrors"]:
            raise StorageUnavailable("the write was not confirmed by a majority") from error
        raise
    except OperationFailure as error:
        if error.code in _NOT_NOW or error.has_error_label("RetryableWriteError"):
            raise StorageUnavailable(_first_words(error)) from error
        raise


def _first_words(error: Exception) -> str:
    """What happened and where, without the driver's settings and its picture of the whole replica set."""
    return re.split(r" \(configured timeouts|, full error:|, Timeout: ", str(error), maxsplit=1)[0]
