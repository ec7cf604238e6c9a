"""`docker stack deploy`, run for real on one node."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from deploy.engines.ports import free_port
from deploy.local.secrets import Secrets, hand_to_containers
from tests.compose.conftest import SERVICES
from tests.compose.engine import ROOT, Docker
from tests.running import eventually
from tests.world import TIEBEI, groceries

STACK = "doorstepswarm"
FILE = "deploy/compose/swarm.yaml"
WANTED = {
    **dict.fromkeys(SERVICES, "2/2"),
    **dict.fromkeys(("gateway", "rabbitmq", "mongodb"), "1/1"),
    **dict.fromkeys(("rabbitmq-2", "rabbitmq-3", "mongodb-2", "mongodb-3"), "0/0"),
}


@pytest.fixture(scope="module")
def swarm(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    """A swarm of one, with the stack on it and MongoDB set up."""
    secrets = Secrets(tmp_path_factory.mktemp("swarm") / "secrets")
    hand_to_containers(secrets)
    docker.environment |= {
        "DOORSTEP_SECRETS": str(secrets.folder),
        "DOORSTEP_STACK": STACK,
        "DOORSTEP_SWARM_HTTP": str(free_port()),
        "DOORSTEP_SWARM_HTTPS": str(free_port()),
    }
    docker.run("swarm", "init", "--advertise-addr", "127.0.0.1")
    try:
        docker.run("stack", "deploy", "--resolve-image", "never", "--compose-file", FILE, STACK)
        script = ROOT / "deploy/compose/swarm-setup.sh"
        subprocess.run([script], check=True, capture_output=True, env=docker.environment)
        yield docker
        docker.run("stack", "rm", STACK)
    finally:
        # The volumes are the stack's; its containers are gone when the node has left.
        docker.run("swarm", "leave", "--force")
        for volume in docker.run("volume", "ls", "--quiet", "--filter", f"name={STACK}_").split():
            docker.run("volume", "rm", "--force", volume)


async def test_every_service_runs_twice_and_a_request_gets_through_to_the_ledger(swarm: Docker) -> None:
    """By Swarm's word all are healthy, by dispatch's two consume; in by the gateway, and out at the ledger's end."""
    await eventually(lambda: replicas(swarm) == WANTED, 300)
    await eventually(lambda: set(consumers(swarm).values()) == {2}, 60)
    asked(swarm, "ledger/buildings", body={"community": TIEBEI, "building": "1", "grid": "g1"})
    request_id = asked(swarm, "intake/requests", "source", body=groceries("by-swarm"))["request_id"]
    entries = f"ledger/entries?request_id={request_id}"
    await eventually(lambda: "RequestCreated" in {one["type"] for one in asked(swarm, entries)["items"]}, 60)


def replicas(swarm: Docker) -> dict[str, str]:
    """How many of how many are healthy, by service."""
    listed = swarm.run("stack", "services", "--format", "json", STACK).splitlines()
    return {one["Name"].removeprefix(f"{STACK}_"): one["Replicas"] for one in map(json.loads, listed)}


def consumers(swarm: Docker) -> dict[str, int]:
    """Consumers on dispatch's queues."""
    return {name: one["consumers"] for name, one in asked(swarm, "dispatch/status")["queues"].items()}


def asked(swarm: Docker, path: str, who: str = "operator", *, body: Mapping[str, Any] | None = None) -> Any:
    """What is answered at the gateway, asked from beside it: a kernel without IPVS does not route a swarm's ports."""
    token = (Path(swarm.environment["DOORSTEP_SECRETS"]) / f"token-{who}").read_text().strip()
    headers = ("--header", f"Authorization: Bearer {token}", "--header", "Content-Type: application/json")
    content = ("--post-data", json.dumps(body)) if body else ()
    gateway = swarm.run("ps", "--quiet", "--filter", f"label=com.docker.swarm.service.name={STACK}_gateway").strip()
    url = f"http://127.0.0.1:8080/api/{path}"
    return json.loads(swarm.run("exec", gateway, "wget", "--quiet", "--output-document=-", *headers, *content, url))
