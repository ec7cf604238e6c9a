"""What an operator sets: environment variables, and secrets as files."""

import base64
import json
import os
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

SHORTEST_PASSWORD = 16
_WRITABLE_BY_OTHERS = 0o022


class SettingsError(Exception):
    """A setting or secret is missing or wrong; the message says what to do."""


class Settings(BaseSettings):
    """One service's settings, read from `DOORSTEP_*`; what is said of each is what docs/configuration.md says."""

    model_config = SettingsConfigDict(
        env_prefix="DOORSTEP_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    rabbit_url: str = "amqp://127.0.0.1:5672/doorstep"
    """RabbitMQ, without user and password: those are the service's name and its secret `rabbit-<service>`."""
    mongo_url: str = "mongodb://127.0.0.1:27017/?replicaSet=rs0"
    """MongoDB, without user and password: those are the service's name and its secret `mongo-<service>`."""
    http_host: str = "127.0.0.1"
    """The address that the service listens at."""
    http_port: int = Field(default=8000, ge=0, le=65535)
    """The port that the service listens at, for the gateway and for whoever asks for `/metrics`."""
    data_dir: Path = Path(".doorstep")
    """The folder of this installation."""
    secrets_dir: Path | None = None
    """Where secrets lie as files; default `<data dir>/secrets`."""
    catalogue_dir: Path = Path(__file__).parents[1] / "deploy" / "catalogues"
    """The folder of `kinds.yaml` (kinds of help, who is asked, due times), `abilities.yaml` (skills, languages),
    `places.yaml` (how far it is from door to door), `notifications.yaml` (who hears what), `people.yaml` (categories,
    source lists, how long what is known of people is kept), `imports.yaml` (columns of lists), `follow-ups.yaml` (what
    is tried when nobody answers), `cases.yaml` (kinds of cases, checks at gates), `observation.yaml` (who stays at home
    until when), `facilities.yaml` (kinds of what stands in a community), `reports.yaml` (words of the numbers and the
    day report) and `certificate.html` (the certificate of a volunteer's hours)."""
    time_scale: float = Field(default=1.0, gt=0)
    """How much faster than life offers and leases run out; 60 turns minutes into seconds, for demonstrations."""
    prefetch: int = Field(default=400, ge=1, le=65535)
    """Messages that one consumer may hold unacknowledged."""
    queue_limit: int = Field(default=1_000_000, ge=1)
    """Messages that a queue may hold before the broker refuses more."""
    photo_days: int = Field(default=30, ge=1, le=3650)
    """Days for which a photo that proves a delivery is kept."""
    otlp_endpoint: str | None = None
    """Where OpenTelemetry traces go (OTLP over HTTP); without it: nowhere."""
    log_level: str = "info"
    """`debug`, `info`, `warning` or `error`."""

    @classmethod
    def variables(cls) -> set[str]:
        """The names of all settings in the environment."""
        return {f"DOORSTEP_{name.upper()}" for name in cls.model_fields}

    @classmethod
    def read(cls) -> "Settings":
        """The settings of the environment.

        Raises:
            SettingsError: one of them is unknown, or has no value of its kind.
        """
        known = cls.variables()
        unknown = sorted(name for name in os.environ if name.startswith("DOORSTEP_") and name not in known)
        if unknown:
            raise SettingsError(f"{', '.join(unknown)}: there is no such setting; there are {', '.join(sorted(known))}")
        try:
            return cls()
        except ValidationError as error:
            first = error.errors()[0]
            name = "_".join(str(part) for part in first["loc"]).upper()
            raise SettingsError(f"DOORSTEP_{name} is {first['input']!r}: {first['msg']}") from None

    @property
    def secrets(self) -> "Secrets":
        """The secrets folder, opened by name."""
        return Secrets(self.secrets_dir or self.data_dir / "secrets")


class Secrets:
    """Secrets as files, one each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def text(self, name: str) -> str:
        """The secret's text, without surrounding white space.

        Raises:
            SettingsError: it is missing or empty, or others than its owner may change it.
        """
        path = self._folder / name
        try:
            if path.stat().st_mode & _WRITABLE_BY_OTHERS:
                raise SettingsError(f"secret {path} can be changed by other users: chmod go-w {path}")
            text = path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            raise SettingsError(f"secret {path} is missing: run `make run` or `make secrets` to create it") from None
        except PermissionError:
            raise SettingsError(f"secret {path} cannot be read by user {os.getuid()}: change its owner") from None
        if not text:
            raise SettingsError(f"secret {path} is empty: delete it and create it again")
        return text

    def password(self, name: str) -> str:
        """The secret, which must not be short.

        Raises:
            SettingsError: it is missing, or shorter than 16 characters.
        """
        text = self.text(name)
        if len(text) < SHORTEST_PASSWORD:
            raise SettingsError(
                f"secret {self._folder / name} has {len(text)} characters, a password at least {SHORTEST_PASSWORD}:"
                " delete it and create it again"
            )
        return text

    def json(self, name: str) -> Any:
        """The secret, decoded from JSON.

        Raises:
            SettingsError: it is missing, empty or not JSON.
        """
        try:
            return json.loads(self.text(name))
        except json.JSONDecodeError as error:
            raise SettingsError(f"secret {self._folder / name} is not JSON: {error}") from None

    def key(self, name: str) -> bytes:
        """The secret, decoded from base64; 32 bytes.

        Raises:
            SettingsError: it is missing, or not 32 bytes in base64.
        """
        return decode_key(self.text(name), str(self._folder / name))


def decode_key(text: str, origin: str) -> bytes:
    """32 bytes from base64.

    Raises:
        SettingsError: it is not; the message names `origin`.
    """
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        raise SettingsError(f"{origin} is not base64") from None
    if len(key) != 32:
        raise SettingsError(f"{origin} holds {len(key)} bytes; a key has 32")
    return key
