"""Every value has its effect: one row for each parameter of values.yaml, and none may be missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from .conftest import Render
from .helm import Values, merged
from .manifests import Manifests
from .parameter_table import parameters

DIGEST = f"sha256:{'0123456789abcdef' * 4}"
INGRESS = {"ingress": {"enabled": True, "hosts": {"shop.example": {"path": "/"}}}}
ROUTE = {"httpRoute": {"enabled": True, "gateways": {"public": {}}}}
SCALING = {"autoscaling": {"enabled": True}}
MIGRATIONS = {"migrations": {"enabled": True}}
PROMETHEUS = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
MONITOR = {
    "metrics": {"serviceMonitor": {"enabled": True}},
    "networkPolicy": {"ingress": {"management": {"prometheus": PROMETHEUS}}},
}
POD_MONITOR = {"metrics": {"podMonitor": {"enabled": True}}, "networkPolicy": MONITOR["networkPolicy"]}
EXTERNAL = {"externalSecret": {"enabled": True, "store": "vault", "data": {"DATABASE_URL": {"key": "shop/auth"}}}}
RULES = {"metrics": {"rules": {"enabled": True}}}
KEDA = {"autoscaling": {"requestsPerSecond": 9, "keda": {"enabled": True, "prometheusUrl": "http://prometheus:9090"}}}


@dataclass(frozen=True)
class Effect:
    """A value that differs from the default, where it shows, and what is seen there. `given` is what it depends on."""

    value: Any
    read: Callable[[Manifests], Any]
    seen: Any
    given: Values | None = None


def kinds(manifests: Manifests) -> list[str]:
    return [manifest["kind"] for manifest in manifests]


def labels(kind: str) -> Callable[[Manifests], Any]:
    return lambda manifests: manifests.of(kind)["metadata"]["labels"]


def annotated(kind: str) -> Callable[[Manifests], Any]:
    return lambda manifests: manifests.of(kind)["metadata"].get("annotations")


def probe(name: str, field: str) -> Callable[[Manifests], Any]:
    return lambda manifests: manifests.server[f"{name}Probe"][field]


def criteria(manifests: Manifests) -> list[tuple[str, Any]]:
    """What the autoscaler goes by: the metric's name and its target."""
    found = []
    for metric in manifests.of("HorizontalPodAutoscaler")["spec"]["metrics"]:
        detail = metric[metric["type"].lower()]
        name = detail.get("name") or detail["metric"]["name"]
        found.append((name, detail["target"].get("averageUtilization") or detail["target"]["averageValue"]))
    return found


def callers(port: str) -> Callable[[Manifests], Any]:
    """The peers that the policy lets in on a port."""

    def read(manifests: Manifests) -> Any:
        rules = manifests.of("NetworkPolicy")["spec"]["ingress"]
        return [peer for rule in rules if rule["ports"][0]["port"] == port for peer in rule["from"]]

    return read


def destinations(manifests: Manifests) -> Any:
    """What the policy lets out, beside the service's own pods."""
    return manifests.of("NetworkPolicy")["spec"]["egress"][1:]


def route(field: str) -> Callable[[Manifests], Any]:
    return lambda manifests: manifests.of("HTTPRoute")["spec"].get(field)


def migration(field: str) -> Callable[[Manifests], Any]:
    return lambda manifests: manifests.of("Job", "migration")["spec"][field]


def external(*path: str) -> Callable[[Manifests], Any]:
    """What the ExternalSecret says there."""

    def read(manifests: Manifests) -> Any:
        found = manifests.of("ExternalSecret")["spec"]
        for name in path:
            found = found[name]
        return found

    return read


def rule(alert: str) -> Callable[[Manifests], Any]:
    """The alert of that name."""
    return lambda manifests: next(
        rule for rule in manifests.of("PrometheusRule")["spec"]["groups"][0]["rules"] if rule["alert"] == alert
    )


def threshold(alert: str) -> Callable[[Manifests], Any]:
    """What the alert compares with."""
    return lambda manifests: rule(alert)(manifests)["expr"].rpartition("> ")[2]


OWN_PODS = {
    "podSelector": {"matchLabels": {"app.kubernetes.io/name": "auth", "app.kubernetes.io/instance": "auth"}},
}
DNS = {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}
SELECTOR = {
    "app.kubernetes.io/name": "auth",
    "app.kubernetes.io/instance": "auth",
    "app.kubernetes.io/component": "server",
}

