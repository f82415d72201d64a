"""Every pod of every set of values is one that the Pod Security Standard "restricted" admits (K8, K9).

The rules are those of the Kubernetes documentation, written down once more: a cluster applies them with the label
`pod-security.kubernetes.io/enforce: restricted`, which tests/charts/cluster.sh sets.
"""

from __future__ import annotations

from typing import Any

import pytest

from .helm import Helm
from .manifests import Manifests
from .policy import releases

RELEASES = releases()
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
FORBIDDEN = {"hostNetwork", "hostPID", "hostIPC"}


def violations(spec: dict[str, Any]) -> list[str]:
    """What a pod breaks."""
    found = [f"{field} is set" for field in FORBIDDEN & set(spec)]
    found += [f"volume {volume['name']}" for volume in spec.get("volumes", []) if not VOLUMES & set(volume)]
    pod = spec.get("securityContext", {})
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        name, own = container["name"], container.get("securityContext", {})
        found += [f"{name}: {what}" for what in container_violations({**pod, **own}, own, container)]
    return found


def container_violations(context: dict[str, Any], own: dict[str, Any], container: dict[str, Any]) -> list[str]:
    """What a container breaks; `context` holds the pod's settings where it has none of its own."""
    capabilities = own.get("capabilities", {})
    rules = {
        "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
        "capabilities": capabilities.get("drop") == ["ALL"] and set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"},
        "privileged": not own.get("privileged"),
        "runAsNonRoot": context.get("runAsNonRoot") is True,
        "runAsUser": context.get("runAsUser") != 0,
        "seccompProfile": context.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost"),
        "procMount": own.get("procMount", "Default") == "Default",
        "hostPort": not any("hostPort" in port for port in container.get("ports", [])),
    }
    return [rule for rule, kept in rules.items() if not kept]


@pytest.mark.parametrize("name", RELEASES)
@pytest.mark.parametrize("upgrade", [False, True], ids=["installation", "upgrade"])
def test_restricted(helm: Helm, name: str, upgrade: bool) -> None:
    """Servers, migrations, tests and trial servers alike."""
    release = RELEASES[name]
    manifests = Manifests.parse(helm.render(release.values, chart=release.chart, release="app", upgrade=upgrade))
    pods = {m["metadata"]["name"]: m["spec"]["template"]["spec"] for m in manifests if "template" in m.get("spec", {})}
    assert pods
    assert {} == {pod: broken for pod, spec in pods.items() if (broken := violations(spec))}


def test_the_rules_find_something() -> None:
    """A pod without any security context breaks the rules that such a pod breaks in a cluster."""
    found = violations({"hostNetwork": True, "volumes": [{"name": "v", "hostPath": {}}], "containers": [{"name": "c"}]})
    assert found == [
        *("hostNetwork is set", "volume v", "c: allowPrivilegeEscalation", "c: capabilities", "c: runAsNonRoot"),
        "c: seccompProfile",
    ]
