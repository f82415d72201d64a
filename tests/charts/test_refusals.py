"""What would not work is refused, by both Helms, with a sentence that says what to write instead (K9)."""

from __future__ import annotations

import re
from typing import Any

import pytest

from .conftest import IMAGE
from .helm import CHART, Helm, HelmError, Values, merged

HOSTS = {"shop.example": {"path": "/"}}

CONTRADICTIONS: dict[str, tuple[Values, str]] = {
    "no image": ({"image": {"repository": ""}}, "image.repository is empty: name the service's image"),
    "latest": ({"image": {"tag": "latest"}}, "write a version, or set image.digest"),
    "computed port": ({"settings": {"FAIRLEAD_PORT": 1}}, "set ports.http instead"),
    "computed delay": ({"settings": {"FAIRLEAD_DRAIN_DELAY": 1}}, "set drain.delaySeconds instead"),
    "computed time-out": (
        {"settings": {"FAIRLEAD_GRACEFUL_SHUTDOWN_TIMEOUT": 1}},
        "set drain.timeoutSeconds instead",
    ),
    "computed workers": ({"settings": {"FAIRLEAD_WORKERS": 1}}, "set workers instead"),
    "setting twice": (
        {"settings": {"DATABASE_URL": "x"}, "secrets": {"DATABASE_URL": {"secretName": "a", "key": "b"}}},
        "DATABASE_URL is in settings and in secrets: keep one of the two",
    ),
    "file twice": (
        {"settings": {"KEY_FILE": "/x"}, "secrets": {"KEY": {"secretName": "a", "key": "b"}}},
        "KEY is in settings and in secrets: keep one of the two",
    ),
    "external without store": ({"externalSecret": {"enabled": True}}, "name the store, as in externalSecret.store: vault"),
    "external without data": (
        {"externalSecret": {"enabled": True, "store": "vault"}},
        "name what comes from the store",
    ),
    "external twice": (
        {
            "externalSecret": {"enabled": True, "store": "vault", "data": {"KEY": {"key": "shop"}}},
            "secrets": {"KEY": {"secretName": "a", "key": "b"}},
        },
        "KEY is in externalSecret.data and in settings or secrets as well: keep one of them",
    ),
    "workers without limit": (
        {"workers": "limits.cpu", "resources": {"limits": {"cpu": None}}},
        "set the limit, or write workers: auto",
    ),
    "one port for two": ({"ports": {"management": 8000}}, "give probes and metrics a port of their own"),
    "overlapping probes": ({"probes": {"timeoutSeconds": 9}}, "a probe has to end before the next one starts"),
    "share of nothing (CPU)": (
        {"autoscaling": {"enabled": True}, "resources": {"requests": {"cpu": None}, "limits": {"cpu": None}}},
        "set that request, or cpuPercent: null",
    ),
    "share of nothing (memory)": (
        {
            "autoscaling": {"enabled": True, "memoryPercent": 80},
            "resources": {"requests": {"memory": None}, "limits": {"memory": None}},
        },
        "set that request, or memoryPercent: null",
    ),
    "no criterion": (
        {"autoscaling": {"enabled": True, "cpuPercent": None}},
        "set cpuPercent, memoryPercent or requestsPerSecond",
    ),
    "maximum below minimum": ({"autoscaling": {"enabled": True, "maxReplicas": 1}}, "below minReplicas 2: raise it"),
    "no way to roll": ({"rollout": {"maxSurge": 0}}, "no pod could ever be replaced: set one to 1"),
    "no way to roll, in percent": ({"rollout": {"maxSurge": "0%", "maxUnavailable": "0%"}}, "set one to 1"),
    "budget of none": ({"disruptionBudget": {"maxUnavailable": 0}}, "set it to 1, or enabled: false"),
    "budget of no per cent": ({"disruptionBudget": {"maxUnavailable": "0%"}}, "set it to 1, or enabled: false"),
    "budget of all": ({"disruptionBudget": {"minAvailable": 2}}, "no node could be drained: at most 1"),
    "budget of all, in percent": ({"disruptionBudget": {"minAvailable": "100%"}}, "no node could be drained: lower it"),
    "budget above the autoscaler's minimum": (
        {"replicas": 9, "autoscaling": {"enabled": True}, "disruptionBudget": {"minAvailable": 5}},
        "there may be only 2 pods",
    ),
    "ingress for nobody": ({"ingress": {"enabled": True}}, "ingress.hosts is empty: name a host"),
    "route from nowhere": ({"httpRoute": {"enabled": True}}, "httpRoute.gateways is empty: name the Gateway"),
    "KEDA without scaling": ({"autoscaling": {"keda": {"enabled": True}}}, "autoscaling.enabled is false: set that to true"),
    "KEDA without Prometheus": (
        {"autoscaling": {"enabled": True, "requestsPerSecond": 9, "keda": {"enabled": True}}},
        "write Prometheus' address, as in http://prometheus.monitoring:9090",
    ),
    "read twice": (
        {
            "metrics": {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}},
            "networkPolicy": {"enabled": False},
        },
        "every number would be counted twice: keep one of the two",
    ),
    "pods that nobody may read": (
        {"metrics": {"podMonitor": {"enabled": True}}},
        "metrics.podMonitor.enabled is true, but networkPolicy.ingress.management lets nobody read metrics",
    ),
    "metrics that nobody may read": (
        {"metrics": {"serviceMonitor": {"enabled": True}}},
        "name Prometheus' namespace there",
    ),
}

