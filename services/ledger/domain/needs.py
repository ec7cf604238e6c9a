"""What comes out of the ledger's own work and becomes a request."""

from collections.abc import Sequence

from pydantic import BaseModel

from services.ledger.domain.rebuilding import Told
from shared.contracts.envelope import Event
from shared.contracts.needs import NeedRaised
from shared.contracts.refusal import refusal


class Need(BaseModel):
    """Something that somebody needs."""

    need_id: str
    told: NeedRaised
    """As it is entered: without the request, which intake alone has to know."""


def raise_need(known: Need | None, told: Need, event: NeedRaised) -> tuple[Need, Sequence[Event]] | None:
    """Tell intake; None if it was told."""
    return None if known is not None else (told, [event])


def one_of_them(presence_id: str | None, person_id: str | None) -> None:
    """Nothing, where it is clear who needs something.

    Raises:
        Refusal: nobody is named, or two are.
    """
    if presence_id is None and person_id is None:
        raise refusal("presence_id", "required", "say who needs it: a presence or a person")
    if presence_id is not None and person_id is not None:
        raise refusal("presence_id", "not_allowed", "say who needs it: a presence or a person, not both")


def retold(known: Told, event: Event) -> Told:
    """What is told of a need: all that there is."""
    return {"need_id": event.need_id, "told": event} if isinstance(event, NeedRaised) else known
