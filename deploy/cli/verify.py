"""`doorstep verify`: whether the four services tell the same story."""

import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from deploy.cli.client import SERVICES, Client
from deploy.cli.reconciliation import Aggregate, Difference, Entries, Findings, OutOfOrder, compare
from deploy.cli.session import Session
from deploy.cli.trouble import Trouble
from shared.contracts.intake import RequestCreated

_LOOK_AGAIN = 3.0
"""Seconds between two looks at what differs."""
_WITH_BACKLOG = 20
"""How many times as patient while the queues are long and get shorter."""
_LONG = 3600.0
"""Seconds that computing every hash anew may take."""


def verify(
    session: Session,
    patience: Annotated[float, typer.Option(min=0, help="verify.patience")] = 15.0,
) -> None:
    """Compare requests, tasks and entries, and check the chain; exit code 1 when anything differs.

    What is under way differs for a moment. So what differs is looked at again, and only what stays as it is for as long
    as `patience` seconds, not counting those in which messages wait their turn, is told.
    """
    with session.client() as client:
        findings = _settled(session, client, patience)
        with session.err.status(session.say("verify.chain_under_way")):
            chain = client.read("GET", "/api/ledger/chain", timeout=_LONG)
    for broken in chain["broken"]:
        code = "chain" if broken["id"] else "chain_cut"
        place = " ".join(str(broken[name]) for name in ("community", "sequence", "id") if broken[name] is not None)
        findings.add(Difference(code, "ledger", "", place))
    _report(session, findings, chain)
    if findings.differences:
        raise typer.Exit(1)


def _settled(session: Session, client: Client, patience: float) -> Findings:
    """What differs and goes on to differ."""
    findings = _look_shown(session, client, "verify.compare", 0)
    now = time.monotonic()
    deadline, end = now + patience, now + patience * _WITH_BACKLOG
    waiting = _waiting(client)
    while findings.differences and time.monotonic() < min(deadline, end):
        time.sleep(_LOOK_AGAIN)
        findings = _look_shown(session, client, "verify.again", waiting).still(findings)
        before, waiting = waiting, _waiting(client)
        if waiting and waiting != before:
            # Events wait their turn: what they will mend does not count yet.
            deadline = time.monotonic() + patience
    return findings


def _waiting(client: Client) -> int:
    """Messages that wait in the services' queues."""
    statuses = [client.read("GET", f"/api/{name}/status") for name in SERVICES]
    return sum(queue["messages"] for status in statuses for queue in status["queues"].values())


def _look_shown(session: Session, client: Client, title: str, waiting: int) -> Findings:
    statistics = client.read("GET", "/api/ledger/statistics")
    total = statistics["entries"].get(RequestCreated.__name__, 0)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=session.err, transient=True, disable=not session.err.is_terminal) as progress:
        bar = progress.add_task(session.say(title, waiting=waiting), total=total)
        return look(client, lambda: progress.advance(bar))


def look(client: Client, step: Callable[[], None] = lambda: None) -> Findings:
    """Compare everything once; `step` is called for every request.

    Raises:
        Trouble: a service does not answer.
    """
    findings = Findings()
    requests = map(Aggregate.of, client.pages("/api/intake/reconciliation"))
    tasks = map(Aggregate.of, client.pages("/api/dispatch/reconciliation"))
    entries = map(Entries.of, client.pages("/api/ledger/reconciliation"))
    total = findings.counts
    try:
        for counts, differences in compare(requests, tasks, entries):
            total.requests += counts.requests
            total.tasks += counts.tasks
            total.raised += counts.raised
            total.entered += counts.entered
            for difference in differences:
                findings.add(difference)
            step()
    except OutOfOrder as error:
        raise Trouble("verify.out_of_order", reason=error) from None
    named = {one.service for one in findings.differences if one.code == "unsent"}
    for name in SERVICES:
        unsent = client.read("GET", f"/api/{name}/status")["unsent"]
        if unsent and name not in named:
            # Named by its number: while that moves, they are on their way.
            findings.add(Difference("unsent_elsewhere", name, "", str(unsent)))
    return findings


def _report(session: Session, findings: Findings, chain: Mapping[str, Any]) -> None:
    counts = findings.counts
    numbers = {
        "requests": counts.requests,
        "tasks": counts.tasks,
        "events": counts.raised,
        "entries": counts.entered,
        "chained": chain["entries"],
    }
    if session.json:
        differences = [one._asdict() for one in findings.differences]
        session.write_json(
            {"agrees": not differences, **numbers, "differences": differences, "left_out": findings.left_out}
        )
        return
    table = Table(title=session.say("verify.title"), title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, count in numbers.items():
        table.add_row(session.say(f"verify.{name}"), f"{count:,}")
    session.out.print(table)
    for one in findings.differences:
        words = session.say(f"difference.{one.code}", service=one.service, what=one.what)
        session.out.print(f"{one.request_id or one.service}: {words}", style="red", soft_wrap=True)
    if findings.left_out:
        session.tell("verify.left_out", "red", count=findings.left_out)
    if findings.differences:
        session.tell("verify.differs", "bold red", count=len(findings.differences) + findings.left_out)
    else:
        session.tell("verify.agrees", "bold green")
