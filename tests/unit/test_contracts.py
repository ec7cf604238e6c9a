"""The contracts: what is in git is what the code says, nobody is broken by a change, and bad input is named."""

import ast
import copy
import json
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for
from pydantic import ValidationError
from typer.testing import CliRunner

import shared.contracts
from deploy.contracts import generate
from deploy.contracts.asyncapi import document
from deploy.contracts.catalogue import PARTS, SERVICES, Message, messages
from deploy.contracts.compatibility import Finding, breaks, message_breaks
from deploy.contracts.examples import example
from deploy.contracts.schemas import schema_of, schemas
from deploy.engines.definitions import VHOST
from shared.contracts import COMMANDS, EVENTS, dispatch, intake, ledger
from shared.contracts.envelope import Contract, Event

Schema = dict[str, Any]
Change = Callable[[Schema], object]

MODULES = tuple(
    import_module(f"shared.contracts.{one.name}") for one in pkgutil.iter_modules(shared.contracts.__path__)
)
EVERY = {message.title: message for message in messages()}
NAMES = sorted(EVERY)
COMMAND_NAMES = sorted(command.__name__ for command in COMMANDS.values())
EVENT_NAMES = sorted(event.__name__ for event in EVENTS.values())


def schema(name: str) -> Schema:
    return schema_of(EVERY[name])


def sample(name: str) -> dict[str, Any]:
    made: dict[str, Any] = example(schema(name))
    return made


def said(contract: type[Contract], body: str | dict[str, Any]) -> list[tuple[str, str]]:
    """Field and kind of every problem that the contract has with a body."""
    text = body if isinstance(body, str) else json.dumps(body)
    with pytest.raises(ValidationError) as refused:
        contract.model_validate_json(text)
    return [(".".join(map(str, one["loc"])), one["type"]) for one in refused.value.errors()]


# What is in git


def test_what_is_in_git_is_what_the_code_says() -> None:
    """`make contracts` writes docs/contracts again."""
    assert generate.differences(generate.ROOT) == []


def test_every_run_writes_the_same_bytes(tmp_path: Path) -> None:
    """Whatever the hash seed, in another process."""
    words = [sys.executable, "-m", "deploy.contracts.generate", "--root", str(tmp_path)]
    subprocess.run(words, check=True, cwd=generate.ROOT, env={"PYTHONHASHSEED": "7"})
    assert generate.differences(tmp_path) == []


def test_every_contract_has_a_schema() -> None:
    """A class that crosses a border and is in no list would be promised to nobody."""
    contracts = {
        thing
        for module in MODULES
        for thing in vars(module).values()
        if isinstance(thing, type) and issubclass(thing, Contract) and thing.__module__ == module.__name__
    }
    bases = {base for one in contracts for base in one.__mro__[1:]}
    inside = {name for one in schemas().values() for name in one.get("$defs", {})}
    inside |= {part.__name__ for part in PARTS}
    covered = {message.contract for message in messages()}
    assert {one.__name__ for one in contracts - bases - covered} - inside == set()


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_json_schema_2020_12(name: str) -> None:
    one = schema(name)
    assert validator_for(one) is Draft202012Validator
    Draft202012Validator.check_schema(one)
    assert one["description"], "the docstring says what it is for"


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_reads_the_same_under_draft_07(name: str) -> None:
    """AsyncAPI builds on draft 07: no keyword that it lacks is used, and `$defs` is only pointed at."""
    later = {"prefixItems", "dependentRequired", "dependentSchemas", "unevaluatedProperties", "unevaluatedItems"}
    assert later & {key for part in _walk(schema(name)) for key in part} == set()


# Wire names

