"""Documents of notification: messages to staff."""

from datetime import datetime
from typing import Any

from services.notification.domain.message import Message
from shared.documents import Document, Index
from shared.runtime import Runtime

_ORDER = (("state.created_at", -1), ("_id", 1))
_UNREAD_ORDER = (("state.told.priority", -1), *_ORDER)
LIST = Index(_ORDER)
UNREAD = Index(_UNREAD_ORDER, where={"state.unread": True})


class Store:
    """What notification keeps."""

    def __init__(self, runtime: Runtime) -> None:
        self.messages = runtime.aggregates(
            "messages", Message, lambda one: one.request_id or one.notification_id, [LIST, UNREAD]
        )

    async def page(
        self,
        *,
        community: str | None,
        grids: tuple[str, ...],
        role: str | None,
        unread: bool,
        limit: int,
        after: tuple[int, datetime, str] | None,
    ) -> list[Document]:
        """Messages, newest first; of those that nobody has read, the most urgent first.

        Of some grids with what is of the whole community; of that, what is for `role`, or all.
        """
        query: dict[str, Any] = {"state.unread": True} if unread else {}
        if community is not None:
            query["state.community"] = community
        if grids:
            whole: dict[str, Any] = {"state.grid": None, "state.told.building": None}
            if role is not None:
                whole |= {"state.role": role, "state.worker": None}
            query["$and"] = [{"$or": [{"state.grid": {"$in": list(grids)}}, whole]}]
        if after is not None:
            priority, at, notification_id = after
            same = {"state.told.priority": priority} if unread else {}
            query["$or"] = [
                {**same, "state.created_at": {"$lt": at}},
                {**same, "state.created_at": at, "_id": {"$gt": notification_id}},
                *([{"state.told.priority": {"$lt": priority}}] if unread else []),
            ]
        order = _UNREAD_ORDER if unread else _ORDER
        return await self.messages.collection.find(query, sort=list(order), limit=limit, fields={"history": 0})
