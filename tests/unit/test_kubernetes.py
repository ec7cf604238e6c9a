"""The Helm chart, rendered by the real helm and held against Kubernetes' schemas and against our own names.

The custom objects (RabbitmqCluster, MongoDBCommunity, ScaledObject, …) have no schema in any package that we could
install; of those, what matters is compared here word by word.
"""

import importlib
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_validate.utils import validate

from deploy.engines.definitions import SERVICES
from deploy.engines.replica_set import database_of
from shared.settings import Settings
from tests.unit.chart import CHART, EVERYTHING, OUTSIDE, ROOT, Helm, Object, Render, compose, of_kind, pod, pods

KUBERNETES = ("1.27", "1.37")
"""Versions whose schemas the objects are held against: the oldest that the chart takes, and the newest."""


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize(
    "values", [{}, EVERYTHING, OUTSIDE, EVERYTHING | OUTSIDE], ids=["usual", "all", "outside", "both"]
)
def test_every_object_is_one_that_kubernetes_takes(render: Render, values: Object, version: str) -> None:
    names = [(one["kind"], one["metadata"]["name"]) for one in render(**values)]
    assert len(names) == len(set(names))
    for one in render(**values):
        group = one["apiVersion"].rpartition("/")[0]
        if "." not in group or group.endswith(".k8s.io"):
            validate(one, version, strict=True)


def test_the_chart_is_of_our_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == project["version"]


def test_helm_finds_nothing_to_say(helm: Helm) -> None:
    done = helm.run("lint", "--strict", values=EVERYTHING)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_container_can_do_nothing_but_its_work(render: Render) -> None:
    for name, spec in pods(render()):
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 10001
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert set(container["resources"]["limits"]) == set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert {mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]} >= {"/tmp"}
        assert not [volume for volume in spec["volumes"] if set(volume) - {"name", "secret", "emptyDir"}]


def test_the_engines_have_limits_too(render: Render) -> None:
    rabbitmq = of_kind(render(), "RabbitmqCluster")["rabbitmq"]["spec"]
    mongodb = of_kind(render(), "MongoDBCommunity")["mongodb"]["spec"]["statefulSet"]["spec"]["template"]["spec"]
    for part in (rabbitmq, *mongodb["containers"]):
        assert set(part["resources"]["limits"]) == {"cpu", "memory"}
    assert [part["name"] for part in mongodb["containers"]] == ["mongod", "mongodb-agent"]


def test_a_service_sees_the_secrets_that_it_sees_under_compose(render: Render, secrets: Path) -> None:
    made = {path.name for path in secrets.iterdir()}
    for name in SERVICES:
        spec = pod(of_kind(render(), "Deployment")[name])
        volume = next(one["secret"] for one in spec["volumes"] if one["name"] == "secrets")
        mounted = {item["key"] for item in volume["items"]}
        assert mounted == {item["path"] for item in volume["items"]} == set(compose()["services"][name]["secrets"])
        assert mounted <= made
        assert volume["defaultMode"] == 0o440
        assert {"name": "secrets", "mountPath": "/run/secrets", "readOnly": True} in spec["containers"][0][
            "volumeMounts"
        ]


def test_every_file_of_make_secrets_can_be_a_key_of_a_secret(secrets: Path) -> None:
    for path in secrets.iterdir():
        assert path.name.replace("-", "").replace(".", "").replace("_", "").isalnum()
        assert not path.name.startswith(".")


def test_the_chart_makes_no_secret_and_names_the_one_it_is_told(render: Render, secrets: Path) -> None:
    objects = render(**EVERYTHING, secretName="elsewhere")
    assert not of_kind(objects, "Secret")
    named = set(references(objects))
    assert {name for name, _ in named} == {"elsewhere"}
    assert {key for _, key in named} <= {path.name for path in secrets.iterdir()}


def references(part: Any) -> Iterator[tuple[str, str]]:
    """Every name and key of a Secret that is asked for, however it is asked for."""
    if isinstance(part, list):
        for one in part:
            yield from references(one)
    elif isinstance(part, dict):
        if "secretName" in part and "items" in part:
            yield from ((part["secretName"], item["key"]) for item in part["items"])
        asked = [part["passwordSecretRef"]] if "passwordSecretRef" in part else part.get("secretTargetRef", [])
        yield from ((one["name"], one["key"]) for one in asked)
        for one in part.values():
            yield from references(one)


def test_the_probes_ask_for_what_the_services_answer(render: Render, secrets: Path) -> None:
    for name in SERVICES:
        app = importlib.import_module(f"services.{name}.app").build(Settings(secrets_dir=secrets))
        container = pod(of_kind(render(), "Deployment")[name])["containers"][0]
        for probe in ("livenessProbe", "readinessProbe"):
            assert container[probe]["httpGet"]["path"] in app.openapi()["paths"]
        assert container["ports"] == [{"name": "http", "containerPort": 8000}]
        assert container["command"] == compose()["services"][name]["command"]


