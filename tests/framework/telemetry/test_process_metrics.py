"""fairlead.telemetry.process_metrics: what a process uses."""

from __future__ import annotations

import pytest

from fairlead.telemetry import process_metrics
from fairlead.telemetry.process_metrics import ProcessMetrics


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
