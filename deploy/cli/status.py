"""`doorstep status`: everything at a glance."""

from collections.abc import Mapping
from typing import Any

import httpx
import typer
from rich.table import Table
from rich.text import Text

from deploy.cli.client import SERVICES, Client, refused
from deploy.cli.session import Session
from deploy.cli.speech import Speech

_ASK = 10.0
"""Seconds that a service may take to tell of itself."""


def status(session: Session) -> None:
    """Services, queues, dead letters, unsent events, due timers; exit code 1 when a service is not ready."""
    with session.client(timeout=_ASK) as client:
        services = [_look(client, name) for name in SERVICES]
    ready = all(one["ready"] for one in services)
    if session.json:
        session.write_json({"ready": ready, "services": services})
    else:
        session.out.print(_table(services, session.say))
        _advise(session, services)
    if not ready:
        raise typer.Exit(1)


def _look(client: Client, name: str) -> Mapping[str, Any]:
    """One service: what it says of itself, and why it is not ready, where it is not."""
    probe = client.call("GET", f"/api/{name}/readyz", patient=False)
    told = client.call("GET", f"/api/{name}/status", patient=False)
    if told.status == httpx.codes.FORBIDDEN:
        raise refused(told, "doorstep status")
    said = probe.body.get("status")
    reason = None if probe.good else said if isinstance(said, str) else _title(probe.body, probe.status)
    return {
        "service": name,
        "ready": probe.good,
        "reason": reason if reason or told.good else _title(told.body, told.status),
        **({key: told.body[key] for key in _TOLD} if told.good else dict.fromkeys(_TOLD)),
    }


_TOLD = ("queues", "dead_letters", "unsent", "timers_due")


def _title(body: Mapping[str, Any], status: int) -> str:
    return str(body.get("title", f"HTTP {status}"))


def _table(services: list[Mapping[str, Any]], say: Speech) -> Table:
    table = Table(title=say("status.title"), title_justify="left")
    table.add_column(say("status.service"))
    table.add_column(say("status.state"), overflow="fold")
    table.add_column(say("status.queue"))
    for name in ("waiting", "consumers", "dead_letters", "unsent", "due"):
        table.add_column(say(f"status.{name}"), justify="right")
    for one in services:
        queues: Mapping[str, Mapping[str, int]] = one["queues"] or {}
        state = Text(say("status.ready"), "green") if one["ready"] else Text(one["reason"] or "", "bold red")
        if one["ready"] and one["reason"]:
            state = Text(one["reason"], "yellow")
        table.add_row(
            one["service"],
            state,
            "\n".join(name.removeprefix(f"doorstep.{one['service']}.") for name in queues),
            _lines([queue["messages"] for queue in queues.values()], alarm=lambda _: False),
            _lines([queue["consumers"] for queue in queues.values()], alarm=lambda count: count == 0),
            _lines([one["dead_letters"]], alarm=lambda count: count > 0),
            _lines([one["unsent"]], alarm=lambda _: False),
            _lines([one["timers_due"]], alarm=lambda _: False),
        )
    return table


def _lines(counts: list[int | None], alarm: Any) -> Text:
    return Text("\n").join(
        Text("–") if count is None else Text(f"{count:,}", "bold yellow" if alarm(count) else "") for count in counts
    )


def _advise(session: Session, services: list[Mapping[str, Any]]) -> None:
    down = [one["service"] for one in services if not one["ready"]]
    if down:
        session.tell("status.not_ready", "red", services=", ".join(down))
    if any(one["dead_letters"] for one in services):
        session.tell("status.see_dead_letters", "yellow")
