"""Messages in: what somebody says who is looked for after a round is what the round has to know of them."""

from services.ledger.follow_ups.handlers import opened_record, sealer_of
from services.ledger.house import Ledger
from services.ledger.rounds import handlers as rounds
from shared.contracts.envelope import Meta
from shared.contracts.follow_ups import FollowUpRecorded
from shared.contracts.rounds import RecordRound, RoundRecord
from shared.identity import derived_id


async def tell_round(house: Ledger, event: FollowUpRecorded, meta: Meta) -> None:
    """Whoever will not come, or need not, is missing no more, and the reason stands with the round. Safe to repeat."""
    outcome = event.outcome
    if outcome not in ("refused", "excused"):
        return
    known = await house.store.follow_ups.get(event.follow_up_id)
    if known is None or known.round_id is None or known.member_id is None:
        return
    said = [one for one in known.records if one.outcome == outcome]
    sealer = await sealer_of(house, known)
    reason = "".join(opened_record(one, known, sealer).note for one in said[-1:])
    record = RoundRecord(
        member_id=known.member_id,
        outcome=outcome,
        at=event.at or meta.time,
        worker=event.worker,
        # Of those who went away, nobody says it.
        note=reason or house.rules.gone,
    )
    name = derived_id("sought", known.follow_up_id, meta.id)
    await rounds.record(house, RecordRound(round_id=known.round_id, command_id=name, records=(record,)), meta)
