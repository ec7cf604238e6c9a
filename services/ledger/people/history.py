"""How somebody was on a day: from the history of events that the person's own document keeps."""

from datetime import date, timedelta

from services.ledger.domain.rebuilding import told_by
from services.ledger.domain.register import Person
from services.ledger.domain.registers import REGISTERS
from services.ledger.house import Ledger, midnight
from shared.contracts import EVENTS
from shared.contracts.refusal import refusal


async def as_it_was(house: Ledger, person_id: str, on: date) -> Person:
    """The person as known at the end of that day, where the community is; but for the floor, which no event tells.

    Raises:
        Refusal: 404, nothing was known yet.
    """
    document = await house.store.people.collection.get(person_id)
    until = midnight(house, on + timedelta(days=1))
    before = [one for one in (document or {}).get("history", ()) if one["at"] < until and one["type"] in EVENTS]
    told = told_by(REGISTERS["people"], [EVENTS[one["type"]].model_validate_json(one["body"]) for one in before])
    if "facts" not in told:
        raise refusal("on", "unknown_then", "nobody of this id was known on that day", status=404)
    then = Person.model_validate({"fingerprint": "", **told})
    return then if then.merged_into is None else await as_it_was(house, then.merged_into, on)