def test_settings_are_those_of_compose_and_the_services_know_them(render: Render) -> None:
    ours = {f"DOORSTEP_{name.upper()}" for name in Settings.model_fields}
    for name in SERVICES:
        container = pod(of_kind(render(), "Deployment")[name])["containers"][0]
        environment = {one["name"]: one["value"] for one in container["env"]}
        assert set(environment) == set(compose()["services"][name]["environment"]) <= ours
        # Not 1e+06, as a template prints a large number by itself.
        assert environment["DOORSTEP_QUEUE_LIMIT"] == "1000000"


def test_the_gateway_reaches_every_replica_by_the_name_of_its_service(render: Render) -> None:
    services = of_kind(render(), "Service")
    caddyfile = (ROOT / "deploy" / "gateway" / "Caddyfile").read_text()
    assert f"({'|'.join(SERVICES)})" in caddyfile
    assert "{re.service.1} 8000" in caddyfile
    assert set(services) == {*SERVICES, "gateway"}
    for name in SERVICES:
        assert services[name]["spec"]["clusterIP"] == "None"
        # Reading goes on while the broker is away, when none of them is ready.
        assert services[name]["spec"]["publishNotReadyAddresses"] is True
        assert services[name]["spec"]["ports"][0]["port"] == 8000
    gateway = pod(of_kind(render(), "Deployment")["gateway"])["containers"][0]
    assert gateway["readinessProbe"]["httpGet"] == {"path": "/", "port": "health"}
    assert {"name": "health", "containerPort": 8081} in gateway["ports"]
    assert "http://:8081 {" in caddyfile


def test_who_selects_finds_pods(render: Render) -> None:
    """Services, disruption budgets and spreading: what one of them selects is exactly the pods of its own name."""
    objects = render()
    for name, deployment in of_kind(objects, "Deployment").items():
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert deployment["spec"]["selector"]["matchLabels"] == labels
        assert of_kind(objects, "Service")[name]["spec"]["selector"] == labels
        assert of_kind(objects, "PodDisruptionBudget")[name]["spec"] == {
            "maxUnavailable": 1,
            "selector": {"matchLabels": labels},
        }
        for constraint in pod(deployment)["topologySpreadConstraints"]:
            assert constraint["labelSelector"] == {"matchLabels": labels}
    # As the operators name the pods that they make of a RabbitmqCluster and a MongoDBCommunity.
    engines = {
        "rabbitmq": {"app.kubernetes.io/name": "rabbitmq", "app.kubernetes.io/component": "rabbitmq"},
        "mongodb": {"app": "mongodb-svc"},
    }
    for name, wanted in engines.items():
        assert of_kind(objects, "PodDisruptionBudget")[name]["spec"]["selector"] == {"matchLabels": wanted}
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in of_kind(objects, "Deployment").values()]
    assert len({json.dumps(one) for one in labels}) == len(labels)


def test_keda_counts_the_queues_that_a_service_consumes(render: Render) -> None:
    objects = render(**EVERYTHING)
    for name in SERVICES:
        assert "replicas" not in of_kind(objects, "Deployment")[name]["spec"]
        scaled = of_kind(objects, "ScaledObject")[name]["spec"]
        assert scaled["scaleTargetRef"] == {"name": name}
        router = importlib.import_module(f"services.{name}.handlers").router
        assert [one["metadata"]["queueName"] for one in scaled["triggers"]] == [one.name for one in router.bindings()]
        for trigger in scaled["triggers"]:
            assert trigger["type"] == "rabbitmq"
            assert trigger["authenticationRef"] == {"name": name}
            assert trigger["metadata"]["host"] == "amqp://rabbitmq.doorstep.svc:5672/doorstep"
            assert trigger["metadata"]["value"] == "500"
        authentication = of_kind(objects, "TriggerAuthentication")[name]["spec"]
        assert authentication["secretTargetRef"][0]["key"] == f"rabbit-{name}"
        assert of_kind(objects, "ConfigMap")["scaling"]["data"][name] == name
    assert not of_kind(render(), "ScaledObject")
    assert of_kind(render(), "Deployment")["intake"]["spec"]["replicas"] == 2


def test_rabbitmq_is_set_up_as_under_compose(render: Render) -> None:
    spec = of_kind(render(), "RabbitmqCluster")["rabbitmq"]["spec"]
    assert spec["replicas"] == 3
    assert spec["image"] in compose()["x-rabbitmq"]["image"]
    told = settings_of(spec["rabbitmq"]["additionalConfig"])
    composed = settings_of((ROOT / "deploy" / "images" / "rabbitmq.conf").read_text())
    # Ports and the log's way out are the operator's; the file has a place of its own.
    for name in (
        "listeners.tcp.default",
        "management.tcp.port",
        "prometheus.tcp.port",
        "log.console",
        "load_definitions",
    ):
        composed.pop(name)
    definitions = Path(told.pop("load_definitions"))
    assert told == composed
    override = spec["override"]["statefulSet"]["spec"]["template"]["spec"]
    assert override["containers"][0]["volumeMounts"][0]["mountPath"] == str(definitions.parent)
    assert override["volumes"][0]["secret"]["items"] == [{"key": definitions.name, "path": definitions.name}]


def settings_of(text: str) -> dict[str, str]:
    lines = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in lines}


