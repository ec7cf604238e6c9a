"""The registers that can be made again of their entries, and which entry is about which document."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from services.ledger.domain import (
    cases_retold,
    evidence,
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
)
from services.ledger.domain.cases import Case
from services.ledger.domain.evidence import Owing
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
from shared.contracts import cases, follow_ups, ledger, people
from shared.contracts.audit import PersonalDataOpened
from shared.contracts.envelope import Event
from shared.contracts.evidence import EvidenceForgiven, EvidenceOwed
from shared.contracts.facilities import FacilityRegistered
from shared.contracts.gates import AgreementEnded, AgreementRecorded, GateChecked
from shared.contracts.money import MoneyRecorded
from shared.contracts.needs import NeedRaised
from shared.contracts.observation import EVENTS as OBSERVATION
from shared.contracts.presence import EVENTS as PRESENCE
from shared.contracts.programmes import EVENTS as PROGRAMMES
from shared.contracts.registers import RecordRestored

_PLANS = (follow_ups.FollowUpsPlanned, follow_ups.FollowUpsEnded)
_FOLLOW_UPS = (follow_ups.FollowUpDue, follow_ups.FollowUpRecorded, follow_ups.FollowUpMissed)
_BUILDINGS = (ledger.BuildingRegistered, ledger.BuildingClosed, ledger.BuildingOpened)
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
            evidence.retold,
            working=frozenset({"next_day", "next_at"}),
            going_on=evidence.going_on,
        ),
        "facilities": Register(Facility, (FacilityRegistered,), lambda one: one.facility_id, facilities.retold),
    }
)
"""By the name of the collection."""

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
