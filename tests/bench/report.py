"""The figures of one run as a table and as JSON: medians, and ratios taken round by round."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.latency import EXCHANGE
from tests.bench.measure import Round

Latencies = Mapping[str, Mapping[str, Sequence[float]]]
"""Milliseconds, by program and way of listening."""


@dataclass(frozen=True)
class Aim:
    """A ratio of Doorstep to another program, and what it should be."""

    name: str
    against: str
    value: Callable[[Round], float]
    bound: float
    at_least: bool

    def ratios(self, rounds: Sequence[Round]) -> list[float]:
        """Round by round, so that a slow moment of the machine falls on both."""
        theirs = {one.number: one for one in rounds if one.program == self.against}
        mine = [one for one in rounds if one.program == "doorstep" and one.number in theirs]
        return [self.value(one) / self.value(theirs[one.number]) for one in mine]

    def wanted(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}"


AIMS = (
    Aim("lives per second, to bare", "bare", lambda one: one.lives_per_second, 0.8, at_least=True),
    Aim("lives per second, to plain", "plain", lambda one: one.lives_per_second, 2.0, at_least=True),
    Aim("processor time per life, to bare", "bare", lambda one: one.total_milliseconds, 1.25, at_least=False),
    Aim("processor time per life, to plain", "plain", lambda one: one.total_milliseconds, 0.6, at_least=False),
)
LATENCY_BOUND = 3.0
"""Times the latency of the bare hops, at most."""


def print_report(console: Console, rounds: Sequence[Round], latencies: Latencies) -> None:
    """Everything that was measured."""
    programs = list(dict.fromkeys(one.program for one in rounds))
    by_program = {name: [one for one in rounds if one.program == name] for name in programs}
    console.print(_speeds(by_program))
    console.print(_ratios(rounds, latencies))
    if latencies:
        console.print(_latencies(latencies))


def as_json(rounds: Sequence[Round], latencies: Latencies) -> dict[str, Any]:
    """Every round as measured, and the ratios."""
    return {
        "rounds": [asdict(one) | {"total_milliseconds": one.total_milliseconds} for one in rounds],
        "ratios": {aim.name: aim.ratios(rounds) for aim in AIMS},
        "latency": {
            program: {
                way: {"p50": p50(values), "p95": p95(values), "count": len(values)} for way, values in ways.items()
            }
            for program, ways in latencies.items()
        },
    }


def p50(values: Sequence[float]) -> float:
    return median(values) if values else float("nan")


def p95(values: Sequence[float]) -> float:
    return quantiles(values, n=20)[-1] if len(values) > 1 else float("nan")


def _speeds(by_program: Mapping[str, Sequence[Round]]) -> Table:
    table = Table(title="Whole lives (median of the rounds)", title_justify="left")
    table.add_column()
    for name in by_program:
        table.add_column(name, justify="right")

    def row(label: str, value: Callable[[Round], float], form: str) -> None:
        cells = [median(map(value, rounds)) for rounds in by_program.values()]
        table.add_row(label, *(form.format(cell) for cell in cells))

    row("lives per second", lambda one: one.lives_per_second, "{:.1f}")
    row("processor time per life, ms", lambda one: one.total_milliseconds, "{:.1f}")
    processes = next(iter(by_program.values()))[0].milliseconds
    for process in processes:
        row(f"  {process}", lambda one, process=process: one.milliseconds[process], "{:.2f}")  # type: ignore[misc]
    row("  (driver, not counted)", lambda one: one.driver_milliseconds, "{:.2f}")
    table.add_section()
    for process in processes:
        row(f"resident, MiB: {process}", lambda one, process=process: one.resident_mib[process], "{:.0f}")  # type: ignore[misc]
    return table


def _ratios(rounds: Sequence[Round], latencies: Latencies) -> Table:
    table = Table(title="Doorstep against the others", title_justify="left")
    for name in ("ratio", "median", "of the rounds", "aim"):
        table.add_column(name, justify="left" if name == "ratio" else "right")
    for aim in AIMS:
        ratios = aim.ratios(rounds)
        if ratios:
            table.add_row(aim.name, f"{median(ratios):.2f}", " ".join(f"{one:.2f}" for one in ratios), aim.wanted())
    bare = latencies.get("bare", {}).get(EXCHANGE)
    for way, values in latencies.get("doorstep", {}).items():
        if bare and values:
            ratio = p50(values) / p50(bare)
            table.add_row(f"latency p50 by {way}, to bare", f"{ratio:.2f}", "", f"≤ {LATENCY_BOUND:g}")
            table.add_row(f"latency p95 by {way}, to bare", f"{p95(values) / p95(bare):.2f}", "", "")
    return table


def _latencies(latencies: Latencies) -> Table:
    table = Table(title="From publish to the staff's line at low load, ms", title_justify="left")
    for name in ("program", "heard by", "p50", "p95", "count"):
        table.add_column(name, justify="left" if name in ("program", "heard by") else "right")
    for program, ways in latencies.items():
        for way, values in ways.items():
            table.add_row(program, way, f"{p50(values):.1f}", f"{p95(values):.1f}", str(len(values)))
    return table
