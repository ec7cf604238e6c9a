"""What somebody needs becomes a request: told once, with all that intake has to know, sealed."""

from services.ledger.domain import needs as rules
from services.ledger.domain.needs import Need
from services.ledger.house import Ledger
from services.ledger.people.portraits import opened, resident_of
from shared.contracts.envelope import Meta
from shared.contracts.follow_ups import FollowUpDue
from shared.contracts.intake import SubmitRequest
from shared.contracts.needs import NeedRaised
from shared.identity import derived_id
from shared.sealing import gone

SOURCE = "ledger"
"""Of requests that come of such needs."""


async def send_somebody(house: Ledger, event: FollowUpDue, meta: Meta) -> None:
    """A try of a follow-up can be a request of its own, such as a look at the corridor where nobody opened."""
    person = await house.store.register.current(event.person_id) if event.request is not None else None
    if event.request is None or person is None:
        return
    facts, need_id = person.facts, derived_id("need", event.follow_up_id, event.request)
    portrait = await opened(house, person)
    request = SubmitRequest(
        source=SOURCE,
        source_id=need_id,
        kind=event.request,
        community=facts.community or "",
        address=portrait.details.address,
        resident=resident_of(portrait),
        contactless=True,
    )
    await raise_need(house, need_id, request, meta, grid=facts.grid, person_id=event.person_id)


async def raise_need(
    house: Ledger,
    need_id: str,
    request: SubmitRequest,
    meta: Meta,
    *,
    grid: str | None,
    person_id: str | None = None,
    presence_id: str | None = None,
) -> bool:
    """Tell intake of a request, once; whether it was told now."""
    event = NeedRaised(
        community=request.community,
        grid=grid,
        need_id=need_id,
        kind=request.kind,
        building=request.address.building,
        person_id=person_id,
        presence_id=presence_id,
        sealed=house.runtime.sealer.seal(request.model_dump_json(by_alias=True), f"need:{need_id}"),
    )
    told = Need(need_id=need_id, told=event.model_copy(update={"sealed": gone(event.sealed)}))
    outcome = await house.store.needs.update(
        need_id, lambda known: rules.raise_need(known, told, event), meta, new=True
    )
    return outcome.changed


def request_id_of(need_id: str) -> str:
    """The id of the request that a need becomes: as intake derives it."""
    return derived_id("request", SOURCE, need_id)
