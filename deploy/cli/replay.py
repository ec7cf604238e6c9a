"""`doorstep replay`: events of a span, sent again."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from deploy.cli.client import Client
from deploy.cli.dead_letters import Service, asked
from deploy.cli.session import Session
from deploy.cli.trouble import Trouble
from shared.contracts import EVENTS

_LONG = 3600.0
"""Seconds that a service may take to send a span again."""
_SPAN = re.compile(r"(\d+)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def replay(
    session: Session,
    since: Annotated[str, typer.Option(help="replay.since")],
    until: Annotated[str | None, typer.Option(help="replay.until", show_default=False)] = None,
    types: Annotated[list[str] | None, typer.Option("--type", help="replay.type", show_default=False)] = None,
    service: Service = None,
    queue: Annotated[str | None, typer.Option(help="replay.queue", show_default=False)] = None,
) -> None:
    """Have services send the events of a span again, to everybody or to one queue, and say how many they were."""
    now = datetime.now(UTC)
    first, last = moment(since, now), moment(until, now) if until else None
    if last is not None and last <= first:
        raise Trouble("replay.order")
    span = {
        "since": first.isoformat(),
        "until": last.isoformat() if last else None,
        "types": [wire_of(one) for one in types or ()],
        "queue": queue,
    }
    sent: dict[str, int] = {}
    with session.client() as client:
        if queue is not None:
            _check_queue(client, queue)
        for name in asked(service):
            with session.err.status(session.say("replay.under_way", service=name)):
                # Asked once: a second call would send everything again.
                answer = client.read("POST", f"/api/{name}/events:replay", json=span, patient=False, timeout=_LONG)
            sent[name] = answer["sent"]
            session.tell("replay.sent", service=name, count=sent[name])
    if session.json:
        session.write_json({"sent": sent, "total": sum(sent.values())})
    session.tell("replay.total", "green", count=sum(sent.values()))


def moment(text: str, now: datetime) -> datetime:
    """A moment as ISO 8601 (without a zone: this machine's), or so long ago: `30m`, `2h`, `7d`.

    Raises:
        Trouble: it is neither.
    """
    if span := _SPAN.fullmatch(text):
        return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise Trouble("replay.moment", text=text) from None


def wire_of(name: str) -> str:
    """The wire type of an event, by its class name or itself.

    Raises:
        Trouble: there is no such event.
    """
    known = {event.__name__: wire for wire, event in EVENTS.items()}
    if name in EVENTS:
        return name
    if name not in known:
        raise Trouble("replay.unknown_type", name=name, known=", ".join(known))
    return known[name]


def _check_queue(client: Client, queue: str) -> None:
    queues = sorted(_queues(client, asked(None)))
    if queue not in queues:
        raise Trouble("replay.unknown_queue", queue=queue, known=", ".join(queues))


def _queues(client: Client, services: Iterable[str]) -> set[str]:
    return {queue for name in services for queue in client.read("GET", f"/api/{name}/status")["queues"]}
