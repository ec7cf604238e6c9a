"""What the demonstration shows: a live line while the day is played, and the closing tables."""

from collections.abc import Mapping

from rich.columns import Columns
from rich.console import Console
from rich.table import Table

from deploy.demo.figures import Closing, Waiting

FINDINGS_SHOWN = 40


def show(console: Console, closing: Closing) -> None:
    """Print the closing tables and the account."""
    console.print(_waiting_table(closing))
    console.print(
        Columns(
            [
                _counts("Requests by state", closing.states),
                _counts("Answers to the senders", closing.answers),
                _counts("Events in the ledger", closing.events),
                _counts("What the staff did", closing.staff),
            ]
        )
    )
    for trouble in closing.troubles:
        console.print(f"[yellow]trouble:[/] {trouble}", soft_wrap=True)
    for finding in closing.findings[:FINDINGS_SHOWN]:
        console.print(f"[red]{finding.code}[/] {finding.key}: {finding.message}", soft_wrap=True)
    if len(closing.findings) > FINDINGS_SHOWN:
        console.print(f"… and {len(closing.findings) - FINDINGS_SHOWN} more")
    colour = "green" if closing.good else "red"
    console.print(f"[bold {colour}]{closing.accounted} of {closing.orders} accounted for[/] in {closing.seconds:.0f} s")


def _waiting_table(closing: Closing) -> Table:
    table = Table(title="Waiting times in seconds, from sending the order", title_justify="left")
    table.add_column("orders of")
    table.add_column("orders", justify="right")
    for step in ("assigned", "completed"):
        table.add_column(f"{step}: median", justify="right")
        table.add_column("95 %", justify="right")
    for row in closing.waiting:
        table.add_row(row.name, str(row.orders), *_cells(row.assigned), *_cells(row.completed))
    return table


def _cells(waiting: Waiting | None) -> tuple[str, str]:
    return ("–", "–") if waiting is None else (f"{waiting.median:.2f}", f"{waiting.p95:.2f}")


def _counts(title: str, counts: Mapping[str, int]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, count in counts.items():
        table.add_row(name, str(count))
    return table
