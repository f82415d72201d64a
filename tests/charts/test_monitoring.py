"""Alerts and dashboard speak of metrics that a service really has, in words that Prometheus understands (K9, K10)."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from websockets.sync.client import connect

from fairlead.outbox import relay
from fairlead.telemetry import pool_metrics
from fairlead.telemetry.metrics import registry
from fairlead.telemetry.server_metrics import CertificateMetrics
from tests.observe.reference import families_read

from . import promtool
from .conftest import Render
from .helm import CHART, ROOT

RUNBOOK = ROOT / "docs" / "how-to" / "alerts.md"
RULES = {"metrics": {"rules": {"enabled": True, "runbook": "https://shop.example/alerts"}}}
DASHBOARD: dict[str, Any] = json.loads((CHART / "dashboards" / "service.json").read_text())

APP = """
from fairlead import App, text

app = App("probe")

@app.get("/")
async def answer(request):
    return text("yes")

@app.websocket("/ws")
async def echo(request, ws):
    async for message in ws:
        await ws.send(message)
"""

SELECTOR = 'namespace="shop",job="auth"'
SILENCE = f'fairlead_workers{{{SELECTOR},state="ready"}}'

FIRING: dict[str, dict[str, str]] = {
    "ServiceUnavailable": {SILENCE: "0x60"},
    "ServiceErrors": {
        f'http_server_request_duration_seconds_count{{{SELECTOR},http_response_status_code="200"}}': "0+100x60",
        f'http_server_request_duration_seconds_count{{{SELECTOR},http_response_status_code="503"}}': "0+2x60",
    },
    "ServiceSlow": {
        f'http_server_request_duration_seconds_bucket{{{SELECTOR},http_response_status_code="200",le="0.5"}}': "0+90x60",
        f'http_server_request_duration_seconds_bucket{{{SELECTOR},http_response_status_code="200",le="1.0"}}': "0+100x60",
        f'http_server_request_duration_seconds_bucket{{{SELECTOR},http_response_status_code="200",le="+Inf"}}': "0+100x60",
    },
    "ServiceWorkersRestarting": {f'fairlead_worker_restarts_total{{{SELECTOR},pod="auth-1",worker="0",cause="died"}}': "0+1x60"},
    "ServiceRestartLoop": {f'process_start_time_seconds{{{SELECTOR},pod="auth-1"}}': "0+300x60"},
    "ServiceWorkersFailed": {f'fairlead_workers{{{SELECTOR},pod="auth-1",state="failed"}}': "1x60"},
    "ServiceLoopBlocked": {f'fairlead_loop_blocked_seconds_total{{{SELECTOR},pod="auth-1"}}': "0+6x60"},
    "ServiceLoopLag": {f'fairlead_loop_lag_seconds{{{SELECTOR},pod="auth-1"}}': "0.3x60"},
    "ServiceGarbageCollection": {f'python_gc_pause_seconds_count{{{SELECTOR},pod="auth-1"}}': "0+102x60"},
    "ServicePoolExhausted": {
        f'db_client_connection_pending_requests{{{SELECTOR},pod="auth-1",db_client_connection_pool_name="postgres"}}': "1x60"
    },
    "ServiceOpenFiles": {f'process_open_fds{{{SELECTOR},pod="auth-1"}}': "900x60"},
    "ServiceDrainStuck": {f'fairlead_draining{{{SELECTOR},pod="auth-1"}}': "1x60"},
    "ServiceLogLinesDropped": {f'fairlead_log_lines_dropped_total{{{SELECTOR},pod="auth-1"}}': "0+5x60"},
    "ServiceTracesDropped": {f'fairlead_spans_dropped_total{{{SELECTOR},pod="auth-1"}}': "0+5x60"},
    "ServiceCertificateExpiry": {
        f'fairlead_tls_certificate_expiry_timestamp_seconds{{{SELECTOR},pod="auth-1",certificate="/tls/tls.crt"}}': "500000x120"
    },
    "ServiceOutboxStuck": {f'outbox_pending_rows{{{SELECTOR},pod="auth-1"}}': "2000x60"},
}
"""For each alert the series, a sample a minute, on which it has to fire."""

OVER_OTLP = {"fairlead_spans_dropped_total", "fairlead_log_records_dropped_total"}
"""What a service has that sends traces and logs to a collector; tests/framework/telemetry/otel holds the names."""

HEALTHY = {
    SILENCE: "2x60",
    f'http_server_request_duration_seconds_count{{{SELECTOR},http_response_status_code="200"}}': "0+100x60",
    f'http_server_request_duration_seconds_bucket{{{SELECTOR},http_response_status_code="200",le="0.5"}}': "0+100x60",
    f'http_server_request_duration_seconds_bucket{{{SELECTOR},http_response_status_code="200",le="+Inf"}}': "0+100x60",
    f'fairlead_worker_restarts_total{{{SELECTOR},pod="auth-1",worker="0",cause="died"}}': "1x60",
    f'fairlead_worker_restarts_total{{{SELECTOR},pod="auth-1",worker="0",cause="replaced"}}': "0x38 8x22",
    f'process_start_time_seconds{{{SELECTOR},pod="auth-1"}}': "0x38 2280x22",
    f'fairlead_loop_lag_seconds{{{SELECTOR},pod="auth-1"}}': "0.002x35 1.5 0.002x24",
    f'python_gc_pause_seconds_count{{{SELECTOR},pod="auth-1"}}': "0+100x60",
    f'python_gc_pause_seconds_bucket{{{SELECTOR},pod="auth-1",le="0.1"}}': "0+100x60",
    f'db_client_connection_pending_requests{{{SELECTOR},pod="auth-1",db_client_connection_pool_name="postgres"}}': "0x36 7 0x22",
    f'db_client_connection_timeouts_total{{{SELECTOR},pod="auth-1",db_client_connection_pool_name="postgres"}}': "3x60",
    f'fairlead_spans_dropped_total{{{SELECTOR},pod="auth-1"}}': "512x60",
    f'process_open_fds{{{SELECTOR},pod="auth-1"}}': "100x60",
    f'process_max_fds{{{SELECTOR},pod="auth-1"}}': "1000x60",
    f'fairlead_tls_certificate_expiry_timestamp_seconds{{{SELECTOR},pod="auth-1",certificate="/tls/tls.crt"}}': "5000000x120",
    f'fairlead_workers{{{SELECTOR},pod="auth-1",state="failed"}}': "0x60",
    f'fairlead_loop_blocked_seconds_total{{{SELECTOR},pod="auth-1"}}': "0+1x60",
    f'fairlead_draining{{{SELECTOR},pod="auth-1"}}': "0x20 1 0x39",
    f'fairlead_log_lines_dropped_total{{{SELECTOR},pod="auth-1"}}': "7x60",
    f'outbox_pending_rows{{{SELECTOR},pod="auth-1"}}': "10x60",
}

GROUPS = {"pod": "auth-1", "db_client_connection_pool_name": "postgres", "certificate": "/tls/tls.crt"}
"""The labels that an alert may keep, and their value in the series above."""


def expressions() -> list[str]:
    """What the dashboard asks Prometheus, its variables filled in."""
    asked = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    values = {"$namespace": "shop", "$service": "auth", "$__rate_interval": "2m"}
    return [re.sub(r"\$\w+", lambda name: values[name[0]], expression) for expression in asked]


@pytest.fixture
def rules(render: Render) -> list[dict[str, Any]]:
    """The alerts of the release `auth` in the namespace `shop`."""
    found: list[dict[str, Any]] = render(RULES).of("PrometheusRule")["spec"]["groups"][0]["rules"]
    return found


@pytest.fixture
def judge() -> None:
    """promtool, or a skip that says why there is none."""
    try:
        promtool.find()
    except promtool.Missing as reason:
        pytest.skip(f"rules NOT VERIFIED: {reason}")


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[set[str]]:
    """The names at /metrics of a service that has answered a request and a websocket, and of the outbox, of pools, of TLS."""
    folder = tmp_path_factory.mktemp("app")
    (folder / "probe.py").write_text(APP)
    options = ["--host=127.0.0.1", "--port=0", "--management-host=127.0.0.1", "--management-port=0"]
    command = [sys.executable, "-m", "fairlead", "serve", "probe:app", *options]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as service:
        try:
            assert service.stdout is not None
            ready = next(json.loads(line) for line in service.stdout if "service is ready" in line)
            port, management_port = (int(ready[key].rpartition(":")[2]) for key in ("serving", "management"))
            get(port, "/")
            with connect(f"ws://127.0.0.1:{port}/ws") as socket:
                socket.send("hello")
                socket.recv()
            yield (
                families(management_port)
                | set(registry.snapshot())
                | set(CertificateMetrics(NoCertificates()).collect())
                | OVER_OTLP
            )
        finally:
            service.terminate()


class NoCertificates:
    """For the name of the metric alone."""

    def expiries(self) -> dict[str, float]:
        return {}


def families(port: int) -> set[str]:
    """The families at /metrics, once the websocket and the request have arrived there."""
    deadline = time.monotonic() + 30
    while True:
        text = get(port, "/metrics")
        found = set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))
        if {"fairlead_websockets", "http_server_request_duration_seconds"} <= found:
            return found
        assert time.monotonic() < deadline, text


def get(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def test_alerts_read_real_metrics(rules: list[dict[str, Any]], metrics: set[str]) -> None:
    """No alert waits for a number that no service has."""
    assert (relay.PENDING.name, pool_metrics.POOL) == (
        "outbox_pending_rows",
        "db_client_connection_pool_name",
    )  # imported, so known
    for rule in rules:
        read = families_read(rule["expr"], frozenset(metrics))
        assert read
        assert read <= metrics, rule["alert"]


def test_dashboard_reads_real_metrics(metrics: set[str]) -> None:
    """No panel stays empty for want of a metric."""
    for expression in expressions():
        read = families_read(expression, frozenset(metrics))
        assert read
        assert read <= metrics, expression


def test_every_panel_asks_something() -> None:
    """Each panel has a title and a query, each row at least one panel; nothing lies upon something else."""
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places)
    for panel in DASHBOARD["panels"]:
        assert panel["title"]
        assert panel["type"] == "row" or panel["targets"]


def test_dashboard_is_the_file(render: Render) -> None:
    """The ConfigMap holds the dashboard as it is; Helm reads nothing into Grafana's own braces."""
    data = render({"metrics": {"dashboard": {"enabled": True}}}).of("ConfigMap")["data"]
    assert {"fairlead-service.json": DASHBOARD} == {name: json.loads(text) for name, text in data.items()}


