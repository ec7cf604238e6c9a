"""Messages in: what is known elsewhere of those whom a round misses, the round has to know, too."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from services.ledger.domain.register import Person
from services.ledger.follow_ups.handlers import opened_record, sealer_of
from services.ledger.house import Ledger
from services.ledger.rounds import handlers as rounds
from shared.contracts.envelope import Meta
from shared.contracts.follow_ups import FollowUpRecorded
from shared.contracts.people import PersonMerged
from shared.contracts.rounds import Ending, RecordRound, RoundRecord
from shared.identity import derived_id


async def tell_round(house: Ledger, event: FollowUpRecorded, meta: Meta) -> None:
    """Whoever is looked for and will not come is missing no more, and the reason stands with the round.

    Safe to repeat.
    """
    outcome = event.outcome
    if outcome not in ("refused", "excused"):
        return
    known = await house.store.follow_ups.get(event.follow_up_id)
    if known is None or known.round_id is None or known.member_id is None:
        return
    said = [one for one in known.records if one.outcome == outcome]
    sealer = await sealer_of(house, known)
    reason = "".join(opened_record(one, known, sealer).note for one in said[-1:])
    name = derived_id("sought", known.follow_up_id, meta.id)
    at, worker = event.at or meta.time, event.worker
    # What was said may have been erased since.
    record = _record(known.member_id, outcome, reason or house.rules.gone, at, worker)
    await rounds.record(house, RecordRound(round_id=known.round_id, command_id=name, records=(record,)), meta)


async def let_be(house: Ledger, person: Person, ids: Sequence[str], meta: Meta) -> None:
    """Who went away, died or was erased is missing on no roster, nor is a door behind which nobody is left.

    Args:
        house: the service.
        person: who that is; of somebody erased nobody knows the door any more.
        ids: all under which he stands on rosters.
        meta: why.
    """
    household = person.facts.household
    empty = household and not await house.store.register.count({"state.facts.household": household})
    members = (*ids, household) if empty else tuple(ids)
    under_way = await house.store.rounds.unsettled_with(person.facts.community or "", members)
    missing = [(name, one) for name, states in under_way.items() for one, state in states.items() if state == "missing"]
    await asyncio.gather(*(_excuse(house, name, one, house.rules.gone, meta) for name, one in missing))


async def seek_once(house: Ledger, event: PersonMerged, meta: Meta) -> None:
    """Of two who are one, on each roster on which both stand, the one of whom nothing is known yet is excused.

    Safe to repeat.
    """
    both = await house.store.rounds.unsettled_with(event.community or "", (event.person_id, event.other))
    for round_id, states in both.items():
        if len(states) == 2 and "missing" in states.values():
            spare = event.other if states[event.other] == "missing" else event.person_id
            await _excuse(house, round_id, spare, house.rules.twice, meta)


async def _excuse(house: Ledger, round_id: str, member_id: str, reason: str, meta: Meta) -> None:
    name = derived_id("excused", round_id, member_id, meta.id)
    record = _record(member_id, "excused", reason, meta.time)
    await rounds.record(house, RecordRound(round_id=round_id, command_id=name, records=(record,)), meta)


def _record(member_id: str, outcome: Ending, note: str, at: datetime, worker: str | None = None) -> RoundRecord:
    return RoundRecord(member_id=member_id, outcome=outcome, at=at, worker=worker, note=note)
