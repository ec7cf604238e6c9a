"""Messages in, and times that come: what partners owe every day."""

import asyncio

from services.ledger.domain import evidence as rules
from services.ledger.domain.evidence import Owing, Report
from services.ledger.house import Ledger
from shared.consumer import Router
from shared.contracts.envelope import Meta
from shared.contracts.evidence import EvidenceAnswer, ForgiveEvidence, OweEvidence, RecordEvidence
from shared.contracts.refusal import refusal

router: Router[Ledger] = Router("ledger")

DUE_AT_ONCE = 200
"""Days begun, and dealt with, in one round."""


@router.command(OweEvidence)
async def owe(house: Ledger, command: OweEvidence, meta: Meta) -> EvidenceAnswer:
    """A partner owes something every day."""
    if command.kind not in house.kinds.kinds:
        raise refusal("kind", "unknown_kind", f"no kind of help is called {command.kind}")
    now = house.runtime.clock()
    told = Owing(
        owing_id=command.owing_id,
        community=command.community,
        partner=command.partner,
        kind=command.kind,
        places=list(dict.fromkeys(command.places)),
        reminded=command.reminded,
        named=command.named,
        begins=command.begins,
        ends=command.ends,
        zone=command.zone,
        fingerprint=house.runtime.lookup.blind("owing", command.model_dump_json()),
    )
    outcome = await house.store.evidence.owing.update(
        command.owing_id, lambda known: rules.owe(known, told, now), meta, new=True
    )
    return EvidenceAnswer(status="accepted" if outcome.changed else "duplicate", id=command.owing_id)


@router.command(ForgiveEvidence)
async def forgive(house: Ledger, command: ForgiveEvidence, meta: Meta) -> EvidenceAnswer:
    """Nothing is owed any more."""
    outcome = await house.store.evidence.owing.update(command.owing_id, rules.forgive, meta.named(command.command_id))
    return EvidenceAnswer(status="accepted" if outcome.changed else "duplicate", id=command.owing_id)


@router.command(RecordEvidence)
async def record(house: Ledger, command: RecordEvidence, meta: Meta) -> EvidenceAnswer:
    """One place is reported; a picture that was shown before is noticed."""
    now, store = house.runtime.clock(), house.store.evidence
    owing = rules.existing(await store.owing.get(command.owing_id))
    rules.owed_on(owing, command.day, now)
    days = await store.about(owing.community, command.day)
    # The day itself is looked at when it is written.
    itself = (command.owing_id, command.day)
    before = [one for day in days if (day.owing_id, day.day) != itself for one in rules.shown_on(day)]
    told = Report(
        report_id=command.report_id,
        place=command.place,
        at=now,
        by=command.worker or owing.partner,
        pictures=list(command.pictures),
    )
    outcome = await store.days.update(
        _id(owing, command.day),
        lambda known: rules.report_on(known, owing, command.day, told, before),
        meta,
    )
    reports = outcome.state.reports if outcome.state else []
    kept = next((one for one in reports if one.report_id == command.report_id), told)
    return EvidenceAnswer(
        status="accepted" if outcome.changed else "duplicate", id=command.report_id, same_as=kept.same_as
    )


async def begin_days(house: Ledger) -> int:
    """Begin the days that have come; how many. The day is made before what is owed goes on to the next."""
    now, store = house.runtime.clock(), house.store.evidence
    found = await store.beginning(now, DUE_AT_ONCE)

    async def one(owing: Owing, day: str) -> None:
        cause = Meta(f"day:{day}", "", "ledger", now, owing.owing_id)
        await store.days.update(
            _id(owing, day), lambda known: rules.begin(known, rules.day_of(owing, day)), cause, new=True
        )
        await store.owing.update(owing.owing_id, lambda known: rules.go_on(known, day), cause)

    await asyncio.gather(*(one(owing, owing.next_day) for owing in found if owing.next_day is not None))
    return len(found)


async def lapse(house: Ledger) -> int:
    """Remind those who owe, and name those who still do; how many days these were."""
    now = house.runtime.clock()
    due = await house.store.evidence.due(now, DUE_AT_ONCE)
    cause = Meta(f"owed:{now.isoformat()}", "", "ledger", now, "")
    await asyncio.gather(
        *(house.store.evidence.days.update(one, lambda known: rules.lapse(known, now), cause) for one in due)
    )
    return len(due)


def _id(owing: Owing, day: str) -> str:
    return f"{owing.owing_id}/{day}"
