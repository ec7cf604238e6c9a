"""Messages in: what outsiders agreed to, and who came through a gate."""

from collections.abc import Sequence

from services.ledger.cases import handlers as cases
from services.ledger.domain import cases as case_rules
from services.ledger.domain import gates as rules
from services.ledger.domain import keeping as keeping_rules
from services.ledger.domain.gates import Agreement, Check
from services.ledger.domain.moments import happened
from services.ledger.house import Ledger
from services.ledger.keeping import sealer_of, sealers_of
from shared.consumer import Router
from shared.contracts.cases import OpenCase
from shared.contracts.envelope import Meta
from shared.contracts.gates import (
    AgreementAnswer,
    EndAgreement,
    GateCheckAnswer,
    GateChecked,
    RecordAgreement,
    RecordGateCheck,
)
from shared.contracts.refusal import refusal
from shared.identity import derived_id

router: Router[Ledger] = Router("ledger")


@router.command(RecordAgreement)
async def record(house: Ledger, command: RecordAgreement, meta: Meta) -> AgreementAnswer:
    """An outsider agreed to something."""
    case = case_rules.existing(await house.store.cases.all.get(command.case_id))
    subject = _agreement(command.agreement_id)
    told = Agreement(
        agreement_id=command.agreement_id,
        case_id=case.case_id,
        community=case.community,
        grid=case.grid,
        kind=case.kind,
        owner=case.owner,
        terms=list(command.terms),
        begins=command.begins,
        ends=command.ends,
        zone=command.zone,
        sealed=(await sealer_of(house, subject, make=True)).seal(command.partner, subject),
        fingerprint=house.runtime.lookup.blind("agreement", command.model_dump_json()),
    )
    outcome = await house.store.cases.agreements.update(
        command.agreement_id, lambda known: rules.record(known, told), meta, new=True
    )
    return AgreementAnswer(status="accepted" if outcome.changed else "duplicate", agreement_id=command.agreement_id)


@router.command(EndAgreement)
async def end(house: Ledger, command: EndAgreement, meta: Meta) -> AgreementAnswer:
    """It applies no more."""
    now = house.runtime.clock()
    outcome = await house.store.cases.agreements.update(
        command.agreement_id, lambda known: rules.end(known, now), meta.named(command.command_id)
    )
    return AgreementAnswer(status="accepted" if outcome.changed else "duplicate", agreement_id=command.agreement_id)


@router.command(RecordGateCheck)
async def check(house: Ledger, command: RecordGateCheck, meta: Meta) -> GateCheckAnswer:
    """Somebody came through a gate. A fever's case is opened by the event of the check, so that none is lost."""
    if command.worker is None:
        raise refusal("worker", "required", "say who looked")
    now = house.runtime.clock()
    happened(command.at, now, house.cases.gate.ahead)
    rules.recent(command.at, now)
    told = await _check(house, command)
    outcome = await house.store.cases.checks.update(
        command.check_id, lambda known: rules.check(known, told), meta, new=True
    )
    kept = outcome.state or told
    return GateCheckAnswer(
        status="accepted" if outcome.changed else "duplicate",
        check_id=kept.check_id,
        applies=kept.applies,
        case_id=_fever_case(kept.check_id) if kept.fever else None,
    )


async def open_fever(house: Ledger, event: GateChecked, meta: Meta) -> None:
    """Somebody at a gate has a fever: a coordinator answers for it, or who answers for the agreement."""
    found = await house.store.cases.checks.get(event.check_id) if event.alarm else None
    if found is None:
        return
    owner = await house.store.cases.coordinator(found.community, found.grid)
    if owner is None and found.case_id is not None:
        case = await house.store.cases.all.get(found.case_id)
        owner = case.owner if case else None
    note = await _opened(house, found) or ""
    kind = house.cases.gate.fever
    command = OpenCase(
        case_id=_fever_case(found.check_id),
        community=found.community,
        grid=found.grid,
        kind=kind,
        title=f"{house.cases.kinds[kind].label.zh} {found.temperature} °C",
        text=f"{found.gate} {found.at.isoformat(timespec='minutes')} {note}"[:2000],
        owner=owner or found.worker,
        source="gate-check",
        source_id=found.check_id,
        urgent=True,
    )
    await cases.put_case(house, command, meta)


async def _check(house: Ledger, command: RecordGateCheck) -> Check:
    agreements = await _agreements(house, command)
    stop = rules.stop_of(agreements, command.gate, command.at, house.cases.gate.tolerance)
    sealed = await _sealed(house, command) if command.text else None
    told = Check(
        check_id=command.check_id,
        community=command.community,
        grid=command.grid,
        gate=command.gate,
        at=command.at,
        temperature=command.temperature,
        pass_shown=command.pass_shown,
        worker=command.worker or "",
        sealed=sealed,
        fingerprint=house.runtime.lookup.blind("gate check", command.model_dump_json()),
        fever=command.temperature is not None and command.temperature > house.rules.fever,
        case_id=command.case_id or (agreements[0].case_id if agreements else None),
    )
    if stop is None:
        return told
    agreement, wall = stop
    applies = wall.isoformat(timespec="minutes")
    return told.model_copy(update={"agreement_id": agreement.agreement_id, "applies": applies})


async def partners_of(house: Ledger, agreements: Sequence[Agreement]) -> dict[str, str | None]:
    """Who agreed, by agreement, in one question; None: that was erased. Whoever shows it notes it."""
    subjects = [_agreement(one.agreement_id) for one in agreements]
    own = await house.store.keys.sealers(subjects)
    return {
        one.agreement_id: own[subject].left(one.sealed, subject)
        for subject, one in zip(subjects, agreements, strict=True)
    }


async def _sealed(house: Ledger, command: RecordGateCheck) -> str:
    """Who or what came through, under the key of that day, whose days are counted from its end."""
    subject, since = keeping_rules.checks_of(command.community, command.at), keeping_rules.day_after(command.at)
    sealers = await sealers_of(house, subject, [None], make=True, since=since)
    return sealers(None).seal(command.text, _of_check(command.check_id))


async def _opened(house: Ledger, known: Check) -> str | None:
    """What was sealed so; None: nothing, or it was erased."""
    if known.sealed is None:
        return None
    sealer = await sealer_of(house, keeping_rules.checks_of(known.community, known.at))
    return sealer.left(known.sealed, _of_check(known.check_id))


async def _agreements(house: Ledger, command: RecordGateCheck) -> list[Agreement]:
    """Those that it may belong to.

    Raises:
        Refusal: it names an agreement or a case that there is not in its community.
    """
    if command.agreement_id is not None:
        known = await house.store.cases.agreements.get(command.agreement_id)
        if known is None or known.community != command.community:
            raise refusal("agreement_id", "unknown_agreement", "there is no agreement of this id", status=404)
        return [known]
    if command.case_id is not None:
        case = await house.store.cases.all.get(command.case_id)
        if case is None or case.community != command.community:
            raise refusal("case_id", "unknown_case", "there is no case of this id", status=404)
        return await house.store.cases.agreements_of(command.case_id)
    return []


def _agreement(agreement_id: str) -> str:
    """What is sealed as that of an agreement, and the name of its key."""
    return f"agreement:{agreement_id}"


def _of_check(check_id: str) -> str:
    """What is sealed as that of a check."""
    return f"gate-check:{check_id}"


def _fever_case(check_id: str) -> str:
    return derived_id("case", "gate-check", check_id)
