"""Who may do what: bearer tokens, kept hashed, with a role and a place."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from shared.contracts.refusal import refusal
from shared.documents import Collection, Write
from shared.settings import Secrets, SettingsError

Role = Literal["operator", "coordinator", "grid_worker", "volunteer", "rider", "partner", "source"]
STAFF: tuple[Role, ...] = ("operator", "coordinator", "grid_worker", "volunteer", "rider", "partner")
LEADERS: tuple[Role, ...] = ("operator", "coordinator")
PARTIES: tuple[Role, ...] = ("rider", "partner")
"""People of other organisations: they see what they are asked for, and what is theirs."""
INSIDERS: tuple[Role, ...] = ("operator", "coordinator", "grid_worker", "volunteer")
"""Staff of the community itself: they see lists of the whole place."""


class Principal(BaseModel):
    """Somebody who showed a token."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    role: Role
    community: str | None = None
    """None: every community."""
    grids: tuple[str, ...] = ()
    """Empty: every grid of the community."""
    worker: str | None = None

    def leads(self) -> bool:
        """May act for others."""
        return self.role in LEADERS

    def covers(self, community: str | None, grid: str | None) -> bool:
        """Whether the place is within the token's."""
        if self.community is not None and community != self.community:
            return False
        return not self.grids or grid in self.grids

    def require(self, *roles: Role) -> None:
        """Raises:
        Refusal: 403, the role is none of these.
        """
        if self.role not in roles:
            raise refusal("authorization", "forbidden", f"role {self.role} may not do this", status=403)


def fingerprint(token: str) -> str:
    """What is kept of a token: its SHA-256, as the token itself is 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()


class TokenRegister:
    """The tokens that a service knows: those of the secret `access-tokens.json`, and those granted since.

    Args:
        collection: where granted tokens rest by hash.
        clock: the time now, in UTC.
    """

    def __init__(self, collection: Collection, secrets: Secrets, clock: Callable[[], datetime]) -> None:
        self._collection = collection
        self._clock = clock
        self._given = _from_secrets(secrets.json("access-tokens.json"))

    async def principal(self, token: str) -> Principal | None:
        """Whose token it is, or None.

        Raises:
            StorageUnavailable: it is none of the given ones, and the database did not answer.
        """
        key = fingerprint(token)
        if key in self._given:
            return self._given[key]
        document = await self._collection.get(key)
        if document is None or document["revoked"] or (document["expires"] and document["expires"] < self._clock()):
            return None
        return Principal.model_validate(document["principal"])

    async def grant(self, token_hash: str, principal: Principal, expires: datetime | None) -> None:
        """Know another token from now on; safe to repeat, and of no effect once it was revoked."""
        granted = Write(set={"principal": principal.model_dump(), "expires": expires, "revoked": False})
        await self._collection.update(token_hash, lambda known: (None if known else granted, None))

    async def revoke(self, token_hash: str) -> None:
        """Know it no more."""
        await self._collection.put(token_hash, {"revoked": True})


def _from_secrets(content: Sequence[dict[str, object]]) -> dict[str, Principal]:
    try:
        return {str(one["hash"]): Principal.model_validate(one) for one in content}
    except (KeyError, TypeError, ValueError) as error:
        raise SettingsError(f"secret access-tokens.json: {error}") from None
