"""What processes take of the machine."""

from collections.abc import Mapping

import psutil


def processor_seconds(pids: Mapping[str, int]) -> dict[str, float]:
    """User and system time so far, in seconds, of each process with its descendants."""
    return {name: sum(map(_spent, _family(pid))) for name, pid in pids.items()}


def resident_mib(pids: Mapping[str, int]) -> dict[str, float]:
    """Resident memory in MiB of each process with its descendants."""
    return {name: sum(one.memory_info().rss for one in _family(pid)) / 2**20 for name, pid in pids.items()}


def per_life(before: Mapping[str, float], after: Mapping[str, float], lives: int) -> dict[str, float]:
    """Milliseconds of processor time per life, by process."""
    return {name: 1000 * (after[name] - before[name]) / lives for name in before}


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
