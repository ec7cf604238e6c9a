"""The registers that can be made again of their entries, and which entry is about which document."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from services.ledger.domain import (
    cases_retold,
    evidence,
    evidence_retold,
    facilities,
    follow_ups_retold,
    gates,
    money,
    needs,
    observation,
    people_retold,
    presence,
    programmes,
    register,
    reports,
    rosters,
    rounds,
    strangers,
)
from services.ledger.domain.cases import Case
from services.ledger.domain.evidence import Day, Owing
from services.ledger.domain.facilities import Facility
from services.ledger.domain.follow_ups import FollowUp, Plan
from services.ledger.domain.gates import Agreement, Check
from services.ledger.domain.money import Matter
from services.ledger.domain.needs import Need
from services.ledger.domain.observation import Observation
from services.ledger.domain.presence import Presence
from services.ledger.domain.programmes import Programme
from services.ledger.domain.rebuilding import Register
from services.ledger.domain.recurring import going_on
from services.ledger.domain.register import Access, Building, Person
from services.ledger.domain.reports import Report
from services.ledger.domain.rosters import Roster
from services.ledger.domain.rounds import Round
from services.ledger.domain.strangers import Stranger
from shared.contracts import cases, follow_ups, ledger, people
from shared.contracts.audit import PersonalDataOpened
from shared.contracts.envelope import Event
from shared.contracts.evidence import (
    EvidenceDoubted,
    EvidenceDue,
    EvidenceForgiven,
    EvidenceNamed,
    EvidenceOwed,
    EvidenceRecorded,
    EvidenceReminded,
)
from shared.contracts.facilities import FacilityRegistered
from shared.contracts.gates import AgreementEnded, AgreementRecorded, GateChecked
from shared.contracts.money import MoneyRecorded
from shared.contracts.needs import NeedRaised
from shared.contracts.observation import EVENTS as OBSERVATION
from shared.contracts.presence import EVENTS as PRESENCE
from shared.contracts.programmes import EVENTS as PROGRAMMES
from shared.contracts.registers import RecordRestored
from shared.contracts.rounds import (
    RosterExtended,
    RosterFrozen,
    RoundClosed,
    RoundOpened,
    RoundPlanned,
    RoundRecorded,
    RoundSettled,
    RoundUnsettled,
    StrangerAdded,
    StrangerRecorded,
)

_PLANS = (follow_ups.FollowUpsPlanned, follow_ups.FollowUpsEnded)
_FOLLOW_UPS = (follow_ups.FollowUpDue, follow_ups.FollowUpRecorded, follow_ups.FollowUpMissed)
_BUILDINGS = (ledger.BuildingRegistered, ledger.BuildingClosed, ledger.BuildingOpened)
_ROUNDS = (RoundPlanned, RoundOpened, RoundClosed, RoundSettled, RoundUnsettled)
_DAYS = (EvidenceDue, EvidenceRecorded, EvidenceDoubted, EvidenceReminded, EvidenceNamed)
_PEOPLE = (ledger.PersonRegistered, ledger.PersonUpdated, *people.EVENTS)

REGISTERS: Mapping[str, Register[Any]] = MappingProxyType(
    {
        "buildings": Register(
            Building,
            _BUILDINGS,
            lambda one: f"{one.community}/{one.building}",
            register.retold_building,
            working=frozenset({"looks"}),
            going_on=lambda one, _: one.model_copy(update={"looks": True}),
        ),
        "access": Register(
            Access, (ledger.AccessGranted, ledger.AccessRevoked), lambda one: one.token_hash, register.retold_access
        ),
        "people": Register(
            Person, _PEOPLE, lambda one: one.person_id, people_retold.retold, working=frozenset({"floor", "erasing"})
        ),
        "plans": Register(
            Plan,
            _PLANS,
            lambda one: one.plan_id,
            follow_ups_retold.retold_plan,
            working=frozenset({"next_at"}),
            going_on=going_on,
        ),
        "programmes": Register(
            Programme,
            PROGRAMMES,
            lambda one: one.programme_id,
            programmes.retold,
            working=frozenset({"next_at", "reached"}),
            going_on=going_on,
        ),
        "follow_ups": Register(
            FollowUp,
            _FOLLOW_UPS,
            lambda one: one.follow_up_id,
            follow_ups_retold.retold_follow_up,
            working=frozenset({"step", "waits", "due_at"}),
            silent=True,
            going_on=follow_ups_retold.follow_up_going_on,
        ),
        "cases": Register(Case, cases.EVENTS, lambda one: one.case_id, cases_retold.retold),
        "agreements": Register(
            Agreement, (AgreementRecorded, AgreementEnded), lambda one: one.agreement_id, gates.retold_agreement
        ),
        "gate_checks": Register(
            Check, (GateChecked,), lambda one: one.check_id, gates.retold_check, working=frozenset({"temperature"})
        ),
        "observations": Register(Observation, OBSERVATION, lambda one: one.observation_id, observation.retold),
        "presences": Register(Presence, PRESENCE, lambda one: one.presence_id, presence.retold),
        "needs": Register(Need, (NeedRaised,), lambda one: one.need_id, needs.retold),
        "money": Register(Matter, (MoneyRecorded,), lambda one: one.matter_id, money.retold),
        "owing": Register(
            Owing,
            (EvidenceOwed, EvidenceForgiven),
            lambda one: one.owing_id,
            evidence_retold.retold_owing,
            working=frozenset({"next_day", "next_at"}),
            going_on=evidence.going_on,
        ),
        "evidence_days": Register(
            Day,
            _DAYS,
            lambda one: f"{one.owing_id}/{one.day}",
            evidence_retold.retold_day,
            working=frozenset({"stage", "due_at"}),
            silent=True,
        ),
        "facilities": Register(Facility, (FacilityRegistered,), lambda one: one.facility_id, facilities.retold),
        "rounds": Register(
            Round,
            _ROUNDS,
            lambda one: one.round_id,
            rounds.retold,
            working=frozenset({"reached", "walking", "due_at"}),
            silent=True,
            as_told=rounds.as_told,
        ),
        "rosters": Register(
            Roster, (RosterFrozen, RosterExtended), lambda one: f"{one.round_id}/{one.building}", rosters.retold
        ),
        "reports": Register(
            Report,
            (RoundRecorded,),
            lambda one: one.report_id,
            reports.retold,
            working=frozenset({"due_at"}),
            going_on=reports.going_on,
        ),
        "strangers": Register(
            Stranger, (StrangerRecorded, StrangerAdded), lambda one: one.stranger_id, strangers.retold
        ),
    }
)
"""By the name of the collection."""
SHEETS = "sheets"
"""The register that is made of the entries of others: of rosters, lists and strangers."""
NAMES = (*REGISTERS, SHEETS)

_OF: Mapping[type[Event], str] = MappingProxyType(
    {kind: name for name, one in REGISTERS.items() for kind in one.events}
)
KINDS = (*(kind.__name__ for kind in _OF), RecordRestored.__name__, PersonalDataOpened.__name__)
"""Types of the entries that are about a document of a register, or an opening."""
OPENED = "opened"
"""Stands where a register does in what an opening is about; no register is called so."""


def about(event: Event) -> str | None:
    """Register and id of the document that an event is about, such as `people/<id>`; None: none of these.

    Of an opening, what was opened: `opened/person:<id>`.
    """
    if isinstance(event, RecordRestored):
        return f"{event.collection}/{event.record}"
    if isinstance(event, PersonalDataOpened):
        return f"{OPENED}/{event.record}"
    name = _OF.get(type(event))
    return None if name is None else f"{name}/{REGISTERS[name].name_of(event)}"
