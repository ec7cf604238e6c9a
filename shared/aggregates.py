"""One aggregate, one document, one write: state, version, and the history of events that it raised."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from pydantic import BaseModel

from shared.contracts.envelope import Event, Meta
from shared.documents import Collection, Document, Index, Write
from shared.outbox import Outbox, Record
from shared.sealing import without_seals

S = TypeVar("S", bound=BaseModel)

Decide = Callable[[S | None], "tuple[S, Sequence[Event]] | None"]
"""A pure rule: the state as it is (None: there is none yet) to the state as it shall be and what happened, or None to
leave all as it is. It raises `Refusal` when the move is not allowed."""


SHAPE = Index((("state.shape", 1),))
"""For `rewrite_older`."""
_PAGE = 500


def shape_of(model: type[BaseModel]) -> int:
    """The shape in which a model is written: the default of its field `shape`; 1 where it has none yet.

    A model whose documents are to look different raises it, reads the shapes before in a validator, and may only add to
    what they had: replicas of the version before go on reading and writing until they are gone.
    """
    field = model.model_fields.get("shape")
    return 1 if field is None else int(field.default)


@dataclass(frozen=True, slots=True)
class Outcome(Generic[S]):
    """What became of an update."""

    state: S | None
    changed: bool
    repeated: bool = False
    """The same cause had been dealt with before; nothing was done now."""


class Aggregates(Generic[S]):
    """All aggregates of one kind.

    Args:
        collection: where they rest.
        model: their state.
        outbox: sends what they raise.
        clock: the time now, in UTC.
        new_id: makes an event id.
        subject: the id that a state's events are about, such as the request's.
        brief: fields that are as they are by default are left out of the documents: where these are most.
    """

    def __init__(
        self,
        collection: Collection,
        model: type[S],
        outbox: Outbox,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        subject: Callable[[S], str],
        *,
        brief: bool = False,
    ) -> None:
        self.collection = collection
        self._model = model
        self._outbox = outbox
        self._clock = clock
        self._new_id = new_id
        self.subject = subject
        self._brief = brief

    async def get(self, document_id: str) -> S | None:
        """The state, or None."""
        document = await self.collection.get(document_id)
        return None if document is None else self.state(document)

    async def glance(self, document_id: str) -> S | None:
        """The state as it was when it was last written here, or as it is: for what does not change."""
        document = await self.collection.glance(document_id)
        return None if document is None else self.state(document)

    def state(self, document: Document) -> S:
        """The state in a stored document. Of what the version after added, it is for that to know."""
        return self._model.model_validate(document["state"], strict=False, extra="ignore")

    def _dumped(self, state: S) -> Document:
        return state.model_dump(exclude_defaults=self._brief)

    async def update(self, document_id: str, decide: Decide[S], cause: Meta, *, new: bool = False) -> Outcome[S]:
        """Apply a pure rule to one aggregate; save its state and events in one write; send the events.

        A cause (the message or command of that id) that raised events before is not applied again.

        Raises:
            Refusal: the rule does not allow it; nothing is changed.
            StorageUnavailable: the outcome is not known; the same call again does no harm.
        """
        raised: list[Record] = []

        def apply(document: Document | None) -> tuple[Write | None, Outcome[S]]:
            raised.clear()
            state = None if document is None else self.state(document)
            history: Sequence[Document] = () if document is None else document["history"]
            if cause.id and any(one["cause"] == cause.id for one in history):
                return None, Outcome(state, changed=False, repeated=True)
            decision = decide(state)
            if decision is None:
                return None, Outcome(state, changed=False)
            after, events = decision
            now = self._clock()
            raised.extend(self._records(after, events, len(history), cause, now))
            write = Write(
                set={"state": self._dumped(after), **({"changed": now} if raised or document is None else {})},
                push=_told(raised, now) if raised or document is None else {},
            )
            return write, Outcome(after, changed=True)

        outcome = await self.collection.update(document_id, apply, new=new)
        if raised:
            self._outbox.send(self.collection, document_id, raised)
        return outcome

    async def insert(self, entered: Sequence[tuple[str, S, Sequence[Event]]], cause: Meta) -> set[str]:
        """Enter a great many of which there is none yet, each by its id with its events, in one write.

        The events are sent by the sweeper, some at a time, so that nobody waits behind them.

        Returns:
            The ids of those that there were: of these nothing is changed.

        Raises:
            StorageUnavailable: the outcome is not known; the same call again does no harm.
        """
        now = self._clock()
        return await self.collection.insert_new(
            [
                {
                    "_id": document_id,
                    "v": 1,
                    "state": self._dumped(state),
                    "changed": now,
                    **_told(self._records(state, events, 0, cause, now), now),
                }
                for document_id, state, events in entered
            ]
        )

    async def restore(
        self,
        document_id: str,
        version: int,
        after: S,
        history: Sequence[Document],
        events: Sequence[Event],
        cause: Meta,
    ) -> bool:
        """Put a state and a history in the place of what was read, and raise the events that say so.

        Args:
            document_id: which document.
            version: of the document that was read; 0: there was none.
            after: the state.
            history: the events of before, as they rest in a document, in their order.
            events: what is raised now.
            cause: who asked for it.

        Returns:
            False if it was written since it was read; then nothing is changed.

        Raises:
            Occupied: a unique index does not let it in.
            StorageUnavailable: the outcome is not known; look again.
        """
        now = self._clock()
        raised = self._records(after, events, len(history), cause, now)

        def apply(document: Document | None) -> tuple[Write | None, bool]:
            if (0 if document is None else document["v"]) != version:
                return None, False
            waiting = [] if document is None else document["unsent"]
            unsent = [*waiting, *({"n": one.sequence, "at": now} for one in raised)]
            whole = [*history, *(record.document() for record in raised)]
            return Write(set={"state": self._dumped(after), "changed": now, "history": whole, "unsent": unsent}), True

        self.collection.forget(document_id)
        written = await self.collection.update(document_id, apply)
        if written:
            self._outbox.send(self.collection, document_id, raised)
        return written

    async def throw_away(self, query: Document) -> int:
        """Have every seal gone that all could open, in the documents that match and in the events that they raised.

        Safe to repeat.

        Returns:
            How many matched.

        Raises:
            StorageUnavailable: the database did not answer.
        """
        found = await self.collection.find(query, fields={"_id": 1})

        def throw(document: Document | None) -> tuple[Write | None, None]:
            if document is None:
                return None, None
            bodies = [
                json.dumps(without_seals(json.loads(one["body"])), ensure_ascii=False) for one in document["history"]
            ]
            history = [{**one, "body": body} for one, body in zip(document["history"], bodies, strict=True)]
            return Write(set={"state": without_seals(document["state"]), "history": history}), None

        for start in range(0, len(found), _PAGE):
            ids = [one["_id"] for one in found[start : start + _PAGE]]
            for one in ids:
                self.collection.forget(one)
            await asyncio.gather(*(self.collection.update(one, throw) for one in ids))
        return len(found)

    async def rewrite_older(self) -> int:
        """Write a page of those that rest in an older shape as the model writes them now; how many these were.

        What a replica of the version before writes again in its own shape is found the next time.

        Raises:
            StorageUnavailable: the database did not answer.
        """
        older = (None, *range(1, shape_of(self._model)))
        found = await self.collection.find({"state.shape": {"$in": list(older)}}, fields={"_id": 1}, limit=_PAGE)

        def rewrite(document: Document | None) -> tuple[Write | None, None]:
            if document is None or document["state"].get("shape") not in older:
                return None, None
            return Write(set={"state": self._dumped(self.state(document))}), None

        await asyncio.gather(*(self.collection.update(one["_id"], rewrite) for one in found))
        return len(found)

    def _records(self, state: S, events: Sequence[Event], before: int, cause: Meta, now: datetime) -> list[Record]:
        return [
            Record(
                sequence=number,
                meta=Meta(
                    id=self._new_id(),
                    type=event.wire,
                    source=self._outbox.service,
                    time=now,
                    subject=self.subject(state),
                    sequence=number,
                    cause=cause.id,
                    actor=cause.actor,
                    traceparent=cause.traceparent,
                ),
                exchange=event.exchange,
                key=event.routing_key(),
                body=event.model_dump_json(by_alias=True),
            )
            for number, event in enumerate(events, start=before + 1)
        ]


def _told(records: Sequence[Record], now: datetime) -> dict[str, list[Document]]:
    """Events as a document holds them: what happened, and what is still to be sent."""
    return {
        "history": [record.document() for record in records],
        "unsent": [{"n": record.sequence, "at": now} for record in records],
    }
