"""The dashboard's and the alerts' queries, asked of a real Prometheus that scrapes the three services under load (issue 6)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fairlead.local.plan import Service
from tests.charts.conftest import IMAGE
from tests.charts.helm import MAJORS, Helm, binary, merged
from tests.charts.manifests import Manifests
from tests.charts.test_monitoring import DASHBOARD, RULES
from tests.observe.__main__ import PANELS, picture
from tests.observe.load import put_under_load
from tests.observe.prometheus import Missing, Prometheus, Target, program

NAMESPACE = "shop"
LOAD_S = 12.0
ONLY_FOR = {
    "outbox_": {"catalog"},
    "fairlead_websocket": {"feed"},
    "request_body_size_bytes": {"catalog"},
    "fairlead_http_responses_aborted": set(),
    "fairlead_tls": set(),
}
"""Metrics that not every service has, by a part of their names; nobody has those of answers that broke off, and of TLS."""


@pytest.fixture
async def prometheus(services: dict[str, Service], rules: list[dict[str, Any]], tmp_path: Path) -> AsyncIterator[Prometheus]:
    """One that has scraped the services under load."""
    try:
        program("prometheus")
    except Missing as reason:
        pytest.skip(f"queries NOT VERIFIED: {reason}")
    targets = [Target(service.name, service.management_url.removeprefix("http://")) for service in services.values()]
    async with Prometheus(tmp_path / "prometheus", targets, namespace=NAMESPACE, rules=rules) as prometheus:
        await put_under_load(services, LOAD_S)
        yield prometheus


@pytest.fixture
def rules() -> list[dict[str, Any]]:
    """The chart's alerts."""
    newest = max(MAJORS)
    chart = Manifests.parse(Helm(binary(newest), newest).render(merged(IMAGE, RULES)))
    found: list[dict[str, Any]] = chart.of("PrometheusRule")["spec"]["groups"][0]["rules"]
    return found


def _has(service: str, expression: str) -> bool:
    return all(service in owners for prefix, owners in ONLY_FOR.items() if prefix in expression)


@pytest.mark.deadline(180)
async def test_every_query_returns_data(prometheus: Prometheus, services: dict[str, Service], rules: list[dict[str, Any]]) -> None:
    """Each panel of the dashboard shows something for each service that has it; each series that an alert looks at is there; no
    alert fires on services that are well; and the picture of `make observe` has all its columns."""
    empty = []
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            for service in services:
                values = {"$namespace": NAMESPACE, "$service": service, "$__rate_interval": "10s"}
                expression = re.sub(r"\$\w+", lambda name, values=values: values[name[0]], target["expr"])
                if _has(service, expression) and not await prometheus.query(expression):
                    empty.append((panel["title"], service))
    assert empty == []
    for rule in rules:
        for selector in re.findall(r"\w+\{[^}]*\}", rule["expr"]):
            if "fairlead_tls" in selector:
                continue
            series = re.sub(r'http_response_status_code=~"5\.\."', 'http_response_status_code=~".*"', selector)
            looked_at = re.sub(r'job="[^"]*"', 'job="catalog"', re.sub(r'namespace="[^"]*"', f'namespace="{NAMESPACE}"', series))
            assert await prometheus.query(looked_at), (rule["alert"], looked_at)
    states = await prometheus.alerts()
    assert set(states) == {rule["alert"] for rule in rules}
    assert "firing" not in states.values()
    shown = await picture(prometheus, list(services))
    assert shown.splitlines()[0].split() == " ".join(PANELS).split()
    catalog = next(line for line in shown.splitlines() if line.split()[0] == "catalog").split()
    assert catalog.count("-") <= 1  # it has no websockets
