"""The migration Job: with the first installation, before each upgrade, never in the way of itself (K9)."""

from __future__ import annotations

from .conftest import Render
from .manifests import Manifest, environment

MIGRATIONS = {
    "migrations": {"enabled": True},
    "settings": {"AUTH_ISSUER": "x"},
    "secrets": {"DATABASE_URL": {"secretName": "postgres", "key": "url"}},
}


def job(render: Render, *values: Manifest, upgrade: bool = False) -> Manifest:
    return render(MIGRATIONS, *values, upgrade=upgrade).of("Job", "migration")


def test_installation(render: Render) -> None:
    """An ordinary object: as a post-install hook it would wait, under --wait, for pods that wait for it."""
    assert "annotations" not in job(render)["metadata"]


def test_upgrade(render: Render) -> None:
    """A hook that ends before the first new pod starts, and is removed when it went well."""
    assert job(render, upgrade=True)["metadata"]["annotations"] == {
        "helm.sh/hook": "pre-upgrade",
        "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
    }


def test_same_image_same_settings(render: Render) -> None:
    """It runs the server's image with the server's settings and secrets; the server's own variables stay away."""
    manifests = render(MIGRATIONS)
    container = manifests.of("Job", "migration")["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == manifests.server["image"]
    assert container["args"] == ["migrate"]
    assert manifests.server["args"] == ["serve"]
    assert environment(container) == {
        name: value for name, value in manifests.environment.items() if not name.startswith("FAIRLEAD_")
    }
    assert container["volumeMounts"] == manifests.server["volumeMounts"]


def test_name_follows_what_is_run(render: Render) -> None:
    """Jobs can't be changed: another image or setting is another Job, the same is the same."""
    name = job(render)["metadata"]["name"]
    assert job(render, {"replicas": 7})["metadata"]["name"] == name
    assert job(render, {"image": {"tag": "2.0"}})["metadata"]["name"] != name
    assert job(render, {"settings": {"AUTH_ISSUER": "y"}})["metadata"]["name"] != name


def test_gets_no_traffic(render: Render) -> None:
    """Its pods are none of the Service's, the Deployment's and the disruption budget's."""
    manifests = render(MIGRATIONS)
    pod_labels = manifests.of("Job", "migration")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        manifests.of("Service")["spec"]["selector"],
        manifests.of("Deployment")["spec"]["selector"]["matchLabels"],
        manifests.of("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
    ]
    for selector in selectors:
        assert not selector.items() <= pod_labels.items()


def test_reaches_the_database(render: Render) -> None:
    """The network policy's egress rules are the migration's as well."""
    manifests = render(MIGRATIONS)
    selector = manifests.of("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]
    for component in ("migration", "test"):
        pod_labels = manifests.of("Job", component)["spec"]["template"]["metadata"]["labels"]
        assert selector.items() <= pod_labels.items()


def test_runs_where_the_server_runs(render: Render) -> None:
    """Node selection and tolerations are shared: a cluster of tainted nodes has no other place."""
    placement = {"nodeSelector": {"pool": "apps"}, "tolerations": [{"operator": "Exists"}]}
    spec = job(render, {"pod": placement})["spec"]["template"]["spec"]
    assert {name: spec[name] for name in placement} == placement
