"""Messages in: who is observed at home, and who is no longer."""

from services.dispatch.domain import observed as rules
from services.dispatch.house import Dispatch, apply_to_each
from shared.consumer import Router
from shared.contracts.envelope import Meta
from shared.contracts.observation import ObservationEvent, ObservationStarted, PersonReleased

router: Router[Dispatch] = Router("dispatch")


@router.event(ObservationStarted)
async def observe(house: Dispatch, event: ObservationStarted, meta: Meta) -> None:
    """Nothing is handed over in person behind that door."""
    await house.store.doors.update(
        event.household,
        lambda door: rules.observe(door, event.household, event.observation_id, event.person_id),
        meta,
        new=True,
    )
    await _tell(house, event, meta)


@router.event(PersonReleased)
async def free(house: Dispatch, event: PersonReleased, meta: Meta) -> None:
    """As behind any other door, once nobody there is observed."""
    await house.store.doors.update(
        event.household, lambda door: rules.free(door, event.household, event.observation_id), meta, new=True
    )
    await _tell(house, event, meta)


async def _tell(house: Dispatch, event: ObservationEvent, meta: Meta) -> None:
    """Whoever has something open for that door hears of it, if it is news."""
    behind = await house.store.behind(event.community or "", event.building)
    theirs = [one for one in behind if one[1].facts is not None and one[1].facts.household == event.household]
    await apply_to_each(house, theirs, rules.keep_apart, meta)
