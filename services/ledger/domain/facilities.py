"""What stands in a community, and who answers for it."""

from collections.abc import Sequence

from pydantic import BaseModel

from services.ledger.domain.rebuilding import Told
from shared.contracts.catalogue import Entry, Label
from shared.contracts.envelope import Event, Slug
from shared.contracts.facilities import FacilityRegistered
from shared.contracts.refusal import refusal


class FacilityCatalogue(Entry):
    """The catalogue `facilities.yaml`."""

    kinds: dict[Slug, Label]


class Facility(BaseModel):
    """Something that stands here, or did."""

    facility_id: str
    community: str
    kind: str
    name: str
    building: str | None = None
    where: str = ""
    partner: str | None = None
    phone: str | None = None
    until: str | None = None


def register(known: Facility | None, told: Facility) -> tuple[Facility, Sequence[Event]] | None:
    """It stands here, or is not as it was; None if nothing changes.

    Raises:
        Refusal: another community has one of this id.
    """
    if known == told:
        return None
    if known is not None and known.community != told.community:
        raise refusal(
            "facility_id", "known_facility", "another community has one of this id; take a new one", status=409
        )
    return told, [FacilityRegistered(**dict(told))]


def retold(known: Told, event: Event) -> Told:
    """What is told of a facility after one more event: each says all of it."""
    if not isinstance(event, FacilityRegistered):
        return known
    return {name: getattr(event, name) for name in Facility.model_fields}
