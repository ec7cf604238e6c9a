"""A message to staff: who must know what, and whether it was read."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, field_validator

from shared.contracts.catalogue import Kinds, Label
from shared.contracts.duties import ZONE, DutyEvent
from shared.contracts.envelope import Event, Meta
from shared.contracts.notification import NotificationAcknowledged, StaffNotification
from shared.contracts.refusal import refusal

_WORDS = {
    "kind": "",
    "building": "",
    "place": "",
    "when": "",
    "worker": "",
    "urgency": "",
    "title": "",
    "missing": "",
    "how": "",
}


_UNSAID = Label(zh="", en="")


class Rule(BaseModel):
    """Who is told of an event, and in which words."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    to: Literal["grid_worker", "volunteer", "coordinator", "asked"]
    """`asked`: whoever the event says is asked."""
    text: Label
    how: dict[str, Label] = {}
    """Words for what the event says of how something is done."""
    unread: bool = False
    """Stands on the list of what nobody has read yet, until somebody does."""

    @field_validator("text")
    @classmethod
    def _only_known_words(cls, text: Label) -> Label:
        for template in (text.zh, text.en):
            try:
                template.format(**_WORDS)
            except (KeyError, IndexError, ValueError) as error:
                raise ValueError(f"{template!r}: only {', '.join(_WORDS)} can stand in braces ({error})") from None
        return text


class Rules(BaseModel):
    """The catalogue `notifications.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    notifications: dict[str, Rule]


class Message(BaseModel):
    """The state of a message."""

    notification_id: str
    event_id: str
    request_id: str | None
    community: str | None
    grid: str | None
    role: str
    worker: str | None
    unread: bool
    told: StaffNotification
    read_by: str | None = None
    created_at: datetime


def tell(
    message: Message | None, notification_id: str, event: Event, meta: Meta, rule: Rule, kinds: Kinds, now: datetime
) -> tuple[Message, Sequence[Event]] | None:
    """Tell staff of an event; None if they were told."""
    if message is not None:
        return None
    told = _words(notification_id, event, meta, rule, kinds)
    return Message.model_construct(
        notification_id=notification_id,
        event_id=meta.id,
        request_id=told.request_id,
        community=told.community,
        grid=told.grid,
        role=told.role,
        worker=told.worker,
        unread=rule.unread,
        told=told,
        read_by=None,
        created_at=now,
    ), [told]


def acknowledge(message: Message | None, worker: str | None) -> tuple[Message, Sequence[Event]] | None:
    """Somebody read it; None if somebody had.

    Raises:
        Refusal: there is no such message.
    """
    if message is None:
        raise refusal("notification_id", "unknown_notification", "there is no notification of this id", status=404)
    if not message.unread:
        return None
    event = NotificationAcknowledged(
        community=message.community,
        grid=message.grid,
        notification_id=message.notification_id,
        request_id=message.request_id,
        worker=worker,
    )
    return message.model_copy(update={"unread": False, "read_by": worker}), [event]


def _words(notification_id: str, event: Event, meta: Meta, rule: Rule, kinds: Kinds) -> StaffNotification:
    kind = getattr(event, "kind", None)
    worker = getattr(event, "worker", None)
    building = getattr(event, "building", None)
    urgency = getattr(event, "urgency", None)
    label = kinds.label_of(kind or "")
    counts = getattr(event, "counts", None)
    how = rule.how.get(getattr(event, "how", ""), _UNSAID)
    words = {
        "building": building or "?",
        "worker": worker or "?",
        "urgency": urgency or "",
        "title": getattr(event, "title", ""),
        "missing": counts.missing if counts else "?",
        **_where_and_when(event),
    }
    return StaffNotification.model_construct(
        id=notification_id,
        event=type(event).__name__,
        event_id=meta.id,
        at=meta.time,
        request_id=getattr(event, "request_id", None),
        task_id=getattr(event, "task_id", None),
        duty_id=getattr(event, "duty_id", None),
        community=event.community,
        grid=event.grid,
        role=getattr(event, "role", "grid_worker") if rule.to == "asked" else rule.to,
        worker=worker,
        asked=getattr(event, "asked", ()),
        kind=kind,
        building=building,
        urgency=urgency,
        priority=getattr(event, "priority", 0),
        first_line=getattr(event, "first_line", False),
        text={
            "zh": rule.text.zh.format(kind=label.zh, how=how.zh, **words),
            "en": rule.text.en.format(kind=label.en, how=how.en, **words),
        },
    )


def _where_and_when(event: Event) -> dict[str, str]:
    if not isinstance(event, DutyEvent):
        place = getattr(event, "place", None) or "、".join(getattr(event, "places", ()))
        return {"place": place or "?", "when": getattr(event, "day", None) or "?"}
    begins, ends = (at.astimezone(ZoneInfo(ZONE)) for at in (event.begins, event.ends))
    return {"place": event.place, "when": f"{begins:%m-%d %H:%M}–{ends:%H:%M}"}
