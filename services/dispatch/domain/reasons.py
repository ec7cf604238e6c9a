"""Why each task went to whom it went to, in codes and numbers: the words are in catalogues."""

from collections.abc import Callable, Sequence

from services.dispatch.domain.ordering import ordered, step
from services.dispatch.domain.walks import Choice, Code, Hands, Round, Waiting, Walk, burden, visit, visits, walk

_MOST_BESIDE = 19
"""No step asks more at once than the one who was chosen and these."""


def choices(round_: Round, walks: Sequence[Walk]) -> tuple[Choice, ...]:
    """One for each task, those with the first claim first."""
    of = {task: one for one in walks for task in one.tasks}
    return tuple(
        _placed(round_, one, of[task]) if task in of else _left(round_, one) for task, one in round_.tasks.items()
    )


def _placed(round_: Round, one: Waiting, mine: Walk) -> Choice:
    worker = round_.workers[mine.worker]
    others = [round_.tasks[task] for task in mine.tasks if task != one.task_id]
    bundled = {other.task_id: _common(one, other) for other in others}
    shared = set[Code]().union(*bundled.values())
    rivals = [each for each in round_.hands if each.worker_id in one.able]
    codes: list[Code] = []
    if one.urgency == "urgent":
        codes.append("urgent")
    codes.extend(code for code in _SAME if code in shared)
    if len(rivals) == 1:
        codes.append("only_one_able")
    else:
        codes.extend(code for code, measure in _measures(round_, one) if _stands_out(worker, rivals, measure))
    return Choice(
        task_id=one.task_id,
        worker=worker.worker_id,
        codes=tuple(codes) or ("least_cost",),
        extra_metres=max(0.0, mine.metres - _without(round_, worker, others)),
        load_before=worker.load,
        week=worker.week,
        bundled_with=tuple(task for task, common in bundled.items() if common),
        others=_others(round_, one, worker),
    )


def _others(round_: Round, one: Waiting, worker: Hands) -> tuple[str, ...]:
    alone = visit([one])
    free = [each for each in round_.hands if each.worker_id in one.able and each.free > 0 and each is not worker]
    free.sort(key=lambda each: (step(round_, each, alone) + burden(round_, each, [one]), each.worker_id))
    return tuple(each.worker_id for each in free[:_MOST_BESIDE])


def _without(round_: Round, worker: Hands, others: Sequence[Waiting]) -> float:
    """Metres of the walk that makes the other visits only, in the order that is best for them."""
    return walk(round_, worker.worker_id, ordered(round_, worker, visits(others))).metres


def _left(round_: Round, one: Waiting) -> Choice:
    able = any(name in round_.workers for name in one.able)
    return Choice(one.task_id, None, ("nobody_free",) if able else ("nobody_able",))


_SAME: tuple[Code, ...] = ("same_household", "same_stairwell", "same_building", "same_shop")


def _common(one: Waiting, other: Waiting) -> set[Code]:
    """What two tasks of one walk have in common; of household, stairwell and building only the nearest."""
    common: set[Code] = set()
    if one.building == other.building:
        if one.stairwell != other.stairwell:
            common.add("same_building")
        elif one.household and one.household == other.household:
            common.add("same_household")
        else:
            common.add("same_stairwell")
    if one.shop is not None and one.shop == other.shop:
        common.add("same_shop")
    return common


def _measures(round_: Round, one: Waiting) -> list[tuple[Code, Callable[[Hands], float]]]:
    return [
        ("nearest", lambda worker: round_.distances.doors(worker.at, one.door)),
        ("least_loaded", lambda worker: worker.load),
        ("least_this_week", lambda worker: worker.week),
    ]


def _stands_out(worker: Hands, rivals: Sequence[Hands], measure: Callable[[Hands], float]) -> bool:
    """True for the least of several that are not all alike."""
    values = [measure(each) for each in rivals]
    return measure(worker) == min(values) < max(values)
