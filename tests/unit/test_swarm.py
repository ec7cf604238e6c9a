"""Swarm's stack file says the same as docker-compose.yml, in what `docker stack deploy` understands of it."""

import json
import os
import shutil
import subprocess
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml

from tests.unit.chart import ROOT, Object

FOLDER = ROOT / "deploy" / "compose"
STACK, ENCRYPTED, SETUP = (FOLDER / name for name in ("swarm.yaml", "swarm-encrypted.yaml", "swarm-setup.sh"))
NOT_IN_A_STACK = {"setup", "setup-cluster"}
"""What swarm-setup.sh does."""
JOINS = {"rabbitmq-2", "rabbitmq-3"}
LEFT_OUT = {
    # https://docs.docker.com/reference/compose-file/legacy-versions/ and UnsupportedProperties in docker/cli.
    *("build", "cgroup_parent", "container_name", "depends_on", "devices", "external_links", "ipc", "links"),
    *("network_mode", "pid", "privileged", "profiles", "restart", "security_opt", "shm_size", "tmpfs", "userns_mode"),
}


@pytest.fixture(scope="module")
def variables(secrets: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "DOORSTEP_SECRETS": str(secrets)}


def resolved(path: Path, variables: dict[str, str], *options: str) -> Object:
    """The file as Compose understands it: anchors, variables and short forms written out."""
    command = [
        str(Path(sys.executable).with_name("docker-compose")),
        "--file",
        str(path),
        *options,
        "config",
        "--format",
        "json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    assert done.returncode == 0, done.stderr
    document: Object = json.loads(done.stdout)
    return document


@pytest.fixture(scope="module")
def stack(variables: dict[str, str]) -> Object:
    return resolved(STACK, variables)


@pytest.fixture(scope="module")
def compose(variables: dict[str, str]) -> Object:
    return resolved(ROOT / "docker-compose.yml", variables, "--profile", "cluster")


def mounts(service: Object, kind: str) -> set[tuple[str | None, str]]:
    return {(one.get("source"), one["target"]) for one in service.get("volumes", []) if one["type"] == kind}


def files(service: Object, document: Object) -> dict[str, Path]:
    """Where which file of ours is seen inside: bound by compose, a config of Swarm's."""
    bound = {target: Path(source or "") for source, target in mounts(service, "bind")}
    given = {one["target"]: Path(document["configs"][one["source"]]["file"]) for one in service.get("configs", [])}
    return bound | given


def held_in_memory(service: Object) -> set[str]:
    return {one.partition(":")[0] for one in service.get("tmpfs", [])} | {to for _, to in mounts(service, "tmpfs")}


def aliases(service: Object) -> dict[str, list[str]]:
    return {name: (one or {}).get("aliases", []) for name, one in service["networks"].items()}


def test_the_stack_has_the_services_of_compose(stack: Object, compose: Object) -> None:
    assert set(stack["services"]) == set(compose["services"]) - NOT_IN_A_STACK


def test_each_service_is_what_it_is_under_compose(stack: Object, compose: Object) -> None:
    for name, ours in stack["services"].items():
        theirs = compose["services"][name]
        same = ["image", "command", "environment", "user", "read_only", "cap_drop", "stop_grace_period"]
        same += ["logging", "hostname", "secrets", *(["entrypoint"] if name not in JOINS else [])]
        for key in same:
            assert ours.get(key) == theirs.get(key), f"{name}: {key}"
        test = theirs["healthcheck"]["test"]
        test = [*test, "once"] if "doorstep-ready" in test else test
        assert ours["healthcheck"] == {**theirs["healthcheck"], "test": test}, name
        assert ours["deploy"]["resources"] == theirs["deploy"]["resources"], name
        assert files(ours, stack) == files(theirs, compose), name
        assert mounts(ours, "volume") == mounts(theirs, "volume"), name
        assert held_in_memory(ours) == held_in_memory(theirs), name
        assert aliases(ours) == aliases(theirs), name
        assert [port["target"] for port in ours.get("ports", [])] == [
            port["target"] for port in theirs.get("ports", [])
        ]


def test_a_node_that_joins_does_what_compose_has_it_do_once_the_first_one_is_there(
    stack: Object, compose: Object
) -> None:
    for name in JOINS:
        *shell, ours = stack["services"][name]["entrypoint"]
        *same, theirs = compose["services"][name]["entrypoint"]
        assert shell == same
        waits = "if [[ ! -d /var/lib/rabbitmq/mnesia ]]; then until getent hosts rabbitmq; do sleep 1; done; fi;"
        assert ours == f"{waits} {theirs}"


def test_networks_volumes_and_secrets_are_those_of_compose(stack: Object, compose: Object) -> None:
    for document in (stack, yaml.safe_load(ENCRYPTED.read_text())):
        assert {name: one.get("internal") for name, one in document["networks"].items()} == {
            name: one.get("internal") for name, one in compose["networks"].items()
        }
        assert {one["driver"] for one in document["networks"].values()} == {"overlay"}
    assert set(stack["volumes"]) == set(compose["volumes"])
    used = {one["source"] for service in stack["services"].values() for one in service.get("secrets", [])}
    assert set(stack["secrets"]) == used
    for name in used:
        assert stack["secrets"][name]["file"] == compose["secrets"][name]["file"]


def test_what_a_stack_would_leave_out_without_a_word_is_not_in_it() -> None:
    written = yaml.safe_load(STACK.read_text())
    for name, service in written["services"].items():
        assert not LEFT_OUT & set(service), name
    assert "name" not in written


def test_a_changed_file_gets_a_new_name(variables: dict[str, str]) -> None:
    before = resolved(STACK, variables)
    after = resolved(STACK, variables | {"DOORSTEP_REVISION": "2", "DOORSTEP_STACK": "other"})
    for kind in ("secrets", "configs"):
        for name in before[kind]:
            assert before[kind][name]["name"] == f"doorstep-{name}-1"
            assert after[kind][name]["name"] == f"other-{name}-2"
            # Swarm's own limit.
            assert len(before[kind][name]["name"]) <= 64


def test_services_are_replaced_by_new_ones_that_are_ready_and_engines_by_turns(stack: Object) -> None:
    for name, service in stack["services"].items():
        deploy = service["deploy"]
        engine = name.startswith(("rabbitmq", "mongodb"))
        assert deploy["update_config"]["order"] == ("stop-first" if engine else "start-first"), name
        assert deploy["update_config"]["failure_action"] == "rollback"
        assert deploy["update_config"]["parallelism"] == deploy["rollback_config"]["parallelism"] == 1
        assert deploy["restart_policy"]["condition"] == "any"
        # Whoever keeps something on a machine stays there.
        assert bool(mounts(service, "volume")) == ("constraints" in deploy["placement"]), name
        # With a published port there is no such choice.
        assert deploy.get("endpoint_mode") == (None if name == "gateway" else "dnsrr")


@pytest.mark.parametrize(("how", "after"), [([], 1), (["once"], 0)])
def test_what_was_ready_once_is_not_ended_while_the_broker_is_away(tmp_path: Path, how: list[str], after: int) -> None:
    ready = iter((HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE))
    script, asked = tmp_path / "doorstep-ready", list[str]()

    class Probes(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path.rpartition("/")[2])
            self.send_response(HTTPStatus.OK if asked[-1] == "healthz" else next(ready))
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing."""

    # In a container /tmp is its own.
    script.write_text((ROOT / "deploy" / "images" / "doorstep-ready").read_text().replace("/tmp/", f"{tmp_path}/"))
    with ThreadingHTTPServer(("127.0.0.1", 0), Probes) as server:
        Thread(target=server.serve_forever).start()
        command = ["bash", str(script), "ledger", *how]
        environment = {**os.environ, "DOORSTEP_HTTP_PORT": str(server.server_port)}
        codes = [subprocess.run(command, env=environment, check=False).returncode for _ in range(3)]
        server.shutdown()
    assert codes == [1, 0, after]
    assert asked == ["readyz", "readyz", "healthz" if how else "readyz"]


def test_more_nodes_of_the_engines_come_by_one_variable(variables: dict[str, str], compose: Object) -> None:
    optional = {name for name in compose["services"] if name.endswith(("-2", "-3"))}
    for wanted in (0, 1):
        services = resolved(STACK, variables | {"DOORSTEP_CLUSTER": str(wanted)})["services"]
        assert {name for name in optional if services[name]["deploy"]["replicas"] == wanted} == optional
    machines = {f"DOORSTEP_NODE_{number}": f"node.hostname == machine-{number}" for number in (1, 2, 3)}
    placed = resolved(STACK, variables | machines)["services"]
    for name in (*optional, "rabbitmq", "mongodb", "gateway"):
        number = name[-1] if name in optional else "1"
        assert placed[name]["deploy"]["placement"]["constraints"] == [f"node.hostname == machine-{number}"]


def test_docker_itself_takes_the_stack(variables: dict[str, str]) -> None:
    docker = shutil.which("docker")
    if (
        docker is None
        or subprocess.run([docker, "stack", "config", "--help"], capture_output=True, check=False).returncode
    ):
        pytest.skip("docker stack config is missing: it came with Docker 25")
    options = [f"--compose-file={path}" for path in (STACK, ENCRYPTED)]
    done = subprocess.run(
        [docker, "stack", "config", *options], capture_output=True, text=True, check=False, env=variables
    )
    assert done.returncode == 0, done.stderr
    taken = yaml.safe_load(done.stdout)
    assert set(taken["services"]) == set(yaml.safe_load(STACK.read_text())["services"])
    assert {one["driver_opts"]["encrypted"] for one in taken["networks"].values()} == {"true"}


@pytest.mark.parametrize(
    ("cluster", "members"), [("0", "mongodb:27017"), ("1", "mongodb:27017,mongodb-2:27017,mongodb-3:27017")]
)
def test_the_set_up_is_that_of_compose(
    tmp_path: Path, variables: dict[str, str], compose: Object, cluster: str, members: str
) -> None:
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/bash\nif [[ $1 == ps ]]; then echo 4711; else printf "%s\\n" "$@"; fi\n')
    docker.chmod(0o755)
    told = variables | {"PATH": f"{tmp_path}:{variables['PATH']}", "DOORSTEP_CLUSTER": cluster}
    done = subprocess.run([SETUP], capture_output=True, text=True, check=False, env=told)
    assert done.returncode == 0, done.stderr
    words = done.stdout.splitlines()
    theirs = compose["services"]["setup-cluster" if cluster == "1" else "setup"]
    assert words[words.index("--network") + 1] == "container:4711"
    assert theirs["network_mode"] == "service:mongodb"
    assert words[words.index("--user") + 1] == theirs["user"]
    assert words[words.index("--env") + 1] == f"DOORSTEP_MONGO_MEMBERS={members}"
    assert theirs["environment"]["DOORSTEP_MONGO_MEMBERS"] == members
    given = [one for one, before in zip(words[1:], words, strict=False) if before == "--volume"]
    folder = variables["DOORSTEP_SECRETS"]
    assert given == [f"{folder}/{one['source']}:/run/secrets/{one['source']}:ro" for one in theirs["secrets"]]
    assert words[-4:] == [theirs["image"], *theirs["command"]]


def test_settings_of_the_stack_are_told_in_the_manual() -> None:
    manual = (ROOT / "docs" / "swarm.md").read_text()
    written = STACK.read_text() + SETUP.read_text()
    for name in ("DOORSTEP_REPLICAS", "DOORSTEP_CLUSTER", "DOORSTEP_NODE_1", "DOORSTEP_REVISION", "DOORSTEP_IMAGE"):
        assert name in manual
        assert f"${{{name}:-" in written
