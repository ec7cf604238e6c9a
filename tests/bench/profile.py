"""Where one service of Doorstep spends its time under load.

`python -m tests.bench.profile <service> [--lives N]`. With py-spy on the path (no requirement of ours; name it
in DOORSTEP_PY_SPY if it lies elsewhere) the running service is sampled, which hardly slows it. Otherwise it runs under
cProfile, which makes small functions look dearer than they are.
"""

import argparse
import cProfile
import os
import pstats
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from deploy.local.stack import SERVICE_COMMANDS, LocalStack
from tests.bench import flow
from tests.bench.measure import Load, Round, one_round
from tests.bench.programs import ROOT, Doorstep

SAMPLES_PER_SECOND = 100
TOP = 45


@dataclass(frozen=True)
class Spent:
    """Shares of the service's processor time, 0 to 1."""

    itself: Mapping[str, float]
    """In a function itself."""
    together: Mapping[str, float]
    """In a function with what it called."""
    parts: Mapping[str, float]
    """In a package with what it called of the standard library; `event loop` for what nobody called."""


def main() -> int:
    """Profile and print; the exit code."""
    given = _options()
    if given.inside:
        _trace(given.service, given.inside)
        return 0
    console = Console(width=130)
    spy = os.environ.get("DOORSTEP_PY_SPY") or shutil.which("py-spy")
    load = Load(given.lives, given.warm_up, given.in_flight)
    with tempfile.TemporaryDirectory(prefix="doorstep-profile-") as folder:
        result, spent = (
            _sampled(spy, given.service, load, Path(folder)) if spy else _traced(given.service, load, Path(folder))
        )
    console.print(
        f"{given.service}: {result.milliseconds[given.service]:.2f} ms of {result.total_milliseconds:.1f} ms per life"
    )
    console.print("sampled by py-spy" if spy else "traced by cProfile, the milliseconds include its own")
    console.print(_table("By package", spent.parts, result.milliseconds[given.service]))
    console.print(_table("In the function itself", spent.itself, result.milliseconds[given.service]))
    console.print(_table("With all that it calls", spent.together, result.milliseconds[given.service]))
    for fault in result.faults:
        console.print(f"[red]FAILED[/] {fault}")
    return 1 if result.faults else 0


def _sampled(spy: str, service: str, load: Load, folder: Path) -> tuple[Round, Spent]:
    output = folder / "samples.txt"
    with LocalStack(folder / "stack") as stack, Doorstep(stack) as program:
        one_round(program, Load(load.warm_up, 1, load.in_flight), 0)
        command = [spy, "record", "--pid", str(stack.pid(service)), "--format", "raw", "--output", str(output)]
        command += ["--rate", str(SAMPLES_PER_SECOND), "--gil", "--function"]
        watching = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            result = one_round(program, load, 1)
        finally:
            watching.send_signal(signal.SIGINT)
            watching.wait()
    return result, _of_samples(output)


def _of_samples(output: Path) -> Spent:
    """Read py-spy's raw format: a stack with `;` between functions, a space, a count."""
    itself, together, parts = Counter[str](), Counter[str](), Counter[str]()
    for line in output.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        functions = stack.split(";")
        itself[functions[-1]] += int(count)
        parts[_part(functions)] += int(count)
        for function in set(functions):
            together[function] += int(count)
    total = itself.total() or 1
    return Spent(_shares(itself, total), _shares(together, total), _shares(parts, total))


def _part(functions: Sequence[str]) -> str:
    """The package of ours or of a library's that is innermost; what the event loop itself runs has none."""
    for function in reversed(functions):
        package = function.rpartition("(")[2].split("/")[0].split(".py")[0].split(">")[0].strip("<")
        if package in ("services", "shared"):
            return function.rpartition("(")[2].partition(":")[0]
        if package == "uvicorn":
            break
        if package not in sys.stdlib_module_names and package != "string" and not package.startswith("frozen "):
            return package
    return "event loop"


def _traced(service: str, load: Load, folder: Path) -> tuple[Round, Spent]:
    output = folder / "trace.pstats"
    inside = (sys.executable, "-m", "tests.bench.profile", service, "--inside", str(output))
    with LocalStack(folder / "stack", commands={**SERVICE_COMMANDS, service: inside}) as stack:
        with Doorstep(stack) as program:
            result = one_round(program, load, 1)
        return result, _of_trace(output)


def _of_trace(output: Path) -> Spent:
    statistics: dict[tuple[str, int, str], tuple[int, int, float, float, Any]] = vars(pstats.Stats(str(output)))[
        "stats"
    ]
    itself, together = Counter[str](), Counter[str]()
    for (file, _, function), (_, _, own, cumulative, _) in statistics.items():
        name = f"{function} ({Path(file).name if file.startswith('/') else file})"
        itself[name] += own  # type: ignore[assignment]
        together[name] += cumulative  # type: ignore[assignment]
    waiting = sum(seconds for name, seconds in itself.items() if "run (runners.py)" in name)
    total = sum(itself.values()) - waiting or 1
    return Spent(_shares(itself, total), _shares(together, total), {})


def _shares(counts: Mapping[str, float], total: float) -> dict[str, float]:
    return {name: count / total for name, count in counts.items()}


def _trace(service: str, output: str) -> None:
    """Be the service, under cProfile, until told to stop."""
    # uvicorn raises the signal again when it has stopped; that must not end us before the profile is written.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    profile = cProfile.Profile()
    try:
        profile.runcall(runpy.run_module, f"services.{service}.app", run_name="__main__")
    finally:
        profile.dump_stats(output)


def _table(title: str, shares: Mapping[str, float], milliseconds: float) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("function")
    table.add_column("share", justify="right")
    table.add_column("ms per life", justify="right")
    for name, share in sorted(shares.items(), key=lambda one: -one[1])[:TOP]:
        table.add_row(name.replace(f"{ROOT}/", ""), f"{share:.1%}", f"{share * milliseconds:.2f}")
    return table


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("service", choices=flow.SERVICES)
    options.add_argument("--lives", type=int, default=800)
    options.add_argument("--warm-up", type=int, default=150)
    options.add_argument("--in-flight", type=int, default=200)
    options.add_argument("--inside", help=argparse.SUPPRESS)
    return options.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
