"""One example of every message, made from its schema and the plainly made-up values below."""

import re
from types import MappingProxyType
from typing import Any

Schema = dict[str, Any]

VALUES = MappingProxyType(
    {
        "RequestAnswer.status": "accepted",
        "Item.name": "白菜",
        "Item.unit": "颗",
        "FamilyContact.relation": "daughter",
        "Problem.field": "kind",
        "Problem.code": "unknown_kind",
        "Shift.begins": "2022-11-21T08:00",
        "Shift.minutes": 480,
        "Shift.rule": "FREQ=WEEKLY;BYDAY=MO,WE,FR",
        "Shift.zone": "Asia/Shanghai",
        "Break.begins": "12:00",
        "Break.minutes": 60,
        "aids": ["phrase_sheet"],
        "asked": ["g3-v01", "g3-v02"],
        "at": "2022-11-24T09:30:00Z",
        "begins": "2022-11-24T08:00:00+08:00",
        "birth_year": 1941,
        "birthday": "1941-05-01",
        "died": "2022-11-24",
        "categories": ["elderly_alone"],
        "lists": ["found_by_community"],
        "hobbies": ["下棋"],
        "illnesses": ["高血压"],
        "id_number": "110101194105010017",
        "keys": "楼下王阿姨",
        "gas_card": "60001234",
        "heating_card": "70001234",
        "other": "0184a8f2-3b77-7c1e-9a54-6a1d2f0c8e39",
        "ErasePerson.reason": "asked for it",
        "building": "3",
        "buildings": ["3", "4"],
        "by": "g3-wang",
        "cap": 5,
        "closes": "2022-11-24T11:00:00Z",
        "code": "4711",
        "command_id": "5f0c2f6e-9d7b-4d5e-8f53-0a7a6f1f2c11",
        "community": "tiebei",
        "amount": 1250,
        "cover": "g3-wang",
        "duty_id": "south-gate-20221124-am",
        "ends": "2022-11-24T12:00:00+08:00",
        "event": "DeliveryOffered",
        "event_id": "0184a8f2-3b77-7c1e-9a54-6a1d2f0c8e31",
        "from": "2022-11-24T17:00:00+08:00",
        "goods": "intact",
        "grid": "g3",
        "grids": ["g3"],
        "household": "h-6c1f09",
        "id": "0184a8f2-3b77-7c1e-9a54-6a1d2f0c8e32",
        "instead_of": "g3-wang",
        "kind": "groceries",
        "kinds": ["groceries", "medicine"],
        "lacks": ["skill:lifting"],
        "language": "zh",
        "languages": ["zh", "en"],
        "lookups": ["b1.4f6c0d", "b1.9a77e2"],
        "message": "no such kind of help",
        "minutes": 240,
        "name": "示例居民",
        "nearest": "g3-v01",
        "needs": ["deaf"],
        "needs_review": ["unknown_building"],
        "note": "请放在门口",
        "notification_id": "0184a8f2-3b77-7c1e-9a54-6a1d2f0c8e33",
        "opens": "2022-11-24T09:00:00Z",
        "person": "0184a8f2-3b77-7c1e-9a54-6a1d2f0c8e34",
        "person_id": "0184a8f2-3b77-7c1e-9a54-6a1d2f0c8e34",
        "photo": "0184a8f2-3b77-7c1e-9a54-6a1d2f0c8e37",
        "point": "lockers",
        "PlanFollowUps.begins": "2022-11-24T09:30",
        "BeginProgramme.begins": "2022-11-24T09:30",
        "ProgrammeBegun.begins": "2022-11-24T09:30",
        "FollowUpsPlanned.begins": "2022-11-24T09:30",
        "card": "K-00017",
        "checked": ["panes"],
        "checklist": ["panes", "sills"],
        "OpenRound.title": "11月24日核酸检测",
        "RoundOpened.title": "11月24日核酸检测",
        "member_id": "0184a8f2-3b77-7c1e-9a54-6a1d2f0c8e34",
        "points": ["南门", "北门"],
        "RoundRecord.point": "南门",
        "Recorded.point": "南门",
        "StrangerRecorded.point": "南门",
        "round_id": "testing-20221124",
        "stranger_id": "testing-20221124/5f0c2f6e9d7b4d5e",
        "unchecked": ["sills"],
        "follow_up_id": "0184a8f2-3b77-7c1e-9a54-6a1d2f0c8e38",
        "StartObservation.case": "medical",
        "ObservationStarted.case": "medical",
        "NeedRaised.kind": "corridor_check",
        "ReleaseObservation.reason": "negative_test",
        "observation_id": "wang-20221124",
        "category": "close_contact",
        "starts": "2022-11-24",
        "last_day": "2022-12-01",
        "listing": "assigned_by_city",
        "need_id": "0184a8f2-3b77-7c1e-9a54-6a1d2f0c8e39",
        "on": "2022-11-28",
        "rounds": ["09:30", "15:30"],
        "OweEvidence.places": ["compound-1", "building-9"],
        "OweEvidence.named": "21:00",
        "OweEvidence.reminded": "18:00",
        "OweEvidence.begins": "2022-11-24",
        "OweEvidence.ends": "2022-12-31",
        "OweEvidence.kind": "disinfection",
        "EvidenceOwed.places": ["compound-1", "building-9"],
        "EvidenceReminded.places": ["building-9"],
        "EvidenceNamed.places": ["building-9"],
        "RecordEvidence.place": "compound-1",
        "EvidenceRecorded.place": "compound-1",
        "EvidenceRecorded.pictures": 3,
        "EvidenceDoubted.place": "compound-1",
        "EvidenceDoubted.same_as": "2022-11-23/compound-1",
        "EvidenceAnswer.same_as": "2022-11-23/compound-1",
        "EvidenceReminded.role": "partner",
        "day": "2022-11-24",
        "look": "0f0e1c3c7870e0c1",
        "owing_id": "property-1",
        "partner": "property-1",
        "report_id": "property-1-20221124-1",
        "RecordMoney.to": "g3-wang",
        "RecordMoney.corrects": "receipt-20221124-0",
        "MoneyRecorded.corrects": "receipt-20221124-0",
        "RecordMoney.what": "receipt",
        "MoneyRecorded.what": "receipt",
        "MoneyRecorded.kind": "money",
        "MoneyRecorded.amount": -1250,
        "MoneyRecorded.owed": 0,
        "MoneyAnswer.owed": 1250,
        "matter_id": "0184a8f2-3b77-7c1e-9a54-6a1d2f0c8e35",
        "posting_id": "receipt-20221124-1",
        "RegisterPresence.home": "外区",
        "PresenceDetails.home": "外区",
        "PinNeed.kind": "bedding",
        "PinNeed.text": "两床被子",
        "presence_id": "workers-in-502",
        "RecordAgreement.begins": "2022-11-24",
        "RecordAgreement.ends": "2023-01-31",
        "RecordAgreement.partner": "示例客运公司",
        "AgreementRecorded.begins": "2022-11-24",
        "AgreementRecorded.ends": "2023-01-31",
        "CouncilTopic.title": "电梯年检",
        "CouncilTopic.text": "3号楼电梯常停",
        "RegisterFacility.kind": "lift",
        "RegisterFacility.name": "3号楼1单元电梯",
        "RegisterFacility.until": "2022-12-31",
        "FacilityRegistered.kind": "lift",
        "FacilityRegistered.name": "3号楼1单元电梯",
        "FacilityRegistered.until": "2022-12-31",
        "facility_id": "lift-3-1",
        "where": "一楼大厅左侧",
        "council_id": "2022-w47",
        "held": "2022-11-24T10:00:00Z",
        "topic_id": "lift",
        "CloseCase.outcome": "大巴只在约定的两个时间进院",
        "AddStep.text": "和客运公司商定进院时间",
        "AnswerCase.text": "已约定每天两个时间",
        "ReopenCase.reason": "又有大巴进院",
        "RecordGateCheck.text": "大巴，司机一人",
        "CaseDetails.text": "每天早晚有大巴进院，无人检查",
        "OpenCase.text": "每天早晚有大巴进院，无人检查",
        "GateCheckAnswer.applies": "2022-11-24T07:00",
        "agreement_id": "bus-20221124",
        "applies": "2022-11-24T07:00",
        "case_id": "bus-in-the-compound",
        "check_id": "south-gate-20221124-0700",
        "due": "2022-11-27T10:00:00Z",
        "gate": "南门",
        "owner": "tiebei-c01",
        "parties": ["property", "committee"],
        "pass_shown": True,
        "step_id": "meet-the-company",
        "times": ["07:00", "17:40"],
        "title": "大巴进院",
        "who": "property",
        "outcome": "reached",
        "plan_id": "li-every-three-days",
        "rule": "FREQ=DAILY;INTERVAL=3",
        "temperature": 36.5,
        "phone": "+86 100 0000 0000",
        "place": "南门",
        "places": 2,
        "previous": "g3-wang",
        "origin": "lockers",
        "proof": ["photo"],
        "priority": 40,
        "quantity": 2,
        "reason": "other",
        "relation": "daughter",
        "request_id": "0184a8f2-3b77-7c1e-9a54-6a1d2f0c8e35",
        "role": "grid_worker",
        "room": "502",
        "skills": ["lifting"],
        "same_as": "0184a8f2-3b77-7c1e-9a54-6a1d2f0c8e36",
        "sealed": "k1.b25seSBhbiBleGFtcGxl",
        "source": "wecom",
        "source_id": "20221124-0017",
        "stairwell": "s-81d2aa",
        "step": 1,
        "subject": "0184a8f2-3b77-7c1e-9a54-6a1d2f0c8e36",
        "task_id": "0184a8f2-3b77-7c1e-9a54-6a1d2f0c8e36",
        "text": {"zh": "3号楼：代购，请确认", "en": "Building 3: groceries, please answer"},
        "to": "g3-li",
        "told": "phone",
        "token_hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "tracking_code": "7K3M-Q2XD",
        "unit": "2",
        "until": "2022-11-24T19:00:00+08:00",
        "urgency": "normal",
        "why": ["same_stairwell", "metres:12", "load:1"],
        "worker": "g3-li",
        "worker_id": "g3-li",
    }
)
"""A value for a field, by `Class.field` or by field. What is not here gets a plain value of its type."""

