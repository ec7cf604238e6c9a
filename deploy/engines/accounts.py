"""Users of the broker for those outside, made over RabbitMQ's management interface.

https://www.rabbitmq.com/docs/management#http-api
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self
from urllib.parse import quote

import httpx

from deploy.engines.definitions import (
    NOTHING,
    RIGHTS,
    SOURCE_ROUTING_KEYS,
    STAFF_OF_A_PLACE,
    VHOST,
    Rights,
    password_hash,
)

ROLES = ("coordinator", "grid_worker", "volunteer", "partner", "operator")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class AccountError(Exception):
    """The broker's management interface refused; the message is its own."""


class Accounts:
    """The users `source.<name>` and `staff.<name>`.

    Args:
        http: a client of the management interface.
    """

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    @classmethod
    @contextmanager
    def at(cls, origin: str, password: str) -> Iterator[Self]:
        """Those of the broker at `origin`, such as `http://broker:15672`; the password is its user `operator`'s."""
        with httpx.Client(base_url=origin, auth=("operator", password), timeout=10, trust_env=False) as http:
            yield cls(http)

    def names(self, kind: str) -> list[str]:
        """Those of one kind: `source` or `staff`.

        Raises:
            AccountError, httpx.TransportError
        """
        listed: Sequence[Mapping[str, Any]] = self._call("GET", "users").json()
        return sorted(name.partition(".")[2] for one in listed if (name := str(one["name"])).startswith(f"{kind}."))

    def set_source(self, name: str, password: str) -> None:
        """Make a system that may submit requests and hear its answers, or give it another password.

        Raises:
            AccountError, httpx.TransportError
        """
        user = self._set(f"source.{name}", password, RIGHTS["source"])
        self._topic(user, "doorstep.commands", write=SOURCE_ROUTING_KEYS, read=NOTHING)

    def set_staff(self, name: str, password: str, community: str | None, grids: Sequence[str]) -> None:
        """Make a program that may hear notifications, or give it another password.

        Args:
            name: what follows `staff.`.
            password: its new password.
            community: only this one's; None: all, and the log too.
            grids: only these; empty: the whole community.

        Raises:
            AccountError, httpx.TransportError
        """
        user = self._set(f"staff.{name}", password, RIGHTS["staff"] if community is None else STAFF_OF_A_PLACE)
        self._topic(user, "doorstep.notifications", write=NOTHING, read=binding_keys(community, grids))

    def remove(self, user: str) -> None:
        """End an account; RabbitMQ cuts off whoever is connected with it.

        Raises:
            AccountError, httpx.TransportError
        """
        self._call("DELETE", f"users/{user}")

    def _set(self, user: str, password: str, rights: Rights) -> str:
        content = {"password_hash": password_hash(password), "hashing_algorithm": "rabbit_password_hashing_sha256"}
        self._call("PUT", f"users/{user}", {**content, "tags": ""})
        allowed = {"configure": rights.configure, "write": rights.write, "read": rights.read}
        self._call("PUT", f"permissions/{VHOST}/{user}", allowed)
        return user

    def _topic(self, user: str, exchange: str, *, write: str, read: str) -> None:
        content = {"exchange": exchange, "write": write, "read": read}
        self._call("PUT", f"topic-permissions/{VHOST}/{user}", content)

    def _call(self, method: str, path: str, content: Mapping[str, Any] | None = None) -> httpx.Response:
        answer = self._http.request(method, f"/api/{quote(path)}", json=content)
        if answer.is_error and not (method == "DELETE" and answer.status_code == httpx.codes.NOT_FOUND):
            raise AccountError(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
        return answer


def is_name(name: str) -> bool:
    """Whether an account may be called so: small letters, digits and hyphens."""
    return _NAME.fullmatch(name) is not None


def binding_keys(community: str | None, grids: Sequence[str]) -> str:
    """Regular expression of the keys with which a queue may be bound to the notifications.

    A key is `<role>.<community>.<grid>.<worker>`. A `#` at the start could stand for any number of words, so that
    another place would pass for this one; at the end it stands for the worker alone.
    """
    if community is None:
        return ".*"
    roles = "|".join((r"\*", "_", *ROLES))
    place = rf"({'|'.join(map(re.escape, grids))})\.[^.]+" if grids else r"(#|[^.#]+\.[^.]+)"
    return rf"^({roles})\.{re.escape(community)}\.{place}$"
