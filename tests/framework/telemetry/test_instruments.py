"""fairlead.telemetry.instruments: counters, gauges and histograms of one process."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from fairlead.telemetry.instruments import OTHER, Registry
from fairlead.telemetry.snapshot import Snapshot, family


def test_a_counter_counts_by_label() -> None:
    """Each label set is a series of its own, and a kept series counts into the same."""
    registry = Registry()
    counter = registry.counter("events_total", "Events.", ["stream"])
    kept = counter.labels("a")
    kept.inc()
    counter.labels("a").inc(2)
    counter.labels("b").inc()
    assert registry.snapshot()["events_total"]["series"] == [(["a"], 3), (["b"], 1)]


def test_labels_become_text() -> None:
    """A number as a label value is counted under its text."""
    registry = Registry()
    registry.counter("x_total", "", ["code"]).labels(1000).inc()  # type: ignore[arg-type]
    assert registry.snapshot()["x_total"]["series"] == [(["1000"], 1)]


def test_instruments_without_labels() -> None:
    """Counting without labels needs no series in between."""
    registry = Registry()
    registry.counter("a_total", "").inc(2)
    gauge = registry.gauge("b", "")
    gauge.set(5)
    gauge.inc()
    gauge.dec(2)
    registry.histogram("c", "", bounds=[1, 2]).observe(2)
    snapshot = registry.snapshot()
    assert snapshot["a_total"]["series"] == [([], 2)]
    assert snapshot["b"]["series"] == [([], 4)]
    assert snapshot["c"]["series"] == [([], [2, 0, 1, 0])]


def test_a_bound_belongs_to_its_bucket() -> None:
    """Buckets hold what is less than or equal to their bound, as `le` says."""
    histogram = Registry().histogram("h", "", bounds=[1, 2])
    for value in (0.5, 1, 1.5, 2, 3):
        histogram.observe(value)
    assert histogram.family()["series"] == [([], [8.0, 2, 2, 1])]


def test_a_gauge_can_ask_a_function() -> None:
    """A function is read when a snapshot is taken, not before."""
    registry = Registry()
    rows = [1]
    registry.gauge("pending", "").set_function(lambda: len(rows))
    rows.append(2)
    assert registry.snapshot()["pending"]["series"] == [([], 2)]


def test_a_failing_function_costs_only_its_own_series(caplog: pytest.LogCaptureFixture) -> None:
    """A gauge whose function raises is left out and logged; the other metrics are there."""
    registry = Registry()
    registry.gauge("broken", "").set_function(lambda: 1 / 0)
    registry.counter("fine_total", "").inc()
    with caplog.at_level(logging.WARNING):
        snapshot = registry.snapshot()
    assert snapshot["broken"]["series"] == []
    assert snapshot["fine_total"]["series"] == [([], 1)]
    assert "metric could not be read" in caplog.text


def test_label_sets_are_bounded() -> None:
    """Past the bound everything new is counted together, and nothing is lost."""
    registry = Registry(max_series=2)
    counter = registry.counter("x_total", "", ["path", "agent"])
    for number in range(5):
        counter.labels(f"/{number}", "curl").inc()
    series = registry.snapshot()["x_total"]["series"]
    assert series == [(["/0", "curl"], 1), (["/1", "curl"], 1), ([OTHER, OTHER], 3)]


def test_a_declaration_can_be_repeated() -> None:
    """The same name gives the same instrument."""
    registry = Registry()
    assert registry.counter("x_total", "", ["a"]) is registry.counter("x_total", "", ["a"])


@pytest.mark.parametrize(
    "declare",
    [
        lambda registry: registry.counter("x_total", "", ["b"]),
        lambda registry: registry.gauge("g", "", combine="max"),
        lambda registry: registry.histogram("h", "", bounds=[2]),
        lambda registry: registry.gauge("h", ""),
    ],
)
def test_a_different_declaration_is_refused(declare: Callable[[Registry], object]) -> None:
    """One name can't mean two things."""
    registry = Registry()
    registry.counter("x_total", "", ["a"])
    registry.gauge("g", "")
    registry.histogram("h", "", bounds=[1])
    with pytest.raises(ValueError, match="declared differently"):
        declare(registry)


@pytest.mark.parametrize(
    "declare",
    [
        lambda registry: registry.counter("x", ""),
        lambda registry: registry.gauge("0x", ""),
        lambda registry: registry.gauge("x", "", ["le"]),
        lambda registry: registry.gauge("x", "", ["__name__"]),
        lambda registry: registry.histogram("x", "", bounds=[2, 1]),
        lambda registry: registry.histogram("x", "", bounds=[]),
    ],
)
def test_malformed_declarations_are_refused(declare: Callable[[Registry], object]) -> None:
    """Names that Prometheus would refuse, counters that don't end in _total and unordered bounds raise ValueError."""
    with pytest.raises(ValueError, match=r"_total|metric's name|ascending"):
        declare(Registry())


def test_the_number_of_labels_is_checked() -> None:
    """Too few or too many label values raise ValueError."""
    counter = Registry().counter("x_total", "", ["a"])
    with pytest.raises(ValueError, match="has the labels"):
        counter.labels("1", "2")


def test_collectors_are_included_until_removed() -> None:
    """What a collector knows is part of every snapshot while it is added."""

    class Pool:
        def collect(self) -> Snapshot:
            return {"pool_size": family("gauge", "", [((), 4)])}

    registry, pool = Registry(), Pool()
    registry.add(pool)
    assert registry.snapshot()["pool_size"]["series"] == [([], 4)]
    registry.remove(pool)
    assert registry.snapshot() == {}