WIRE = """
SubmitRequest            doorstep.request.submit.v1            request.submit
AmendRequest             doorstep.request.amend.v1             request.amend
CancelRequest            doorstep.request.cancel.v1            request.cancel
ClaimTask                doorstep.task.claim.v1                task.claim
AcceptTask               doorstep.task.accept.v1               task.accept
DeclineTask              doorstep.task.decline.v1              task.decline
StartTask                doorstep.task.start.v1                task.start
HandOverTask             doorstep.task.hand-over.v1            task.hand-over
CompleteTask             doorstep.task.complete.v1             task.complete
FailTask                 doorstep.task.fail.v1                 task.fail
PauseTask                doorstep.task.pause.v1                task.pause
BuyGoods                 doorstep.task.buy.v1                  task.buy
ArriveTask               doorstep.task.arrive.v1               task.arrive
ReturnGoods              doorstep.task.return-goods.v1         task.return-goods
CheckTask                doorstep.task.check.v1                task.check
ReopenTask               doorstep.task.reopen.v1               task.reopen
ExcludeWorker            doorstep.task.exclude.v1              task.exclude
RegisterWorker           doorstep.worker.register.v1           worker.register
SignUpVolunteer          doorstep.worker.sign-up.v1            worker.sign-up
ApproveWorker            doorstep.worker.approve.v1            worker.approve
ReportAbsence            doorstep.worker.report-absence.v1     worker.report-absence
CoverGrid                doorstep.grid.cover.v1                grid.cover
PostDuty                 doorstep.duty.post.v1                 duty.post
BookDuty                 doorstep.duty.book.v1                 duty.book
WithdrawFromDuty         doorstep.duty.withdraw.v1             duty.withdraw
CancelDuty               doorstep.duty.cancel.v1               duty.cancel
AttestDuty               doorstep.duty.attest.v1               duty.attest
AcknowledgeNotification  doorstep.notification.acknowledge.v1  notification.acknowledge
RegisterBuilding         doorstep.building.register.v1         building.register
CloseBuilding            doorstep.building.close.v1            building.close
OpenBuilding             doorstep.building.open.v1             building.open
RegisterPerson           doorstep.person.register.v1           person.register
GrantAccess              doorstep.access.grant.v1              access.grant
RevokeAccess             doorstep.access.revoke.v1             access.revoke
BeginProgramme           doorstep.programme.begin.v1           programme.begin
EndProgramme             doorstep.programme.end.v1             programme.end
PlanFollowUps            doorstep.follow-up.plan.v1            follow-up.plan
EndPlan                  doorstep.follow-up.end.v1             follow-up.end
RecordFollowUp           doorstep.follow-up.record.v1          follow-up.record
OpenRound                doorstep.round.open.v1                round.open
CloseRound               doorstep.round.close.v1               round.close
RecordRound              doorstep.round.record.v1              round.record
AddToRound               doorstep.round.add.v1                 round.add
OpenCase                 doorstep.case.open.v1                 case.open
AssignCase               doorstep.case.assign.v1               case.assign
AddStep                  doorstep.case.add-step.v1             case.add-step
DoneStep                 doorstep.case.done-step.v1            case.done-step
AnswerCase               doorstep.case.answer.v1               case.answer
CloseCase                doorstep.case.close.v1                case.close
ReopenCase               doorstep.case.reopen.v1               case.reopen
RecordCouncil            doorstep.council.record.v1            council.record
RecordAgreement          doorstep.agreement.record.v1          agreement.record
EndAgreement             doorstep.agreement.end.v1             agreement.end
RecordGateCheck          doorstep.gate-check.record.v1         gate-check.record
StartObservation         doorstep.observation.start.v1         observation.start
ReleaseObservation       doorstep.observation.release.v1       observation.release
PinNeed                  doorstep.need.pin.v1                  need.pin
RegisterPresence         doorstep.presence.register.v1         presence.register
EndPresence              doorstep.presence.end.v1              presence.end
OweEvidence              doorstep.evidence.owe.v1              evidence.owe
ForgiveEvidence          doorstep.evidence.forgive.v1          evidence.forgive
RecordEvidence           doorstep.evidence.record.v1           evidence.record
RecordMoney              doorstep.money.record.v1              money.record
RegisterFacility         doorstep.facility.register.v1         facility.register
MovePerson               doorstep.person.move.v1               person.move
CorrectPerson            doorstep.person.correct.v1            person.correct
RecordDeath              doorstep.person.record-death.v1       person.record-death
MergePeople              doorstep.person.merge.v1              person.merge
UnmergePeople            doorstep.person.unmerge.v1            person.unmerge
ErasePerson              doorstep.person.erase.v1              person.erase
RequestCreated           doorstep.request.created.v1           request.created.tiebei.g3
RequestAmended           doorstep.request.amended.v1           request.amended.tiebei.g3
RequestCancelled         doorstep.request.cancelled.v1         request.cancelled.tiebei.g3
DeliveryOffered          doorstep.delivery.offered.v1          delivery.offered.tiebei.g3
DeliveryAssigned         doorstep.delivery.assigned.v1         delivery.assigned.tiebei.g3
DeliveryReleased         doorstep.delivery.released.v1         delivery.released.tiebei.g3
DeliveryStarted          doorstep.delivery.started.v1          delivery.started.tiebei.g3
DeliveryHandedOver       doorstep.delivery.handed-over.v1      delivery.handed-over.tiebei.g3
DeliveryPaused           doorstep.delivery.paused.v1           delivery.paused.tiebei.g3
DeliveryResumed          doorstep.delivery.resumed.v1          delivery.resumed.tiebei.g3
DeliveryPostponed        doorstep.delivery.postponed.v1        delivery.postponed.tiebei.g3
DeliveryAtRisk           doorstep.delivery.at-risk.v1          delivery.at-risk.tiebei.g3
DeliveryBought           doorstep.delivery.bought.v1           delivery.bought.tiebei.g3
DeliveryArrived          doorstep.delivery.arrived.v1          delivery.arrived.tiebei.g3
DeliveryPhotographed     doorstep.delivery.photographed.v1     delivery.photographed.tiebei.g3
DeliveryReturned         doorstep.delivery.returned.v1         delivery.returned.tiebei.g3
DeliveryChecked          doorstep.delivery.checked.v1          delivery.checked.tiebei.g3
DeliveryReplanned        doorstep.delivery.replanned.v1        delivery.replanned.tiebei.g3
DeliveryFlagged          doorstep.delivery.flagged.v1          delivery.flagged.tiebei.g3
DeliveryCompleted        doorstep.delivery.completed.v1        delivery.completed.tiebei.g3
DeliveryFailed           doorstep.delivery.failed.v1           delivery.failed.tiebei.g3
DeliveryReopened         doorstep.delivery.reopened.v1         delivery.reopened.tiebei.g3
DeliveryCancelled        doorstep.delivery.cancelled.v1        delivery.cancelled.tiebei.g3
DeliveryEscalated        doorstep.delivery.escalated.v1        delivery.escalated.tiebei.g3
WorkerRegistered         doorstep.worker.registered.v1         worker.registered.tiebei.g3
WorkerSignedUp           doorstep.worker.signed-up.v1          worker.signed-up.tiebei.g3
WorkerAbsent             doorstep.worker.absent.v1             worker.absent.tiebei.g3
WorkerReturned           doorstep.worker.returned.v1           worker.returned.tiebei.g3
WorkerExcluded           doorstep.worker.excluded.v1           worker.excluded.tiebei.g3
GridCovered              doorstep.grid.covered.v1              grid.covered.tiebei.g3
DutyPosted               doorstep.duty.posted.v1               duty.posted.tiebei.g3
DutyBooked               doorstep.duty.booked.v1               duty.booked.tiebei.g3
DutyWithdrawn            doorstep.duty.withdrawn.v1            duty.withdrawn.tiebei.g3
DutyCancelled            doorstep.duty.cancelled.v1            duty.cancelled.tiebei.g3
DutyAttested             doorstep.duty.attested.v1             duty.attested.tiebei.g3
DutyUnattested           doorstep.duty.unattested.v1           duty.unattested.tiebei.g3
NotificationAcknowledged doorstep.notification.acknowledged.v1 notification.acknowledged.tiebei.g3
BuildingRegistered       doorstep.building.registered.v1       building.registered.tiebei.g3
BuildingClosed           doorstep.building.closed.v1           building.closed.tiebei.g3
BuildingOpened           doorstep.building.opened.v1           building.opened.tiebei.g3
PersonRegistered         doorstep.person.registered.v1         person.registered.tiebei.g3
PersonUpdated            doorstep.person.updated.v1            person.updated.tiebei.g3
AccessGranted            doorstep.access.granted.v1            access.granted.tiebei.g3
AccessRevoked            doorstep.access.revoked.v1            access.revoked.tiebei.g3
ProgrammeBegun           doorstep.programme.begun.v1           programme.begun.tiebei.g3
ProgrammeEnded           doorstep.programme.ended.v1           programme.ended.tiebei.g3
FollowUpsPlanned         doorstep.follow-up.planned.v1         follow-up.planned.tiebei.g3
FollowUpsEnded           doorstep.follow-up.ended.v1           follow-up.ended.tiebei.g3
FollowUpDue              doorstep.follow-up.due.v1             follow-up.due.tiebei.g3
FollowUpRecorded         doorstep.follow-up.recorded.v1        follow-up.recorded.tiebei.g3
FollowUpMissed           doorstep.follow-up.missed.v1          follow-up.missed.tiebei.g3
RoundPlanned             doorstep.round.planned.v1             round.planned.tiebei.g3
RosterFrozen             doorstep.roster.frozen.v1             roster.frozen.tiebei.g3
RosterExtended           doorstep.roster.extended.v1           roster.extended.tiebei.g3
RoundOpened              doorstep.round.opened.v1              round.opened.tiebei.g3
RoundRecorded            doorstep.round.recorded.v1            round.recorded.tiebei.g3
PersonMissing            doorstep.person.missing.v1            person.missing.tiebei.g3
StrangerRecorded         doorstep.round.stranger.v1            round.stranger.tiebei.g3
StrangerAdded            doorstep.round.stranger-added.v1      round.stranger-added.tiebei.g3
RoundClosed              doorstep.round.closed.v1              round.closed.tiebei.g3
RoundSettled             doorstep.round.settled.v1             round.settled.tiebei.g3
RoundUnsettled           doorstep.round.unsettled.v1           round.unsettled.tiebei.g3
CaseOpened               doorstep.case.opened.v1               case.opened.tiebei.g3
CaseAssigned             doorstep.case.assigned.v1             case.assigned.tiebei.g3
CaseStepAdded            doorstep.case.step-added.v1           case.step-added.tiebei.g3
CaseStepDone             doorstep.case.step-done.v1            case.step-done.tiebei.g3
CaseStepLate             doorstep.case.step-late.v1            case.step-late.tiebei.g3
CaseAnswered             doorstep.case.answered.v1             case.answered.tiebei.g3
CaseClosed               doorstep.case.closed.v1               case.closed.tiebei.g3
CaseReopened             doorstep.case.reopened.v1             case.reopened.tiebei.g3
AgreementRecorded        doorstep.agreement.recorded.v1        agreement.recorded.tiebei.g3
AgreementEnded           doorstep.agreement.ended.v1           agreement.ended.tiebei.g3
GateChecked              doorstep.gate.checked.v1              gate.checked.tiebei.g3
ObservationStarted       doorstep.observation.started.v1       observation.started.tiebei.g3
ObservationListed        doorstep.observation.listed.v1        observation.listed.tiebei.g3
ObservationShortened     doorstep.observation.shortened.v1     observation.shortened.tiebei.g3
PersonReleased           doorstep.person.released.v1           person.released.tiebei.g3
NeedRaised               doorstep.need.raised.v1               need.raised.tiebei.g3
DeliveryApart            doorstep.delivery.apart.v1            delivery.apart.tiebei.g3
PresenceRegistered       doorstep.presence.registered.v1       presence.registered.tiebei.g3
PresenceEnded            doorstep.presence.ended.v1            presence.ended.tiebei.g3
EvidenceOwed             doorstep.evidence.owed.v1             evidence.owed.tiebei.g3
EvidenceForgiven         doorstep.evidence.forgiven.v1         evidence.forgiven.tiebei.g3
EvidenceDue              doorstep.evidence.due.v1              evidence.due.tiebei.g3
EvidenceRecorded         doorstep.evidence.recorded.v1         evidence.recorded.tiebei.g3
EvidenceDoubted          doorstep.evidence.doubted.v1          evidence.doubted.tiebei.g3
EvidenceReminded         doorstep.evidence.reminded.v1         evidence.reminded.tiebei.g3
EvidenceNamed            doorstep.evidence.named.v1            evidence.named.tiebei.g3
MoneyRecorded            doorstep.money.recorded.v1            money.recorded.tiebei.g3
FacilityRegistered       doorstep.facility.registered.v1       facility.registered.tiebei.g3
PersonMerged             doorstep.person.merged.v1             person.merged.tiebei.g3
PersonUnmerged           doorstep.person.unmerged.v1           person.unmerged.tiebei.g3
PersonErased             doorstep.person.erased.v1             person.erased.tiebei.g3
PersonalDataOpened       doorstep.personal-data.opened.v1      personal-data.opened.tiebei.g3
RecordRestored           doorstep.record.restored.v1           record.restored.tiebei.g3
QueueRebuilt             doorstep.queue.rebuilt.v1             queue.rebuilt.tiebei.g3
"""


