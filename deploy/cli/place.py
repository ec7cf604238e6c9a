"""Where the system is and how to get in: what the local run wrote, or what the operator says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from deploy.cli.trouble import Trouble

USUAL_ORIGIN = "http://127.0.0.1:8080"


class _Access(BaseModel):
    """What the local run writes to `access.json`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    http: str = USUAL_ORIGIN
    tokens: dict[str, str] = {}
    amqp: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Place:
    """A running system, as far as it is known before anybody asks it."""

    http: str
    """Origin of the gateway."""
    tokens: Mapping[str, str] = field(repr=False)
    given_token: str | None = field(default=None, repr=False)
    amqp: Mapping[str, str] = field(default_factory=dict, repr=False)
    folder: Path = Path()

    def token(self, role: str = "operator") -> str:
        """The token that the operator gave, else the one of that role.

        Raises:
            Trouble: there is none.
        """
        token = self.given_token or self.tokens.get(role)
        if token is None:
            raise Trouble("trouble.no_token", role=role, folder=self.folder)
        return token


def find(folder: Path, http: str | None, token_file: Path | None) -> Place:
    """The system that `access.json` in the data folder tells of; `http` and `token_file` come before what it says.

    Where only secrets were made, as for docker compose, they are the tokens and the gateway is at its usual address.

    Raises:
        Trouble: nothing tells where a system is, or a file cannot be read.
    """
    given = _text(token_file) if token_file else None
    access = _access(folder)
    tokens = (access.tokens if access else {}) or _tokens(folder / "secrets")
    if access is None and http is None and not tokens:
        raise Trouble("trouble.not_found", path=folder / "access.json")
    known = access or _Access()
    return Place((http or known.http).rstrip("/"), tokens, given, known.amqp, folder)


def _access(folder: Path) -> _Access | None:
    path = folder / "access.json"
    try:
        return _Access.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Trouble("trouble.unreadable", path=path, reason=error.strerror) from None
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, one["loc"])) or one["msg"] for one in error.errors())
        raise Trouble("trouble.unreadable", path=path, reason=fields) from None


def _tokens(folder: Path) -> dict[str, str]:
    if not folder.is_dir():
        return {}
    return {path.name.removeprefix("token-"): _text(path) for path in sorted(folder.glob("token-*"))}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Trouble("trouble.unreadable", path=path, reason=getattr(error, "strerror", None) or error) from None
