"""One Docker Engine for the run, images made once, and deployments that leave nothing behind."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deploy.engines.ports import free_port
from deploy.local.secrets import Secrets, hand_to_containers
from tests.compose import standins
from tests.compose.engine import Docker, why_not
from tests.compose.users import Users
from tests.running import need

SERVICES = ("intake", "dispatch", "notification", "ledger")
AMQP = "deploy/compose/amqp.yaml"
UP_SECONDS = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.timeout(900))


@dataclass
class Deployment:
    """The system in containers, under a project name of its own."""

    docker: Docker
    secrets: Secrets
    http: str
    amqp: str
    profiles: tuple[str, ...] = ()
    seconds_until_ready: float = field(default=0.0, init=False)

    def compose(self, *arguments: str, **more: Any) -> str:
        """`docker compose …`."""
        return self.docker.compose(*arguments, **{"files": (AMQP,), "profiles": self.profiles, **more})

    def up(self, *services: str, **variables: str) -> None:
        """Start what does not run, and wait until all is healthy."""
        begun = time.monotonic()
        self.compose("up", "--detach", "--wait", "--wait-timeout", str(UP_SECONDS), *services, **variables)
        self.seconds_until_ready = time.monotonic() - begun

    def down(self, *, with_data: bool) -> None:
        """Take everything away."""
        self.compose("down", "--timeout", "30", *(["--volumes"] if with_data else []), profiles=("*",))

    def operator(self, *arguments: str) -> str:
        """The operators' command line, in a container of its own."""
        return self.compose("run", "--rm", "--no-TTY", "operator", *arguments)

    def containers(self, service: str) -> list[str]:
        """Containers of one service that run."""
        return self.docker.containers(f"label=com.docker.compose.service={service}", "status=running")

    def users(self) -> Users:
        """Those who use it."""
        return Users(self.http, self.amqp, self.secrets.tokens)


@pytest.fixture(scope="session")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    """The engine, with our images built."""
    need(why_not())
    folder = tmp_path_factory.mktemp("docker")
    with standins.built(folder) as docker:
        yield docker


@contextmanager
def deployed(docker: Docker, folder: Path, *profiles: str) -> Iterator[Deployment]:
    """A deployment with secrets and ports of its own; taken down with its data at the end."""
    secrets = Secrets(folder / "secrets")
    hand_to_containers(secrets)
    http, https, amqp, prometheus = (free_port() for _ in range(4))
    docker.environment |= {
        "DOORSTEP_SECRETS": str(secrets.folder),
        "DOORSTEP_PUBLISH_HTTP": f"127.0.0.1:{http}",
        "DOORSTEP_PUBLISH_HTTPS": f"127.0.0.1:{https}",
        "DOORSTEP_PUBLISH_AMQP": f"127.0.0.1:{amqp}",
        "DOORSTEP_PROMETHEUS_PORT": str(prometheus),
    }
    source = f"amqp://source:{secrets.rabbit['source']}@127.0.0.1:{amqp}/doorstep"
    made = Deployment(docker, secrets, f"http://127.0.0.1:{http}", source, profiles)
    try:
        yield made
    finally:
        made.down(with_data=True)
