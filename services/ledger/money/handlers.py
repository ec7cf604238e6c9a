"""Messages in: money between helpers and residents; what was bought is owed from the moment that it is noted."""

import asyncio
from collections.abc import Sequence

from services.ledger.domain import money as rules
from services.ledger.domain.money import Matter, Posting
from services.ledger.domain.people import registered
from services.ledger.house import Ledger
from services.ledger.keeping import sealer_of
from shared.consumer import Router
from shared.contracts.dispatch import DeliveryBought
from shared.contracts.envelope import Meta
from shared.contracts.money import MoneyAnswer, RecordMoney
from shared.contracts.refusal import refusal

router: Router[Ledger] = Router("ledger")


@router.command(RecordMoney)
async def record(house: Ledger, command: RecordMoney, meta: Meta) -> MoneyAnswer:
    """Money went from one to the other, or was spent for somebody."""
    now, known = house.runtime.clock(), None
    if command.person_id is not None:
        known = registered(await house.store.register.current(command.person_id), command.community)
    person_id = await _whose(house, command.matter_id, command.person_id)
    if known is None and person_id is not None:
        known = await house.store.register.current(person_id)
    grid = None if known is None else known.facts.grid
    told = Matter(
        matter_id=command.matter_id, community=command.community, grid=grid, person_id=person_id, changed_at=now
    )
    new = rules.posting(
        command.posting_id, command.what, command.worker, command.amount, now, command.to, command.corrects
    )
    if command.note:
        subject = context_of(command.matter_id)
        sealed = (await sealer_of(house, subject, person_id, make=True)).seal(command.note, subject)
        new = new.model_copy(update={"sealed": sealed})
    return await _post(house, told, new, meta)


async def bought(house: Ledger, event: DeliveryBought, meta: Meta) -> None:
    """What a helper paid is what the resident owes him; each receipt is one posting."""
    if event.worker is None or event.amount <= 0:
        return
    now = house.runtime.clock()
    told = Matter(
        matter_id=event.request_id,
        community=event.community or "",
        grid=event.grid,
        person_id=await _whose(house, event.request_id),
        changed_at=now,
    )
    await _post(house, told, rules.posting(meta.id, "receipt", event.worker, event.amount, now), meta)


async def notes(house: Ledger, matters: Sequence[Matter]) -> dict[tuple[str, str], str | None]:
    """What was noted with the postings of these, by matter and posting; None: erased. Whoever shows it notes it."""
    whom = {one.person_id for one in matters if one.person_id is not None}
    own = await house.store.keys.sealers({*whom, *(context_of(one.matter_id) for one in matters)})
    found: dict[tuple[str, str], str | None] = {}
    for one in matters:
        context = context_of(one.matter_id)
        theirs = [own[name] for name in (one.person_id, context) if name is not None]
        for each in one.postings:
            if each.sealed is not None:
                texts = (sealer.left(each.sealed, context) for sealer in theirs)
                found[one.matter_id, each.posting_id] = next((text for text in texts if text is not None), None)
    return found


def context_of(matter_id: str) -> str:
    """What is noted with money belongs to this, and its key, if it has one, to the same."""
    return f"money:{matter_id}"


async def _whose(house: Ledger, matter_id: str, told: str | None = None) -> str | None:
    """Whose a matter is, by the id under which it has him; `told`: by which he is known to whoever tells of it.

    Whoever was found to be another is one with him: a matter keeps the id under which it was told first.

    Raises:
        Refusal: the matter is a request, of somebody else.
    """
    requested, matter = await asyncio.gather(
        house.store.money.person_of(matter_id), house.store.money.all.get(matter_id)
    )
    known = None if matter is None else matter.person_id
    person_id = told or requested
    if person_id is None:
        return known
    ids = await house.store.register.ids_of(person_id)
    if requested is not None and requested not in ids:
        raise refusal("person_id", "other_person", "this request is somebody else's", status=409)
    return known if known in ids else person_id


async def _post(house: Ledger, told: Matter, new: Posting, meta: Meta) -> MoneyAnswer:
    outcome = await house.store.money.all.update(told.matter_id, lambda known: rules.post(known, told, new), meta)
    matter = outcome.state or told
    return MoneyAnswer(
        status="accepted" if outcome.changed else "duplicate",
        matter_id=matter.matter_id,
        owed=matter.owed(),
        open=matter.is_open,
    )
