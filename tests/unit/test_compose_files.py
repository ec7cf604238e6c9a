"""The compose files together, as the real Compose reads them."""

import json
import os
from subprocess import run
from typing import Any

import yaml

from services.ledger.files.unpacking import MEMORY
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


def test_the_ledger_has_room_for_what_unpacks_a_spreadsheet_beside_it() -> None:
    """One at a time; in a stack it is the same, and in the chart."""
    services = merged()["services"]
    intake, ledger = (int(services[one]["deploy"]["resources"]["limits"]["memory"]) for one in ("intake", "ledger"))
    assert ledger - intake == MEMORY
    values = yaml.safe_load((ROOT / "deploy/kubernetes/doorstep/values.yaml").read_text())
    limits = (values["services"]["ledger"]["resources"]["limits"], values["resources"]["limits"])
    assert [one["memory"] for one in limits] == [f"{ledger >> 20}Mi", f"{intake >> 20}Mi"]


def test_only_the_brokers_port_is_published_for_other_systems() -> None:
    before, after = (merged(*files)["services"] for files in ((), ("deploy/compose/amqp.yaml",)))
    assert [name for name in after if after[name] != before[name]] == ["rabbitmq"]
    assert [(port["host_ip"], port["target"]) for port in after["rabbitmq"]["ports"]] == [("127.0.0.1", 5672)]
