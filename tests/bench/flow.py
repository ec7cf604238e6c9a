"""The one life that all three programs carry: names on the broker, bodies and headers of the same size.

Doorstep has its own contracts and its own bus. What stands here is for the two programs that it is compared with, so
that they move messages of the same shape and weight between queues of the same kind.
"""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import uuid_utils

from shared.contracts import dispatch, envelope, intake
from shared.contracts.notification import StaffNotification

COMMANDS_EXCHANGE = envelope.COMMANDS_EXCHANGE
EVENTS_EXCHANGE = envelope.EVENTS_EXCHANGE
NOTIFICATIONS_EXCHANGE = envelope.NOTIFICATIONS_EXCHANGE
NOTIFICATIONS_LOG = envelope.NOTIFICATIONS_LOG
SERVICES = ("intake", "dispatch", "notification", "ledger")
COMMUNITY = "tiebei"
STAFF_WIRE = StaffNotification.wire

SUBMIT = intake.SubmitRequest.key
ACCEPT = dispatch.AcceptTask.key
COMPLETE = dispatch.CompleteTask.key
CREATED = intake.RequestCreated.key
OFFERED = dispatch.DeliveryOffered.key
ASSIGNED = dispatch.DeliveryAssigned.key
COMPLETED = dispatch.DeliveryCompleted.key

type_by_key = {
    contract.key: contract.wire
    for contract in (
        intake.SubmitRequest,
        dispatch.AcceptTask,
        dispatch.CompleteTask,
        intake.RequestCreated,
        dispatch.DeliveryOffered,
        dispatch.DeliveryAssigned,
        dispatch.DeliveryCompleted,
    )
}
"""Wire type by routing key, such as `request.submit`."""

COMMANDS_OF: Mapping[str, tuple[str, ...]] = {"intake": (SUBMIT,), "dispatch": (ACCEPT, COMPLETE)}
"""Routing keys on the commands exchange that a service takes."""
EVENTS_OF: Mapping[str, tuple[str, ...]] = {
    "intake": (OFFERED, ASSIGNED, COMPLETED),
    "dispatch": (CREATED,),
    "notification": (CREATED, OFFERED, ASSIGNED, COMPLETED),
    "ledger": (CREATED, OFFERED, ASSIGNED, COMPLETED),
}
"""Events that a service takes; the binding adds `.#`."""

QUORUM: dict[str, Any] = {"x-queue-type": "quorum"}
STREAM: dict[str, Any] = {"x-queue-type": "stream", "x-max-length-bytes": 1_000_000_000}
PREFETCH = 400
"""Messages that a service holds at once."""

EVENT_NAMES = {
    CREATED: "RequestCreated",
    OFFERED: "DeliveryOffered",
    ASSIGNED: "DeliveryAssigned",
    COMPLETED: "DeliveryCompleted",
}
STATE_AFTER = {OFFERED: "offered", ASSIGNED: "assigned", COMPLETED: "completed"}
TEXTS = {
    CREATED: {"zh": "新需求：{kind}，{building} 号楼。", "en": "New request: {kind}, building {building}."},
    OFFERED: {"zh": "请接单：{kind}，{building} 号楼。", "en": "Please accept: {kind}, building {building}."},
    ASSIGNED: {"zh": "已接单：{kind}，{building} 号楼。", "en": "Taken: {kind}, building {building}."},
    COMPLETED: {"zh": "已完成：{kind}，{building} 号楼。", "en": "Done: {kind}, building {building}."},
}


def now() -> str:
    """The present moment, ISO 8601 in UTC, to the millisecond."""
    return _text(datetime.now(UTC))


def later(minutes: int) -> str:
    """So many minutes from now, ISO 8601 in UTC."""
    return _text(datetime.now(UTC) + timedelta(minutes=minutes))


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_id() -> str:
    """A UUIDv7 as text."""
    return str(uuid_utils.uuid7())


def submission(number: int, run: str) -> dict[str, Any]:
    """Request `number` of a run as another system sends it: about 600 bytes as JSON."""
    building, room = 1 + number % 6, 100 + number
    return {
        "source": "bench",
        "source_id": f"{run}-{number:06d}",
        "kind": "groceries",
        "community": COMMUNITY,
        "address": {"building": str(building), "unit": str(1 + number % 4), "room": str(room)},
        "resident": {"name": f"测试居民{number}", "phone": "+86 138 0000 0000", "language": "zh", "needs": ["deaf"]},
        "on_behalf_of": {"relation": "daughter", "name": f"测试家属{number}", "phone": "+86 139 0000 0000"},
        "items": [{"name": "白菜", "quantity": 2, "unit": "颗"}, {"name": "鸡蛋", "quantity": 12, "unit": "个"}],
        "note": "放在门口就好，谢谢。",
        "urgency": "normal",
        "contactless": True,
    }


