"""The compose files together, as the real Compose reads them."""

import json
import os
from subprocess import run
from typing import Any

from tests.compose.engine import COMPOSE
from tests.documentation import ROOT

SERVICES = {"intake", "dispatch", "notification", "ledger"}


def merged(*files: str) -> Any:
    chosen = [part for file in ("docker-compose.yml", *files) for part in ("--file", file)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("DOORSTEP_", "COMPOSE_"))}
    done = run([COMPOSE, *chosen, "config", "--format", "json"], cwd=ROOT, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_with_engines_elsewhere_none_is_started_and_every_service_reaches_outside() -> None:
    services = merged("deploy/compose/outside-engines.yaml")["services"]
    assert services.keys() == {*SERVICES, "gateway"}
    assert {name for name, one in services.items() if "outside" in one["networks"]} == {*SERVICES, "gateway"}


def test_only_the_brokers_port_is_published_for_other_systems() -> None:
    before, after = (merged(*files)["services"] for files in ((), ("deploy/compose/amqp.yaml",)))
    assert [name for name in after if after[name] != before[name]] == ["rabbitmq"]
    assert [(port["host_ip"], port["target"]) for port in after["rabbitmq"]["ports"]] == [("127.0.0.1", 5672)]
