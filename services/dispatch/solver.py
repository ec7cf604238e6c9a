"""The program that plans rounds with VROOM, for `services.dispatch.planning`; ends with its input.

It gives bundles to workers as a routing problem: for each worker the ways from bundle to bundle have lengths of their
own, which hold what it costs that it is he. What of the cost is not in them, and every promise of a plan, the rules
settle. Of all plans that were found the one that costs least is taken, the greedy one among them.
"""

import os
import sys
import time
from datetime import timedelta
from math import ceil
from typing import Any, BinaryIO

import numpy as np
import vroom

from services.dispatch.domain.choosing import Scope, Wish, greedy_wish, scope, settle, told
from services.dispatch.domain.ordering import step
from services.dispatch.domain.walks import Hands, Plan, Round, burden, cost
from services.dispatch.planning import JOBS, PLANS, SIZE

QUICK, THOROUGH = 0, 2
"""Exploration levels of the solver."""
_FINE = 10
"""Parts of a metre that the solver, which knows whole numbers only, can tell apart."""


def solve(round_: Round, seconds: float) -> Plan:
    """The plan that costs least of those found in about that time."""
    until = time.monotonic() + seconds
    seen = scope(round_)
    best = settle(seen, greedy_wish(seen))
    least, found = cost(round_, best), False
    if seen.bundles:
        lengths = _lengths(seen)
        rooms = [seen.fair, _even(seen)]
        tries = [(room, QUICK) for room in rooms] + [(room, THOROUGH) for room in rooms]
        for number, (room, level) in enumerate(tries):
            left = (until - time.monotonic()) / (len(tries) - number)
            if left <= 0:
                break
            walks = settle(seen, _routed(seen, lengths, room, level, left))
            if (costs := cost(round_, walks)) < least:
                best, least, found = walks, costs, True
    return told(round_, best, "solver" if found else "greedy")


def _even(seen: Scope) -> dict[str, int]:
    """Room up to the mean load only: the solver, which does not know that the fourth task costs more than the third,
    then spreads them.
    """
    hands = seen.round_.hands
    mean = ceil((sum(worker.load for worker in hands) + len(seen.able)) / len(hands))
    return {worker.worker_id: min(seen.fair[worker.worker_id], max(0, mean - worker.load)) for worker in hands}


def _lengths(seen: Scope) -> dict[str, Any]:
    """For each worker, what it costs to go from bundle to bundle, as he would; the last row is from where he is."""
    round_, bundles = seen.round_, seen.bundles
    count = len(bundles)
    between = np.zeros((count + 1, count + 1))
    for row, first in enumerate(bundles):
        for column, second in enumerate(bundles):
            between[row, column] = step(round_, first, second) if row != column else 0.0
    takers = [{worker.worker_id for worker in seen.takers(bundle)} for bundle in bundles]
    lengths = {}
    for worker in round_.hands:
        mine = between.copy()
        for column, bundle in enumerate(bundles):
            if worker.worker_id in takers[column]:
                mine[count, column] = step(round_, worker, bundle)
                mine[:, column] += burden(round_, worker, bundle.tasks)
        np.fill_diagonal(mine, 0.0)
        lengths[worker.worker_id] = np.rint(mine * _FINE).clip(0).astype(np.uint32)
    return lengths


def _routed(seen: Scope, lengths: dict[str, Any], room: dict[str, int], level: int, seconds: float) -> Wish:
    """What the solver wishes."""
    problem = vroom.Input()
    start = len(seen.bundles)
    skills: dict[str, set[int]] = {worker.worker_id: set() for worker in seen.round_.hands}
    for number, bundle in enumerate(seen.bundles):
        size = len(bundle.tasks)
        problem.add_job(
            vroom.Job(number, location=number, delivery=vroom.Amount([size]), skills={number}, priority=min(100, size))
        )
        for worker in seen.takers(bundle):
            skills[worker.worker_id].add(number)
    going: list[Hands] = [worker for worker in seen.round_.hands if room[worker.worker_id] and skills[worker.worker_id]]
    for number, worker in enumerate(going):
        name = worker.worker_id
        problem.set_durations_matrix(profile=name, matrix_input=lengths[name])
        problem.add_vehicle(
            vroom.Vehicle(number, start=start, profile=name, capacity=vroom.Amount([room[name]]), skills=skills[name])
        )
    if not going:
        return {}
    routes = problem.solve(level, nb_threads=1, timeout=timedelta(seconds=seconds)).to_dict()["routes"]
    return {
        going[route["vehicle"]].worker_id: [
            one.task_id for stop in route["steps"] if stop["type"] == "job" for one in seen.bundles[stop["id"]].tasks
        ]
        for route in routes
    }


def serve(jobs: BinaryIO, plans: BinaryIO) -> None:
    """Answer each job with a plan, until there are no more."""
    _send(plans, b"")
    while head := jobs.read(SIZE.size):
        job = JOBS.validate_json(jobs.read(SIZE.unpack(head)[0]))
        _send(plans, PLANS.dump_json(solve(job.round_, job.seconds)))


def _send(plans: BinaryIO, message: bytes) -> None:
    plans.write(SIZE.pack(len(message)) + message)
    plans.flush()


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "wb")
    # What a library prints must not stand among the answers.
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answers)
