"""HTTP as a careful client does it: few calls at once, and every call again with the same ids until it is answered."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx

from deploy.demo.patience import longer

AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers that say nothing about the request itself: it is sent again. 502 and 504 are the gateway's, of a service
that is just being restarted; 500 is a service that was caught in the middle."""

AT_ONCE = 16
PAGE = 500
"""Items in one page of a list."""


class NoAnswer(Exception):
    """A call was not answered within the patience given to it."""

    def __init__(self, method: str, path: str, seconds: float, last: str) -> None:
        super().__init__(f"{method} {path}: no answer in {seconds:.0f} s; the last try said: {last}")


class Refusal(Exception):
    """A read was refused; the message carries the answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service said in the end."""

    status: int
    body: Mapping[str, Any] = field(default_factory=dict)
    tries: int = 1

    @property
    def good(self) -> bool:
        """True for 2xx."""
        return self.status // 100 == 2

    @property
    def code(self) -> str:
        """The stable code of a problem; empty for a good answer."""
        return str(self.body.get("code", ""))


class Gateway:
    """A client of the four services. Whoever calls must see to it that the same call twice does no harm."""

    def __init__(
        self,
        origin: str,
        tokens: Mapping[str, str],
        *,
        patience: float = 180.0,
        timeout: float = 5.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`patience` is for a call with all its tries, `timeout` for the first of them; both in seconds."""
        self._client = httpx.AsyncClient(
            base_url=origin,
            transport=transport,
            limits=httpx.Limits(max_connections=AT_ONCE),
            trust_env=False,
        )
        self._tokens = tokens
        self._patience = patience
        self._timeout = timeout
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def call(
        self,
        method: str,
        path: str,
        *,
        role: str,
        content: str | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Answer:
        """Call until there is an answer, good or bad; raises NoAnswer when patience ends."""
        sent = {"authorization": f"Bearer {self._tokens[role]}", **(headers or {})}
        if content is not None:
            sent["content-type"] = "application/json"
        loop = asyncio.get_running_loop()
        start, tries, pause, last = loop.time(), 0, 0.1, ""
        while loop.time() - start < self._patience:
            tries += 1
            try:
                async with self._slots:
                    reply = await self._client.request(
                        method, path, content=content, headers=sent, params=params, timeout=longer(self._timeout, tries)
                    )
                if reply.status_code not in AGAIN:
                    return Answer(reply.status_code, _body(reply), tries)
                last = f"{reply.status_code} {reply.text[:200]}"
            except httpx.TransportError as error:
                last = repr(error)
            await asyncio.sleep(pause)
            pause = min(pause * 1.6, 1.5)
        raise NoAnswer(method, path, self._patience, last)

    async def send(self, method: str, path: str, body: Mapping[str, Any], *, role: str) -> Answer:
        """Call with a JSON body; raises NoAnswer when patience ends."""
        return await self.call(method, path, role=role, content=json.dumps(body, ensure_ascii=False))

    async def read(self, path: str, *, role: str, params: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        """Read one thing; raises Refusal when it is not given."""
        answer = await self.call("GET", path, role=role, params=params)
        if not answer.good:
            raise Refusal(f"GET {path} was answered {answer.status} {answer.code}: {dict(answer.body)}")
        return answer.body

    async def pages(self, path: str, *, role: str, params: Mapping[str, str] | None = None) -> AsyncIterator[Any]:
        """Every item of a list, page after page."""
        after: str | None = None
        while True:
            cursor = {"after": after} if after else {}
            page = await self.read(path, role=role, params={"limit": str(PAGE), **(params or {}), **cursor})
            for item in page["items"]:
                yield item
            after = page.get("next")
            if not after:
                return


def _body(reply: httpx.Response) -> Mapping[str, Any]:
    try:
        body = reply.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
