"""Messages in: duties, and who has a place there."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

from services.dispatch.domain import duties as rules
from services.dispatch.domain.duties import Duty
from services.dispatch.house import Dispatch
from shared.aggregates import Outcome
from shared.consumer import Router
from shared.contracts.duties import (
    AttestDuty,
    BookDuty,
    CancelDuty,
    DutyAnswer,
    PostDuty,
    WithdrawFromDuty,
)
from shared.contracts.envelope import Meta, Problem
from shared.contracts.refusal import Refusal, refusal
from shared.documents import Occupied

router: Router[Dispatch] = Router("dispatch")

DUE_AT_ONCE = 200
"""Duties that a coordinator is reminded of in one round, or that somebody who is away gives back."""


@router.command(PostDuty)
async def post(house: Dispatch, command: PostDuty, meta: Meta) -> DutyAnswer:
    """Volunteers are looked for."""
    if problems := list(_unknown(house, command)):
        raise Refusal(*problems)
    kind, now = house.kinds.kinds[command.kind], house.runtime.clock()
    facts = command.model_dump(exclude={"begins", "ends", "skills"})
    told = Duty(
        **facts,
        begins=command.begins.astimezone(UTC),
        ends=command.ends.astimezone(UTC),
        skills=tuple(sorted({*command.skills, *kind.skills})),
    )
    outcome = await house.store.duties.all.update(
        command.duty_id, lambda known: rules.post(known, told, now), meta, new=True
    )
    return _answer(outcome)


@router.command(BookDuty)
async def book(house: Dispatch, command: BookDuty, meta: Meta) -> DutyAnswer:
    """Somebody takes a place. One write takes it and his time: the index refuses it where he is elsewhere then."""
    name, now = _named(command), house.runtime.clock()
    worker = await house.store.workers.get(name)
    try:
        outcome = await house.store.duties.all.update(
            command.duty_id,
            lambda known: rules.book(known, name, worker, now),
            meta.named(f"{name}:{command.command_id}"),
        )
    except Occupied:
        duty = rules.known(await house.store.duties.all.get(command.duty_id))
        other = await house.store.duties.in_the_way(name, duty)
        raise refusal(
            "worker", "overlaps", f"{name} is booked for {other or 'another duty'} then", status=409
        ) from None
    return _answer(outcome)


@router.command(WithdrawFromDuty)
async def withdraw(house: Dispatch, command: WithdrawFromDuty, meta: Meta) -> DutyAnswer:
    """Somebody gives his place back."""
    name, now = _named(command), house.runtime.clock()
    outcome = await house.store.duties.all.update(
        command.duty_id,
        lambda known: rules.withdraw(known, name, now),
        meta.named(f"{name}:{command.command_id}"),
    )
    return _answer(outcome)


@router.command(CancelDuty)
async def cancel(house: Dispatch, command: CancelDuty, meta: Meta) -> DutyAnswer:
    """Nobody is needed there any more."""
    outcome = await house.store.duties.all.update(command.duty_id, rules.cancel, meta.named(command.command_id))
    return _answer(outcome)


@router.command(AttestDuty)
async def attest(house: Dispatch, command: AttestDuty, meta: Meta) -> DutyAnswer:
    """A coordinator says who was there."""
    now = house.runtime.clock()
    outcome = await house.store.duties.all.update(
        command.duty_id,
        lambda known: rules.attest(known, command.attended, now),
        meta.named(command.command_id),
    )
    return _answer(outcome)


async def leave(house: Dispatch, worker: str, until: datetime | None, meta: Meta) -> None:
    """Somebody is away until then: others can have his places."""
    now = house.runtime.clock()
    found = await house.store.duties.page(now, worker=worker, limit=DUE_AT_ONCE)
    await asyncio.gather(
        *(
            house.store.duties.all.update(one["_id"], lambda known: rules.leave(known, worker, until, now), meta)
            for one in found
        )
    )


async def remind(house: Dispatch) -> int:
    """Tell coordinators of duties that are over and not attested; how many these were."""
    now = house.runtime.clock()
    due = await house.store.duties.due(now, DUE_AT_ONCE)
    cause = Meta(f"over:{now.isoformat()}", "", "dispatch", now, "")
    await asyncio.gather(
        *(house.store.duties.all.update(one, lambda known: rules.fall_due(known, now), cause) for one in due)
    )
    return len(due)


def _named(command: BookDuty | WithdrawFromDuty) -> str:
    if command.worker is None:
        raise refusal("worker", "required", "say which worker it is")
    return command.worker


def _unknown(house: Dispatch, command: PostDuty) -> Iterator[Problem]:
    if command.kind not in house.kinds.kinds:
        message = f"{command.kind} is not in the catalogue; known: {', '.join(house.kinds.kinds)}"
        yield Problem(field="kind", code="unknown_kind", message=message)
    for number, code in enumerate(command.skills):
        if code not in house.abilities.skills:
            message = f"{code} is not in the catalogue; known: {', '.join(house.abilities.skills)}"
            yield Problem(field=f"skills.{number}", code="unknown_skill", message=message)


def _answer(outcome: Outcome[Duty]) -> DutyAnswer:
    duty = rules.known(outcome.state)
    return DutyAnswer(
        status="accepted" if outcome.changed else "duplicate", duty_id=duty.duty_id, state=duty.state, left=duty.left
    )
