"""Personal data sealed with AES-GCM, and keyed hashes to find it again without opening anything."""

import base64
import hashlib
import os
import re
import threading
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import BaseModel

from shared.settings import Secrets, SettingsError, decode_key

_BLOCK = 64
"""Bytes of a block of SHA-256."""
_NO_DIGIT = re.compile(r"\D+")

M = TypeVar("M", bound=BaseModel)


OWN = "own"
"""Key id of seals that were made with a key of their own."""
KEPT = "kept"
"""The same, of a key that is kept for a time: beside it, the first opens as well."""
GONE = "gone"
"""Key id of what stands for a seal that was thrown away."""


class _Chance:
    """Random bytes of the operating system, asked for in larger pieces: each asking lets other threads go first, which
    in a busy process takes longer than the sealing.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes = b""
        self._process = os.getpid()

    def take(self, count: int) -> bytes:
        """Bytes that nobody else has had or will have."""
        with self._lock:
            # A forked process has the same bytes as the one that it comes of.
            if len(self._bytes) < count or self._process != os.getpid():
                self._bytes, self._process = os.urandom(_PIECE), os.getpid()
            taken, self._bytes = self._bytes[:count], self._bytes[count:]
            return taken


_NONCE, _KEY, _PIECE = 12, 32, 1024
_chance = _Chance()


class CannotOpen(Exception):
    """The seal was made for something else, was tampered with, or its key is gone."""


class Sealer:
    """Seals and opens text. A seal reads `<key id>.<base64 of nonce and ciphertext>`.

    The context (such as `request:<id>`) is authenticated with it, so that a seal cannot be moved to another record.

    Args:
        keys: AES-256 keys by key id.
        active: id of the key that new seals use; the others only open.
    """

    def __init__(self, keys: Mapping[str, bytes], active: str) -> None:
        self._active = active
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}

    @classmethod
    def from_secrets(cls, secrets: Secrets) -> "Sealer":
        """From the secret `sealing-keys.json`: `{"active": id, "keys": {id: base64}}`."""
        content = secrets.json("sealing-keys.json")
        try:
            keys = {key_id: decode_key(text, f"sealing key {key_id}") for key_id, text in content["keys"].items()}
            active = content["active"]
        except (KeyError, TypeError, AttributeError):
            raise SettingsError('secret sealing-keys.json must hold {"active": …, "keys": {…}}') from None
        if active not in keys:
            raise SettingsError(f"secret sealing-keys.json: active key {active} is not among its keys")
        return cls(keys, active)

    def seal(self, text: str, context: str) -> str:
        """Sealed with the active key."""
        nonce = _chance.take(_NONCE)
        sealed = self._ciphers[self._active].encrypt(nonce, text.encode(), context.encode())
        return f"{self._active}.{base64.b64encode(nonce + sealed).decode()}"

    def open(self, seal: str, context: str) -> str:
        """The text.

        Raises:
            CannotOpen: wrong context, changed seal, unknown key.
        """
        key_id, _, encoded = seal.partition(".")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise CannotOpen(f"no key {key_id}")
        try:
            data = base64.b64decode(encoded, validate=True)
            return cipher.decrypt(data[:_NONCE], data[_NONCE:], context.encode()).decode()
        except (InvalidTag, ValueError):
            raise CannotOpen(f"the seal does not belong to {context}, or was changed") from None

    def left(self, seal: str, context: str) -> str | None:
        """The text; None: its own key was destroyed since, or it was thrown away.

        Raises:
            CannotOpen: it is under a key that all share, and does not open.
        """
        try:
            return self.open(seal, context)
        except CannotOpen:
            if seal.partition(".")[0] in (OWN, KEPT, GONE):
                return None
            raise

    def own_key(self, context: str) -> str:
        """A fresh key for one record, sealed under this one: once it is gone, the record cannot be opened any more."""
        return self.seal(base64.b64encode(_chance.take(_KEY)).decode(), context)

    def under(self, own_key: str, context: str, key_id: str = OWN) -> "Sealer":
        """Seals with what `own_key` made; opens that, and what was sealed with the keys of this one before.

        Raises:
            CannotOpen: it is no key of this context.
        """
        own = Sealer({key_id: base64.b64decode(self.open(own_key, context))}, key_id)
        own._ciphers = {**self._ciphers, **own._ciphers}
        return own

    def reseal(self, seal: str, context: str) -> str:
        """The same text under the active key; unchanged if it is under it already."""
        if seal.startswith(f"{self._active}."):
            return seal
        return self.seal(self.open(seal, context), context)


def half_width(text: str) -> str:
    """Text as it is compared: `（` and `(` are the same (Unicode NFKC)."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def gone(seal: str) -> str:
    """Stands for a seal under a key that all share: its SHA-256, which opens nothing, and by which the same is known.

    A seal with a key of its own stays as it is: that key can be destroyed.
    """
    if seal.partition(".")[0] in (OWN, KEPT, GONE):
        return seal
    return f"{GONE}.{hashlib.sha256(seal.encode()).hexdigest()}"


def without_seals(value: Any) -> Any:
    """A document, or a part of one, with every `sealed` in it gone."""
    if isinstance(value, dict):
        parts = cast("dict[str, Any]", value)
        return {
            name: gone(one) if name == "sealed" and isinstance(one, str) else without_seals(one)
            for name, one in parts.items()
        }
    if isinstance(value, (list, tuple)):
        return [without_seals(one) for one in cast("Sequence[Any]", value)]
    return value


class Lookup:
    """Keyed hashes: equal for equal text, and telling nothing to whoever lacks the key."""

    def __init__(self, key: bytes) -> None:
        # HMAC-SHA-256 (RFC 2104) with what comes of the key alone computed once: many are made for each person.
        block = (hashlib.sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    @classmethod
    def from_secrets(cls, secrets: Secrets) -> "Lookup":
        """From the secret `lookup-key`."""
        return cls(secrets.key("lookup-key"))

    def blind(self, purpose: str, *parts: str | None) -> str:
        """32 hexadecimal digits that stand for the parts, for one purpose."""
        text = "\x1f".join([purpose, *[part.strip().casefold() if part else "" for part in parts]])
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(text.encode())
        outer.update(inner.digest())
        return outer.hexdigest()[:32]

    def stairwell(self, community: str, building: str, unit: str | None) -> str:
        """Id of building and unit."""
        return self.blind("stairwell", community, building, unit)

    def household(self, community: str, building: str, unit: str | None, room: str | None) -> str:
        """Id of the door."""
        return self.blind("household", community, building, unit, room)

    def resident(self, household: str, name: str) -> str:
        """Finds a person by door and name, in whichever width it is written."""
        return self.blind("resident", household, half_width(name))

    def door_code(self, request_id: str) -> str:
        """Four digits that whoever asked for help is told, and tells at the door."""
        return f"{int(self.blind('door code', request_id), 16) % 10_000:04d}"

    def phone(self, community: str, phone: str) -> str:
        """Finds a person by phone."""
        return self.blind("phone", community, _NO_DIGIT.sub("", phone)[-11:])
