"""Counters, gauges and histograms that cost next to nothing: plain numbers in this process, read when somebody asks.

    published = registry.counter("outbox_published_total", "Events handed to Redis.", labels=("stream",))
    to_products = published.labels("catalog:products")      # keep the series, not the name, on a hot path
    to_products.inc()

    registry.gauge("outbox_pending_rows", "Rows not yet published.").set_function(relay.pending)

One `registry` a process; a worker hands `registry.snapshot()` to the supervisor, which merges and renders
(`snapshot`, `exposition`). Asking for a name again gives the same instrument back, so that a module may declare its
own at import.

Label sets are bounded: past `max_series` label sets an instrument counts everything new in one series whose labels
are all `_OTHER`. A label that a client can choose freely (a raw path, a user agent) would be a memory leak that
anybody can open.

Numbers are changed without a lock. Under the GIL `+=` on a slot is not interrupted in a way that loses a count to
another thread *in practice*, but nobody promises it: let one thread own a series, as the event loop's thread does
here.

PERF: OpenTelemetry's own `histogram.record` with four attributes costs 8.2 µs and `counter.add` 7.5 µs, more than the
rest of a request; a kept series here is an attribute's increment, 0.05 µs. An exporter can read the same numbers
through observable instruments.
"""

from __future__ import annotations

import logging
import re
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar, cast

from fairlead.telemetry.snapshot import Combine, Family, Kind, Snapshot, Value, family, merge

__all__ = [
    "DURATION_BOUNDS_S",
    "OTHER",
    "Collector",
    "Counter",
    "CounterSeries",
    "Gauge",
    "GaugeSeries",
    "Histogram",
    "HistogramSeries",
    "Registry",
    "registry",
]

OTHER = "_OTHER"
"""The label of everything past the bound; also OpenTelemetry's name for an unknown HTTP method."""

ADVISED_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The buckets that OpenTelemetry's semantic conventions advise for `http.server.request.duration`."""

DURATION_BOUNDS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, *ADVISED_BOUNDS_S)
"""The advised ones, so that services of several frameworks can be added up, and those below 5 ms where ours spend their time.

PERF: five more cost a request that takes longer than the first of them 0.05 µs (`bisect_left` with and without them).
"""

_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*").fullmatch
_LABEL_NAME = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*").fullmatch

_logger = logging.getLogger("fairlead.telemetry")


class CounterSeries:
    """One number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0

    def inc(self, amount: float = 1) -> None:
        """Add `amount`, which must not be negative."""
        self.value += amount

    def read(self) -> Value:
        return self.value


class GaugeSeries:
    """One number that goes up and down, or a function that knows it."""

    __slots__ = ("function", "value")

    def __init__(self) -> None:
        self.value: float = 0
        self.function: Callable[[], float] | None = None

    def set(self, value: float) -> None:
        self.value = value

    def inc(self, amount: float = 1) -> None:
        self.value += amount

    def dec(self, amount: float = 1) -> None:
        self.value -= amount

    def set_function(self, function: Callable[[], float]) -> None:
        """Ask `function` whenever a snapshot is taken; it must be quick, and may be called in any thread."""
        self.function = function

    def read(self) -> Value:
        return self.value if self.function is None else self.function()


class HistogramSeries:
    """A sum, and how many observations fell into each bucket."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum: float = 0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def read(self) -> Value:
        return [self.sum, *self.counts]


class _Series(Protocol):
    def read(self) -> Value: ...


S = TypeVar("S", bound=_Series)


class Instrument(ABC, Generic[S]):
    """A name with labels; `labels(…)` gives the series to count in."""

    kind: Kind

    def __init__(self, name: str, help: str, labels: Sequence[str], max_series: int) -> None:
        self.name = name
        self.help = help
        self.label_names = tuple(labels)
        self.combine: Combine = "sum"
        self.bounds: tuple[float, ...] = ()
        self._max_series = max_series
        self._series: dict[tuple[str, ...], S] = {}

    def labels(self, *values: str) -> S:
        """The series of these label values, in the order of the declaration; keep it where speed matters."""
        series = self._series.get(values)
        return series if series is not None else self._add(values)

    def _add(self, values: tuple[str, ...]) -> S:
        if len(values) != len(self.label_names):
            raise ValueError(f"{self.name} has the labels {self.label_names}, got {values}")
        if len(self._series) >= self._max_series:
            values = (OTHER,) * len(values)
            if values in self._series:
                return self._series[values]
        series = self._series[values] = self._new()
        return series

    @abstractmethod
    def _new(self) -> S: ...

    def family(self) -> Family:
        """The current numbers, as a part of a snapshot."""
        return family(self.kind, self.help, self._read(), labels=self.label_names, bounds=self.bounds, combine=self.combine)

    def _read(self) -> list[tuple[list[str], Value]]:
        result: list[tuple[list[str], Value]] = []
        for labels, series in list(self._series.items()):
            try:
                result.append(([str(label) for label in labels], series.read()))
            except Exception:  # a gauge's function is foreign code: its failure must not cost the other metrics
                _logger.warning("metric could not be read", exc_info=True, extra={"metric": self.name})
        return result


