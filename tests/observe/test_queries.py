"""The dashboard's and the alerts' queries, asked of a real Prometheus that scrapes the three services under load (issue 6)."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import pytest

from fairlead.local.plan import Service
from tests.charts.test_monitoring import DASHBOARD
from tests.observe.page import NAMESPACE
from tests.observe.prometheus import Prometheus
from tests.observe.table import LINES, NAME_WIDTH, picture

ONLY_FOR = {
    "outbox_": {"catalog"},
    "fairlead_websocket": {"feed"},
    "request_body_size_bytes": {"catalog"},
    "fairlead_http_responses_aborted": set(),
    "fairlead_tls": set(),
    "fairlead_spans_dropped": set(),
    "fairlead_log_records_dropped": set(),
}
"""Metrics that not every service has, by a part of their names; nobody has those of answers that broke off, and of TLS."""


def _value_of(values: dict[str, str], name: re.Match[str]) -> str:
    return values[name[0]]


def _has(service: str, expression: str) -> bool:
    return all(service in owners for prefix, owners in ONLY_FOR.items() if prefix in expression)


@pytest.mark.deadline(180)
async def test_every_query_returns_data(prometheus: Prometheus, services: dict[str, Service], rules: list[dict[str, Any]]) -> None:
    """Each panel of the dashboard shows something for each service that has it; each series that an alert looks at is there; no
    alert fires on services that are well; and the picture of `make observe` has all its lines."""
    empty = []
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            for service in services:
                values = {"$namespace": NAMESPACE, "$service": service, "$__rate_interval": "10s"}
                expression = re.sub(r"\$\w+", partial(_value_of, values), target["expr"])
                if _has(service, expression) and not await prometheus.query(expression):
                    empty.append((panel["title"], service))
    assert empty == []
    for rule in rules:
        for selector in re.findall(r"\w+\{[^}]*\}", rule["expr"]):
            if any(not owners and name in selector for name, owners in ONLY_FOR.items()):
                continue
            series = re.sub(r'http_response_status_code=~"5\.\."', 'http_response_status_code=~".*"', selector)
            looked_at = re.sub(r'job="[^"]*"', 'job="catalog"', re.sub(r'namespace="[^"]*"', f'namespace="{NAMESPACE}"', series))
            assert await prometheus.query(looked_at), (rule["alert"], looked_at)
    states = await prometheus.alerts()
    assert set(states) == {rule["alert"] for rule in rules}
    assert "firing" not in states.values()
    shown = (await picture(prometheus, list(services))).splitlines()
    assert shown[0].split() == list(services)
    assert len(shown) == 1 + len(LINES)
    assert max(map(len, shown)) <= 80
    catalog = [line[NAME_WIDTH:].split() for line in shown[1:]]
    assert {line.title for line, cells in zip(LINES, catalog, strict=True) if set(cells) == {"-"}} == set()
