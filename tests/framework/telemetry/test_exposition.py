"""fairlead.telemetry.exposition: the text that Prometheus reads."""

from __future__ import annotations

import math

import pytest

from fairlead.telemetry.exposition import OPENMETRICS, PROMETHEUS, negotiate, render
from fairlead.telemetry.snapshot import Snapshot, family

SNAPSHOT: Snapshot = {
    "requests_total": family("counter", 'Requests\nwith \\ and "', [(['a"b\\c\nd'], 3)], labels=["route"]),
    "lag_seconds": family("gauge", "Lag.", [((), 0.25)]),
    "duration_seconds": family("histogram", "Duration.", [(["/a"], [1.5, 2, 0, 1])], labels=["route"], bounds=[0.1, 1]),
    "size_bytes": family("summary", "Size.", [((), [26, 2])]),
}


def test_prometheus_text() -> None:
    """Every kind of family in format 0.0.4: cumulative buckets, escaped labels, sorted names."""
    assert render(SNAPSHOT).decode() == (
        "# HELP duration_seconds Duration.\n"
        "# TYPE duration_seconds histogram\n"
        'duration_seconds_bucket{route="/a",le="0.1"} 2\n'
        'duration_seconds_bucket{route="/a",le="1.0"} 2\n'
        'duration_seconds_bucket{route="/a",le="+Inf"} 3\n'
        'duration_seconds_sum{route="/a"} 1.5\n'
        'duration_seconds_count{route="/a"} 3\n'
        "# HELP lag_seconds Lag.\n"
        "# TYPE lag_seconds gauge\n"
        "lag_seconds 0.25\n"
        '# HELP requests_total Requests\\nwith \\\\ and "\n'
        "# TYPE requests_total counter\n"
        'requests_total{route="a\\"b\\\\c\\nd"} 3\n'
        "# HELP size_bytes Size.\n"
        "# TYPE size_bytes summary\n"
        "size_bytes_sum 26\n"
        "size_bytes_count 2\n"
    )


def test_openmetrics_text() -> None:
    """OpenMetrics names a counter's family without _total and ends with # EOF."""
    text = render(SNAPSHOT, OPENMETRICS).decode()
    assert "# TYPE requests counter\nrequests_total{" in text
    assert text.endswith("\n# EOF\n")


@pytest.mark.parametrize(("value", "text"), [(math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN"), (1e-9, "1e-09")])
def test_numbers_beyond_the_usual(value: float, text: str) -> None:
    """Infinities and NaN are written as Prometheus writes them."""
    assert f"x {text}\n" in render({"x": family("gauge", "", [((), value)])}).decode()


def test_a_label_that_is_no_text() -> None:
    """A lone surrogate in a label doesn't cost the whole scrape."""
    assert b'x{a="\\ud800"} 1' in render({"x": family("gauge", "", [(["\ud800"], 1)], labels=["a"])})


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, PROMETHEUS),
        ("*/*", PROMETHEUS),
        ("text/plain", PROMETHEUS),
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", OPENMETRICS),
        ("text/plain, application/openmetrics-text; q=0.0", PROMETHEUS),
        ("application/openmetrics-text; q=0", PROMETHEUS),
        ("application/openmetrics-text; q=0.9", OPENMETRICS),
    ],
)
def test_negotiation(accept: str | None, expected: str) -> None:
    """OpenMetrics is for those that name it and don't refuse it."""
    assert negotiate(accept) == expected