@pytest.mark.usefixtures("judge")
def test_promtool_checks(rules: list[dict[str, Any]], tmp_path: Path) -> None:
    """Prometheus accepts every alert, and every query of the dashboard."""
    queries = [{"record": f"panel_{number}", "expr": expression} for number, expression in enumerate(expressions())]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "alerts", "rules": rules}, {"name": "panels", "rules": queries}]}))
    promtool.run("check", "rules", str(file))


@pytest.mark.usefixtures("judge")
def test_alerts_fire(rules: list[dict[str, Any]], tmp_path: Path) -> None:
    """Each alert fires on the trouble that it is for, and none does on a healthy service, one deployment included."""
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "alerts", "rules": rules}]}))
    cases = [trial(rule, {**HEALTHY, **FIRING[rule["alert"]]}, fires=True) for rule in rules]
    cases += [trial(rule, HEALTHY, fires=False) for rule in rules]
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": cases}))
    promtool.run("test", "rules", str(tmp_path / "tests.yaml"))
    assert {rule["alert"] for rule in rules} == set(FIRING)


def trial(rule: dict[str, Any], series: dict[str, str], *, fires: bool) -> dict[str, Any]:
    """A case for promtool: what the alert says after 40 minutes of these series; after 100, where it waits for an hour."""
    labels = dict(rule["labels"])
    labels |= {label: value for label, value in GROUPS.items() if re.search(rf"by \([^)]*\b{label}\b", rule["expr"])}
    expected = [{"exp_labels": labels, "exp_annotations": rule["annotations"]}] if fires else []
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {"eval_time": "100m" if rule["for"] == "1h" else "40m", "alertname": rule["alert"], "exp_alerts": expected}
        ],
    }


def test_every_alert_has_its_page(rules: list[dict[str, Any]]) -> None:
    """Whoever is called finds under the alert's name what it means, what to look at and what to do."""
    headings = re.findall(r"^## (\w+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert headings == [rule["alert"] for rule in rules]
    assert [rule["annotations"]["runbook_url"].rpartition("#")[2] for rule in rules] == [name.lower() for name in headings]
