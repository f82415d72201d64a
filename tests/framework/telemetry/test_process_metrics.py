"""fairlead.telemetry.process_metrics: what a process uses."""

from __future__ import annotations

import gc

import pytest

from fairlead.telemetry import process_metrics
from fairlead.telemetry.process_metrics import ProcessMetrics


def test_a_process_says_what_it_uses() -> None:
    """CPU time, memory, descriptors and collections are there, and above nothing."""
    snapshot = ProcessMetrics().collect()
    for name in ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_max_fds"):
        ((_, value),) = snapshot[name]["series"]
        assert isinstance(value, int | float)
        assert value > 0
    assert len(snapshot["python_gc_collections_total"]["series"]) == 3


def test_a_system_without_proc_has_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where /proc is missing, what it would say is left out."""

    def missing(path: str) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(process_metrics, "_read", missing)
    found = set(ProcessMetrics().collect())
    assert found == {"process_cpu_seconds_total", "python_gc_collections_total", "python_gc_pause_seconds"}


def test_pauses_of_the_garbage_collector_are_timed() -> None:
    """K10: each collection between `begin` and `end` is one observation, and its time is in the sum."""
    metrics = ProcessMetrics()
    metrics.begin()
    gc.collect()
    metrics.end()
    ((_, value),) = metrics.collect()["python_gc_pause_seconds"]["series"]
    gc.collect()
    assert metrics.collect()["python_gc_pause_seconds"]["series"] == [([], value)]
    assert isinstance(value, list)
    total_s, *counts = value
    assert sum(counts) >= 1
    assert total_s > 0
