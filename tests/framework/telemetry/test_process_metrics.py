"""fairlead.telemetry.process_metrics: what server, websockets and process say of themselves."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fairlead.telemetry import process_metrics
from fairlead.telemetry.process_metrics import ProcessMetrics, ServerMetrics, WebsocketMetrics
from fairlead.websocket.stats import WebsocketStats


def test_a_server_says_how_busy_it_is() -> None:
    """Requests in flight and open connections are gauges, read at each snapshot."""
    server = SimpleNamespace(in_flight=1, open_connections=2)
    collector = ServerMetrics(server)
    server.in_flight = 3
    snapshot = collector.collect()
    assert snapshot["http_server_active_requests"]["series"] == [([], 3)]
    assert snapshot["fairlead_open_connections"]["series"] == [([], 2)]


def test_websockets_are_counted() -> None:
    """Open ones are a gauge, ended ones are counted by close code (W10)."""
    stats = WebsocketStats()
    stats.opened = 3
    stats.messages_sent = 7
    stats.count_closed(1000)
    stats.count_closed(1013)
    snapshot = WebsocketMetrics(stats).collect()
    assert snapshot["fairlead_websocket_open"]["series"] == [([], 1)]
    assert snapshot["fairlead_websocket_closed_total"]["series"] == [(["1000"], 1), (["1013"], 1)]
    assert (["sent"], 7) in snapshot["fairlead_websocket_messages_total"]["series"]


def test_a_process_says_what_it_uses() -> None:
    """CPU time, memory, descriptors and collections are there, and above nothing."""
    snapshot = ProcessMetrics().collect()
    for name in ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"):
        ((_, value),) = snapshot[name]["series"]
        assert isinstance(value, int | float)
        assert value > 0
    assert len(snapshot["python_gc_collections_total"]["series"]) == 3


def test_a_system_without_proc_has_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where /proc is missing, what it would say is left out."""

    def missing(path: str) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(process_metrics, "_read", missing)
    assert set(ProcessMetrics().collect()) == {"process_cpu_seconds_total", "python_gc_collections_total"}
