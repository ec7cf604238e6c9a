"""What a service does not start with, and the one line that it says then."""

import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from deploy.local.secrets import Secrets
from shared.admission import DOCUMENTS, CannotStart, admit
from shared.bus import Bus
from shared.documents import Collection, Database, Server, Write

ROOT = Path(__file__).parents[2]


@dataclass
class Surroundings:
    """A database and a broker that say what a test wants."""

    replica_set: str | None = "rs0"
    clock_ahead: timedelta = timedelta()
    broker: tuple[int, ...] = (4, 1, 2)
    known: dict[str, int] | None = None
    written: Write | None = None

    async def server(self) -> Server:
        return Server(self.replica_set, datetime.now(UTC) + self.clock_ahead)

    def broker_version(self) -> tuple[int, ...]:
        return self.broker

    async def update(self, document_id: str, decide: Any) -> None:
        assert document_id == "documents"
        self.written, _ = decide(self.known)

    async def admit(self) -> None:
        await admit(cast(Database, self), cast(Bus, self), cast(Collection, self))


async def test_an_empty_database_is_told_in_which_version_documents_are_written() -> None:
    """And one that was told stays as it is."""
    empty, told = Surroundings(), Surroundings(known={"version": DOCUMENTS, "oldest_reader": 1})
    await empty.admit()
    await told.admit()
    assert empty.written is not None
    assert empty.written.set["version"] == DOCUMENTS
    assert told.written is None


async def test_a_newer_program_that_we_still_can_read_beside_is_no_obstacle() -> None:
    """As during an upgrade: its documents are newer, and say that we may read them."""
    beside = Surroundings(known={"version": DOCUMENTS + 1, "oldest_reader": DOCUMENTS})
    await beside.admit()
    assert beside.written is None


@pytest.mark.parametrize(
    ("surroundings", "told"),
    [
        (Surroundings(replica_set=None), "MongoDB runs without a replica set: start it with --replSet"),
        (Surroundings(clock_ahead=timedelta(minutes=5)), "300 s apart: set them"),
        (Surroundings(clock_ahead=timedelta(minutes=-5)), "300 s apart: set them"),
        (Surroundings(broker=(3, 9, 29)), "RabbitMQ is 3.9.29: install 3.10 or newer"),
        (
            Surroundings(known={"version": DOCUMENTS + 2, "oldest_reader": DOCUMENTS + 1}),
            "written by a newer Doorstep",
        ),
    ],
)
async def test_what_does_not_pass_by_itself_is_refused(surroundings: Surroundings, told: str) -> None:
    """With what to do about it, and nothing written."""
    with pytest.raises(CannotStart, match=told):
        await surroundings.admit()
    assert surroundings.written is None


@pytest.mark.parametrize(
    ("variables", "spoil", "told"),
    [
        ({"DOORSTEP_PREFECH": "1"}, None, "DOORSTEP_PREFECH: there is no such setting; there are DOORSTEP_"),
        ({"DOORSTEP_PREFETCH": "many"}, None, "DOORSTEP_PREFETCH is 'many': "),
        ({}, ("rabbit-intake", None), "rabbit-intake is missing: run `make run` or `make secrets`"),
        ({}, ("mongo-intake", "short"), "mongo-intake has 5 characters, a password at least 16: delete it"),
        ({}, ("lookup-key", "AAAA"), "lookup-key holds 3 bytes; a key has 32"),
        ({}, ("sealing-keys.json", "{"), "sealing-keys.json is not JSON"),
    ],
)
def test_a_wrong_setting_or_secret_is_told_in_one_line(
    tmp_path: Path, variables: dict[str, str], spoil: tuple[str, str | None] | None, told: str
) -> None:
    """The service ends at once, before it has touched anything."""
    folder = Secrets(tmp_path / "secrets").folder
    if spoil is not None:
        name, text = spoil
        (folder / name).unlink()
        if text is not None:
            (folder / name).write_text(text)
    assert told in refused(tmp_path, variables)


def test_a_secret_that_others_may_change_is_told_in_one_line(tmp_path: Path) -> None:
    """Reading is for the folder to bound; in a container it is the container's own."""
    path = Secrets(tmp_path / "secrets").folder / "rabbit-intake"
    path.chmod(0o666)
    assert "rabbit-intake can be changed by other users: chmod go-w" in refused(tmp_path, {})


def refused(data: Path, variables: dict[str, str]) -> str:
    """The one line with which a service refuses to start."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("DOORSTEP_")}
    done = subprocess.run(
        [sys.executable, "-m", "services.intake.app"],
        cwd=ROOT,
        env={**own, "DOORSTEP_DATA_DIR": str(data), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("doorstep intake cannot start: ")
    return done.stderr
