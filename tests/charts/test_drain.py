"""The cluster and the app agree on how a pod goes away: both sides are computed from the same values (K2, K9)."""

from __future__ import annotations

import pytest

from fairlead.config import Config

from .conftest import Render
from .helm import Values
from .manifests import Manifests

CASES: list[Values] = [
    {},
    {"drain": {"delaySeconds": 0}},
    {"drain": {"delaySeconds": 12, "timeoutSeconds": 90}},
    {"drain": {"preStop": False}},
]


def app_config(manifests: Manifests) -> Config:
    """The configuration that the app reads from the rendered environment."""
    plain = {name: value for name, value in manifests.environment.items() if isinstance(value, str)}
    return Config.from_environment(plain)


def pre_stop_s(manifests: Manifests) -> int:
    hook = manifests.server.get("lifecycle")
    return int(hook["preStop"]["sleep"]["seconds"]) if hook else 0


@pytest.mark.parametrize("values", CASES)
@pytest.mark.parametrize("kubernetes", ["1.27", "1.30", "1.36"])
def test_grace_period_covers_the_drain(render: Render, values: Values, kubernetes: str) -> None:
    """The kubelet waits for the delay, the app's own time-out and the closing of its pools, whoever waits the delay."""
    manifests = render(values, kubernetes=kubernetes)
    config = app_config(manifests)
    grace_s = manifests.pod["terminationGracePeriodSeconds"]
    assert pre_stop_s(manifests) + config.DRAIN_DELAY + config.GRACEFUL_SHUTDOWN_TIMEOUT + 5 == grace_s


@pytest.mark.parametrize("values", CASES)
@pytest.mark.parametrize("kubernetes", ["1.27", "1.30", "1.36"])
def test_the_delay_is_waited_for_once(render: Render, values: Values, kubernetes: str) -> None:
    """Kubelet and app never both wait."""
    manifests = render(values, kubernetes=kubernetes)
    delay_s = values.get("drain", {}).get("delaySeconds", 5)
    assert sorted([0.0, float(delay_s)]) == sorted([pre_stop_s(manifests), app_config(manifests).DRAIN_DELAY])


def test_native_sleep_where_there_is_one(render: Render) -> None:
    """From Kubernetes 1.30 on the kubelet sleeps, without a shell in the image; before that the app delays."""
    assert pre_stop_s(render(kubernetes="1.30")) == 5
    assert "lifecycle" not in render(kubernetes="1.29").server


def test_no_hook_for_no_delay(render: Render) -> None:
    """A sleep of 0 s is refused by older clusters, so none is rendered."""
    assert "lifecycle" not in render({"drain": {"delaySeconds": 0}}).server


def test_the_app_knows_every_variable(render: Render) -> None:
    """A variable that the framework does not know would stop the app with exit 2; a fixed number of workers included."""
    config = app_config(render({"workers": 3}))
    assert [8000, 9000, 3] == [config.PORT, config.MANAGEMENT_PORT, config.WORKERS]


def test_liveness_is_slower_than_the_supervisor(render: Render) -> None:
    """A blocked worker is the supervisor's business first: the kubelet restarts only what that could not mend."""
    manifests = render()
    liveness = manifests.server["livenessProbe"]
    patience_s = liveness["periodSeconds"] * liveness["failureThreshold"]
    assert patience_s >= app_config(manifests).WORKER_HEARTBEAT_TIMEOUT


def test_first_start_is_slower_than_a_workers_start(render: Render) -> None:
    """A worker may take its whole start-up time before the kubelet gives up on the pod."""
    manifests = render()
    startup = manifests.server["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] > app_config(manifests).WORKER_START_TIMEOUT
