"""The secrets of one installation, each a file that only its owner reads, made once and then kept."""

import base64
import json
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

from deploy.engines.definitions import RIGHTS, SERVICES, VHOST, definitions

_PRIVATE_FOLDER, _PRIVATE_FILE, _READABLE = 0o700, 0o600, 0o444
_REMEMBERED = 9

# Who may enter at once, and as whom in the demonstration community.
_HOLDERS: Mapping[str, Mapping[str, object]] = {
    "operator": {"role": "operator", "name": "demo-operator", "community": None, "grids": [], "worker": None},
    "coordinator": {
        "role": "coordinator",
        "name": "demo-coordinator",
        "community": "tiebei",
        "grids": [],
        "worker": "tiebei-c01",
    },
    "source": {"role": "source", "name": "demo-source", "community": None, "grids": [], "worker": None},
    "grid_worker": {
        "role": "grid_worker",
        "name": "demo-grid-worker",
        "community": "tiebei",
        "grids": ["g1"],
        "worker": "tiebei-g1-1",
    },
    "volunteer": {
        "role": "volunteer",
        "name": "demo-volunteer",
        "community": "tiebei",
        "grids": [],
        "worker": "tiebei-v01",
    },
}


def write_private(path: Path, text: str) -> None:
    """Replace a file (mode 600) in one step: whoever reads sees the old text or the new, never a part.

    Raises:
        OSError: the disk is full, or the folder is not ours.
    """
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_FILE), "w") as file:
        file.write(text)
    part.replace(path)


class Secrets:
    """The secrets in a folder (mode 700), made there where missing.

    Files: `rabbit-<user>`, `mongo-<service>`, `mongo-admin` and what that was before (passwords), `mongo-keyfile`,
    `rabbit-cookie`, `sealing-keys.json`, `lookup-key`, `token-<holder>` (bearer tokens) and `access-tokens.json` (their
    hashes, with what they entitle to).
    """

    def __init__(self, folder: Path) -> None:
        """Make what is missing.

        Raises:
            OSError: the folder cannot be written.
        """
        folder.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
        folder.chmod(_PRIVATE_FOLDER)
        self.folder = folder
        self.rabbit = {user: self._kept(f"rabbit-{user}", _password) for user in RIGHTS}
        self.mongo = {user: self._kept(f"mongo-{user}", _password) for user in ("admin", *SERVICES)}
        self.tokens = {holder: self._kept(f"token-{holder}", _token) for holder in _HOLDERS}
        self._kept("mongo-admin-before", lambda: self.mongo["admin"])
        self._kept("mongo-keyfile", lambda: _random(500))
        self._kept("rabbit-cookie", _password)
        self._kept("rabbit-definitions.json", lambda: json.dumps(definitions(self.rabbit)))
        self._kept("sealing-keys.json", _sealing_keys)
        self._kept("lookup-key", lambda: _random(32))
        self._keep_hashes()

    @property
    def mongo_keyfile(self) -> Path:
        """What the members of the replica set know each other by."""
        return self.folder / "mongo-keyfile"

    def rotate(self) -> None:
        """Other passwords at broker and database, another cookie, and the next key to seal with.

        The key after that is made at the same time: every service knows it before the first one uses it. Keys before
        stay, to open what was sealed with them. Files are written where they are: a container that has one mounted
        sees the new content. MongoDB's administrator changes his own password, so those before are kept until then.
        Those of others (`rabbit-source`, `rabbit-staff`, tokens) are renewed one by one; `mongo-keyfile` is read by
        MongoDB when it starts only.

        Raises:
            OSError: the folder cannot be written.
        """
        for user in (*SERVICES, "operator"):
            self.rabbit[user] = self._write(f"rabbit-{user}", _password())
        self._write("rabbit-definitions.json", json.dumps(definitions(self.rabbit)))
        # More than one: a rotation that did not get as far as the database may be followed by another.
        before = (self.folder / "mongo-admin-before").read_text().split()
        self._write("mongo-admin-before", "\n".join([*before[-_REMEMBERED:], self.mongo["admin"]]))
        for user in self.mongo:
            self.mongo[user] = self._write(f"mongo-{user}", _password())
        self._write("rabbit-cookie", _password())
        keys = json.loads((self.folder / "sealing-keys.json").read_text())["keys"]
        active = list(keys)[-1]
        self._write("sealing-keys.json", json.dumps({"active": active, "keys": {**keys, **_next_key(keys)}}))

    def _write(self, name: str, text: str) -> str:
        path = self.folder / name
        mode = path.stat().st_mode
        path.chmod(_PRIVATE_FILE)
        path.write_text(text)
        path.chmod(mode)
        return text

    def _keep_hashes(self) -> None:
        """Our holders' entries follow their tokens; what an operator added stays."""
        path = self.folder / "access-tokens.json"
        before = json.loads(path.read_text()) if path.exists() else []
        names = {holder["name"] for holder in _HOLDERS.values()}
        ours = [{"hash": sha256(self.tokens[key].encode()).hexdigest(), **holder} for key, holder in _HOLDERS.items()]
        after = ours + [entry for entry in before if entry.get("name") not in names]
        if after != before:
            write_private(path, json.dumps(after, indent=2))

    def _kept(self, name: str, make: Callable[[], str]) -> str:
        path = self.folder / name
        if not path.exists():
            write_private(path, make())
        return path.read_text().strip()


def write_access(path: Path, *, http: str, tokens: Mapping[str, str], amqp: Mapping[str, str]) -> None:
    """Write what a person or a program needs to start at once: addresses and tokens (mode 600).

    Raises:
        OSError: the file cannot be written.
    """
    write_private(path, json.dumps({"http": http, "tokens": dict(tokens), "amqp": dict(amqp)}, indent=2) + "\n")


def hand_to_containers(made: Secrets) -> None:
    """A container reads its secrets as a user of its own; the folder keeps everybody else on this machine out.

    `access.json` tells the demonstration how to get in.
    """
    amqp = {user: f"amqp://{user}:{made.rabbit[user]}@broker:5672/{VHOST}" for user in ("source", "staff")}
    write_access(made.folder / "access.json", http="http://gateway:8080", tokens=made.tokens, amqp=amqp)
    for path in made.folder.iterdir():
        path.chmod(_READABLE)


def _password() -> str:
    # Letters and digits only: no program that is handed it, on whatever way, takes it for an option or an escape.
    return secrets.token_hex(24)


def _token() -> str:
    return f"ds_{secrets.token_urlsafe(32)}"


def _sealing_keys() -> str:
    first = _next_key({})
    return json.dumps({"active": next(iter(first)), "keys": {**first, **_next_key(first)}})


def _next_key(keys: Mapping[str, str]) -> dict[str, str]:
    return {f"k{len(keys) + 1}": _random(32)}


def _random(size: int) -> str:
    return base64.b64encode(secrets.token_bytes(size)).decode()


def main() -> None:
    """`make secrets`: for docker compose, which hands the files to the containers; `rotate` changes them first."""
    data = Path(os.environ.get("DOORSTEP_DATA_DIR", ".doorstep"))
    data.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
    made = Secrets(data / "secrets")
    if sys.argv[1:] == ["rotate"]:
        made.rotate()
    hand_to_containers(made)
    print(f"Secrets are in {made.folder}, each made once and then kept.")
    print(f"Tokens to enter with: {made.folder}/token-*, one for each of {', '.join(made.tokens)}.")


if __name__ == "__main__":
    main()
