"""HTTP to the four services, with errors that an operator can act on."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Any, Self

import httpx

from deploy.cli.trouble import Trouble

SERVICES = ("intake", "dispatch", "notification", "ledger")
PAGE = "500"
_NOT_NOW = frozenset({429, 502, 503, 504})
_TRIES = 5
_PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service said."""

    status: int
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """True for 2xx."""
        return self.status // 100 == 2

    @property
    def code(self) -> str:
        """The stable code of a problem; empty for a good answer."""
        return "" if self.good else str(self.body.get("code", f"http_{self.status}"))

    @property
    def problems(self) -> list[Mapping[str, str]]:
        """Why it was refused, field by field."""
        title = str(self.body.get("title", f"HTTP {self.status}"))
        return list(self.body.get("problems") or [{"field": "", "code": self.code, "message": title}])


class Client:
    """A client of the services behind one gateway.

    Args:
        origin: of the gateway.
        token: shown with every call.
        timeout: seconds for one try.
    """

    def __init__(self, origin: str, token: str, *, timeout: float = 30.0) -> None:
        self._origin = origin
        try:
            self._http = httpx.Client(
                base_url=origin, headers={"authorization": f"Bearer {token}"}, timeout=timeout, trust_env=False
            )
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise Trouble("trouble.bad_address", http=origin, reason=error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: object = None,
        content: bytes | None = None,
        patient: bool = True,
        timeout: float | None = None,
    ) -> Answer:
        """Call, and again for a few seconds while the service says that it is not available just now.

        `patient=False` asks once; `timeout` is in seconds for one try, where the usual ones are not enough.

        Raises:
            Trouble: nobody answers, or this token does not count.
        """
        more: dict[str, Any] = {"json": json} if json is not None else {"content": content} if content else {}
        if content:
            more["headers"] = {"content-type": "application/json"}
        if timeout is not None:
            more["timeout"] = timeout
        reply = self._once(method, path, params=params, **more)
        tries = _TRIES if patient else 1
        while reply.status_code in _NOT_NOW and (tries := tries - 1):
            time.sleep(_PAUSE)
            reply = self._once(method, path, params=params, **more)
        if reply.status_code == httpx.codes.UNAUTHORIZED:
            raise Trouble("trouble.bad_token", http=self._origin)
        return Answer(reply.status_code, _body(reply))

    def _once(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **more)
        except httpx.UnsupportedProtocol as error:
            raise Trouble("trouble.bad_address", http=self._origin, reason=error) from None
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            raise Trouble("trouble.no_answer", http=self._origin, reason=reason) from None

    def read(self, method: str, path: str, **more: Any) -> Mapping[str, Any]:
        """The body of a good answer.

        Raises:
            Trouble: the answer was not good; it says what the service said.
        """
        answer = self.call(method, path, **more)
        if not answer.good:
            raise refused(answer, f"{method} {path}")
        return answer.body

    def download(self, path: str, file: IO[bytes], params: Mapping[str, Any]) -> int:
        """Write what a GET answers into a file, piece by piece; how many bytes.

        Raises:
            Trouble: the answer was not good, or broke off.
        """
        size = 0
        try:
            with self._http.stream("GET", path, params=params) as reply:
                if not reply.is_success:
                    reply.read()
                    raise refused(Answer(reply.status_code, _body(reply)), f"GET {path}")
                for piece in reply.iter_bytes():
                    size += file.write(piece)
        except httpx.TransportError as error:
            raise Trouble("trouble.no_answer", http=self._origin, reason=str(error) or type(error).__name__) from None
        return size

    def pages(
        self, path: str, limit: str = PAGE, params: Mapping[str, str] | None = None
    ) -> Iterator[Mapping[str, Any]]:
        """Every item of a list, page after page."""
        after: str | None = None
        while True:
            body = self.read(
                "GET", path, params={**(params or {}), "limit": limit, **({"after": after} if after else {})}
            )
            yield from body["items"]
            after = body["next"]
            if after is None:
                return


def refused(answer: Answer, what: str) -> Trouble:
    """What to tell of an answer that is not good."""
    if answer.status == httpx.codes.FORBIDDEN:
        return Trouble("trouble.forbidden", what=what)
    reasons = "; ".join(": ".join(filter(None, (one["field"], one["message"]))) for one in answer.problems)
    return Trouble("trouble.refused", what=what, status=answer.status, reason=reasons)


def _body(reply: httpx.Response) -> Mapping[str, Any]:
    try:
        body = reply.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
