"""How somebody was on a day: from the history of events that the person's own document keeps."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from services.ledger.domain.rebuilding import told_by
from services.ledger.domain.register import Person
from services.ledger.domain.registers import REGISTERS
from services.ledger.house import Ledger, midnight
from shared.contracts import EVENTS
from shared.contracts.envelope import Event
from shared.contracts.refusal import refusal
from shared.documents import Document


async def as_it_was(house: Ledger, person_id: str, on: date) -> Person:
    """The person as known at the end of that day, where the community is; but for the floor, which no event tells.

    Raises:
        Refusal: 404, nothing was known yet.
    """
    document = await house.store.people.collection.get(person_id)
    until = midnight(house, on + timedelta(days=1))
    news = events_of((document or {}).get("history", ()))
    told = told_by(REGISTERS["people"], [one for at, one in news if at < until])
    if "facts" not in told:
        raise refusal("on", "unknown_then", "nobody of this id was known on that day", status=404)
    then = Person.model_validate({"fingerprint": "", **told})
    return then if then.merged_into is None else await as_it_was(house, then.merged_into, on)


def events_of(history: Iterable[Document]) -> list[tuple[datetime, Event]]:
    """What a document's history says, and when it was told."""
    known = (one for one in history if one["type"] in EVENTS)
    return [(one["at"], EVENTS[one["type"]].model_validate_json(one["body"])) for one in known]
