"""Messages in: two who stand on rosters are found to be one, of whom nobody is sought twice."""

from services.ledger.house import Ledger
from services.ledger.rounds import handlers as rounds
from shared.contracts.envelope import Meta
from shared.contracts.people import PersonMerged
from shared.contracts.rounds import RecordRound, RoundRecord
from shared.identity import derived_id


async def seek_once(house: Ledger, event: PersonMerged, meta: Meta) -> None:
    """On each roster on which both stand, the one of whom nothing is known yet is excused. Safe to repeat."""
    both = await house.store.rounds.unsettled_with(event.community or "", (event.person_id, event.other))
    for round_id, states in both.items():
        if len(states) == 2 and "missing" in states.values():
            spare = event.other if states[event.other] == "missing" else event.person_id
            record = RoundRecord(member_id=spare, outcome="excused", at=meta.time, note=house.rules.twice)
            name = derived_id("stands twice", round_id, spare)
            await rounds.record(house, RecordRound(round_id=round_id, command_id=name, records=(record,)), meta)