WRONG: dict[str, tuple[Values, str]] = {
    "unknown": ({"replicaCount": 2}, "replicaCount"),
    "unknown below": ({"image": {"tga": "1"}}, "tga"),
    "unknown peer": ({"networkPolicy": {"ingress": {"http": {"x": {"podSelecter": {}}}}}}, "podSelecter"),
    "word for a number": ({"replicas": "two"}, "replicas"),
    "number for a word": ({"image": {"tag": 1.0}}, "tag"),
    "no such worker mode": ({"workers": "many"}, "workers"),
    "no workers": ({"workers": 0}, "workers"),
    "root": ({"runAsUser": 0}, "runAsUser"),
    "privileged port": ({"ports": {"http": 80}}, "http"),
    "no such policy": ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
    "half a digest": ({"image": {"digest": "sha256:abc"}}, "digest"),
    "tag in the repository": ({"image": {"repository": "Example/Auth"}}, "repository"),
    "name of a setting": ({"settings": {"auth-issuer": "x"}}, "auth-issuer"),
    "map for a setting": ({"settings": {"ISSUER": {"a": 1}}}, "ISSUER"),
    "secret in plain text": ({"secrets": {"DATABASE_URL": "x"}}, "DATABASE_URL"),
    "secret without key": ({"secrets": {"DATABASE_URL": {"secretName": "x"}}}, "key"),
    "kind of store": ({"externalSecret": {"storeKind": "Vault"}}, "storeKind"),
    "store's name": ({"externalSecret": {"store": "My Vault"}}, "store"),
    "refresh": ({"externalSecret": {"refreshInterval": "daily"}}, "refreshInterval"),
    "no key": ({"externalSecret": {"data": {"KEY": {}}}}, "key"),
    "quantity": ({"resources": {"limits": {"memory": "256 MB"}}}, "memory"),
    "path": ({"test": {"path": "ping"}}, "path"),
    "websocket": ({"test": {"websocketPath": "ws://feed/ws"}}, "websocketPath"),
    "negative delay": ({"drain": {"delaySeconds": -1}}, "delaySeconds"),
    "no time-out": ({"drain": {"timeoutSeconds": None}}, "timeoutSeconds"),
    "spread": ({"pod": {"topologySpread": {"kubernetes.io/hostname": "Maybe"}}}, "topologySpread"),
    "more than all": ({"rollout": {"maxSurge": "101%"}}, "maxSurge"),
    "name": ({"fullnameOverride": "Auth_1"}, "fullnameOverride"),
    "all answers errors": ({"metrics": {"rules": {"errorRatio": 1}}}, "errorRatio"),
    "per cent for a share": ({"metrics": {"rules": {"errorRatio": "1%"}}}, "errorRatio"),
    "no time at all": ({"metrics": {"rules": {"latencySeconds": 0}}}, "latencySeconds"),
    "no address": ({"metrics": {"rules": {"runbook": "alerts.md"}}}, "runbook"),
    "Prometheus": ({"autoscaling": {"keda": {"prometheusUrl": "prometheus:9090"}}}, "prometheusUrl"),
    "interval": ({"metrics": {"serviceMonitor": {"interval": "often"}}}, "interval"),
}


def refused(helm: Helm, values: Values, **options: Any) -> str:
    with pytest.raises(HelmError) as caught:
        helm.render(merged(IMAGE, values), **options)
    return str(caught.value)


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_contradiction(each_helm: Helm, name: str) -> None:
    """Values that are fine alone and wrong together: the message says what to write."""
    values, sentence = CONTRADICTIONS[name]
    assert sentence in refused(each_helm, values)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_value(each_helm: Helm, name: str) -> None:
    """The schema refuses an unknown key or a value of the wrong kind, and names it."""
    values, named = WRONG[name]
    message = refused(each_helm, values)
    assert "schema" in message
    assert named in message


def test_every_contradiction_is_tried(helm: Helm) -> None:
    """Each `fail` of the chart is reached by one of the rows above."""
    source = "".join(file.read_text() for file in sorted((CHART / "templates").rglob("*.tpl")))
    sentences = re.findall(r'fail (?:\(printf )?"((?:[^"\\]|\\.)*)"', source)
    said = "".join(refused(helm, values) for values, _ in CONTRADICTIONS.values())
    patterns = {sentence: re.sub(r"%[sdv]", ".+", re.escape(sentence)) for sentence in sentences}
    assert [sentence for sentence, pattern in patterns.items() if not re.search(pattern, said)] == []
    assert len(sentences) == len(re.findall(r"\{\{-? fail ", source))


def test_old_cluster(each_helm: Helm) -> None:
    """A Kubernetes without what the chart relies on is refused."""
    assert "incompatible with Kubernetes v1.26" in refused(each_helm, {}, kubernetes="1.26")
