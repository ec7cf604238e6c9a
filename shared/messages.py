"""Messages as they travel: CloudEvents 1.0 over AMQP 0-9-1, written in binary mode and read in both."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cloudevents.core.bindings.rabbitmq import RabbitMQMessage, from_structured
from cloudevents.core.exceptions import BaseCloudEventException
from cloudevents.core.formats.json import JSONFormat

from shared.contracts.envelope import COMMANDS_EXCHANGE, Meta
from shared.contracts.refusal import refusal

ACTOR = "ce-actor"
STRUCTURED = "application/cloudevents+json"
SENT_LIMIT = 1024 * 1024
"""The largest body, in bytes, that we send; a larger one would make the broker close the channel."""
_LONGEST = 256


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that is ready to be sent."""

    exchange: str
    key: str
    body: bytes
    meta: Meta
    correlation_id: str | None
    headers: Mapping[str, Any] = field(default_factory=dict)
    """Beside those of the envelope."""
    content_type: str = "application/json"
    reply_to: str | None = None
    persistent: bool = True
    mandatory: bool = True

    def __post_init__(self) -> None:
        if len(self.body) > SENT_LIMIT:
            raise ValueError(f"{self.meta.type} {self.meta.id}: a body of {len(self.body)} bytes; limit {SENT_LIMIT}")

    def all_headers(self) -> dict[str, Any]:
        """The envelope's attributes as headers, and the others."""
        meta = self.meta
        headers: dict[str, Any] = {
            "ce-specversion": "1.0",
            "ce-id": meta.id,
            "ce-type": meta.type,
            "ce-source": f"/doorstep/{meta.source}",
            "ce-time": meta.time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "ce-subject": meta.subject,
        }
        if meta.sequence:
            headers["ce-sequence"] = str(meta.sequence)
        if meta.cause:
            headers["ce-cause"] = meta.cause
        if meta.actor:
            headers[ACTOR] = meta.actor
        if meta.traceparent:
            headers["traceparent"] = meta.traceparent
        headers.update(self.headers)
        return headers


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as it was delivered, whatever its mode, not yet believed."""

    queue: str
    exchange: str
    key: str
    body: bytes
    headers: Mapping[str, Any]
    content_type: str | None
    type: str | None
    message_id: str | None
    correlation_id: str | None
    reply_to: str | None
    app_id: str | None
    user_id: str | None
    timestamp: datetime | None

    @property
    def deliveries(self) -> int:
        """How often the broker delivered it before without it being acknowledged."""
        count = self.headers.get("x-delivery-count", 0)
        return count if isinstance(count, int) else 0


def read(incoming: Incoming, now: datetime) -> tuple[Meta, bytes]:
    """The attributes and the bare data.

    Attributes that a plain sender left out are filled in: type from the routing key, id from the message.

    Raises:
        Refusal: a structured message that is not a CloudEvent, or attributes that are not text.
    """
    attributes: Mapping[str, Any] = incoming.headers
    body = incoming.body
    prefix = "ce-"
    if incoming.content_type and incoming.content_type.startswith(STRUCTURED):
        attributes, body = _unwrapped(incoming)
        prefix = ""
    wire: Any = attributes.get(f"{prefix}type") or incoming.type or _type_of_key(incoming.key)
    identity: Any = attributes.get(f"{prefix}id") or incoming.message_id or ""
    for name, value in (("type", wire), ("id", identity)):
        if not isinstance(value, str) or len(value) > _LONGEST:
            raise refusal(f"{prefix}{name}", "wrong_type", f"must be text of at most {_LONGEST} characters")
    source = str(attributes.get(f"{prefix}source") or incoming.app_id or incoming.user_id or "unknown")
    return (
        Meta(
            id=identity,
            type=wire,
            source=source.removeprefix("/doorstep/"),
            time=_time(attributes.get(f"{prefix}time"), now),
            subject=str(attributes.get(f"{prefix}subject") or incoming.correlation_id or ""),
            sequence=_number(attributes.get(f"{prefix}sequence")),
            cause=str(attributes.get(f"{prefix}cause") or ""),
            actor=str(_actor(incoming) or ""),
            traceparent=str(incoming.headers.get("traceparent") or ""),
        ),
        body,
    )


def _actor(incoming: Incoming) -> Any:
    """Who sent a command, as the broker has checked; who set an event off, as the service says that raised it."""
    return incoming.user_id if incoming.exchange == COMMANDS_EXCHANGE else incoming.headers.get(ACTOR)


def _unwrapped(incoming: Incoming) -> tuple[Mapping[str, Any], bytes]:
    try:
        event = from_structured(
            RabbitMQMessage(headers={}, content_type=incoming.content_type, body=incoming.body), JSONFormat()
        )
        attributes = event.get_attributes()
        data = JSONFormat().write_data(event.get_data(), "application/json")
    except (BaseCloudEventException, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise refusal("", "not_a_cloudevent", f"not a CloudEvent in structured mode: {error}") from None
    return attributes, data


def _type_of_key(key: str) -> str:
    return f"doorstep.{key}.v1"


def _time(value: Any, now: datetime) -> datetime:
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, str):
        try:
            time = datetime.fromisoformat(value)
            return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            return now
    return now


def _number(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return 0