class Counter(Instrument[CounterSeries]):
    """Counts what happened; its name ends in `_total`."""

    kind = "counter"

    def _new(self) -> CounterSeries:
        return CounterSeries()

    def inc(self, amount: float = 1) -> None:
        """Count in the series without labels."""
        self.labels().inc(amount)


class Gauge(Instrument[GaugeSeries]):
    """Says how much there is now; over the workers it is added up, unless declared with `combine="max"` or `"min"`."""

    kind = "gauge"

    def _new(self) -> GaugeSeries:
        return GaugeSeries()

    def set(self, value: float) -> None:
        self.labels().set(value)

    def inc(self, amount: float = 1) -> None:
        self.labels().inc(amount)

    def dec(self, amount: float = 1) -> None:
        self.labels().dec(amount)

    def set_function(self, function: Callable[[], float]) -> None:
        """Ask `function` for the value of the series without labels at each snapshot."""
        self.labels().set_function(function)


class Histogram(Instrument[HistogramSeries]):
    """Sorts observations into buckets; `bounds` are the buckets' upper ends, ascending, without infinity."""

    kind = "histogram"

    def _new(self) -> HistogramSeries:
        return HistogramSeries(self.bounds)

    def observe(self, value: float) -> None:
        self.labels().observe(value)


class Collector(Protocol):
    """Something that keeps its numbers in a way of its own."""

    def collect(self) -> Snapshot:
        """The families that it knows, now."""


Declared = TypeVar("Declared", bound="Counter | Gauge | Histogram")


class Registry:
    """All that a process counts."""

    def __init__(self, max_series: int = 1_000) -> None:
        self._max_series = max_series
        self._instruments: dict[str, Counter | Gauge | Histogram] = {}
        self._collectors: list[Collector] = []

    def counter(self, name: str, help: str, labels: Sequence[str] = ()) -> Counter:
        """The counter of this name, made if need be. A different declaration under one name is a ValueError."""
        if not name.endswith("_total"):
            raise ValueError(f"the name of a counter ends in _total: {name}")
        return self._declare(Counter(name, help, labels, self._max_series))

    def gauge(self, name: str, help: str, labels: Sequence[str] = (), *, combine: Combine = "sum") -> Gauge:
        """The gauge of this name, made if need be; `combine` says what the workers' values become together."""
        gauge = Gauge(name, help, labels, self._max_series)
        gauge.combine = combine
        return self._declare(gauge)

    def histogram(
        self, name: str, help: str, labels: Sequence[str] = (), *, bounds: Sequence[float] = DURATION_BOUNDS_S
    ) -> Histogram:
        """The histogram of this name, made if need be."""
        histogram = Histogram(name, help, labels, self._max_series)
        histogram.bounds = tuple(bounds)
        if not bounds or list(bounds) != sorted(set(bounds)):
            raise ValueError(f"the bounds of {name} are not ascending: {bounds}")
        return self._declare(histogram)

    def _declare(self, new: Declared) -> Declared:
        if not _METRIC_NAME(new.name) or not all(map(_LABEL_NAME, new.label_names)) or "le" in new.label_names:
            raise ValueError(f"not a metric's name and labels: {new.name} {new.label_names}")
        known = self._instruments.setdefault(new.name, new)
        if (type(known), known.label_names, known.bounds, known.combine) != (
            type(new),
            new.label_names,
            new.bounds,
            new.combine,
        ):
            raise ValueError(f"the metric {new.name} was declared differently before")
        return cast(Declared, known)

    def add(self, collector: Collector) -> None:
        """Include what `collector` knows in every snapshot."""
        self._collectors.append(collector)

    def remove(self, collector: Collector) -> None:
        """Forget a collector again."""
        self._collectors.remove(collector)

    def snapshot(self) -> Snapshot:
        """All numbers as plain data: cumulative, ready for msgpack, `merge` and `render`.

        PERF: this runs on the worker's loop, so only families of one name are merged; hardly ever are there two.
        """
        found = {name: instrument.family() for name, instrument in list(self._instruments.items())}
        for collector in self._collectors:
            for name, one in collector.collect().items():
                found[name] = merge([{name: found[name]}, {name: one}])[name] if name in found else one
        return found


registry = Registry()
"""The registry of this process."""
