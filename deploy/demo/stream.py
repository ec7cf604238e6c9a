"""The staff's live stream over HTTP (server-sent events), read on from where it broke off."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import httpx

from shared.contracts.notification import StaffNotification

PATH = "/api/notification/stream"
SILENCE = 35.0
"""Seconds without a line, comments included, after which a stream is taken for dead."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event as the HTML standard defines it, section 9.2."""

    id: str
    data: str


async def server_events(lines: AsyncIterator[str]) -> AsyncIterator[ServerEvent]:
    """Read a stream of lines as events; what the stream ends within is dropped, as the standard says."""
    last_id, data = "", list[str]()
    async for line in lines:
        if not line:
            if data:
                yield ServerEvent(last_id, "\n".join(data))
            data = []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "id" and "\0" not in value:
            last_id = value


class StaffStream:
    """Listens for one token, and hands every notification on once; connects again for as long as it is awaited."""

    def __init__(self, origin: str, token: str, hear: Callable[[StaffNotification], None]) -> None:
        self._origin = origin
        self._token = token
        self._hear = hear
        self._last_id = ""
        self.connected = asyncio.Event()
        """Set when the stream has been opened for the first time."""
        self.connections = 0

    async def listen(self) -> None:
        """Listen until cancelled."""
        timeout = httpx.Timeout(5.0, read=SILENCE)
        async with httpx.AsyncClient(base_url=self._origin, timeout=timeout, trust_env=False) as client:
            while True:
                try:
                    await self._listen_once(client)
                except httpx.HTTPError as error:
                    log.debug("the staff stream broke off: %r", error)
                await asyncio.sleep(0.3)

    async def _listen_once(self, client: httpx.AsyncClient) -> None:
        headers = {"authorization": f"Bearer {self._token}", "accept": "text/event-stream"}
        if self._last_id:
            headers["last-event-id"] = self._last_id
        async with client.stream("GET", PATH, headers=headers) as reply:
            reply.raise_for_status()
            self.connections += 1
            self.connected.set()
            async for event in server_events(reply.aiter_lines()):
                self._last_id = event.id or self._last_id
                self._hear(StaffNotification.model_validate_json(event.data))
