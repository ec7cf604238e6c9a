"""The chart's network policies, as a network would apply them: who reaches whom, and nobody else."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest

from deploy.engines.definitions import SERVICES
from tests.unit.chart import EVERYTHING, Object, Render, of_kind, pods

PORTS = (53, 4369, 5672, 8000, 8080, 8081, 15672, 15692, 25672, 27017, 443)
HERE = "doorstep"


@dataclass(frozen=True)
class Pod:
    """Somebody on the network."""

    name: str
    namespace: str
    labels: tuple[tuple[str, str], ...]
    ports: tuple[tuple[str, int], ...] = ()


def others() -> list[Pod]:
    """The pods of the engines, with the labels that their operators give them, and strangers."""
    rabbitmq = {"app.kubernetes.io/name": "rabbitmq", "app.kubernetes.io/component": "rabbitmq"}
    return [
        Pod("rabbitmq", HERE, tuple(rabbitmq.items())),
        Pod("mongodb", HERE, (("app", "mongodb-svc"),)),
        Pod("stranger", HERE, (("app", "stranger"),)),
        *(Pod(name, name, ()) for name in ("keda", "monitoring", "kube-system", "ingress-nginx")),
    ]


def network(objects: list[Object]) -> list[Pod]:
    ours = of_kind(objects, "Deployment")
    return [
        Pod(
            name,
            HERE,
            tuple(ours[name]["spec"]["template"]["metadata"]["labels"].items()),
            tuple((one["name"], one["containerPort"]) for one in spec["containers"][0]["ports"]),
        )
        for name, spec in pods(objects)
    ] + others()


def selects(selector: Object, labels: dict[str, str]) -> bool:
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    return wanted and all(labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", []))


def is_peer(peer: Object, other: Pod) -> bool:
    if "namespaceSelector" in peer:
        near = selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": other.namespace})
    else:
        near = other.namespace == HERE
    return near and selects(peer.get("podSelector", {}), dict(other.labels))


def lets(rules: list[Object], side: str, other: Pod, target: Pod, port: int) -> bool:
    def fits(wanted: Any) -> bool:
        return bool(port == (dict(target.ports).get(wanted) if isinstance(wanted, str) else wanted))

    return any(
        (side not in rule or any(is_peer(peer, other) for peer in rule[side]))
        and ("ports" not in rule or any(fits(one["port"]) for one in rule["ports"]))
        for rule in rules
    )


def reaches(policies: list[Object], source: Pod, target: Pod, port: int) -> bool:
    """Whether a connection comes about: nobody selects a pod, or somebody who does lets it through, on both sides."""
    for which, side, subject, other in (("Egress", "to", source, target), ("Ingress", "from", target, source)):
        mine = [
            one["spec"]
            for one in policies
            if subject.namespace == HERE
            and which in one["spec"]["policyTypes"]
            and selects(one["spec"]["podSelector"], dict(subject.labels))
        ]
        if mine and not any(lets(one.get(which.lower(), []), side, other, target, port) for one in mine):
            return False
    return True


def connections(objects: list[Object]) -> set[tuple[str, str, int]]:
    """Every connection that one of our pods, or an engine's, takes part in."""
    policies = list(of_kind(objects, "NetworkPolicy").values())
    guarded = {*SERVICES, "gateway", "rabbitmq", "mongodb"}
    return {
        (source.name, target.name, port)
        for source, target, port in product(network(objects), network(objects), PORTS)
        if source != target and {source.name, target.name} & guarded and reaches(policies, source, target, port)
    }


def usual() -> set[tuple[str, str, int]]:
    strangers = ("stranger", "keda", "monitoring", "kube-system", "ingress-nginx")
    return {
        *((name, "rabbitmq", 5672) for name in SERVICES),
        *((name, "mongodb", 27017) for name in SERVICES),
        *(("gateway", name, 8000) for name in SERVICES),
        *((name, "kube-system", 53) for name in (*SERVICES, "gateway")),
        # Where the ingress controller is, the chart cannot know: that is for networkPolicy.ingressFrom.
        *((name, "gateway", 8080) for name in (*strangers, "rabbitmq", "mongodb")),
        # The engines' way out is not narrowed: their operators' programs speak to the cluster's own API.
        *((engine, name, port) for engine in ("rabbitmq", "mongodb") for name in strangers for port in PORTS),
    }


def test_nobody_reaches_anybody_without_need(render: Render) -> None:
    assert connections(render()) == usual()


def test_metrics_and_counting_open_what_they_need(render: Render) -> None:
    opened = connections(render(**EVERYTHING)) - usual()
    assert opened == {
        *(("monitoring", name, 8000) for name in SERVICES),
        ("monitoring", "rabbitmq", 15692),
        ("keda", "rabbitmq", 5672),
    }


def test_only_the_ingress_controller_is_let_in_when_it_is_named(render: Render) -> None:
    ingress = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}]
    objects = render(networkPolicy={"ingressFrom": ingress})
    assert {source for source, target, _ in connections(objects) if target == "gateway"} == {"ingress-nginx"}


@pytest.mark.parametrize("port", [5672, 27017])
def test_engines_elsewhere_are_reached_where_they_are_said_to_be(render: Render, port: int) -> None:
    away = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "keda"}}}]
    objects = render(
        rabbitmq={"enabled": False, "url": "amqp://rabbitmq.keda:5672/doorstep"},
        mongodb={"enabled": False, "url": "mongodb://mongodb.keda/?replicaSet=rs0"},
        networkPolicy={"rabbitmqTo": away, "mongodbTo": away},
    )
    assert {target for source, target, to in connections(objects) if source in SERVICES and to == port} == {"keda"}


def test_policies_can_be_left_to_somebody_else(render: Render) -> None:
    assert not of_kind(render(networkPolicy={"enabled": False}), "NetworkPolicy")
