"""What more replicas cost: processor time per life with one, two and four of each service, in one run.

`python -m tests.bench.scaling [--replicas 1,2,4] [--lives N] [--rounds N]`. Every other round goes from many to few,
since databases grow meanwhile. It fails only when lives were lost or doubled, never on speed. The load grows with the
replicas: so many lives in flight, which ends where the machine does, or with `--per-second` so many begun in a second
and so many more in all, which shows what replicas cost where the machine is large enough for them.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from deploy.local.stack import LocalStack
from tests.bench.flow import SERVICES
from tests.bench.measure import Load, Round, one_round
from tests.bench.programs import ENGINES, Doorstep

AIM = 0.1
"""Of processor time per life, up or down from one replica of each."""


def main() -> int:
    """Run all of it; the exit code."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--replicas", type=_numbers, default=(1, 2, 4), help="of each service, one after the other")
    options.add_argument("--lives", type=int, default=400, help="measured lives of a round")
    options.add_argument("--warm-up", type=int, default=100, help="lives before them, not measured")
    options.add_argument("--in-flight", type=int, default=100, help="lives under way at once for each replica")
    options.add_argument("--per-second", type=float, help="lives begun in a second for each replica, instead")
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    console = Console(width=100)
    rounds: dict[int, list[Round]] = {count: [] for count in given.replicas}
    with tempfile.TemporaryDirectory(prefix="doorstep-scaling-") as folder, LocalStack(Path(folder)) as stack:
        program = Doorstep(stack)
        for number in range(given.rounds):
            for count in given.replicas[:: -1 if number % 2 else 1]:
                program.replicas = count
                # More replicas are for more load.
                paced = None if given.per_second is None else given.per_second * count
                load = Load(
                    given.lives * count if paced else given.lives, given.warm_up, given.in_flight * count, paced
                )
                with program:
                    one = one_round(program, load, len(given.replicas) * number + given.replicas.index(count))
                console.print(f"round {number + 1} of {given.rounds}, {count} of each: {_said(one)}")
                rounds[count].append(one)
    console.print(_table(rounds))
    return 1 if any(one.faults for several in rounds.values() for one in several) else 0


def _said(one: Round) -> str:
    return "; ".join(one.faults) or f"{one.lives_per_second:.1f} lives/s, {one.total_milliseconds:.1f} ms per life"


def _table(rounds: dict[int, list[Round]]) -> Table:
    table = Table(title="Processor time per life, ms (median of the rounds)", title_justify="left")
    table.add_column("replicas of each service")
    for count in rounds:
        table.add_column(str(count), justify="right")
    for name in (*SERVICES, *ENGINES):
        table.add_row(f"  {name}", *(f"{median(_of(name, several)):.2f}" for several in rounds.values()))
    services = [[sum(_of(name, [one])[0] for name in SERVICES) for one in several] for several in rounds.values()]
    table.add_row("services", *(f"{median(one):.1f}" for one in services))
    totals = [[one.total_milliseconds for one in several] for several in rounds.values()]
    table.add_row("all", *(f"{median(one):.1f}" for one in totals))
    for label, rows in (("services", services), ("all", totals)):
        ratios = [[mine / first for mine, first in zip(row, rows[0], strict=True)] for row in rows]
        cells = (f"{median(row):.2f} ({' '.join(f'{one:.2f}' for one in row)})" for row in ratios)
        table.add_row(f"{label}, to {next(iter(rounds))} of each (aim: within {AIM:.0%})", *cells)
    return table


def _of(service: str, rounds: Sequence[Round]) -> list[float]:
    """Of all replicas of a service, round by round."""
    return [
        sum(spent for name, spent in one.milliseconds.items() if name.partition("/")[0] == service) for one in rounds
    ]


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


if __name__ == "__main__":
    raise SystemExit(main())
