"""Messages in: everything that happened is entered; buildings and tokens are registered."""

from services.ledger import needs
from services.ledger.cases import council
from services.ledger.cases import handlers as cases
from services.ledger.domain import register
from services.ledger.domain.entry import Fact
from services.ledger.domain.registers import about
from services.ledger.evidence import handlers as evidence
from services.ledger.facilities import handlers as facilities
from services.ledger.follow_ups import handlers as follow_ups
from services.ledger.gates import handlers as gates
from services.ledger.house import Ledger
from services.ledger.money import handlers as money
from services.ledger.numbers import counting as numbers
from services.ledger.observation import handlers as observation
from services.ledger.people import handlers as people
from services.ledger.presence import handlers as presence
from services.ledger.programmes import handlers as programmes
from services.ledger.rounds import handlers as rounds
from services.ledger.rounds import sweeps, walks
from services.ledger.store import OtherBody
from shared.consumer import Handler, Router
from shared.contracts import EVENTS
from shared.contracts.dispatch import DeliveryBought, DeliveryCompleted, DeliveryFailed
from shared.contracts.envelope import UNKNOWN, Event, Meta
from shared.contracts.follow_ups import FollowUpDue, FollowUpRecorded
from shared.contracts.gates import GateChecked
from shared.contracts.intake import RequestFacts
from shared.contracts.ledger import (
    CloseBuilding,
    GrantAccess,
    OpenBuilding,
    PersonUpdated,
    RegisterBuilding,
    RegistrationAnswer,
    RevokeAccess,
)
from shared.contracts.needs import NeedRaised
from shared.contracts.observation import ObservationStarted, PersonReleased
from shared.contracts.people import PersonErased, PersonMerged
from shared.contracts.refusal import refusal
from shared.contracts.workers import WorkerRegistered
from shared.sealing import gone

router: Router[Ledger] = Router("ledger")
for part in (
    people,
    follow_ups,
    programmes,
    cases,
    council,
    gates,
    observation,
    presence,
    evidence,
    money,
    facilities,
    rounds,
):
    router.include(part.router)


async def answer_for(house: Ledger, event: FollowUpRecorded, meta: Meta) -> None:
    """A fever has somebody who answers for it, and a round knows why somebody did not come."""
    await cases.open_fever(house, event, meta)
    await sweeps.tell_round(house, event, meta)


async def leave(house: Ledger, event: PersonUpdated | PersonErased, meta: Meta) -> None:
    """Who has gone, died or was erased is observed no more, looked after by no plan, and sought by no round."""
    if isinstance(event, PersonUpdated) and event.here:
        return
    person = await house.store.register.current(event.person_id)
    if person is None or person.living:
        return
    ids = await house.store.register.ids_of(event.person_id)
    await observation.leave(house, ids, meta)
    await sweeps.let_be(house, person, ids, meta)


HEARD: dict[type[Event], Handler[Ledger]] = {
    DeliveryBought: money.bought,
    DeliveryCompleted: walks.come_back,
    DeliveryFailed: walks.come_back,
    GateChecked: gates.open_fever,
    WorkerRegistered: cases.note_worker,
    FollowUpDue: needs.send_somebody,
    FollowUpRecorded: answer_for,
    ObservationStarted: observation.look_after,
    PersonErased: leave,
    PersonMerged: sweeps.seek_once,
    PersonUpdated: leave,
    PersonReleased: observation.let_go,
}
"""What is done with an event besides entering it."""


@router.event(*EVENTS.values())
async def enter(house: Ledger, event: Event, meta: Meta) -> None:
    """Something happened: enter it, once, and do what follows from it."""
    fact = Fact.model_construct(
        id=meta.id,
        type=type(event).__name__,
        wire=meta.type,
        at=meta.time,
        community=event.community or UNKNOWN,
        grid=event.grid,
        request_id=getattr(event, "request_id", None),
        source=meta.source,
        cause=meta.cause,
        actor=meta.actor,
        data=_booked(event).model_dump_json(by_alias=True),
        about=(subject := about(event)),
        turn=meta.sequence if subject is not None else None,
    )
    try:
        await house.store.enter(fact)
    except OtherBody as error:
        raise refusal("ce-id", "other_body", str(error), status=409) from None
    await numbers.note(house, fact)
    if (further := HEARD.get(type(event))) is not None:
        await further(house, event, meta)


def _booked(event: Event) -> Event:
    """As it is entered: for whom a request is stays with those who carry it out, who can throw it away."""
    if isinstance(event, RequestFacts | FollowUpRecorded | NeedRaised) and event.sealed is not None:
        return event.model_copy(update={"sealed": gone(event.sealed)})
    return event


@router.command(RegisterBuilding)
async def register_building(house: Ledger, command: RegisterBuilding, meta: Meta) -> RegistrationAnswer:
    """A building belongs to a grid."""
    building_id = f"{command.community}/{command.building}"
    outcome = await house.store.buildings.update(
        building_id,
        lambda known: register.register_building(known, command.community, command.building, command.grid),
        meta,
        new=True,
    )
    return RegistrationAnswer(status="accepted" if outcome.changed else "duplicate", id=building_id)


@router.command(CloseBuilding)
async def close_building(house: Ledger, command: CloseBuilding, meta: Meta) -> RegistrationAnswer:
    """Nobody goes in or out."""
    return await _close(house, command, meta, closed=True)


@router.command(OpenBuilding)
async def open_building(house: Ledger, command: OpenBuilding, meta: Meta) -> RegistrationAnswer:
    """It is open again."""
    return await _close(house, command, meta, closed=False)


async def _close(
    house: Ledger, command: CloseBuilding | OpenBuilding, meta: Meta, *, closed: bool
) -> RegistrationAnswer:
    building_id = f"{command.community}/{command.building}"
    outcome = await house.store.buildings.update(
        building_id, lambda known: register.close_building(known, closed=closed), meta.named(command.command_id)
    )
    return RegistrationAnswer(status="accepted" if outcome.changed else "duplicate", id=building_id)


@router.command(GrantAccess)
async def grant(house: Ledger, command: GrantAccess, meta: Meta) -> RegistrationAnswer:
    """Let the bearer of a token in."""
    outcome = await house.store.access.update(
        command.token_hash, lambda known: register.grant(known, command), meta.named(command.command_id)
    )
    return RegistrationAnswer(status="accepted" if outcome.changed else "duplicate", id=command.token_hash)


@router.command(RevokeAccess)
async def revoke(house: Ledger, command: RevokeAccess, meta: Meta) -> RegistrationAnswer:
    """Let the bearer of a token in no more."""
    outcome = await house.store.access.update(command.token_hash, register.revoke, meta.named(command.command_id))
    return RegistrationAnswer(status="accepted" if outcome.changed else "duplicate", id=command.token_hash)
