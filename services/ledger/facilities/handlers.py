"""Messages in: what stands in a community, and who answers for it."""

from services.ledger.domain import facilities as rules
from services.ledger.domain.facilities import Facility
from services.ledger.house import Ledger
from shared.consumer import Router
from shared.contracts.envelope import Meta
from shared.contracts.facilities import RegisterFacility
from shared.contracts.ledger import RegistrationAnswer
from shared.contracts.refusal import refusal

router: Router[Ledger] = Router("ledger")


@router.command(RegisterFacility)
async def register(house: Ledger, command: RegisterFacility, meta: Meta) -> RegistrationAnswer:
    """Something stands here, or is not as it was."""
    if command.kind not in house.facilities.kinds:
        raise refusal("kind", "unknown_kind", f"facilities.yaml has no kind {command.kind}")
    building = command.building
    if building is not None and await house.store.buildings.get(f"{command.community}/{building}") is None:
        raise refusal("building", "unknown_building", "no building of this number is entered", status=404)
    told = Facility(**command.model_dump())
    outcome = await house.store.facilities.all.update(
        command.facility_id, lambda known: rules.register(known, told), meta, new=True
    )
    return RegistrationAnswer(status="accepted" if outcome.changed else "duplicate", id=command.facility_id)