def test_wire_names_and_routing_keys_are_these() -> None:
    """Written out once more, since others bind to them: a line here changes only when a message comes or goes."""
    commands = {(one.__name__, wire, one.key) for wire, one in COMMANDS.items()}
    events = {(one.__name__, wire, _event(one.__name__).routing_key()) for wire, one in EVENTS.items()}
    assert commands | events == {tuple(line.split()) for line in WIRE.strip().splitlines()}
    assert not COMMANDS.keys() & EVENTS.keys()


@pytest.mark.parametrize("name", [*COMMAND_NAMES, *EVENT_NAMES])
def test_a_wire_name_is_made_of_its_routing_key(name: str) -> None:
    """A sender may leave the type out; it then follows from the key."""
    kind = COMMANDS.get(EVERY[name].name) or EVENTS[EVERY[name].name]
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*", kind.key)
    assert re.fullmatch(rf"doorstep\.{re.escape(kind.key)}\.v[1-9]", kind.wire)


def test_no_two_messages_share_a_name_or_a_key() -> None:
    events = [one for module in MODULES for one in getattr(module, "EVENTS", ())]
    commands = [one for module in MODULES for one in getattr(module, "COMMANDS", ())]
    listed = [*commands, *events]
    assert len({one.wire for one in listed}) == len({one.key for one in listed}) == len(listed)
    assert {one.wire for one in listed} == COMMANDS.keys() | EVENTS.keys()


