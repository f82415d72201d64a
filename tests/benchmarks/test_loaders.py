"""benchmarks.loaders: what the load generators report."""

from __future__ import annotations

import shutil
import sys

import pytest

from benchmarks import environment, loaders
from benchmarks.loaders import LoadFailed, Sample, parse_wrk
from benchmarks.process import ServerProcess
from benchmarks.servers import load
from benchmarks.workloads import BY_NAME

REPORT = """Running 4s test @ http://127.0.0.1:8000/plaintext
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.21ms  402.10us   9.11ms   91.00%
    Req/Sec    53.10k     2.30k   56.90k    76.25%
  Latency Distribution
     50%    1.10ms
     75%    1.25ms
     90%    1.50ms
     99%    2.75ms
  211400 requests in 4.00s, 33.10MB read
Requests/sec:  52850.25
Transfer/sec:      8.27MB
"""


def test_a_report_of_wrk() -> None:
    """Rate and 99th percentile are read; the latter in milliseconds whatever its unit."""
    assert parse_wrk(REPORT, 0.5) == Sample(52850.25, 0.5, 2.75)
    assert parse_wrk(REPORT.replace("2.75ms", "750.00us"), 0.5).p99_ms == 0.75
    assert parse_wrk(REPORT.replace("2.75ms", "1.50s"), 0.5).p99_ms == 1500.0
    assert parse_wrk("Requests/sec:  10.00\n", 0.5).p99_ms is None


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (REPORT + "  Non-2xx or 3xx responses: 211400\n", "Non-2xx or 3xx responses: 211400"),
        (REPORT + "  Socket errors: connect 0, read 12, write 0, timeout 3\n", "Socket errors"),
        (REPORT.replace("52850.25", "0.00"), "no request was answered"),
        ("", "no request was answered"),
    ],
)
def test_wrong_answers_are_no_result(report: str, reason: str) -> None:
    """A server that refuses, or cuts connections, has no rate."""
    with pytest.raises(LoadFailed, match=reason):
        parse_wrk(report, 0.5)


def test_a_loader_at_its_limit_is_known() -> None:
    """From 95 % of its core on, the loader was measured, not the server."""
    assert Sample(1.0, 0.96).is_saturated
    assert not Sample(1.0, 0.9).is_saturated


def test_without_wrk_there_is_a_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what is missing, and how to get it."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "apt-get install wrk" in str(loaders.missing())
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert loaders.missing() is None


def test_websockets_under_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loader for websockets counts echoes that a real server sent, and finds them right."""
    monkeypatch.setattr(environment, "PYTHON", sys.executable)
    with ServerProcess(load("fairlead_bare"), 0) as server:
        sample = loaders.measure(BY_NAME["websocket"], server.port, 0, 1)
        assert sample.per_second > 0
        assert server.cpu_s() > 0


def test_a_server_without_websockets_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody echoes: that is a failure, not a zero."""
    monkeypatch.setattr(environment, "PYTHON", sys.executable)
    with ServerProcess(load("fairlead_bare"), 0) as server:
        stopped = server.port
    with pytest.raises(LoadFailed):
        loaders.measure(BY_NAME["websocket"], stopped, 0, 1)
