"""What runs in the cluster: restricted pods, probes on their own port, settings and secrets, workers (K1, K6, K8, K9)."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Render
from .manifests import Manifests

SECRETS = {
    "secrets": {
        "DATABASE_URL": {"secretName": "postgres", "key": "url"},
        "SIGNING_KEY": {"secretName": "keys", "key": "current.pem"},
    }
}
EVERYTHING = {**SECRETS, "migrations": {"enabled": True}}


def pod_specs(manifests: Manifests) -> list[dict[str, Any]]:
    """The pods of server, migration and test."""
    return [manifest["spec"]["template"]["spec"] for manifest in manifests if "template" in manifest.get("spec", {})]


@pytest.fixture(scope="module")
def everything(render: Render) -> Manifests:
    manifests = render(EVERYTHING)
    assert len(pod_specs(manifests)) == 3
    return manifests


def test_restricted_profile(everything: Manifests) -> None:
    """Every pod meets the Pod Security Standard "restricted", and has a read-only root besides (K8)."""
    for spec in pod_specs(everything):
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == spec["securityContext"]["fsGroup"] == 10001
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "runAsNonRoot": True,
                "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            }


def test_no_token(everything: Manifests) -> None:
    """No pod and no ServiceAccount carries a token for the cluster's API."""
    for spec in pod_specs(everything):
        assert spec["automountServiceAccountToken"] is False
    assert everything.of("ServiceAccount")["automountServiceAccountToken"] is False


def test_requests_and_limits(everything: Manifests) -> None:
    """Every container is bounded."""
    for spec in pod_specs(everything):
        for container in spec["containers"]:
            assert {"requests", "limits"} == set(container["resources"])


def test_user_of_the_platforms_choice(render: Render) -> None:
    """`runAsUser: null` leaves the numbers to the platform (OpenShift), but never allows root."""
    context = render({"runAsUser": None}).pod["securityContext"]
    assert context == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def test_probes(render: Render) -> None:
    """Three different questions, asked on the management port (K1)."""
    manifests = render()
    asked = {kind: manifests.server[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert asked == {
        "startup": {"path": "/startupz", "port": "management"},
        "liveness": {"path": "/livez", "port": "management"},
        "readiness": {"path": "/readyz", "port": "management"},
    }


def test_secrets_are_files(render: Render) -> None:
    """A secret setting is mounted as a file; its value is in no environment and in no manifest."""
    manifests = render(SECRETS)
    assert manifests.environment["DATABASE_URL_FILE"] == "/run/secrets/fairlead/DATABASE_URL"
    volume = next(volume for volume in manifests.pod["volumes"] if volume["name"] == "secrets")
    assert volume["projected"]["sources"] == [
        {"secret": {"name": "postgres", "items": [{"key": "url", "path": "DATABASE_URL"}]}},
        {"secret": {"name": "keys", "items": [{"key": "current.pem", "path": "SIGNING_KEY"}]}},
    ]
    mount = next(mount for mount in manifests.server["volumeMounts"] if mount["name"] == "secrets")
    assert mount == {"name": "secrets", "mountPath": "/run/secrets/fairlead", "readOnly": True}
    assert not manifests.all("Secret")


def test_external_secret_is_mounted_beside_the_others(render: Render) -> None:
    """What comes from a store arrives as what comes from a Secret: one folder, a file for each setting; migration included."""
    external = {"externalSecret": {"enabled": True, "store": "vault", "data": {"REDIS_URL": {"key": "shop/redis"}}}}
    manifests = render(EVERYTHING, external)
    for kind in ("Deployment", "Job"):
        spec = manifests.of(kind, None if kind == "Deployment" else "migration")["spec"]["template"]["spec"]
        volume = next(volume for volume in spec["volumes"] if volume["name"] == "secrets")
        assert volume["projected"]["sources"][-1] == {
            "secret": {"name": "auth-external", "items": [{"key": "REDIS_URL", "path": "REDIS_URL"}]}
        }
    assert manifests.of("ExternalSecret")["spec"]["target"] == {"name": "auth-external"}
    assert manifests.environment["REDIS_URL_FILE"] == "/run/secrets/fairlead/REDIS_URL"


def test_no_secrets_no_volume(render: Render) -> None:
    """Without secrets there is nothing but /tmp."""
    assert ["tmp"] == [volume["name"] for volume in render().pod["volumes"]]


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (1000000, "1000000"), (0.5, "0.5"), (-3, "-3"), ("", ""), ("1e3", "1e3"), ('a "b" {{c}}', 'a "b" {{c}}')],
)
def test_settings_are_text(render: Render, value: object, text: str) -> None:
    """A setting arrives as it was written; large numbers do not become 1e+06."""
    assert render({"settings": {"VALUE": value}}).environment["VALUE"] == text


def test_workers_are_the_apps_choice(render: Render) -> None:
    """By default nothing is said: the app knows its quota and its memory limit better (K6)."""
    assert "FAIRLEAD_WORKERS" not in render().environment


def test_workers_by_cpu_limit(render: Render) -> None:
    """`limits.cpu` hands the limit over; without a limit it would be the node's size, so that is refused (K6, K9)."""
    given = {"workers": "limits.cpu"}
    reference = {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1"}}
    assert render(given).environment["FAIRLEAD_WORKERS"] == reference


def test_rollout_loses_nobody(render: Render) -> None:
    """By default a new pod is ready before an old one goes (K5)."""
    strategy = render().of("Deployment")["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def test_rollout_is_given_up_after_the_first_start(render: Render) -> None:
    """The Deployment's own deadline leaves a pod the time that its start-up probe grants."""
    spec = render({"probes": {"startWithinSeconds": 1800}}).of("Deployment")["spec"]
    assert spec["progressDeadlineSeconds"] > 1800