def test_where_community_or_grid_is_unknown_the_key_has_a_place_for_it() -> None:
    event = _event("RequestCancelled").model_copy(update={"community": None, "grid": None})
    assert event.routing_key() == "request.cancelled._._"
    assert event.model_copy(update={"community": "tiebei"}).routing_key() == "request.cancelled.tiebei._"


# Examples go round


@pytest.mark.parametrize("name", NAMES)
def test_an_example_fits_its_schema_and_comes_back_unchanged(name: str) -> None:
    contract, body = EVERY[name].contract, sample(name)
    Draft202012Validator(schema(name)).validate(body)
    read = contract.model_validate_json(json.dumps(body))
    written = read.model_dump_json(by_alias=True)
    assert contract.model_validate_json(written) == read
    if EVERY[name].family != "command":
        assert json.loads(written) == body


@pytest.mark.parametrize("name", COMMAND_NAMES)
def test_a_command_with_nothing_but_what_is_required_is_taken(name: str) -> None:
    one = schema(name)
    body = {field: value for field, value in sample(name).items() if field in one.get("required", ())}
    Draft202012Validator(one).validate(body)
    EVERY[name].contract.model_validate_json(json.dumps(body))


@pytest.mark.parametrize("name", EVENT_NAMES)
def test_an_event_without_what_came_later_is_read(name: str) -> None:
    """A field with a default may be missing from what an older publisher wrote."""
    body = {field: value for field, value in sample(name).items() if field in schema(name).get("required", ())}
    EVERY[name].contract.model_validate_json(json.dumps(body))


def test_a_window_travels_as_from_and_until() -> None:
    window = schema("SubmitRequest")["$defs"]["Window"]
    assert list(window["properties"]) == window["required"] == ["from", "until"]


# What is refused, and what is passed over


@pytest.mark.parametrize("name", COMMAND_NAMES)
def test_an_unknown_field_in_a_command_is_refused_by_name(name: str) -> None:
    body = sample(name) | {"surprise": 1}
    assert said(EVERY[name].contract, body) == [("surprise", "extra_forbidden")]
    assert not Draft202012Validator(schema(name)).is_valid(body)


@pytest.mark.parametrize("name", COMMAND_NAMES)
def test_an_unknown_field_in_a_part_of_a_command_is_refused_by_name(name: str) -> None:
    for field, value in sample(name).items():
        if isinstance(value, dict):
            body = sample(name) | {field: value | {"surprise": 1}}
            assert said(EVERY[name].contract, body) == [(f"{field}.surprise", "extra_forbidden")]


@pytest.mark.parametrize("name", EVENT_NAMES)
def test_an_unknown_field_in_an_event_is_passed_over(name: str) -> None:
    body = sample(name)
    Draft202012Validator(schema(name)).validate(body | {"surprise": 1})
    read = EVERY[name].contract.model_validate_json(json.dumps(body | {"surprise": 1}))
    assert json.loads(read.model_dump_json(by_alias=True)) == body


@pytest.mark.parametrize("value", [{"$ne": None}, [[]], 7.5], ids=["query", "list", "number"])
@pytest.mark.parametrize("name", COMMAND_NAMES)
def test_a_value_of_the_wrong_type_is_refused_by_field(name: str, value: object) -> None:
    """Every field in turn; a database query in place of a value is only one more wrong type."""
    for field in sample(name):
        found = said(EVERY[name].contract, sample(name) | {field: value})
        assert found
        assert {where.partition(".")[0] for where, _ in found} == {field}


