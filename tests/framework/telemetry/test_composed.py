"""fairlead.telemetry.composed: what the environment and the configuration ask for is begun, and nothing else."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from fairlead.config import Config
from fairlead.telemetry.composed import begin_opentelemetry, observer_of
from fairlead.telemetry.metrics import RequestMetrics

from .conftest import Recorded


def test_nothing_is_begun_unless_asked_for(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Without the variables there is none, and nobody looks for it (K10)."""
    monkeypatch.setitem(sys.modules, "fairlead.telemetry.otel.sdk", None)
    assert begin_opentelemetry("shop", None, RequestMetrics()) is None
    assert not caplog.records


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A service without the extra runs all the same."""
    monkeypatch.setitem(sys.modules, "fairlead.telemetry.otel.sdk", None)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    assert begin_opentelemetry("shop", None, RequestMetrics()) is None
    assert "fairlead[tracing]" in caplog.text


def test_the_observer(json_log: Recorded) -> None:
    """Metrics always; lines where there is a stream and the access log is on; records where logs go out and it is asked for."""
    metrics, config = RequestMetrics(), Config()
    assert observer_of(config, None, metrics, None) == metrics.observe
    assert observer_of(Config({"ACCESS_LOG": False}), json_log.stream, metrics, None) == metrics.observe
    assert observer_of(config, json_log.stream, metrics, None) != metrics.observe
    asked: list[Any] = []
    logs = SimpleNamespace(with_access=lambda observer, **options: asked.append((observer, options["sample"])))
    telemetry: Any = SimpleNamespace(logs=logs)
    assert observer_of(config, None, metrics, telemetry) == metrics.observe
    observer_of(Config({"ACCESS_LOG_OTLP": True, "ACCESS_LOG_SAMPLE": 0.5}), None, metrics, telemetry)
    assert asked == [(metrics.observe, 0.5)]
