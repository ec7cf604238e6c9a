"""`doorstep tail`: the staff's live stream in the terminal."""

import asyncio
import contextlib
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Annotated, Any

import httpx
import orjson
import typer
from rich.text import Text

from deploy.cli.session import Session
from deploy.cli.trouble import Trouble
from deploy.demo.stream import PATH, SILENCE, ServerEvent, server_events

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
_COLOURS = {
    "RequestCreated": "cyan",
    "RequestCancelled": "bright_black",
    "DeliveryAssigned": "blue",
    "DeliveryStarted": "blue",
    "DeliveryCompleted": "green",
    "DeliveryCancelled": "bright_black",
    "DeliveryReleased": "yellow",
    "DeliveryReopened": "yellow",
    "DeliveryFailed": "red",
    "DeliveryEscalated": "bold red",
}


class _Enough(Exception):
    """As many were shown as were asked for."""


def tail(
    session: Session,
    since: Annotated[int | None, typer.Option(min=-1, help="tail.since", show_default=False)] = None,
    grid: Annotated[list[str] | None, typer.Option(help="tail.grid", show_default=False)] = None,
    count: Annotated[int | None, typer.Option(min=1, help="tail.count", show_default=False)] = None,
) -> None:
    """Show notifications as they come, until Ctrl-C; a lost connection is taken up where it broke off."""
    follower = _Follower(session, since, frozenset(grid or ()), count)
    with contextlib.suppress(KeyboardInterrupt, _Enough):
        asyncio.run(follower.follow())


class _Follower:
    def __init__(self, session: Session, since: int | None, grids: Collection[str], count: int | None) -> None:
        self._session = session
        self._last_id = "" if since is None else str(since)
        self._grids = grids
        self._left = count
        self._pause = _FIRST_PAUSE
        self._connected = False

    async def follow(self) -> None:
        """Until cancelled, or enough was shown."""
        place = self._session.place
        async with httpx.AsyncClient(
            base_url=place.http,
            headers={"authorization": f"Bearer {place.token()}", "accept": "text/event-stream"},
            timeout=httpx.Timeout(10.0, read=SILENCE),
            trust_env=False,
        ) as client:
            while True:
                try:
                    await self._listen(client)
                    reason = self._session.say("tail.ended")
                except httpx.TransportError as error:
                    reason = str(error) or type(error).__name__
                    if not self._connected:
                        raise Trouble("trouble.no_answer", http=place.http, reason=reason) from None
                self._session.warn("tail.again", seconds=self._pause, reason=reason)
                await asyncio.sleep(self._pause)
                self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    async def _listen(self, client: httpx.AsyncClient) -> None:
        headers = {"last-event-id": self._last_id} if self._last_id else {}
        async with client.stream("GET", PATH, headers=headers) as reply:
            if reply.status_code == httpx.codes.UNAUTHORIZED:
                raise Trouble("trouble.bad_token", http=self._session.place.http)
            if reply.is_client_error:
                raise Trouble("trouble.refused", what=PATH, status=reply.status_code, reason=reply.reason_phrase)
            if not reply.is_success:
                return
            self._connected = True
            async for event in server_events(reply.aiter_lines()):
                self._last_id = event.id or self._last_id
                self._pause = _FIRST_PAUSE
                self._show(event)

    def _show(self, event: ServerEvent) -> None:
        told: Mapping[str, Any] = orjson.loads(event.data)
        if self._grids and told["grid"] not in self._grids:
            return
        if self._session.json:
            self._session.write_json({"offset": int(event.id), **told})
        else:
            self._session.out.print(line(told, self._session.say.language), soft_wrap=True)
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                raise _Enough


def line(told: Mapping[str, Any], language: str) -> Text:
    """One notification: when, what, where, and what a person reads."""
    colour = _COLOURS.get(told["event"], "")
    at = datetime.fromisoformat(told["at"]).astimezone()
    text = Text()
    text.append(f"{at:%H:%M:%S}  ", "dim")
    text.append(f"{told['event']:<18}  ", colour)
    text.append(f"{told['grid'] or '–':<6}", "magenta")
    text.append(f"{told['urgency'] or '':<7}  ", "bold red" if told["urgency"] == "urgent" else "")
    text.append(told["text"].get(language) or next(iter(told["text"].values()), ""))
    return text
