"""What watches the system: metrics, alerts, dashboards and the pages that say what to do agree with each other.

Grafana publishes no JSON schema of its dashboards in a registry, but its types for Python: what they do not know, they
drop, so a dashboard must come through them unchanged.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import promql_parser
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.local.secrets import Secrets
from services.intake.domain import request as rules
from services.intake.domain.request import STATE_AFTER, Request
from shared.catalogue import load
from shared.contracts.catalogue import Kinds
from shared.runtime import Runtime
from shared.settings import Settings
from shared.telemetry import Telemetry
from tests.documentation import CHINESE, ROOT
from tests.running import need
from tests.unit.tasks import NINE
from tests.unit.test_request import heard, news, submitted

OBSERVE = ROOT / "deploy" / "observe"
RULES = OBSERVE / "prometheus" / "rules.yaml"
ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
]
RUNBOOKS = ROOT / "docs" / "runbooks"
DASHBOARDS = sorted((OBSERVE / "grafana" / "dashboards").glob("*.json"))
OF_OTHERS = {
    # Prometheus itself.
    "up",
    "ALERTS",
    # The blackbox exporter.
    "probe_ssl_earliest_cert_expiry",
    "probe_success",
    # RabbitMQ's plugin rabbitmq_prometheus, from 3.10 on.
    "rabbitmq_alarms_free_disk_space_watermark",
    "rabbitmq_alarms_memory_used_watermark",
    "rabbitmq_connections",
    "rabbitmq_detailed_queue_consumers",
    "rabbitmq_detailed_queue_messages_ready",
    "rabbitmq_detailed_queue_messages_unacked",
    "rabbitmq_disk_space_available_bytes",
    "rabbitmq_global_messages_acknowledged_total",
    "rabbitmq_global_messages_confirmed_total",
    "rabbitmq_global_messages_received_total",
    "rabbitmq_global_messages_redelivered_total",
    "rabbitmq_global_messages_unroutable_returned_total",
    "rabbitmq_process_resident_memory_bytes",
    "rabbitmq_resident_memory_limit_bytes",
}
"""Metrics that are not ours."""


def promtool(*arguments: str | Path) -> str:
    """What promtool says, which must be that all is well."""
    need(None if which("promtool") else "promtool is missing: deploy/local/install.sh --tests")
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def exported() -> set[str]:
    """The names of all time series that a service can have."""
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
    families = Telemetry("intake").registry.collect()
    return {family.name + suffix for family in families for suffix in suffixes[family.type]}


def metrics_in(expression: str) -> set[str]:
    """The names of the metrics that a PromQL expression asks for."""
    found: set[str] = set()

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector) and node.name:
            found.add(node.name)

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            yield f"{path.stem}: {panel['title']}", panel


def test_prometheus_accepts_its_settings_and_the_alerts() -> None:
    promtool("check", "config", OBSERVE / "prometheus" / "prometheus.yaml")


def test_each_alert_fires_when_it_should_and_not_before() -> None:
    """The cases are in alerts.yaml; none is without one of each."""
    promtool("test", "rules", Path(__file__).with_name("alerts.yaml"))
    cases = yaml.safe_load(Path(__file__).with_name("alerts.yaml").read_text())["tests"]
    told = {
        (re.findall(r'alertname="(\w+)"', case["expr"])[0], bool(case["exp_samples"]))
        for test in cases
        for case in test["promql_expr_test"]
    }
    assert told == {(rule["alert"], fires) for rule in ALERTS for fires in (True, False)}


def test_every_alert_says_what_is_wrong_in_both_languages_and_has_its_page() -> None:
    for rule in ALERTS:
        said = rule["annotations"]
        assert said.keys() == {"summary", "summary_zh", "description", "description_zh", "runbook_url"}, rule["alert"]
        assert {name: bool(CHINESE.search(text)) for name, text in said.items() if name != "runbook_url"} == {
            "summary": False,
            "summary_zh": True,
            "description": False,
            "description_zh": True,
        }
    pages = {rule["alert"]: rule["annotations"]["runbook_url"] for rule in ALERTS}
    assert sorted(pages.values()) == sorted(str(page.relative_to(ROOT)) for page in RUNBOOKS.glob("*.md"))
    listed = re.findall(
        r"^\| (Doorstep\w+) \|.*\((runbooks/.+)\) \|$", (ROOT / "docs" / "operating.md").read_text(), re.M
    )
    assert {alert: f"docs/{page}" for alert, page in listed} == pages


def test_every_metric_that_is_asked_for_is_exported_by_somebody() -> None:
    known = exported() | OF_OTHERS
    asked = {rule["alert"]: rule["expr"] for rule in ALERTS}
    for title, panel in panels():
        asked |= {f"{title} {target['refId']}": target["expr"] for target in panel["targets"]}
    unknown = {name: wrong for name, expression in asked.items() if (wrong := metrics_in(expression) - known)}
    assert not unknown
    assert {metric for expression in asked.values() for metric in metrics_in(expression)} >= OF_OTHERS
    ours = {name.removesuffix("_bucket") for name in exported() if not name.endswith(("_sum", "_count"))}
    shown = " ".join(asked.values())
    assert not [name for name in ours if name.startswith("doorstep_") and name not in shown], "nobody looks at these"


def test_the_wait_that_alerts_is_as_long_as_every_ladder() -> None:
    """Minutes of every step summed: before that, somebody may still be asked."""
    kinds = load(Settings().catalogue_dir / "kinds.yaml", Kinds)
    expression = next(rule["expr"] for rule in ALERTS if rule["alert"] == "DoorstepRequestWaits")
    limits = {urgency: int(minutes) for urgency, minutes in re.findall(r'urgency="(\w+)"}\) > (\d+) \* 60', expression)}
    for name, ladder in kinds.ladders.items():
        sums = {
            urgency: sum(getattr(step.minutes, urgency) for step in ladder.steps)
            for urgency in ("urgent", "soon", "normal")
        }
        assert sums == limits, name


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_comes_through_grafanas_own_types_unchanged(path: Path) -> None:
    """A key that they do not know is one that is misspelt."""
    register_default_plugins()
    written = json.loads(path.read_text())
    read = json.loads(json.dumps(Dashboard.from_json(written), cls=JSONEncoder))
    assert not list(lost(written, read))


def lost(written: Any, read: Any, place: str = "") -> Iterator[str]:
    """What is in the first and not, or not so, in the second; that may have more."""
    if isinstance(written, dict):
        for key, value in written.items():
            yield from lost(value, read.get(key), f"{place}.{key}") if isinstance(read, dict) else (place,)
    elif isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        for number, pair in enumerate(zip(written, read, strict=True)):
            yield from lost(*pair, f"{place}[{number}]")
    elif written != read:
        yield place


def test_every_panel_asks_a_source_that_is_there_and_is_titled_in_both_languages() -> None:
    sources = yaml.safe_load((OBSERVE / "grafana" / "provisioning" / "datasources" / "doorstep.yaml").read_text())
    known = {(one["type"], one["uid"]) for one in sources["datasources"]}
    for title, panel in panels():
        assert panel["targets"], title
        for asked in (panel, *panel["targets"]):
            assert (asked["datasource"]["type"], asked["datasource"]["uid"]) in known, title
        assert re.search(r"^[^·]*\w · ", panel["title"]), title
        assert CHINESE.search(panel["title"].split(" · ")[1]), title
    assert len({json.loads(path.read_text())["uid"] for path in DASHBOARDS}) == len(DASHBOARDS) == 2


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.stem)
def test_a_runbook_says_what_it_means_and_what_to_do(page: Path) -> None:
    """That its commands exist is asked of every page, in test_readme.py."""
    text = page.read_text()
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == ["What it means", "What people notice", "Look", "Mend", "Afterwards"]
    assert CHINESE.search(text.split("## ")[0].split("\n\n")[1])
    assert "doorstep verify" in text.split("## Afterwards")[1]


def test_the_observers_are_pinned_bounded_and_reached_from_this_machine_only() -> None:
    services = yaml.safe_load((OBSERVE / "compose.yaml").read_text())["services"]
    assert services.keys() == {"prometheus", "blackbox", "grafana", "jaeger"}
    for name, one in services.items():
        assert re.fullmatch(r"\$\{DOORSTEP_[A-Z]+_IMAGE:-[\w/-]+:v?\d+\.\d+\.\d+\}", one["image"]), name
        assert one["profiles"] == ["observe"]
        assert (one["read_only"], one["cap_drop"]) == (True, ["ALL"])
        assert one["security_opt"] == ["no-new-privileges:true"]
        assert not one["user"].startswith(("0", "root"))
        assert one["deploy"]["resources"]["limits"].keys() == {"memory", "cpus"}
        assert one["logging"]["options"]["max-size"]
        assert all(
            re.match(r"127\.0\.0\.1:\$\{DOORSTEP_[A-Z]+_PORT:-\d+\}:\d+$", port) for port in one.get("ports", ())
        )
        for mount in one["volumes"]:
            source, *_ = mount.split(":")
            assert "/" not in source or (ROOT / source).exists(), mount
            assert "/" not in source or mount.endswith(":ro"), mount


async def test_without_database_and_broker_the_metrics_come_all_the_same_and_claim_nothing(tmp_path: Path) -> None:
    """Not ready, and what must be asked for is unknown: no old figure, no zero that nobody counted."""
    Secrets(tmp_path / "secrets")
    nowhere = Settings(
        data_dir=tmp_path, rabbit_url="amqp://127.0.0.1:1/doorstep", mongo_url="mongodb://127.0.0.1:1/?replicaSet=rs0"
    )
    runtime = Runtime("intake", nowhere)
    runtime.telemetry.queue_messages.labels("doorstep.intake.commands").set(7)
    text = (await runtime.condition.metrics()).decode()
    runtime.database.close()
    assert "doorstep_ready 0.0" in text
    assert "doorstep_unsent_oldest_seconds NaN" in text
    assert "doorstep_dead_letters_kept NaN" in text
    assert "doorstep_timers_due 0.0" in text
    assert "doorstep_queue_messages{" not in text


def test_a_need_waits_from_its_entry_until_each_thing_first_happens() -> None:
    """That it was offered again later is no shorter wait, and not a second one."""
    request, counted = submitted(), []
    for minute, name in enumerate(("DeliveryOffered", "DeliveryReleased", "DeliveryOffered", "DeliveryAssigned"), 1):
        request = heard(request, name, first=minute)
        waited = rules.waited(request, news(name), request.observed[-1].at)
        if waited is not None:
            counted.append((STATE_AFTER[type(news(name))], waited.total_seconds() / 60))
    assert counted == [("offered", 1.0), ("assigned", 4.0)]
    assert rules.waited(Request(request_id="r1"), news("DeliveryOffered"), NINE) is None