@pytest.mark.parametrize("name", COMMAND_NAMES)
def test_a_missing_field_is_refused_by_name(name: str) -> None:
    for field in schema(name)["required"]:
        body = {other: value for other, value in sample(name).items() if other != field}
        assert said(EVERY[name].contract, body) == [(field, "missing")]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_none_is_refused_by_field(number: str) -> None:
    order = json.dumps(sample("SubmitRequest"))
    assert '"quantity": 2' in order
    assert said(intake.SubmitRequest, order.replace('"quantity": 2', f'"quantity": {number}')) == [
        ("items.0.quantity", "finite_number")
    ]
    person = json.dumps(sample("RegisterPerson"))
    assert said(ledger.RegisterPerson, person.replace('"birth_year": 1941', f'"birth_year": {number}'))[0][0] == (
        "birth_year"
    )


def test_deep_nesting_is_refused() -> None:
    """By field while it can be read at all, as a whole beyond that, and never by running out of stack."""
    body = sample("SubmitRequest") | {"note": "HERE"}
    at_depth = {depth: json.dumps(body).replace('"HERE"', "[" * depth + "]" * depth) for depth in (100, 30_000)}
    assert said(intake.SubmitRequest, at_depth[100]) == [("note", "string_type")]
    assert said(intake.SubmitRequest, at_depth[30_000]) == [("", "json_invalid")]


def test_a_window_that_closes_before_it_opens_is_refused_by_name() -> None:
    body = sample("SubmitRequest")
    body["window"] = {"from": body["window"]["until"], "until": body["window"]["from"]}
    assert said(intake.SubmitRequest, body) == [("window", "value_error")]


def test_a_time_without_a_zone_is_refused() -> None:
    body = sample("AcceptTask") | {"at": "2022-11-24T09:30:00"}
    assert said(dispatch.AcceptTask, body) == [("at", "timezone_aware")]


def _time(told: Schema) -> bool:
    return any(one.get("format") == "date-time" for one in told.get("anyOf", [told]))


TIMES = [(name, field) for name in COMMAND_NAMES for field, told in schema(name)["properties"].items() if _time(told)]


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+08:00", "9999-12-31T23:59:59-08:00"])
@pytest.mark.parametrize(("name", "field"), TIMES)
def test_a_time_that_no_database_holds_is_refused_by_field(name: str, field: str, moment: str) -> None:
    """In another zone it is before the first year, or after the last."""
    codes = {code for where, code in said(EVERY[name].contract, sample(name) | {field: moment}) if where == field}
    assert codes & {"greater_than_equal", "less_than"}


# Changes that break somebody: each made on a copy of a schema


def _field(name: str) -> Callable[[Schema], Schema]:
    return lambda one: one["properties"][name]


def _put(name: str, value: Schema) -> Change:
    return lambda one: one["properties"].update({name: value})


def _drop(name: str) -> Change:
    return lambda one: one["properties"].pop(name)


def _set(name: str, **keywords: object) -> Change:
    return lambda one: one["properties"][name].update(keywords)


def _require(name: str) -> Change:
    return lambda one: one["required"].append(name)


def _default(name: str, value: object) -> Change:
    def change(one: Schema) -> None:
        one["required"].remove(name)
        one["properties"][name]["default"] = value

    return change


def _both(*changes: Change) -> Change:
    return lambda one: [change(one) for change in changes]


TEXT = {"type": "string"}
NEW = TEXT | {"default": ""}
MAYBE = {"anyOf": [TEXT, {"type": "null"}]}
URGENCY = {"enum": ["normal", "soon", "urgent"], "type": "string"}