EFFECTS: dict[str, Effect] = {
    "nameOverride": Effect("identity", lambda m: m.of("Deployment")["metadata"]["name"], "auth-identity"),
    "fullnameOverride": Effect("identity", lambda m: {x["metadata"]["name"] for x in m}, {"identity", "identity-test"}),
    "image.repository": Effect("example/other", lambda m: m.server["image"], "example/other:26.11.0"),
    "image.tag": Effect("1.2.3", lambda m: m.server["image"], "example/auth:1.2.3"),
    "image.digest": Effect(DIGEST, lambda m: m.server["image"], f"example/auth:26.11.0@{DIGEST}"),
    "image.pullPolicy": Effect("IfNotPresent", lambda m: m.server["imagePullPolicy"], "IfNotPresent"),
    "image.pullSecrets": Effect(["pull"], lambda m: m.pod.get("imagePullSecrets"), [{"name": "pull"}]),
    "settings": Effect({"AUTH_ISSUER": "x"}, lambda m: m.environment.get("AUTH_ISSUER"), "x"),
    "secrets": Effect(
        {"DATABASE_URL": {"secretName": "auth", "key": "url"}},
        lambda m: m.environment.get("DATABASE_URL_FILE"),
        "/run/secrets/fairlead/DATABASE_URL",
    ),
    "externalSecret.enabled": Effect(
        True,
        lambda m: "ExternalSecret" in kinds(m),
        True,
        given={"externalSecret": {**EXTERNAL["externalSecret"], "enabled": False}},
    ),
    "externalSecret.store": Effect("other", external("secretStoreRef", "name"), "other", given=EXTERNAL),
    "externalSecret.storeKind": Effect("SecretStore", external("secretStoreRef", "kind"), "SecretStore", given=EXTERNAL),
    "externalSecret.refreshInterval": Effect(
        "5m", lambda m: m.of("ExternalSecret")["spec"]["refreshInterval"], "5m", given=EXTERNAL
    ),
    "externalSecret.data": Effect(
        {"REDIS_URL": {"key": "shop/redis", "property": "url"}},
        lambda m: m.environment.get("REDIS_URL_FILE"),
        "/run/secrets/fairlead/REDIS_URL",
        given=EXTERNAL,
    ),
    "workers": Effect(3, lambda m: m.environment.get("FAIRLEAD_WORKERS"), "3"),
    "ports.http": Effect(8080, lambda m: m.environment["FAIRLEAD_PORT"], "8080"),
    "ports.management": Effect(9090, lambda m: m.environment["FAIRLEAD_MANAGEMENT_PORT"], "9090"),
    "drain.delaySeconds": Effect(7, lambda m: m.server["lifecycle"]["preStop"]["sleep"]["seconds"], 7),
    "drain.timeoutSeconds": Effect(50, lambda m: m.pod["terminationGracePeriodSeconds"], 60),
    "drain.preStop": Effect(False, lambda m: m.environment["FAIRLEAD_DRAIN_DELAY"], "5"),
    "probes.periodSeconds": Effect(10, probe("liveness", "periodSeconds"), 10),
    "probes.timeoutSeconds": Effect(1, probe("readiness", "timeoutSeconds"), 1),
    "probes.startWithinSeconds": Effect(301, probe("startup", "failureThreshold"), 61),
    "probes.unreadyAfterSeconds": Effect(20, probe("readiness", "failureThreshold"), 4),
    "probes.restartAfterSeconds": Effect(60, probe("liveness", "failureThreshold"), 12),
    "replicas": Effect(5, lambda m: m.of("Deployment")["spec"].get("replicas"), 5),
    "autoscaling.enabled": Effect(True, lambda m: "HorizontalPodAutoscaler" in kinds(m), True),
    "autoscaling.minReplicas": Effect(3, lambda m: m.of("HorizontalPodAutoscaler")["spec"]["minReplicas"], 3, given=SCALING),
    "autoscaling.maxReplicas": Effect(30, lambda m: m.of("HorizontalPodAutoscaler")["spec"]["maxReplicas"], 30, given=SCALING),
    "autoscaling.cpuPercent": Effect(50, criteria, [("cpu", 50)], given=SCALING),
    "autoscaling.memoryPercent": Effect(80, criteria, [("cpu", 70), ("memory", 80)], given=SCALING),
    "autoscaling.requestsPerSecond": Effect(
        500, criteria, [("cpu", 70), ("http_server_requests_per_second", "500")], given=SCALING
    ),
    "autoscaling.requestsMetric": Effect(
        "calls", criteria, [("cpu", 70), ("calls", "9")], given=merged(SCALING, {"autoscaling": {"requestsPerSecond": 9}})
    ),
    "autoscaling.keda.enabled": Effect(
        True,
        lambda m: {"ScaledObject", "HorizontalPodAutoscaler"} & set(kinds(m)),
        {"ScaledObject"},
        given=SCALING,
    ),
    "autoscaling.keda.prometheusUrl": Effect(
        "http://elsewhere:9090",
        lambda m: m.of("ScaledObject")["spec"]["triggers"][-1]["metadata"]["serverAddress"],
        "http://elsewhere:9090",
        given=merged(SCALING, KEDA),
    ),
    "disruptionBudget.enabled": Effect(False, lambda m: "PodDisruptionBudget" in kinds(m), False),
    "disruptionBudget.maxUnavailable": Effect("25%", lambda m: m.of("PodDisruptionBudget")["spec"]["maxUnavailable"], "25%"),
    "disruptionBudget.minAvailable": Effect(1, lambda m: m.of("PodDisruptionBudget")["spec"].get("minAvailable"), 1),
    "rollout.maxSurge": Effect("50%", lambda m: m.of("Deployment")["spec"]["strategy"]["rollingUpdate"]["maxSurge"], "50%"),
    "rollout.maxUnavailable": Effect(1, lambda m: m.of("Deployment")["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"], 1),
    "resources": Effect(
        {"limits": {"cpu": "2"}},
        lambda m: m.server["resources"],
        {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "2", "memory": "256Mi"}},
    ),
    "runAsUser": Effect(20000, lambda m: m.pod["securityContext"]["runAsUser"], 20000),
    "tmpSizeLimit": Effect("1Gi", lambda m: m.pod["volumes"][0]["emptyDir"]["sizeLimit"], "1Gi"),
    "serviceAccount.create": Effect(False, lambda m: m.pod["serviceAccountName"], "default"),
    "serviceAccount.name": Effect("shared", lambda m: m.of("ServiceAccount")["metadata"]["name"], "shared"),
    "serviceAccount.annotations": Effect({"role": "reader"}, annotated("ServiceAccount"), {"role": "reader"}),
    "service.type": Effect("LoadBalancer", lambda m: m.of("Service")["spec"]["type"], "LoadBalancer"),
    "service.port": Effect(8443, lambda m: m.of("Service")["spec"]["ports"][0]["port"], 8443),
    "service.annotations": Effect({"scheme": "internal"}, annotated("Service"), {"scheme": "internal"}),
    "ingress.enabled": Effect(True, lambda m: "Ingress" in kinds(m), True, given={"ingress": {"hosts": {"shop.example": {}}}}),
    "ingress.className": Effect("nginx", lambda m: m.of("Ingress")["spec"].get("ingressClassName"), "nginx", given=INGRESS),
    "ingress.annotations": Effect({"timeout": "60s"}, annotated("Ingress"), {"timeout": "60s"}, given=INGRESS),
    "ingress.hosts": Effect(
        {"auth.example": {"path": "/v1"}},
        lambda m: {rule["host"]: rule["http"]["paths"][0]["path"] for rule in m.of("Ingress")["spec"]["rules"]},
        {"shop.example": "/", "auth.example": "/v1"},
        given=INGRESS,
    ),
    "httpRoute.enabled": Effect(True, lambda m: "HTTPRoute" in kinds(m), True, given={"httpRoute": {"gateways": {"public": {}}}}),
    "httpRoute.gateways": Effect(
        {"public": {"namespace": "edge", "sectionName": "https"}},
        route("parentRefs"),
        [{"name": "public", "namespace": "edge", "sectionName": "https"}],
        given=ROUTE,
    ),
    "httpRoute.hostnames": Effect(["shop.example"], route("hostnames"), ["shop.example"], given=ROUTE),
    "httpRoute.path": Effect("/auth", lambda m: route("rules")(m)[0]["matches"][0]["path"]["value"], "/auth", given=ROUTE),
    "networkPolicy.enabled": Effect(False, lambda m: "NetworkPolicy" in kinds(m), False),
    "networkPolicy.ingress.http": Effect(
        {"same-namespace": None, "prometheus": PROMETHEUS}, callers("http"), [OWN_PODS, PROMETHEUS]
    ),
    "networkPolicy.ingress.management": Effect({"prometheus": PROMETHEUS}, callers("management"), [PROMETHEUS]),
    "networkPolicy.egress.dns": Effect(False, destinations, []),
    "networkPolicy.egress.to": Effect(
        {"postgresql": {"ports": [5432], "to": [{"podSelector": {}}]}},
        destinations,
        [DNS, {"ports": [{"protocol": "TCP", "port": 5432}], "to": [{"podSelector": {}}]}],
    ),
    "metrics.serviceMonitor.enabled": Effect(
        True, lambda m: "ServiceMonitor" in kinds(m), True, given={"networkPolicy": MONITOR["networkPolicy"]}
    ),
    "metrics.serviceMonitor.interval": Effect(
        "10s", lambda m: m.of("ServiceMonitor")["spec"]["endpoints"][0]["interval"], "10s", given=MONITOR
    ),
    "metrics.serviceMonitor.labels": Effect(
        {"release": "prometheus"}, lambda m: labels("ServiceMonitor")(m).get("release"), "prometheus", given=MONITOR
    ),
    "metrics.podMonitor.enabled": Effect(
        True, lambda m: "PodMonitor" in kinds(m), True, given={"networkPolicy": MONITOR["networkPolicy"]}
    ),
    "metrics.podMonitor.interval": Effect(
        "10s", lambda m: m.of("PodMonitor")["spec"]["podMetricsEndpoints"][0]["interval"], "10s", given=POD_MONITOR
    ),
    "metrics.podMonitor.labels": Effect(
        {"release": "prometheus"}, lambda m: labels("PodMonitor")(m).get("release"), "prometheus", given=POD_MONITOR
    ),
    "metrics.rules.enabled": Effect(True, lambda m: "PrometheusRule" in kinds(m), True),
    "metrics.rules.labels": Effect(
        {"release": "prometheus"}, lambda m: labels("PrometheusRule")(m).get("release"), "prometheus", given=RULES
    ),
    "metrics.rules.runbook": Effect(
        "https://shop.example/alerts",
        lambda m: rule("ServiceErrors")(m)["annotations"].get("runbook_url"),
        "https://shop.example/alerts#serviceerrors",
        given=RULES,
    ),
    "metrics.rules.errorRatio": Effect(0.05, threshold("ServiceErrors"), "0.05", given=RULES),
    "metrics.rules.latencySeconds": Effect(2, threshold("ServiceSlow"), "2", given=RULES),
    "metrics.rules.outboxRows": Effect(5000000, threshold("ServiceOutboxStuck"), "5000000", given=RULES),
    "metrics.dashboard.enabled": Effect(True, lambda m: "ConfigMap" in kinds(m), True),
    "metrics.dashboard.labels": Effect(
        {"folder": "shop"},
        lambda m: labels("ConfigMap")(m).get("folder"),
        "shop",
        given={"metrics": {"dashboard": {"enabled": True}}},
    ),
    "migrations.enabled": Effect(
        True,
        lambda m: [job["metadata"]["labels"]["app.kubernetes.io/component"] for job in m.all("Job")],
        ["migration", "test"],
    ),
    "migrations.timeoutSeconds": Effect(99, migration("activeDeadlineSeconds"), 99, given=MIGRATIONS),
    "migrations.retries": Effect(1, migration("backoffLimit"), 1, given=MIGRATIONS),
    "pod.labels": Effect(
        {"team": "shop"}, lambda m: m.of("Deployment")["spec"]["template"]["metadata"]["labels"], SELECTOR | {"team": "shop"}
    ),
    "pod.annotations": Effect(
        {"a": "b"}, lambda m: m.of("Deployment")["spec"]["template"]["metadata"].get("annotations"), {"a": "b"}
    ),
    "pod.nodeSelector": Effect({"disk": "ssd"}, lambda m: m.pod.get("nodeSelector"), {"disk": "ssd"}),
    "pod.tolerations": Effect([{"operator": "Exists"}], lambda m: m.pod.get("tolerations"), [{"operator": "Exists"}]),
    "pod.affinity": Effect({"podAffinity": {}}, lambda m: m.pod.get("affinity"), {"podAffinity": {}}),
    "pod.priorityClassName": Effect("high", lambda m: m.pod.get("priorityClassName"), "high"),
    "pod.topologySpread": Effect(
        {"kubernetes.io/hostname": "DoNotSchedule", "topology.kubernetes.io/zone": None},
        lambda m: [(x["topologyKey"], x["whenUnsatisfiable"]) for x in m.pod["topologySpreadConstraints"]],
        [("kubernetes.io/hostname", "DoNotSchedule")],
    ),
    "test.path": Effect(
        "/ping", lambda m: m.of("Job", "test")["spec"]["template"]["spec"]["containers"][0]["args"][-1], "http://auth.shop:80/ping"
    ),
    "test.websocketPath": Effect(
        "/ws",
        lambda m: [job["spec"]["template"]["spec"]["containers"][0]["args"][-1] for job in m.all("Job")],
        ["http://auth.shop:80/", "ws://auth.shop:80/ws"],
    ),
}


def nested(name: str, value: Any) -> dict[str, Any]:
    """`a.b` and a value as the maps that values are written in."""
    for part in reversed(name.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def test_every_parameter_is_listed() -> None:
    """A value without a test of its effect is a mistake (K9)."""
    assert [parameter.name for parameter in parameters()] == list(EFFECTS)


@pytest.mark.parametrize("name", EFFECTS)
def test_effect(name: str, render: Render) -> None:
    """The value shows where it should, and did not before (K9)."""
    effect = EFFECTS[name]
    given = effect.given or {}
    assert effect.seen != effect.read(render(given))
    assert effect.seen == effect.read(render(given, nested(name, effect.value)))