_TEXTS = ("example", "3", "+86 100 0000 0000")
"""Tried in turn for a text with a pattern and no value of its own."""

_KINDS: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "array": (list,),
    "object": (dict,),
}


def example(schema: Schema) -> Any:
    """A complete message that fits `schema`, every field given.

    Raises `LookupError` for a field with a pattern that needs a value above: only a person can say a good one.
    """
    return _fill(schema, schema, "", "")


def _fill(schema: Schema, root: Schema, owner: str, field: str) -> Any:
    if "$ref" in schema:
        return _fill(root["$defs"][schema["$ref"].rpartition("/")[2]], root, owner, field)
    if "anyOf" in schema:
        return _fill(schema["anyOf"][0], root, owner, field)
    if "const" in schema:
        return schema["const"]
    value = VALUES.get(f"{owner}.{field}", VALUES.get(field))
    if "enum" in schema:
        return value if value in schema["enum"] else schema["enum"][0]
    if "properties" in schema:
        return {name: _fill(one, root, schema["title"], name) for name, one in schema["properties"].items()}
    if schema["type"] == "string":
        return _text(schema, value, f"{owner}.{field}")
    if isinstance(value, _KINDS.get(schema["type"], ())):
        return value
    return _plain(schema, root, owner, field)


def _text(schema: Schema, value: Any, where: str) -> str:
    texts = ("2022-11-24T09:30:00Z",) if schema.get("format") == "date-time" else _TEXTS
    candidates: tuple[str, ...] = texts if value is None else (str(value), *texts)
    for text in candidates:
        if re.search(schema.get("pattern", ""), text):
            return text
    raise LookupError(f"deploy/contracts/examples.py: say an example for {where} ({schema['pattern']})")


def _plain(schema: Schema, root: Schema, owner: str, field: str) -> Any:
    match schema["type"]:
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return False
        case "array":
            return [_fill(schema["items"], root, owner, field)]
        case "object":
            return {}
        case _:
            return None