BREAKING: dict[str, tuple[str, Change, list[str]]] = {
    # Commands: others write, we read.
    "a new required field in a command": (
        "SubmitRequest",
        _both(_put("weight", TEXT), _require("weight")),
        ["weight field-required"],
    ),
    "an optional field of a command becomes required": ("SubmitRequest", _require("note"), ["note field-required"]),
    "a field of a command is gone": ("SubmitRequest", _drop("note"), ["note field-removed"]),
    "a field inside a part of a command is gone": (
        "SubmitRequest",
        lambda one: one["$defs"]["Address"]["properties"].pop("room"),
        ["address.room field-removed"],
    ),
    "a command takes another type": ("SubmitRequest", _put("note", {"type": "integer"}), ["note type"]),
    "a command no longer takes null": ("SubmitRequest", _put("urgency", URGENCY), ["urgency nullable"]),
    "a pattern is narrowed": ("SubmitRequest", _set("kind", pattern="^[a-z]+$"), ["kind pattern"]),
    "a pattern is added": ("SubmitRequest", _set("note", pattern="^[a-z]*$"), ["note pattern"]),
    "a limit is lowered": ("SubmitRequest", _set("note", maxLength=100), ["note limit"]),
    "a limit is raised from below": ("SubmitRequest", _set("note", minLength=1), ["note limit"]),
    "a list may be less long": ("SubmitRequest", _set("items", maxItems=10), ["items limit"]),
    "an item of a list is narrowed": (
        "SubmitRequest",
        lambda one: one["$defs"]["Item"]["properties"]["name"].update(maxLength=10),
        ["items[].name limit"],
    ),
    "a command takes one value less": (
        "SubmitRequest",
        lambda one: one["properties"]["urgency"]["anyOf"][0]["enum"].remove("soon"),
        ["urgency enum"],
    ),
    "a text of a command becomes a closed list": ("SubmitRequest", _set("kind", enum=["groceries"]), ["kind enum"]),
    "a text of a command becomes a time": ("SubmitRequest", _set("note", format="date-time"), ["note format"]),
    "a default changes its meaning": ("SubmitRequest", _set("contactless", default=True), ["contactless default"]),
    "a keyword that nobody judged": ("SubmitRequest", _set("items", uniqueItems=True), ["items keyword"]),
    "a command has another answer": (
        "SubmitRequest",
        lambda one: one["x-doorstep"].update(answer="TaskAnswer"),
        [" route"],
    ),
    # Answers: we write, others read.
    "a field of an answer is gone": ("RequestAnswer", _drop("tracking_code"), ["tracking_code field-removed"]),
    "an answer may come without a field": (
        "RequestAnswer",
        lambda one: one["required"].remove("tracking_code"),
        ["tracking_code field-optional"],
    ),
    "an answer may hold null": ("RequestAnswer", _put("tracking_code", MAYBE), ["tracking_code nullable"]),
    "an answer has one value more": (
        "RequestAnswer",
        lambda one: one["properties"]["status"]["enum"].append("parked"),
        ["status enum"],
    ),
    "a closed list of an answer becomes open": ("RequestAnswer", _put("status", TEXT), ["status enum"]),
    # Events: we write, others read, and the old ones are replayed.
    "a field of an event is gone": (
        "RequestCreated",
        _both(_drop("contactless")),
        ["contactless field-removed"],
    ),
    "an event may come without a field": ("RequestCreated", _default("kind", ""), ["kind field-optional"]),
    "an event may hold null": ("RequestCreated", _put("kind", MAYBE), ["kind nullable"]),
    "an event no longer holds null": ("RequestCreated", _put("person", NEW | {"default": None}), ["person nullable"]),
    "an event holds another type": ("RequestCreated", _put("priority", TEXT), ["priority type", "priority type"]),
    "an event holds fractions": ("RequestCreated", _set("priority", type="number"), ["priority type"]),
    "an event has one value more": (
        "RequestCreated",
        lambda one: one["properties"]["urgency"]["enum"].append("whenever"),
        ["urgency enum"],
    ),
    "an event has one value less, and old ones are replayed": (
        "RequestCreated",
        lambda one: one["properties"]["urgency"]["enum"].remove("soon"),
        ["urgency enum"],
    ),
    "a new field without a default, and old ones are replayed": (
        "RequestCreated",
        _both(_put("weight", TEXT), _require("weight")),
        ["weight field-required"],
    ),
    "an event refuses what it does not know": (
        "RequestCreated",
        lambda one: one.update(additionalProperties=False),
        [" closed"],
    ),
    "an event goes another way": (
        "RequestCreated",
        lambda one: one["x-doorstep"].update(routing_key="request.made.{community}.{grid}"),
        [" route"],
    ),
    "the values of a map change": (
        "StaffNotification",
        lambda one: one["properties"]["text"].update(additionalProperties={"type": "integer"}),
        ["text.* type", "text.* type"],
    ),
    # Sealed: kept for years, opened by whatever version runs then.
    "a new field in a closed part, which the others still running refuse": (
        "RequestDetails",
        lambda one: one["$defs"]["Address"]["properties"].update(floor=NEW),
        ["address.floor field-added"],
    ),
}


@pytest.mark.parametrize("change", BREAKING)
def test_a_change_that_breaks_somebody_is_found(change: str) -> None:
    name, make, expected = BREAKING[change]
    old, new = schema(name), copy.deepcopy(schema(name))
    make(new)
    found = message_breaks(old, new)
    assert [f"{finding.path} {finding.rule}" for finding in found] == expected


HARMLESS: dict[str, tuple[str, Change]] = {
    "nothing": ("SubmitRequest", lambda one: None),
    "a new optional field in a command": ("SubmitRequest", _put("weight", NEW)),
    "a required field of a command becomes optional": ("SubmitRequest", lambda one: one["required"].remove("kind")),
    "a command takes one value more": (
        "SubmitRequest",
        lambda one: one["properties"]["urgency"]["anyOf"][0]["enum"].append("whenever"),
    ),
    "a command takes null too": ("SubmitRequest", _put("kind", MAYBE)),
    "a command takes longer text": ("SubmitRequest", _set("note", maxLength=4000)),
    "a limit is gone": ("SubmitRequest", lambda one: one["properties"]["note"].pop("maxLength")),
    "a pattern is gone": ("SubmitRequest", lambda one: one["properties"]["kind"].pop("pattern")),
    "a closed list of a command becomes text that its values match": (
        "SubmitRequest",
        lambda one: one["properties"]["urgency"]["anyOf"].__setitem__(
            0, TEXT | {"pattern": "^[a-z]+$", "maxLength": 6}
        ),
    ),
    "other words in a description": ("SubmitRequest", _set("kind", description="What is needed.")),
    "a new field in an answer": ("RequestAnswer", _put("weight", TEXT)),
    "an answer has one value less": ("RequestAnswer", lambda one: one["properties"]["status"]["enum"].pop()),
    "a new field with a default in an event": ("RequestCreated", _put("weight", NEW)),
    "another service answers for it": ("RequestCreated", lambda one: one["x-doorstep"].update(service="ledger")),
}


@pytest.mark.parametrize("change", HARMLESS)
def test_a_change_that_breaks_nobody_is_let_through(change: str) -> None:
    name, make = HARMLESS[change]
    old, new = schema(name), copy.deepcopy(schema(name))
    make(new)
    assert message_breaks(old, new) == []


def _part(**keywords: object) -> Schema:
    part = {"type": "object", "properties": {"one": keywords}}
    return {"x-doorstep": {"family": "command"}, **part}


