"""What travels between the services: one module per publisher or part of one, wire names written out."""

from shared.contracts import (
    audit,
    cases,
    council,
    dispatch,
    duties,
    evidence,
    facilities,
    follow_ups,
    gates,
    intake,
    ledger,
    money,
    needs,
    notification,
    observation,
    people,
    presence,
    programmes,
    queues,
    registers,
    rounds,
    workers,
)
from shared.contracts.envelope import Command, Event

COMMANDS: dict[str, type[Command]] = {
    command.wire: command
    for command in (
        *intake.COMMANDS,
        *dispatch.COMMANDS,
        *workers.COMMANDS,
        *duties.COMMANDS,
        *notification.COMMANDS,
        *ledger.COMMANDS,
        *follow_ups.COMMANDS,
        *programmes.COMMANDS,
        *rounds.COMMANDS,
        *cases.COMMANDS,
        *council.COMMANDS,
        *gates.COMMANDS,
        *observation.COMMANDS,
        *presence.COMMANDS,
        *needs.COMMANDS,
        *evidence.COMMANDS,
        *money.COMMANDS,
        *facilities.COMMANDS,
        *people.COMMANDS,
    )
}
"""Every command by wire type."""

EVENTS: dict[str, type[Event]] = {
    event.wire: event
    for event in (
        *intake.EVENTS,
        *dispatch.EVENTS,
        *workers.EVENTS,
        *duties.EVENTS,
        *notification.EVENTS,
        *ledger.EVENTS,
        *follow_ups.EVENTS,
        *programmes.EVENTS,
        *rounds.EVENTS,
        *cases.EVENTS,
        *gates.EVENTS,
        *observation.EVENTS,
        *presence.EVENTS,
        *needs.EVENTS,
        *evidence.EVENTS,
        *money.EVENTS,
        *facilities.EVENTS,
        *people.EVENTS,
        *registers.EVENTS,
        *audit.EVENTS,
        *queues.EVENTS,
    )
}
"""Every event by wire type."""
