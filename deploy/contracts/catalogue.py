"""Every message that crosses a border: who writes it, who reads it, where it travels and what answers it."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from shared.contracts import (
    COMMANDS,
    EVENTS,
    cases,
    council,
    dispatch,
    duties,
    evidence,
    follow_ups,
    gates,
    intake,
    ledger,
    money,
    needs,
    notification,
    observation,
    presence,
    programmes,
    rounds,
    workers,
)
from shared.contracts.envelope import COMMANDS_EXCHANGE, Command, Contract, Problem, Refused

Family = Literal["command", "event", "notification", "answer", "sealed"]

SERVICES = MappingProxyType(
    {
        "intake": "owns requests: is this valid, new, the same as one we have; how urgent; for which grid",
        "dispatch": "owns tasks, workers, offers and hand-overs: who does it, in what order, what when nobody does",
        "notification": "owns messages, recipients and streams: who must know, how, when; what if they do not react",
        "ledger": "owns people, households, buildings, grids and entries: what is due, who is missing, what is true",
    }
)
"""The four services and what each decides."""

_PARTS_OF = MappingProxyType(
    {
        "cases": "ledger",
        "council": "ledger",
        "duties": "dispatch",
        "evidence": "ledger",
        "facilities": "ledger",
        "follow_ups": "ledger",
        "gates": "ledger",
        "money": "ledger",
        "needs": "ledger",
        "observation": "ledger",
        "people": "ledger",
        "presence": "ledger",
        "programmes": "ledger",
        "registers": "ledger",
        "rounds": "ledger",
        "workers": "dispatch",
    }
)
"""Modules of contracts that are one part of a service."""

STAFF_ADDRESS = "{role}.{community}.{grid}.{worker}"
"""Routing key on the notifications exchange."""

ANSWERS: tuple[type[Contract], ...] = (
    intake.RequestAnswer,
    dispatch.TaskAnswer,
    duties.DutyAnswer,
    follow_ups.FollowUpAnswer,
    programmes.ProgrammeAnswer,
    rounds.RoundAnswer,
    cases.CaseAnswer,
    council.CouncilAnswer,
    gates.AgreementAnswer,
    gates.GateCheckAnswer,
    observation.ObservationAnswer,
    needs.NeedAnswer,
    evidence.EvidenceAnswer,
    money.MoneyAnswer,
    ledger.RegistrationAnswer,
    notification.NotificationAnswer,
    Refused,
)
"""What a command's sender may get back."""

SEALED: tuple[type[Contract], ...] = (
    intake.RequestDetails,
    ledger.PersonDetails,
    workers.WorkerDetails,
    cases.CaseDetails,
    presence.PresenceDetails,
    follow_ups.FollowUpSaid,
)
"""What is inside a `sealed` field: kept for years and opened by other versions of the code, so compared like events."""

PARTS: tuple[type[Contract], ...] = (Problem,)
"""Contracts that travel only inside others and need no file of their own."""


@dataclass(frozen=True, slots=True)
class Message:
    """One kind of message. `name` is its wire type, or the class name of what has none; it also names its file."""

    name: str
    contract: type[Contract]
    family: Family
    service: str
    """Who takes the command, publishes the event or gives the answer; empty where any service does."""
    exchange: str = ""
    address: str = ""
    """The routing key, with `{parameters}`."""
    answer: str = ""
    """The name of what answers a command that is carried out."""

    @property
    def title(self) -> str:
        """The class name."""
        return self.contract.__name__

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return self.description.partition("\n")[0]

    @property
    def description(self) -> str:
        """The whole docstring."""
        return (self.contract.__doc__ or "").strip()


def messages() -> Iterator[Message]:
    """Every message, commands first, in the order in which the contracts list them."""
    for wire, command in COMMANDS.items():
        answer = answer_to(command).__name__
        yield Message(wire, command, "command", _service(command), COMMANDS_EXCHANGE, command.key, answer)
    for wire, event in EVENTS.items():
        address = f"{event.key}.{{community}}.{{grid}}"
        yield Message(wire, event, "event", _service(event), event.exchange, address)
    staff = notification.StaffNotification
    yield Message(staff.wire, staff, "notification", _service(staff), staff.exchange, STAFF_ADDRESS)
    for answer_type in ANSWERS:
        yield Message(answer_type.__name__, answer_type, "answer", _service(answer_type))
    for part in SEALED:
        yield Message(part.__name__, part, "sealed", _service(part))


def answer_to(command: type[Command]) -> type[Contract]:
    """The answer that a sender of `command` gets when it is carried out."""
    if issubclass(command, dispatch.TaskCommand):
        return dispatch.TaskAnswer
    if command in duties.COMMANDS:
        return duties.DutyAnswer
    if command in follow_ups.COMMANDS:
        return follow_ups.FollowUpAnswer
    if command in programmes.COMMANDS:
        return programmes.ProgrammeAnswer
    if command in rounds.COMMANDS:
        return rounds.RoundAnswer
    if command in cases.COMMANDS:
        return cases.CaseAnswer
    if command in council.COMMANDS:
        return council.CouncilAnswer
    if command in gates.COMMANDS:
        return gates.GateCheckAnswer if command is gates.RecordGateCheck else gates.AgreementAnswer
    if command in observation.COMMANDS:
        return observation.ObservationAnswer
    if command in needs.COMMANDS:
        return needs.NeedAnswer
    if command in evidence.COMMANDS:
        return evidence.EvidenceAnswer
    if command in money.COMMANDS:
        return money.MoneyAnswer
    if command in intake.COMMANDS:
        return intake.RequestAnswer
    if command in notification.COMMANDS:
        return notification.NotificationAnswer
    return ledger.RegistrationAnswer


def _service(contract: type[Contract]) -> str:
    """The contract's module is named for the service that owns it, or for a part of one."""
    name = contract.__module__.rpartition(".")[2]
    name = _PARTS_OF.get(name, name)
    return name if name in SERVICES else ""