def test_a_field_that_was_free_and_is_now_one_of_a_map_is_compared_with_what_the_map_takes() -> None:
    closed = _part(type="string") | {"properties": {}, "additionalProperties": {"type": "string", "maxLength": 3}}
    found = message_breaks(_part(type="string") | {"additionalProperties": False}, closed)
    assert [(one.path, one.rule) for one in found] == [("one", "limit")]


def test_a_keyword_that_nobody_judged_is_let_through_while_it_stays() -> None:
    one = _part(type="array", uniqueItems=True)
    assert message_breaks(one, copy.deepcopy(one)) == []


def test_a_list_of_types_is_the_same_as_alternatives() -> None:
    several, either = _part(type=["string", "null"]), _part(anyOf=[{"type": "string"}, {"type": "null"}])
    assert message_breaks(several, either) == message_breaks(either, several) == []
    assert [one.rule for one in message_breaks(several, _part(type="string"))] == ["nullable"]


def test_a_message_that_is_gone_is_found_and_a_second_version_is_not() -> None:
    old = schemas()
    new = old | {"doorstep.request.created.v2": old["doorstep.request.created.v1"]}
    assert breaks(old, new) == []
    del new["doorstep.request.created.v1"]
    assert [(one.path, one.rule) for one in breaks(old, new)] == [("doorstep.request.created.v1", "message-removed")]


def test_a_schema_that_contains_itself_is_compared_to_its_end() -> None:
    tree: Schema = {
        "x-doorstep": {"family": "command"},
        "$ref": "#/$defs/Tree",
        "$defs": {
            "Tree": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "left": {"anyOf": [{"$ref": "#/$defs/Tree"}, {"type": "null"}]},
                },
            }
        },
    }
    narrowed = copy.deepcopy(tree)
    narrowed["$defs"]["Tree"]["properties"]["name"]["maxLength"] = 3
    assert message_breaks(tree, copy.deepcopy(tree)) == []
    assert [one.path for one in message_breaks(tree, narrowed)] == ["name"]


def test_a_finding_says_where_why_and_by_which_rule() -> None:
    finding = Finding("doorstep.request.created.v1 kind", "field-removed", "is gone; whoever knows it looks for it")
    assert str(finding) == "doorstep.request.created.v1 kind: is gone; whoever knows it looks for it (field-removed)"