def opaque(body: Mapping[str, Any]) -> str:
    """Text as long as the sealed personal part of a request: key id, nonce and tag add 36 bytes, base64 a third."""
    personal = {name: body[name] for name in ("address", "resident", "on_behalf_of", "items", "note")}
    return base64.urlsafe_b64encode(b"k1:" + bytes(33) + orjson.dumps(personal)).decode()


def headers(wire: str, event_id: str, source: str, subject: str, cause: str, trace: str) -> dict[str, Any]:
    """The CloudEvents attributes as they travel on AMQP 0-9-1, and the trace."""
    return {
        "ce-specversion": "1.0",
        "ce-id": event_id,
        "ce-type": wire,
        "ce-source": f"/doorstep/{source}",
        "ce-time": now(),
        "ce-subject": subject,
        "ce-sequence": "1",
        "ce-cause": cause,
        "traceparent": trace,
    }


def created(body: Mapping[str, Any], request_id: str) -> dict[str, Any]:
    """The data of `RequestCreated`, from a submission."""
    building = body["address"]["building"]
    return {
        "community": body["community"],
        "grid": f"g{building}",
        "request_id": request_id,
        "kind": body["kind"],
        "building": building,
        "stairwell": f"s-{body['community']}-{building}-{body['address']['unit']}".ljust(26, "0"),
        "household": f"h-{body['source_id']}".ljust(26, "0"),
        "person": None,
        "urgency": body["urgency"],
        "priority": 50,
        "first_line": False,
        "needs": body["resident"]["needs"],
        "language": body["resident"]["language"],
        "opens": None,
        "closes": None,
        "contactless": body["contactless"],
        "needs_review": [],
        "sealed": opaque(body),
        "source": body["source"],
    }


TASK_FACTS = ("community", "grid", "request_id", "kind", "building", "urgency", "priority", "first_line", "contactless")
"""What a task keeps of the request."""


def task_of(request: Mapping[str, Any], task_id: str) -> dict[str, Any]:
    """A task document, offered to the worker who answers for the grid."""
    return {
        "_id": task_id,
        **{name: request[name] for name in TASK_FACTS},
        "state": "offered",
        "version": 1,
        "worker": f"w-{request['grid']}",
        "until": later(15),
        "history": [{"event": OFFERED, "at": now()}],
    }


def delivery(key: str, task: Mapping[str, Any]) -> dict[str, Any]:
    """The data of an event in the life of a task."""
    body = {name: task[name] for name in TASK_FACTS if name != "contactless"}
    body |= {"task_id": task["_id"], "worker": task["worker"], "at": now()}
    if key == OFFERED:
        return body | {"step": 1, "role": "grid_worker", "until": task["until"]}
    if key == ASSIGNED:
        return body | {"until": later(120)}
    return body | {"contactless": task["contactless"]}


def staff_notification(key: str, event_id: str, event: Mapping[str, Any]) -> dict[str, Any]:
    """One line on the staff's stream."""
    texts = TEXTS[key]
    return {
        "id": new_id(),
        "event": EVENT_NAMES[key],
        "event_id": event_id,
        "at": now(),
        "request_id": event["request_id"],
        "task_id": event.get("task_id"),
        "community": event["community"],
        "grid": event["grid"],
        "role": "grid_worker",
        "worker": event.get("worker"),
        "kind": event["kind"],
        "building": event["building"],
        "urgency": event["urgency"],
        "priority": event["priority"],
        "first_line": event["first_line"],
        "text": {language: text.format_map(event) for language, text in texts.items()},
    }


def staff_key(notification: Mapping[str, Any]) -> str:
    """`<role>.<community>.<grid>.<worker>`."""
    return f"{notification['role']}.{notification['community']}.{notification['grid']}.{notification['worker'] or '_'}"


def entry(event_id: str, wire: str, event: Mapping[str, Any], data: str) -> dict[str, Any]:
    """A ledger entry of the same size as a real one, with the event's body in `data`; its hashes say nothing."""
    return {
        "_id": event_id,
        "type": wire,
        "at": now(),
        "community": event["community"],
        "grid": event["grid"],
        "request_id": event["request_id"],
        "sequence": 1,
        "data": data,
        "previous": "0" * 64,
        "hash": "0" * 64,
    }


def event_key(routing_key: str) -> str:
    """`request.created` of `request.created.tiebei.g1`."""
    first, second, _ = routing_key.split(".", 2)
    return f"{first}.{second}"
