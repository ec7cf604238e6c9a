"""Messages in: who is in a building and does not live there, and what somebody inside needs."""

from services.ledger import needs
from services.ledger.domain import presence as rules
from services.ledger.domain.moments import happened
from services.ledger.domain.needs import one_of_them
from services.ledger.domain.people import registered
from services.ledger.domain.presence import Presence
from services.ledger.house import Ledger
from services.ledger.keeping import sealer_of
from services.ledger.people.portraits import opened, resident_of
from services.ledger.rounds.guests import as_requested, context_of, marks_of
from shared.consumer import Router
from shared.contracts.envelope import Meta
from shared.contracts.intake import SubmitRequest
from shared.contracts.ledger import RegistrationAnswer
from shared.contracts.needs import NeedAnswer, PinNeed
from shared.contracts.presence import EndPresence, PresenceDetails, RegisterPresence
from shared.contracts.refusal import refusal

router: Router[Ledger] = Router("ledger")


@router.command(RegisterPresence)
async def register(house: Ledger, command: RegisterPresence, meta: Meta) -> RegistrationAnswer:
    """Somebody is here and does not live here."""
    building = await house.store.buildings.get(f"{command.community}/{command.building}")
    if building is None:
        raise refusal("building", "unknown_building", "no building of this number is entered", status=404)
    if await house.store.people.get(command.presence_id) is not None:
        raise refusal("presence_id", "known_presence", "somebody else has this id; take a new one", status=409)
    happened(command.at, house.runtime.clock(), house.cases.gate.ahead)
    details = PresenceDetails(
        name=command.name, unit=command.unit, room=command.room, phone=command.phone, home=command.home
    )
    household, lookups = marks_of(house, command.community, command.building, details)
    subject = context_of(command.presence_id)
    sealer = await sealer_of(house, subject, make=True)
    told = Presence(
        presence_id=command.presence_id,
        community=command.community,
        grid=building.grid,
        building=command.building,
        since=command.at or house.runtime.clock(),
        sealed=sealer.seal(details.model_dump_json(), subject),
        fingerprint=house.runtime.lookup.blind("presence", command.model_dump_json()),
        stairwell=house.runtime.lookup.stairwell(command.community, command.building, command.unit),
        household=household,
        lookups=lookups,
    )
    outcome = await house.store.presences.all.update(
        command.presence_id, lambda known: rules.register(known, told), meta, new=True
    )
    return RegistrationAnswer(status="accepted" if outcome.changed else "duplicate", id=command.presence_id)


@router.command(EndPresence)
async def end(house: Ledger, command: EndPresence, meta: Meta) -> RegistrationAnswer:
    """They are not here any more."""
    now = house.runtime.clock()
    outcome = await house.store.presences.all.update(
        command.presence_id, lambda known: rules.end(known, now), meta.named(command.command_id)
    )
    return RegistrationAnswer(status="accepted" if outcome.changed else "duplicate", id=command.presence_id)


@router.command(PinNeed)
async def pin(house: Ledger, command: PinNeed, meta: Meta) -> NeedAnswer:
    """Somebody inside needs something: it becomes a request."""
    one_of_them(command.presence_id, command.person_id)
    if command.kind not in house.kinds.kinds:
        raise refusal("kind", "unknown_kind", f"no kind of help is called {command.kind}")
    known = await house.store.needs.get(command.need_id)
    if known is None:
        request, grid = await _request(house, command)
        accepted = await needs.raise_need(
            house,
            command.need_id,
            request,
            meta,
            grid=grid,
            person_id=command.person_id,
            presence_id=command.presence_id,
        )
    else:
        accepted = False
        if (known.told.kind, known.told.person_id, known.told.presence_id) != (
            command.kind,
            command.person_id,
            command.presence_id,
        ):
            raise refusal("need_id", "known_need", "another need has this id; take a new one", status=409)
    return NeedAnswer(
        status="accepted" if accepted else "duplicate",
        need_id=command.need_id,
        request_id=needs.request_id_of(command.need_id),
    )


async def _request(house: Ledger, command: PinNeed) -> tuple[SubmitRequest, str | None]:
    """What is needed, as the request that it becomes, and its grid."""
    grid: str | None
    if command.presence_id is not None:
        here = rules.existing(await house.store.presences.all.get(command.presence_id))
        if not here.here:
            raise refusal("presence_id", "wrong_state", "they are not here any more", status=409)
        address, resident = await as_requested(house, here)
        community, grid = here.community, here.grid
    else:
        person = registered(await house.store.register.current(command.person_id or ""))
        portrait = await opened(house, person)
        address, community, grid = portrait.details.address, portrait.community, person.facts.grid
        resident = resident_of(portrait)
    request = SubmitRequest(
        source=needs.SOURCE,
        source_id=command.need_id,
        kind=command.kind,
        community=community,
        address=address,
        resident=resident,
        items=command.items,
        note=command.text,
        urgency=command.urgency,
        contactless=True,
    )
    return request, grid
