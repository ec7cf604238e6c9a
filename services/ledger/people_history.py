"""How somebody was on a day: from the history of events that the person's own document keeps."""

from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from services.ledger.domain.register import Person
from services.ledger.house import Ledger
from shared.contracts.ledger import PersonRegistered, PersonUpdated
from shared.contracts.refusal import refusal

_FACTS = (PersonRegistered.wire, PersonUpdated.wire)


async def as_it_was(house: Ledger, person_id: str, on: date) -> Person:
    """The person as known at the end of that day, where the community is.

    Raises:
        Refusal: 404, nothing was known yet.
    """
    document = await house.store.people.collection.get(person_id)
    zone = ZoneInfo(house.kinds.hours.zone)
    until = datetime.combine(on + timedelta(days=1), time(), zone)
    told: list[dict[str, Any]] = [
        one for one in (document or {}).get("history", ()) if one["type"] in _FACTS and one["at"] < until
    ]
    if document is None or not told:
        raise refusal("on", "unknown_then", "nobody of this id was known on that day", status=404)
    facts = PersonRegistered.model_validate_json(told[-1]["body"])
    return Person(facts=facts, fingerprint="")
