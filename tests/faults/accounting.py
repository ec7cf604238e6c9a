"""The closing account: what four databases and the broker must say when everything that was accepted has come to rest.

It reads the databases as their administrator and believes no service.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from bson.codec_options import CodecOptions
from pymongo import MongoClient

from deploy.engines.definitions import SERVICES
from services.ledger.domain.entry import Link, chain
from services.ledger.store import fact_of
from services.notification.domain.message import Rules
from shared.catalogue import load
from shared.contracts.envelope import EVENTS_EXCHANGE
from shared.sealing import without_seals
from shared.settings import Settings

Document = dict[str, Any]
_IN_UTC: CodecOptions[Document] = CodecOptions(tz_aware=True, tzinfo=UTC)


@dataclass(frozen=True)
class Raised:
    """One event as it rests with whoever raised it."""

    id: str
    type: str
    service: str
    subject: str
    cause: str
    body: str
    sent: bool
    sequence: int
    aggregate: str


@dataclass(frozen=True)
class Books:
    """Everything that was written down, at one moment."""

    requests: Sequence[Document]
    tasks: Sequence[Document]
    messages: Sequence[Document]
    entries: Sequence[Document]
    events: Sequence[Raised]
    unsent: Mapping[str, int]
    in_hand: Mapping[str, int]
    aside: Sequence[Document]
    queues: Mapping[str, int] = field(default_factory=dict)


def read(client: MongoClient[Document], queues: Mapping[str, int]) -> Books:
    """Read all four databases."""
    aside, events, unsent, in_hand = [], [], {}, {}
    for service in SERVICES:
        database = client.get_database(f"doorstep_{service}", codec_options=_IN_UTC)
        aside += [{**one, "service": service} for one in database.dead_letters.find({}, {"body": 0})]
        in_hand[service] = database.attempts.count_documents({})
        for name in database.list_collection_names():
            for document in database[name].find({"history": {"$exists": True}}):
                if document["unsent"]:
                    unsent[f"{service}/{name}/{document['_id']}"] = len(document["unsent"])
                events += [_raised(service, name, document["_id"], one) for one in document["history"]]
    ledger = client.get_database("doorstep_ledger", codec_options=_IN_UTC)
    return Books(
        requests=list(client.doorstep_intake.requests.find()),
        tasks=list(client.doorstep_dispatch.tasks.find()),
        messages=list(client.doorstep_notification.messages.find()),
        entries=list(ledger.entries.find().sort([("community", 1), ("sequence", 1)])),
        events=[one for one in events if one is not None],
        unsent=unsent,
        in_hand=in_hand,
        aside=aside,
        queues=queues,
    )


def differences(books: Books, accepted: Collection[str], *, aside: int = 0) -> list[str]:
    """Whatever does not agree; empty when every accepted request is accounted for.

    Args:
        books: what was written down.
        accepted: ids of the requests that were answered with "accepted".
        aside: how many messages the test expects to be set aside.
    """
    return [
        *_requests(books, accepted),
        *_events(books),
        *_chain(books),
        *_told(books),
        *_at_rest(books, aside),
    ]


def _raised(service: str, name: str, document_id: str, one: Document) -> Raised | None:
    if one["exchange"] != EVENTS_EXCHANGE:
        return None
    return Raised(
        id=one["id"],
        type=one["type"],
        service=service,
        subject=one["subject"],
        cause=one["cause"],
        body=one["body"],
        sent=one["sent"] is not None,
        sequence=one["n"],
        aggregate=f"{name}/{document_id}",
    )


def _requests(books: Books, accepted: Collection[str]) -> Iterator[str]:
    """Every accepted request once, with one task, and intake has heard all that dispatch said."""
    known = {one["_id"] for one in books.requests if one["state"]["facts"] is not None}
    tasks = Counter(one["state"]["request_id"] for one in books.tasks)
    if lost := set(accepted) - known:
        yield f"{len(lost)} accepted requests are not in intake, such as {min(lost)}"
    if more := known - set(accepted):
        yield f"{len(more)} requests that nobody was told of, such as {min(more)}"
    if without := [one for one in accepted if tasks[one] == 0]:
        yield f"{len(without)} accepted requests have no task, such as {min(without)}"
    if twice := [one for one, count in tasks.items() if count > 1]:
        yield f"{len(twice)} requests have more than one task, such as {min(twice)}"
    said: dict[str, set[int]] = {}
    for event in books.events:
        if event.aggregate.startswith("tasks/"):
            said.setdefault(event.subject, set()).add(event.sequence)
    for request in books.requests:
        heard = {one["sequence"] for one in request["state"]["observed"]}
        if heard != said.get(request["_id"], set()):
            yield f"request {request['_id']}: dispatch raised {said.get(request['_id'])}, intake heard {heard}"


def _events(books: Books) -> Iterator[str]:
    """No cause had its effect twice, and the ledger has every event once, as it was raised.

    For whom a request is, the book does not have; but of the seal it has the hash, by which it is known to be the same.
    """
    effects = Counter((one.aggregate.split("/")[0], one.subject, one.cause, one.type) for one in books.events)
    for (_, subject, cause, wire), count in effects.items():
        if count > 1:
            yield f"{cause} made {count} times {wire} of {subject}"
    raised = {one.id: one for one in books.events}
    if len(raised) != len(books.events):
        yield "two events have one id"
    entered = {one["_id"]: one for one in books.entries}
    if missing := raised.keys() - entered.keys():
        example = raised[min(missing)]
        yield f"{len(missing)} events are not in the ledger, such as {example.type} of {example.subject}"
    if unknown := entered.keys() - raised.keys():
        yield f"{len(unknown)} entries that nobody raised, such as {entered[min(unknown)]['type']} {min(unknown)}"
    for event_id in raised.keys() & entered.keys():
        bodies = raised[event_id].body, entered[event_id]["data"]
        if len({json.dumps(without_seals(json.loads(body))) for body in bodies}) > 1:
            yield f"event {event_id} was entered with another body"


def _chain(books: Books) -> Iterator[str]:
    """Every hash computed anew, every number in its place."""
    community, link = None, Link()
    for entry in books.entries:
        if entry["community"] != community:
            community, link = entry["community"], Link()
        expected = chain(fact_of(entry), link)
        if (entry["sequence"], entry["hash"], entry["previous"]) != (expected.sequence, expected.hash, link.hash):
            yield f"the chain of {community} is broken at {entry['sequence']} ({entry['_id']})"
            return
        link = expected


def _told(books: Books) -> Iterator[str]:
    """One message to staff for each event that somebody must know of."""
    rules = load(Settings().catalogue_dir / "notifications.yaml", Rules).notifications
    names = {one["_id"]: one["type"] for one in books.entries}
    due = {one.id for one in books.events if names.get(one.id) in rules}
    told = Counter(one["state"]["event_id"] for one in books.messages)
    if missing := due - told.keys():
        yield f"{len(missing)} events were told to nobody, such as {names[min(missing)]} {min(missing)}"
    if unknown := told.keys() - due:
        yield f"{len(unknown)} messages of events that nobody raised, such as {min(unknown)}"
    if twice := [event for event, count in told.items() if count > 1]:
        yield f"{len(twice)} events were told twice, such as {min(twice)}"


def _at_rest(books: Books, aside: int) -> Iterator[str]:
    """Nothing is unsent, in hand, waiting or set aside that should not be."""
    if books.unsent:
        yield f"{len(books.unsent)} documents have unsent events, such as {min(books.unsent)}"
    if unmarked := [one for one in books.events if not one.sent]:
        yield f"{len(unmarked)} events are not marked as sent"
    if held := {service: count for service, count in books.in_hand.items() if count}:
        yield f"messages in hand alone: {held}"
    if waiting := {name: count for name, count in books.queues.items() if count}:
        yield f"messages wait: {waiting}"
    if len(books.aside) != aside:
        kept = [f"{one['service']} {one['type']} {one['reason']} {one['message']}" for one in books.aside]
        yield f"{len(books.aside)} messages are set aside, not {aside}: {kept[:5]}"
