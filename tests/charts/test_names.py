"""Names and labels: short for a release of its own, distinct below an umbrella, never too long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import IMAGE, Render
from .helm import CHART, Helm, merged
from .manifests import Manifests

PROMETHEUS: dict[str, Any] = {"namespaceSelector": {}}
EVERYTHING = {
    "migrations": {"enabled": True},
    "autoscaling": {"enabled": True},
    "ingress": {"enabled": True, "hosts": {"shop.example": {"tlsSecret": "tls"}, "www.shop.example": {"tlsSecret": "tls"}}},
    "httpRoute": {"enabled": True, "gateways": {"public": {}}},
    "metrics": {"serviceMonitor": {"enabled": True}},
    "networkPolicy": {"ingress": {"management": {"prometheus": PROMETHEUS}}},
}


def test_release_names_everything(render: Render) -> None:
    """`helm install auth charts/service` makes `auth`, not `auth-service`; each object is in the release's namespace."""
    manifests = render(EVERYTHING)
    migration = manifests.of("Job", "migration")["metadata"]["name"]
    names = {manifest["metadata"]["name"] for manifest in manifests}
    assert names == {"auth", "auth-management", "auth-test", migration}
    assert {manifest["metadata"]["namespace"] for manifest in manifests} == {"shop"}


def test_selectors_find_the_pods(render: Render) -> None:
    """Service, autoscaler, budget, policy, spread and monitor all mean the pods that the Deployment makes."""
    manifests = render(EVERYTHING)
    pod_labels = manifests.of("Deployment")["spec"]["template"]["metadata"]["labels"]
    services = manifests.all("Service")
    assert len(services) == 2
    selectors = [
        *(service["spec"]["selector"] for service in services),
        manifests.of("Deployment")["spec"]["selector"]["matchLabels"],
        manifests.of("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        manifests.of("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *(spread["labelSelector"]["matchLabels"] for spread in manifests.pod["topologySpreadConstraints"]),
    ]
    for selector in selectors:
        assert selector.items() <= pod_labels.items()


def test_monitor_reads_the_management_service_only(render: Render) -> None:
    """Prometheus finds the headless Service of the management port, and not the one that callers use."""
    manifests = render(EVERYTHING)
    wanted = manifests.of("ServiceMonitor")["spec"]["selector"]["matchLabels"]
    matching = [s["metadata"]["name"] for s in manifests.all("Service") if wanted.items() <= s["metadata"]["labels"].items()]
    assert matching == ["auth-management"]


def test_callers_do_not_see_the_management_port(render: Render) -> None:
    """The Service offers the traffic port alone (K1)."""
    assert [port["targetPort"] for port in render().of("Service")["spec"]["ports"]] == ["http"]


def test_hosts_of_one_certificate_are_joined(render: Render) -> None:
    """Two hosts that share a Secret make one TLS entry."""
    tls = render(EVERYTHING).of("Ingress")["spec"]["tls"]
    assert tls == [{"secretName": "tls", "hosts": ["shop.example", "www.shop.example"]}]


def test_long_names_fit(render: Render) -> None:
    """A release name of the greatest length that Helm takes still gives valid names and labels."""
    for manifest in render(EVERYTHING, {"image": {"tag": "t" * 128}}, release="r" * 53):
        assert len(manifest["metadata"]["name"]) <= 63
        assert all(len(value) <= 63 for value in manifest["metadata"]["labels"].values())


@pytest.fixture(scope="module")
def umbrella(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chart that uses this one twice, by aliases."""
    folder = tmp_path_factory.mktemp("umbrella")
    dependencies = [{"name": "service", "version": ">=0", "alias": alias} for alias in ("auth", "feed")]
    about = {"apiVersion": "v2", "name": "shop", "version": "1.0.0", "dependencies": dependencies}
    (folder / "Chart.yaml").write_text(yaml.safe_dump(about))
    (folder / "charts").mkdir()
    (folder / "charts" / "service").symlink_to(CHART)
    return folder


def test_umbrella(each_helm: Helm, umbrella: Path) -> None:
    """Below an umbrella the alias tells the services apart (C3), and `global` is let through."""
    values = {"auth": IMAGE, "feed": IMAGE, "global": {"region": "eu"}}
    manifests = Manifests.parse(each_helm.render(values, release="shop", chart=umbrella))
    assert {x["metadata"]["name"] for x in manifests.all("Deployment")} == {"shop-auth", "shop-feed"}
    assert {x["metadata"]["labels"]["app.kubernetes.io/name"] for x in manifests} == {"auth", "feed"}


def test_both_helms_agree(helm: Helm, each_helm: Helm) -> None:
    """The manifests do not depend on Helm's version."""
    values = merged(IMAGE, EVERYTHING)
    theirs, ours = (sorted(Manifests.parse(h.render(values)), key=str) for h in (each_helm, helm))
    assert theirs == ours
