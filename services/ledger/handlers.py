"""Messages in: everything that happened is entered; buildings and tokens are registered."""

from services.ledger import follow_ups, people
from services.ledger.domain import register
from services.ledger.domain.entry import Fact
from services.ledger.house import Ledger, cause_of
from services.ledger.store import OtherBody
from shared.consumer import Router
from shared.contracts import EVENTS
from shared.contracts.envelope import UNKNOWN, Event, Meta
from shared.contracts.ledger import (
    CloseBuilding,
    GrantAccess,
    OpenBuilding,
    RegisterBuilding,
    RegistrationAnswer,
    RevokeAccess,
)
from shared.contracts.refusal import refusal

router: Router[Ledger] = Router("ledger")
router.include(follow_ups.router)
router.include(people.router)


@router.event(*EVENTS.values())
async def enter(house: Ledger, event: Event, meta: Meta) -> None:
    """Something happened: enter it, once."""
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
        data=event.model_dump_json(by_alias=True),
    )
    try:
        await house.store.enter(fact)
    except OtherBody as error:
        raise refusal("ce-id", "other_body", str(error), status=409) from None


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
        building_id, lambda known: register.close_building(known, closed=closed), cause_of(command.command_id, meta)
    )
    return RegistrationAnswer(status="accepted" if outcome.changed else "duplicate", id=building_id)


@router.command(GrantAccess)
async def grant(house: Ledger, command: GrantAccess, meta: Meta) -> RegistrationAnswer:
    """Let the bearer of a token in."""
    outcome = await house.store.access.update(
        command.token_hash, lambda known: register.grant(known, command), cause_of(command.command_id, meta)
    )
    return RegistrationAnswer(status="accepted" if outcome.changed else "duplicate", id=command.token_hash)


@router.command(RevokeAccess)
async def revoke(house: Ledger, command: RevokeAccess, meta: Meta) -> RegistrationAnswer:
    """Let the bearer of a token in no more."""
    outcome = await house.store.access.update(command.token_hash, register.revoke, cause_of(command.command_id, meta))
    return RegistrationAnswer(status="accepted" if outcome.changed else "duplicate", id=command.token_hash)
