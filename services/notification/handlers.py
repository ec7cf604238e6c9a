"""Messages in: everything that staff must know."""

from dataclasses import dataclass

from services.notification.domain import message as rules
from services.notification.domain.message import Rules
from services.notification.store import Store
from shared.consumer import Router
from shared.contracts import (
    cases,
    dispatch,
    duties,
    evidence,
    follow_ups,
    gates,
    intake,
    observation,
    presence,
    rounds,
    workers,
)
from shared.contracts.catalogue import Kinds
from shared.contracts.envelope import Event, Meta
from shared.contracts.ledger import BuildingClosed, BuildingOpened
from shared.contracts.notification import AcknowledgeNotification, NotificationAnswer
from shared.identity import derived_id
from shared.runtime import Runtime

router: Router["Notification"] = Router("notification")


@dataclass(frozen=True, slots=True)
class Notification:
    """The service, as its handlers know it."""

    runtime: Runtime
    store: Store
    rules: Rules
    kinds: Kinds


@router.event(
    *intake.EVENTS,
    BuildingClosed,
    BuildingOpened,
    *dispatch.EVENTS,
    *(event for event in workers.EVENTS if event is not workers.WorkerRegistered),
    *duties.EVENTS,
    *follow_ups.EVENTS,
    *rounds.EVENTS,
    *cases.EVENTS,
    *observation.EVENTS,
    *presence.EVENTS,
    *evidence.EVENTS,
    *(event for event in gates.EVENTS if event is not gates.GateChecked),
)
async def tell(house: Notification, event: Event, meta: Meta) -> None:
    """Something happened: tell those who must know, once."""
    rule = house.rules.notifications.get(type(event).__name__)
    if rule is None:
        return
    notification_id = derived_id("notification", meta.id)
    now = house.runtime.clock()
    await house.store.messages.update(
        notification_id,
        lambda known: rules.tell(known, notification_id, event, meta, rule, house.kinds, now),
        meta,
        new=True,
    )


@router.command(AcknowledgeNotification)
async def acknowledge(house: Notification, command: AcknowledgeNotification, meta: Meta) -> NotificationAnswer:
    """Somebody read a message."""
    outcome = await house.store.messages.update(
        command.notification_id, lambda known: rules.acknowledge(known, command.worker), meta.named(command.command_id)
    )
    return NotificationAnswer(
        status="accepted" if outcome.changed else "duplicate", notification_id=command.notification_id
    )
