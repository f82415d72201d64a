"""Autoscaler, disruption budget and replicas know each other (K9)."""

from __future__ import annotations

from .conftest import Render


def test_autoscaler_owns_the_number(render: Render) -> None:
    """With an autoscaler the Deployment names no number, which an upgrade would otherwise set back."""
    manifests = render({"autoscaling": {"enabled": True}})
    assert "replicas" not in manifests.of("Deployment")["spec"]
    assert manifests.of("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == "auth"


def test_no_budget_for_one_pod(render: Render) -> None:
    """A budget for a single pod would block every node drain."""
    assert not render({"replicas": 1}).all("PodDisruptionBudget")
    assert not render({"autoscaling": {"enabled": True, "minReplicas": 1}}).all("PodDisruptionBudget")


def test_budget_by_the_autoscalers_minimum(render: Render) -> None:
    """What counts is the fewest pods that there may be, not `replicas`."""
    values = {"replicas": 1, "autoscaling": {"enabled": True, "minReplicas": 3}}
    budget = render(values, {"disruptionBudget": {"minAvailable": 2}}).of("PodDisruptionBudget")["spec"]
    assert budget["minAvailable"] == 2
    assert "maxUnavailable" not in budget


def test_budget_lets_broken_pods_go(render: Render) -> None:
    """A pod that never gets ready must not hold up a node drain."""
    assert render().of("PodDisruptionBudget")["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_scaled_to_zero(render: Render) -> None:
    """No pods at all is a wish that can be granted."""
    assert render({"replicas": 0}).of("Deployment")["spec"]["replicas"] == 0
