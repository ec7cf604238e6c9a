"""The ledger, as its handlers know it."""

import asyncio
from dataclasses import dataclass, field
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from services.ledger.domain.facilities import FacilityCatalogue
from services.ledger.domain.follow_ups import Rules
from services.ledger.domain.people import PeopleCatalogue
from services.ledger.store import Store
from shared.contracts.catalogue import CaseCatalogue, Kinds, ObservationCatalogue
from shared.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Ledger:
    """The service, as its handlers know it."""

    runtime: Runtime
    store: Store
    kinds: Kinds
    rules: Rules
    cases: CaseCatalogue
    observation: ObservationCatalogue
    categories: PeopleCatalogue
    facilities: FacilityCatalogue
    files: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    """Whose turn it is, of those who send files."""


def today(house: Ledger) -> date:
    """The day, where the community is."""
    return house.runtime.clock().astimezone(ZoneInfo(house.kinds.hours.zone)).date()


def start_of_day(house: Ledger, at: datetime) -> datetime:
    """When the day of that moment began, where the community is."""
    return midnight(house, at.astimezone(ZoneInfo(house.kinds.hours.zone)).date())


def midnight(house: Ledger, day: date) -> datetime:
    """When a day begins, where the community is."""
    return datetime.combine(day, time(), ZoneInfo(house.kinds.hours.zone))