# The check as it is run


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository whose first commit holds the contracts as the code says them."""
    generate.write(tmp_path)
    _git(tmp_path, "init", "--quiet", "--initial-branch=main")
    _commit(tmp_path)
    return tmp_path


def test_check_passes_where_nothing_changed(project: Path) -> None:
    assert _check(project) == (0, "docs/contracts is what the code says; nothing breaks since HEAD.\n")


def test_check_names_every_file_that_is_not_as_the_code_says(project: Path) -> None:
    folder = project / generate.SCHEMAS
    (folder / "Refused.json").write_text("{}")
    (folder / "TaskAnswer.json").unlink()
    (folder / "doorstep.gone.v1.json").write_text("{}")
    code, text = _check(project)
    assert code == 1
    assert "schemas/Refused.json: differs" in text
    assert "schemas/TaskAnswer.json: missing" in text
    assert "schemas/doorstep.gone.v1.json: no message has this name any more" in text
    generate.write(project)
    assert _check(project)[0] == 0


def test_check_fails_on_a_break_since_the_newest_tag(project: Path) -> None:
    """What the tag promised counts, whatever was committed since."""
    path = project / generate.SCHEMAS / "doorstep.request.created.v1.json"
    promised = json.loads(path.read_text())
    promised["properties"]["weight"] = {"type": "integer", "default": 0}
    path.write_text(json.dumps(promised))
    _commit(project)
    _git(project, "tag", "v9")
    generate.write(project)
    _commit(project)
    code, text = _check(project)
    assert code == 1
    assert "Since v9" in text
    assert "doorstep.request.created.v1 weight: is gone" in text
    assert _check(project, "--base", "HEAD")[0] == 0


def test_check_says_when_there_is_nothing_to_compare_with(project: Path, tmp_path_factory: Any) -> None:
    code, text = _check(project, "--base", "nowhere")
    assert (code, "Cannot tell what changed" in text) == (1, True)
    empty = tmp_path_factory.mktemp("empty")
    _git(empty, "init", "--quiet")
    _git(empty, *_AS, "commit", "--quiet", "--allow-empty", "--message", "nothing yet")
    generate.write(empty)
    assert _check(empty) == (0, "docs/contracts is what the code says; HEAD holds none to compare with.\n")


# The AsyncAPI document

SHAPES: dict[str, tuple[set[str], set[str]]] = {
    "info": ({"title", "version"}, {"description", "license", "tags"}),
    "servers.*": ({"host", "protocol"}, {"pathname", "protocolVersion", "description", "variables", "security"}),
    "channels.*": ({"address", "messages", "bindings"}, {"title", "description", "parameters"}),
    "operations.*": ({"action", "channel", "messages", "bindings"}, {"summary", "tags", "reply"}),
    "operations.*.reply": ({"address", "channel", "messages"}, set()),
    "components.messages.*": (
        {"name", "title", "summary", "description", "contentType", "payload", "traits", "examples"},
        set(),
    ),
    "components.messageTraits.*": ({"headers", "correlationId"}, set()),
}
"""Fields that must be there and that may be, as AsyncAPI 3.0.0 names them."""


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """The document in git."""
    content: dict[str, Any] = yaml.safe_load((generate.ROOT / generate.FOLDER / "asyncapi.yaml").read_text("utf-8"))
    return content


def test_the_document_in_git_reads_back_as_it_was_meant(told: dict[str, Any]) -> None:
    assert told == document()
    assert told["asyncapi"] == "3.0.0"


@pytest.mark.parametrize("where", SHAPES)
def test_every_part_of_the_document_has_the_fields_of_the_standard(told: dict[str, Any], where: str) -> None:
    required, optional = SHAPES[where]
    parts = list(_at(told, where.split(".")))
    assert parts
    for part in parts:
        if part.get("address", "") is None:
            part = part | {"bindings": None}
        assert required <= part.keys() <= required | optional


def test_every_reference_leads_somewhere(told: dict[str, Any]) -> None:
    references = [part["$ref"] for part in _walk(told) if isinstance(part.get("$ref"), str)]
    assert len(references) > 100
    for reference in references:
        if reference.startswith("#/"):
            assert list(_at(told, reference[2:].split("/"))), reference
        else:
            assert (generate.ROOT / generate.FOLDER / reference).is_file(), reference


def test_every_message_is_in_the_document_with_its_schema(told: dict[str, Any]) -> None:
    outside = [message for message in messages() if message.family != "sealed"]
    assert set(told["components"]["messages"]) == {message.title for message in outside}
    for message in outside:
        entry = told["components"]["messages"][message.title]
        assert entry["name"] == message.name
        assert entry["payload"] == {"$ref": f"./schemas/{message.name}.json"}
        assert entry["examples"][0]["payload"] == sample(message.title)


@pytest.mark.parametrize("message", [one for one in EVERY.values() if one.exchange], ids=lambda one: one.title)
def test_every_routed_message_has_its_channel_and_its_owner(told: dict[str, Any], message: Message) -> None:
    channel = told["channels"][message.title]
    assert channel["address"] == message.address
    assert channel.get("parameters", {}).keys() == set(re.findall(r"\{(\w+)\}", message.address))
    assert channel["bindings"]["amqp"]["exchange"]["name"] == message.exchange
    action = "receive" if message.family == "command" else "send"
    operation = told["operations"][f"{message.service or 'intake'}.{action}{message.title}"]
    assert operation["action"] == action
    assert operation["channel"] == {"$ref": f"#/channels/{message.title}"}
    if message.family == "command":
        replies = [reference["$ref"].rpartition("/")[2] for reference in operation["reply"]["messages"]]
        assert replies == [message.answer, "Refused"]


def test_the_three_exchanges_and_the_log_are_in_the_document(told: dict[str, Any]) -> None:
    amqp = [channel["bindings"]["amqp"] for channel in told["channels"].values() if "bindings" in channel]
    exchanges = {(one["exchange"]["name"], one["exchange"]["type"]) for one in amqp if one["is"] == "routingKey"}
    assert exchanges == {
        ("doorstep.commands", "topic"),
        ("doorstep.events", "topic"),
        ("doorstep.notifications", "topic"),
    }
    assert [one["queue"]["name"] for one in amqp if one["is"] == "queue"] == ["doorstep.notifications.log"]
    assert {one["bindingVersion"] for one in amqp} == {"0.3.0"}
    assert {(one.get("exchange") or one["queue"])["vhost"] for one in amqp} == {VHOST}
    assert told["servers"]["broker"]["pathname"] == f"/{VHOST}"


def test_the_headers_of_the_envelope_are_in_the_document(told: dict[str, Any]) -> None:
    names = {"specversion", "id", "type", "source", "time", "subject", "sequence", "cause", "actor"}
    for family in ("command", "event"):
        headers = told["components"]["messageTraits"][family]["headers"]["properties"]
        assert {f"ce-{name}" for name in names} | {"traceparent"} <= headers.keys()


def test_every_operation_belongs_to_a_service(told: dict[str, Any]) -> None:
    for name, operation in told["operations"].items():
        assert name.split(".")[0] in SERVICES
        assert operation["tags"] == [{"name": name.split(".")[0]}]


# The programs for people who connect a system


def test_the_request_in_the_examples_is_one_that_is_taken() -> None:
    """That the programs run is shown against the real services; here, that the body has every field right."""
    for name in ("submit_amqp.py", "submit_http.py"):
        program = ast.parse((generate.ROOT / "docs" / "examples" / name).read_text("utf-8"))
        [body] = [
            ast.literal_eval(step.value)
            for step in program.body
            if isinstance(step, ast.Assign) and ast.unparse(step.targets[0]) == "REQUEST"
        ]
        assert intake.SubmitRequest.model_validate_json(json.dumps(body)).source == "example"


def _event(name: str) -> Event:
    event = EVERY[name].contract.model_validate_json(json.dumps(sample(name)))
    assert isinstance(event, Event)
    return event


def _walk(part: object) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        yield part
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from _walk(inner)


def _at(part: Any, steps: list[str]) -> Iterator[Any]:
    """Everything at a path, in which `*` stands for any name."""
    if not steps:
        yield part
        return
    names = list(part) if steps[0] == "*" else [name for name in (steps[0],) if name in part]
    for name in names:
        yield from _at(part[name], steps[1:])


_AS = ("-c", "user.name=Nobody", "-c", "user.email=nobody@example.org")


def _git(root: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(root), *words], check=True, capture_output=True)


def _commit(root: Path) -> None:
    _git(root, "add", ".")
    _git(root, *_AS, "commit", "--quiet", "--message", "contracts")


def _check(root: Path, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(generate.app, ["--check", "--root", str(root), *words])
    return done.exit_code, done.output
