"""Messages that could not be handled: kept with reason, origin, handler and body, shown, replayable."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from shared.bus import Bus
from shared.contracts.envelope import Meta, Problem
from shared.contracts.refusal import refusal
from shared.documents import Collection, Document, Index
from shared.identity import derived_id
from shared.messages import ACTOR, Incoming, Outgoing
from shared.problems import as_json
from shared.sealing import CannotOpen, Sealer

BY_TIME = Index((("at", -1), ("_id", 1)))
_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a message was set aside."""

    code: str
    """`refused`, `unreadable`, `failed`, `crashed`, `undeliverable`."""
    message: str
    problems: tuple[Problem, ...] = ()


class DeadLetters:
    """The messages that one service set aside.

    Bodies of commands hold names and phones in the clear, so every body rests sealed.
    """

    def __init__(self, collection: Collection, bus: Bus, sealer: Sealer, clock: Callable[[], datetime]) -> None:
        self._collection = collection
        self._bus = bus
        self._sealer = sealer
        self._clock = clock

    async def keep(self, incoming: Incoming, meta: Meta, reason: Reason, *, handler: str, tries: int) -> str:
        """Set a message aside, once, however often it comes; its id here.

        Raises:
            StorageUnavailable: the database did not answer; the message must not be acknowledged.
        """
        body = base64.b64encode(incoming.body).decode()
        dead_id = derived_id("dead letter", incoming.queue, meta.id, reason.code, body)
        await self._collection.put(
            dead_id,
            {
                "at": self._clock(),
                "queue": incoming.queue,
                "exchange": incoming.exchange,
                "key": incoming.key,
                "type": meta.type,
                "message_id": meta.id,
                "correlation_id": incoming.correlation_id,
                "app_id": incoming.app_id,
                "user_id": incoming.user_id,
                "actor": meta.actor,
                "content_type": incoming.content_type,
                "headers": {name: str(value) for name, value in incoming.headers.items()},
                "reason": reason.code,
                "message": reason.message[:2000],
                "problems": as_json(reason.problems),
                "handler": handler,
                "tries": tries,
                "bytes": len(incoming.body),
                "body": self._sealer.seal(body, f"dead letter:{dead_id}"),
            },
        )
        return dead_id

    async def page(self, limit: int, before: tuple[datetime, str] | None) -> list[Document]:
        """Newest first, without bodies."""
        query: Document = {}
        if before is not None:
            at, dead_id = before
            query = {"$or": [{"at": {"$lt": at}}, {"at": at, "_id": {"$gt": dead_id}}]}
        return await self._collection.find(
            query, sort=[("at", -1), ("_id", 1)], limit=limit, fields={"body": 0, "headers": 0, "v": 0}
        )

    async def get(self, dead_id: str) -> Document:
        """One with its body opened.

        Raises:
            Refusal: there is none of that id.
        """
        document = await self._collection.get(dead_id)
        if document is None:
            raise refusal("id", "unknown_dead_letter", f"no dead letter {dead_id}", status=404)
        return {**document, "body": self._body(document).decode("utf-8", errors="replace")}

    async def replay(self, dead_id: str) -> None:
        """Put it back into the queue that it came from, and forget it here.

        Raises:
            Refusal: there is none of that id.
        """
        document = await self._collection.get(dead_id)
        if document is None:
            raise refusal("id", "unknown_dead_letter", f"no dead letter {dead_id}", status=404)
        meta = Meta(
            id=document["message_id"] or dead_id,
            type=document["type"],
            source=document["app_id"] or "",
            time=self._clock(),
            subject=document["correlation_id"] or "",
            actor=document.get("actor", ""),
        )
        headers: dict[str, Any] = {
            name: value
            for name, value in document["headers"].items()
            if (name.startswith("ce-") and name != ACTOR) or name == "traceparent"
        }
        body, content_type = self._body(document), document["content_type"] or "application/json"
        await self._bus.publish(
            Outgoing("", document["queue"], body, meta, document["correlation_id"], headers, content_type)
        )
        # It may already have come back and been kept anew: that one stays.
        await self._collection.delete({"_id": dead_id, "v": document["v"]})

    async def drop(self, dead_id: str) -> None:
        """Forget it.

        Raises:
            Refusal: there is none of that id.
        """
        if not await self._collection.delete({"_id": dead_id}):
            raise refusal("id", "unknown_dead_letter", f"no dead letter {dead_id}", status=404)

    async def count(self) -> int:
        """How many there are."""
        # A bound that all are within makes the database count in the index, without a look at the bodies.
        return await self._collection.count({"at": {"$gt": _EPOCH}})

    def _body(self, document: Document) -> bytes:
        try:
            return base64.b64decode(self._sealer.open(document["body"], f"dead letter:{document['_id']}"))
        except CannotOpen as error:
            raise refusal("id", "sealed", f"its body cannot be opened: {error}", status=409) from None
