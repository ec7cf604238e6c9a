"""One round of one program: lives per second, processor time per life, memory, and whether all is accounted for."""

import subprocess
import sys
import time
from dataclasses import dataclass, field

import orjson

from tests.bench import meter
from tests.bench.drive import ANSWERS_PER_LIFE, Outcome
from tests.bench.programs import ROOT, Program, Tally

DRAIN_SECONDS = 60.0
"""How long what was driven to its end may still be on its way into the databases."""
SETTLE_SECONDS = 0.5


@dataclass(frozen=True)
class Load:
    """How much is driven through a program."""

    lives: int
    warm_up: int
    in_flight: int
    per_second: float | None = None
    """Lives begun in a second, however many are in flight; None: as many as `in_flight` allows."""


@dataclass
class Round:
    """What one round of one program came to."""

    program: str
    number: int
    lives: int
    lives_per_second: float = 0.0
    milliseconds: dict[str, float] = field(default_factory=dict)
    """Of processor time per life, by process; the driver is not among them."""
    driver_milliseconds: float = 0.0
    resident_mib: dict[str, float] = field(default_factory=dict)
    repeated: int = 0
    """Lines of the staff's stream that were delivered again under the same id."""
    unanswered: int = 0
    """Commands that were carried out and whose answer did not come."""
    faults: list[str] = field(default_factory=list)
    """What was lost, doubled or refused; empty for a good round."""

    @property
    def total_milliseconds(self) -> float:
        """Processor time per life over all processes, broker and database included."""
        return sum(self.milliseconds.values())


def one_round(program: Program, load: Load, number: int) -> Round:
    """Drive the warm-up and then the measured lives through a running program.

    The clock runs from the first submit until the last entry is in the ledger and the last request is marked completed.
    """
    result = Round(program.name, number, load.lives)
    before = program.tally()
    warm = _drive(program, load, load.warm_up, f"warm-up-{number}")
    expected = before + Tally.of(load.warm_up)
    result.faults += [f"warm-up: {fault}" for fault in _faults(warm) + _missing(_drained(program, expected), expected)]
    if result.faults:
        return result

    pids = program.pids()
    spent_before = meter.processor_seconds(pids)
    outcome = _drive(program, load, load.lives, f"round-{number}")
    expected += Tally.of(load.lives)
    tally = _drained(program, expected)
    seconds = time.monotonic() - outcome.started
    time.sleep(SETTLE_SECONDS)
    result.milliseconds = meter.per_life(spent_before, meter.processor_seconds(pids), load.lives)
    result.lives_per_second = load.lives / seconds
    result.repeated = outcome.repeated
    result.unanswered = ANSWERS_PER_LIFE * outcome.whole - outcome.answers
    result.driver_milliseconds = 1000 * outcome.processor_seconds / load.lives
    result.resident_mib = meter.resident_mib(pids)
    # Whoever doubles does so after the first: look again when all has settled.
    result.faults = _faults(outcome) + _missing(program.tally() if tally == expected else tally, expected)
    return result


def _drive(program: Program, load: Load, lives: int, run: str) -> Outcome:
    url = program.broker_url
    command = [sys.executable, "-m", "tests.bench.drive", "--commands", url, "--staff", url, "--run", run]
    command += ["--lives", str(lives), "--in-flight", str(load.in_flight)]
    if load.per_second is not None:
        command += ["--per-second", str(load.per_second)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return Outcome(**orjson.loads(done.stdout))


def _drained(program: Program, expected: Tally) -> Tally:
    """What is there once nothing more is expected, or after the longest wait."""
    deadline = time.monotonic() + DRAIN_SECONDS
    while (tally := program.tally()) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    return tally


def _faults(outcome: Outcome) -> list[str]:
    faults = []
    if outcome.whole != outcome.lives:
        faults.append(f"{outcome.lives - outcome.whole} of {outcome.lives} lives did not come to their end")
    if outcome.doubled:
        faults.append(f"staff were told twice of {outcome.doubled} events")
    if outcome.refused:
        faults.append(f"{len(outcome.refused)} commands were refused, the first with {outcome.refused[0]}")
    return faults


def _missing(tally: Tally, expected: Tally) -> list[str]:
    return [] if tally == expected else [f"the databases hold {tally}, not {expected}"]
