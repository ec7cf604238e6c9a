"""HTTP in: the staff's live stream, and the list of what waits to be read."""

import asyncio
import contextlib
from collections.abc import AsyncIterable
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from services.notification import handlers
from services.notification.handlers import Notification
from services.notification.stream import Live, concerns, within
from shared.access import INSIDERS, PARTIES
from shared.contracts.notification import AcknowledgeNotification, NotificationAnswer
from shared.contracts.refusal import refusal
from shared.documents import Document
from shared.pages import decode_cursor, page
from shared.web import After, Limit, Staff, body, http_meta, takes

PREFIX = "/api/notification"
SESSION_SECONDS = 3600


def add_routes(app: FastAPI, house: Notification, live: Live) -> None:
    """Put notification's routes on the application."""

    async def joined(last_event_id: Annotated[int | None, Header(ge=-1)] = None) -> int | None:
        """Before the answer begins: whoever has its first line hears all that comes after."""
        return await live.join(last_event_id)

    @app.get(f"{PREFIX}/stream", response_class=EventSourceResponse, tags=["stream"])
    async def stream(who: Staff, place: Annotated[int | None, Depends(joined)]) -> AsyncIterable[ServerSentEvent]:
        """Notifications within the token's place, as they come; with `Last-Event-ID`, those after it first (-1: all).

        A session ends after an hour; whoever still may, comes again with the last id.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SESSION_SECONDS):
                async for offset, notification, text in live.listen(place):
                    if concerns(who, notification):
                        yield ServerSentEvent(raw_data=text, event="notification", id=str(offset))

    @app.get(f"{PREFIX}/messages", tags=["messages"])
    async def messages(who: Staff, limit: Limit = 50, after: After = None, unread: bool = False) -> dict[str, Any]:
        """Messages within the token's place, newest first; `unread`: those that nobody read, most urgent first.

        Other organisations hear by name, on the stream.
        """
        who.require(*INSIDERS)
        place = decode_cursor(after, (int, datetime, str))
        found = await house.store.page(
            community=who.community,
            grids=who.grids,
            role=None if who.leads() else who.role,
            unread=unread,
            limit=limit + 1,
            after=(place[0], place[1], place[2]) if place else None,
        )
        return page(found, limit, _place_of, _show)

    @app.post(
        f"{PREFIX}/messages/{{notification_id}}/acknowledge",
        response_model=NotificationAnswer,
        openapi_extra=takes(AcknowledgeNotification),
        tags=["messages"],
    )
    async def acknowledge(who: Staff, notification_id: str, request: Request) -> NotificationAnswer:
        """Read."""
        message = await house.store.messages.get(notification_id)
        if message is None or not (
            (who.role not in PARTIES and within(who, message.told.model_dump()))
            or (who.worker and who.worker in (message.worker, *message.told.asked))
        ):
            raise refusal("notification_id", "unknown_notification", "there is no notification of this id", status=404)
        given = {"notification_id": notification_id, "worker": who.worker or who.name}
        command = await body(request, AcknowledgeNotification, **given)
        meta = http_meta(request, AcknowledgeNotification.wire, house.runtime.clock())
        return await handlers.acknowledge(house, command, meta)


def _show(document: Document) -> dict[str, Any]:
    state = document["state"]
    return {**state["told"], "unread": state["unread"], "read_by": state["read_by"]}


def _place_of(document: Document) -> tuple[int, datetime, str]:
    state = document["state"]
    return state["told"]["priority"], state["created_at"], document["_id"]
