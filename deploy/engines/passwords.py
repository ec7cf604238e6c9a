"""Passwords of an engine that nobody handed any: made once and kept beside its data."""

import json
import secrets
from collections.abc import Iterable
from pathlib import Path


def kept_passwords(folder: Path, users: Iterable[str]) -> dict[str, str]:
    """A password for each user, read from `<folder>/passwords.json` (mode 600) and made there where missing."""
    path = folder / "passwords.json"
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = {user: secrets.token_urlsafe(24) for user in users if user not in known}
    if missing:
        known |= missing
        path.touch(mode=0o600)
        path.write_text(json.dumps(known, indent=2))
    return known
