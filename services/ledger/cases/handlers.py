"""Messages in, and times that come: what somebody answers for until it has its end."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from services.ledger import keeping
from services.ledger.domain import cases as rules
from services.ledger.domain.cases import Case, Said, Step
from services.ledger.domain.people import registered
from services.ledger.follow_ups import handlers as follow_ups
from services.ledger.house import Ledger
from shared.consumer import Router
from shared.contracts.cases import (
    AddStep,
    AnswerCase,
    AssignCase,
    CaseAnswer,
    CaseCommand,
    CaseDetails,
    CloseCase,
    DoneStep,
    OpenCase,
    ReopenCase,
)
from shared.contracts.envelope import Event, Meta
from shared.contracts.follow_ups import FollowUpRecorded
from shared.contracts.refusal import refusal
from shared.contracts.workers import WorkerRegistered
from shared.documents import Occupied
from shared.identity import derived_id
from shared.sealing import Sealer

router: Router[Ledger] = Router("ledger")

DUE_AT_ONCE = 200
"""Cases with a late step dealt with in one round."""


@router.command(OpenCase)
async def open_case(house: Ledger, command: OpenCase, meta: Meta) -> CaseAnswer:
    """Somebody answers for this. A topic that was opened before is the case that it was then."""
    await registered_worker(house, command.owner)
    return await put_case(house, command, meta)


async def put_case(house: Ledger, command: OpenCase, meta: Meta, since: datetime | None = None) -> CaseAnswer:
    """The same, whoever answers for it; what was raised earlier is to be answered as if it had been opened then."""
    if command.kind not in house.cases.kinds:
        raise refusal("kind", "unknown_kind", f"no kind of case is called {command.kind}")
    told = await _case(house, command, since or house.runtime.clock())
    try:
        outcome = await house.store.cases.all.update(
            command.case_id, lambda known: rules.open_case(known, told), meta, new=True
        )
    except Occupied:
        known = rules.existing(await house.store.cases.of_topic(told.topic or ""))
        return CaseAnswer(status="duplicate", case_id=known.case_id, state=known.state)
    state = outcome.state.state if outcome.state else "open"
    return CaseAnswer(status="accepted" if outcome.changed else "duplicate", case_id=command.case_id, state=state)


@router.command(AssignCase)
async def assign(house: Ledger, command: AssignCase, meta: Meta) -> CaseAnswer:
    """Somebody else answers for it."""
    await registered_worker(house, command.owner)
    return await _act(house, command, meta, lambda known: rules.assign(known, command.owner))


@router.command(AddStep)
async def add_step(house: Ledger, command: AddStep, meta: Meta) -> CaseAnswer:
    """Something is to be done."""
    case = rules.existing(await house.store.cases.all.get(command.case_id))
    kind = house.cases.kinds.get(case.kind)
    step = Step(
        step_id=command.step_id,
        who=command.who or case.owner,
        due=command.due or house.runtime.clock() + timedelta(days=kind.days if kind else 1),
        sealed=(await sealer_of(house, case, make=True)).seal(command.text, context_of(command.case_id)),
        fingerprint=house.runtime.lookup.blind(
            "step", command.case_id, command.text, command.who, command.due.isoformat() if command.due else None
        ),
    )
    return await _act(house, command, meta, lambda known: rules.add_step(known, step))


@router.command(DoneStep)
async def done_step(house: Ledger, command: DoneStep, meta: Meta) -> CaseAnswer:
    """It was done."""
    now = house.runtime.clock()
    return await _act(house, command, meta, lambda known: rules.done_step(known, command.step_id, now))


@router.command(AnswerCase)
async def answer(house: Ledger, command: AnswerCase, meta: Meta) -> CaseAnswer:
    """Those who raised it are told."""
    said = await _said(house, command, "answer", command.text)
    return await _act(house, command, meta, lambda known: rules.answer(known, said))


@router.command(CloseCase)
async def close(house: Ledger, command: CloseCase, meta: Meta) -> CaseAnswer:
    """It has its end."""
    said = await _said(house, command, "outcome", command.outcome) if command.outcome else None
    now = house.runtime.clock()
    return await _act(house, command, meta, lambda known: rules.close(known, said, now, drop=command.drop_steps))


@router.command(ReopenCase)
async def reopen(house: Ledger, command: ReopenCase, meta: Meta) -> CaseAnswer:
    """It had no end after all."""
    said, now = await _said(house, command, "reason", command.reason), house.runtime.clock()
    return await _act(
        house,
        command,
        meta,
        lambda known: rules.reopen(known, said, _answer_by(house, known.kind if known else "", now)),
    )


async def note_worker(house: Ledger, event: WorkerRegistered, meta: Meta) -> None:
    """Know who helps, and who coordinates: whoever does answers for what nobody else does."""
    community = event.community if event.role == "coordinator" else None
    await house.store.cases.note_worker(event.worker_id, community, event.grids, meta.sequence)


async def registered_worker(house: Ledger, worker: str, field: str = "owner") -> None:
    """Nothing, where somebody of this name is registered with dispatch.

    Raises:
        Refusal: nobody is, or it was not heard of yet.
    """
    if not await house.store.cases.known_workers([worker]):
        raise refusal(field, "unknown_worker", f"nobody is registered as {worker}")


async def lapse(house: Ledger) -> int:
    """Tell of steps whose time is over; how many cases these were in."""
    now = house.runtime.clock()
    due = await house.store.cases.due(now, DUE_AT_ONCE)
    cause = Meta(f"late:{now.isoformat()}", "", "ledger", now, "")
    await asyncio.gather(
        *(house.store.cases.all.update(one, lambda known: rules.lapse(known, now), cause) for one in due)
    )
    return len(due)


async def _case(house: Ledger, command: OpenCase, since: datetime) -> Case:
    """What was told, with the place that is known of the person or the building."""
    building, grid = command.building, command.grid
    if command.person_id is not None:
        person = registered(await house.store.register.current(command.person_id), command.community)
        building, grid = building or person.facts.building, grid or person.facts.grid
    if building is not None and grid is None:
        known = await house.store.buildings.get(f"{command.community}/{building}")
        grid = known.grid if known else None
    details = CaseDetails(title=command.title, text=command.text)
    context = context_of(command.case_id)
    sealer = await keeping.sealer_of(house, context, command.person_id, make=True)
    return Case(
        case_id=command.case_id,
        community=command.community,
        grid=grid,
        building=building,
        kind=command.kind,
        urgent=command.urgent,
        person_id=command.person_id,
        owner=command.owner,
        parties=list(dict.fromkeys(command.parties)),
        topic=f"{command.source}/{command.source_id}" if command.source is not None else None,
        source=command.source,
        sealed=sealer.seal(details.model_dump_json(), context),
        fingerprint=house.runtime.lookup.blind("case", command.model_dump_json()),
        opened_at=house.runtime.clock(),
        steps=_first_steps(house, command, since, sealer.seal("", context)),
    )


def _first_steps(house: Ledger, command: OpenCase, since: datetime, sealed: str) -> list[Step]:
    """To answer, where that is to be done within a time."""
    due = _answer_by(house, command.kind, since)
    if due is None:
        return []
    return [Step(step_id=rules.ANSWER, who=command.owner, due=due, sealed=sealed, fingerprint="")]


def _answer_by(house: Ledger, kind: str, since: datetime) -> datetime | None:
    known = house.cases.kinds.get(kind)
    return None if known is None or known.answer_days is None else since + timedelta(days=known.answer_days)


async def _act(
    house: Ledger,
    command: CaseCommand,
    meta: Meta,
    rule: Callable[[Case | None], tuple[Case, Sequence[Event]] | None],
) -> CaseAnswer:
    outcome = await house.store.cases.all.update(command.case_id, rule, meta.named(command.command_id))
    case = rules.existing(outcome.state)
    return CaseAnswer(status="accepted" if outcome.changed else "duplicate", case_id=case.case_id, state=case.state)


async def _said(house: Ledger, command: AnswerCase | CloseCase | ReopenCase, what: str, text: str) -> Said:
    case = rules.existing(await house.store.cases.all.get(command.case_id))
    return Said.model_validate(
        {
            "what": what,
            "at": house.runtime.clock(),
            "by": command.worker or "ledger",
            "sealed": (await sealer_of(house, case, make=True)).seal(text, context_of(case.case_id)),
        }
    )


async def sealer_of(house: Ledger, case: Case, *, make: bool = False) -> Sealer:
    """What seals and opens what is written in a case: the person's key whom it is about, else its own."""
    return await keeping.sealer_of(house, context_of(case.case_id), case.person_id, make=make)


def context_of(case_id: str) -> str:
    """What the seals of a case belong to."""
    return f"case:{case_id}"


async def open_fever(house: Ledger, event: FollowUpRecorded, meta: Meta) -> None:
    """Somebody who is looked after has a fever: a coordinator answers for it, or who took the temperature."""
    if not event.alarm:
        return
    owner = await house.store.cases.coordinator(event.community or "", event.grid) or event.worker
    if owner is None:
        return
    known = await house.store.follow_ups.get(event.follow_up_id)
    if known is None:
        return
    sealer = await follow_ups.sealer_of(house, known)
    said = [follow_ups.opened_record(one, known, sealer) for one in known.records]
    kind = house.cases.gate.fever
    command = OpenCase(
        case_id=derived_id("case", event.follow_up_id),
        community=event.community or "",
        grid=event.grid,
        building=event.building,
        kind=kind,
        title=" ".join([house.cases.kinds[kind].label.zh, *(f"{one.temperature} °C" for one in said[-1:])]),
        text=" ".join(one.note for one in said if one.note)[:2000],
        person_id=None if known.presence else event.person_id,
        owner=owner,
        source="follow-up",
        source_id=event.follow_up_id,
        urgent=True,
    )
    await put_case(house, command, meta)
