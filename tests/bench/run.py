"""Measures Doorstep against the bare program and against plain handlers, in one run on one broker and database.

`make bench`, or `python -m tests.bench.run [--lives N] [--rounds N] [--only bare,doorstep]`. The rounds of the programs
alternate, so that a slow quarter of an hour of the machine falls on all of them. It fails only when lives were lost or
doubled, never on speed.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import orjson
from rich.console import Console

from deploy.local.secrets import Secrets
from deploy.local.stack import SERVICE_COMMANDS, LocalStack
from tests.bench.measure import Load, Round, one_round
from tests.bench.programs import ROOT, Program, made
from tests.bench.report import as_json, print_report

PROGRAMS = ("bare", "plain", "doorstep")
LATENCY_OF = ("bare", "doorstep")
STREAM = "/api/notification/stream"
PER_SECOND = 5.0
"""Submits while latency is measured."""


def main() -> int:
    """Run all of it; the exit code."""
    given = _options()
    console = Console(width=100)
    with tempfile.TemporaryDirectory(prefix="doorstep-bench-") as folder:
        console.print("Starting RabbitMQ, MongoDB and Doorstep …")
        commands = SERVICE_COMMANDS if "doorstep" in given.only else {}
        with LocalStack(Path(folder), commands=commands) as stack:
            programs = [made(name, stack) for name in given.only]
            rounds, heard = _rounds(console, programs, given)
    faults = [f"{one.program}: {fault}" for one in rounds for fault in one.faults]
    good = [one for one in rounds if not one.faults]
    if good:
        print_report(console, good, heard)
    if given.out:
        given.out.write_bytes(orjson.dumps(as_json(good, heard) | {"faults": faults}, option=orjson.OPT_INDENT_2))
    for fault in faults:
        console.print(f"[red]FAILED[/] {fault}")
    return 1 if faults else 0


def _rounds(
    console: Console, programs: Sequence[Program], given: argparse.Namespace
) -> tuple[list[Round], dict[str, dict[str, list[float]]]]:
    """Alternating, each round in another order: the rounds, and milliseconds by program and way of listening."""
    load = Load(given.lives, given.warm_up, given.in_flight)
    submits = int(given.latency_seconds * PER_SECOND / given.rounds)
    rounds: list[Round] = []
    heard: dict[str, dict[str, list[float]]] = {}
    order = [
        (number, programs[(number + position) % len(programs)])
        for number in range(given.rounds)
        for position in range(len(programs))
    ]
    # Ctrl-C ends it early: what was measured until then is told.
    with suppress(KeyboardInterrupt):
        for number, program in order:
            with program:
                result = one_round(program, load, number)
                if submits and program.name in LATENCY_OF:
                    ways = heard.setdefault(program.name, {})
                    for way, values in _latency(program, submits, f"latency-{number}").items():
                        ways.setdefault(way, []).extend(values)
                        if len(values) != submits:
                            result.faults.append(f"{len(values)} of {submits} requests were heard of by {way}")
            said = (
                "; ".join(result.faults)
                or f"{result.lives_per_second:.1f} lives/s, {result.total_milliseconds:.1f} ms per life"
            )
            if result.repeated or result.unanswered:
                said += f" ({result.repeated} lines delivered again, {result.unanswered} commands unanswered)"
            console.print(f"round {number + 1} of {given.rounds}, {program.name}: {said}")
            rounds.append(result)
    return rounds, heard


def _latency(program: Program, count: int, run: str) -> dict[str, list[float]]:
    """Milliseconds by way of listening; Doorstep is also heard over HTTP, at its own port and through the gateway."""
    command = [sys.executable, "-m", "tests.bench.latency", "--broker", program.broker_url, "--run", run]
    command += ["--count", str(count), "--per-second", str(PER_SECOND)]
    stack = program.stack
    if program.name == "doorstep":
        token = Secrets(stack.data_dir / "secrets").tokens["coordinator"]
        ports = orjson.loads((stack.data_dir / "ports.json").read_bytes())
        own = f"http://127.0.0.1:{ports['notification']}{STREAM}"
        command += [
            "--token",
            token,
            "--stream",
            f"SSE={own}",
            "--stream",
            f"SSE through the gateway={stack.url}{STREAM}",
        ]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    outcome: dict[str, list[float]] = orjson.loads(done.stdout)
    return outcome


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--lives", type=int, default=800, help="measured lives of a round")
    options.add_argument("--warm-up", type=int, default=150, help="lives before them, not measured")
    options.add_argument("--in-flight", type=int, default=200, help="lives under way at once")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--only", type=_programs, default=PROGRAMS, help=f"of {','.join(PROGRAMS)}")
    options.add_argument("--latency-seconds", type=float, default=20.0, help="over all rounds; 0 leaves latency out")
    options.add_argument("--out", type=Path, help="a file for the figures as JSON")
    return options.parse_args()


def _programs(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = set(names) - set(PROGRAMS)
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no program called {', '.join(sorted(unknown))}")
    return names


if __name__ == "__main__":
    raise SystemExit(main())