def test_each_service_may_use_its_own_database_only(render: Render) -> None:
    spec = of_kind(render(), "MongoDBCommunity")["mongodb"]["spec"]
    assert spec["members"] == 3
    assert spec["security"]["authentication"] == {"modes": ["SCRAM-SHA-256"]}
    users = {user["name"]: user for user in spec["users"]}
    assert set(users) == {*SERVICES, "admin"}
    for name, user in users.items():
        assert user["db"] == "admin"
        assert user["passwordSecretRef"] == {"name": "doorstep", "key": f"mongo-{name}"}
    for name in SERVICES:
        assert users[name]["roles"] == [{"name": role, "db": database_of(name)} for role in ("readWrite", "dbAdmin")]
    assert users["admin"]["roles"] == [{"name": "readWrite", "db": database_of(name)} for name in sorted(SERVICES)]


def test_engines_elsewhere_leave_no_trace_of_ours(render: Render) -> None:
    objects = render(**OUTSIDE)
    assert not of_kind(objects, "RabbitmqCluster")
    assert not of_kind(objects, "MongoDBCommunity")
    assert set(of_kind(objects, "NetworkPolicy")) == {
        f"doorstep-{name}" for name in ("nothing", "services", "gateway", "names")
    }
    container = pod(of_kind(objects, "Deployment")["ledger"])["containers"][0]
    environment = {one["name"]: one["value"] for one in container["env"]}
    assert environment["DOORSTEP_RABBIT_URL"] == OUTSIDE["rabbitmq"]["url"]
    assert environment["DOORSTEP_MONGO_URL"] == OUTSIDE["mongodb"]["url"]
    out = of_kind(objects, "NetworkPolicy")["doorstep-services"]["spec"]["egress"]
    assert out == [{"ports": [{"protocol": "TCP", "port": port}]} for port in (5671, 27018)]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"replcias": 3}, "additional properties 'replcias' not allowed"),
        ({"services": {"intake": {"replicas": 0}}}, "at '/services/intake/replicas': minimum: got 0, want 1"),
        ({"services": {"billing": {"replicas": 1, "maxReplicas": 1}}}, "additional properties 'billing' not allowed"),
        ({"settings": {"logLevel": "loud"}}, "at '/settings/logLevel': value must be one of 'debug', 'info'"),
        ({"resources": {"limits": {"memory": "lots"}}}, "at '/resources/limits/memory': 'lots' does not match"),
        ({"rabbitmq": {"nodes": 2}}, "at '/rabbitmq/nodes': value must be one of 1, 3, 5, 7"),
        ({"rabbitmq": {"enabled": False}}, "rabbitmq.url: where RabbitMQ is"),
        ({"mongodb": {"enabled": False}}, "mongodb.url: where MongoDB is"),
        ({"rabbitmq": {"enabled": False, "url": "amqp://user:password@host/doorstep"}}, "at '/rabbitmq/url'"),
        ({"mongodb": {"enabled": False, "url": "mongodb://user:password@host/"}}, "at '/mongodb/url'"),
        ({"ingress": {"enabled": True}}, "ingress.host: the name under which people reach Doorstep"),
        ({"ingress": {"enabled": True, "host": "a.example"}}, "ingress.tlsSecretName: the Secret with"),
        ({"ingress": {"host": "https://a.example"}}, "at '/ingress/host': 'https://a.example' does not match"),
        (
            {"autoscaling": {"enabled": True}, "services": {"intake": {"maxReplicas": 1}}},
            "services.intake: maxReplicas (1) is less than replicas (2)",
        ),
    ],
)
def test_a_wrong_value_is_refused_and_named(helm: Helm, values: Object, told: str) -> None:
    done = helm.run("template", "doorstep", values=values)
    assert done.returncode != 0
    assert told in done.stderr


def test_the_engines_outlive_the_release(render: Render) -> None:
    for kind, name in (("RabbitmqCluster", "rabbitmq"), ("MongoDBCommunity", "mongodb")):
        assert of_kind(render(), kind)[name]["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_what_the_manual_installs_is_taken(helm: Helm) -> None:
    manual = (ROOT / "docs" / "kubernetes.md").read_text()
    values = yaml.safe_load(manual.partition("```yaml\n")[2].partition("```")[0])
    commands = re.findall(r"^helm (?:install|upgrade) .*", manual.replace("\\\n", " "), re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        _, _, release, chart, *options = shlex.split(command)
        assert (release, ROOT / chart) == ("doorstep", CHART)
        assert options[:4] == ["--namespace", "doorstep", "--values", "our-values.yaml"]
        done = helm.run("template", "doorstep", *options[4:], values=values)
        assert done.returncode == 0, done.stderr


def test_the_notes_say_what_to_do_next(helm: Helm) -> None:
    notes = helm.run("install", "doorstep", "--dry-run=client", values=EVERYTHING | OUTSIDE).stdout.partition("NOTES:")[
        2
    ]
    assert "create secret generic doorstep --from-file=.doorstep/secrets" in notes
    assert "amqps://broker.example:5671/doorstep needs the users" in notes
    assert "doorstep status --http https://doorstep.example --token-file" in notes
