"""`python -m benchmarks.pieces`: what the parts cost, in microseconds and as a share of a whole plaintext request.

The request path is measured without a network (`request_path`); the smallest of many short runs counts, because whatever disturbs
only makes it slower. Log lines go to a writer that throws them away.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import structlog

from benchmarks import request_path
from fairlead.http.head import read_plain
from fairlead.request import ConnectionInfo, Request
from fairlead.routing import Route
from fairlead.telemetry.access_log import AccessLog
from fairlead.telemetry.instruments import Registry
from fairlead.telemetry.logging import LogStream, configure
from fairlead.telemetry.masking import mask_tokens
from fairlead.telemetry.metrics import RequestMetrics, merge, render
from fairlead.telemetry.observer import compose
from fairlead.telemetry.tracing import parse_traceparent
from fairlead.types import Observer

RUNS = 150
CALLS = 400

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def best_us(call: Callable[[], object], calls: int = CALLS) -> float:
    """Microseconds for one call: the best of many runs."""
    best = float("inf")
    for _ in range(RUNS):
        started = time.perf_counter()
        for _ in range(calls):
            call()
        best = min(best, time.perf_counter() - started)
    return best / calls * 1e6


def main() -> None:
    """Measure and print."""
    with _discarded_stdout():
        stream = configure(service="bench", version="26.11.0", worker=0, format="json")
        rows = [*_requests(stream), *_telemetry(stream)]
        stream.flush()
    whole = rows[0][1]
    print(f"{'':<52} {'µs':>8} {'share of a request':>20}")
    for name, cost in rows:
        print(f"{name:<52} {cost:8.2f} {cost / whole:20.2f}")


@contextmanager
def _discarded_stdout() -> Iterator[None]:
    """Descriptor 1 leads to /dev/null meanwhile: the log lines are written, and nobody reads them."""
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _requests(stream: LogStream) -> Iterator[tuple[str, float]]:
    access_log = AccessLog(stream, trusts_proxies=False)
    observers: list[tuple[str, Observer | None]] = [
        ("telemetry off", None),
        ("metrics", compose(RequestMetrics())),
        ("metrics, JSON access log", compose(access_log=access_log)),
    ]
    for name, observer in observers:
        for title, cost in request_path.run(observer, _each_workload):
            yield f"request: {title}, {name}", cost


def _each_workload(feed: Callable[[bytes], None]) -> list[tuple[str, float]]:
    costs = []
    for workload in request_path.workloads():
        data = request_path.request_bytes(workload)
        number = request_path.PIPELINED if workload.name == "pipelined" else 1
        costs.append((workload.title, best_us(lambda data=data: feed(data), CALLS // number) / number))
    return costs


def _telemetry(stream: LogStream) -> Iterator[tuple[str, float]]:
    request, metrics = _request(), RequestMetrics()
    access_log = AccessLog(stream, trusts_proxies=False)
    yield "RequestMetrics.observe", best_us(lambda: metrics.observe(request, 200, 13, 0, 0.0002))
    yield "AccessLog.observe (counts, too)", best_us(lambda: access_log.observe(request, 200, 13, 0, 0.0002))
    behind_proxy = AccessLog(stream)
    yield "AccessLog.observe, proxies trusted", best_us(lambda: behind_proxy.observe(request, 200, 13, 0, 0.0002))
    sampled = AccessLog(stream, sample=0.01)
    yield "AccessLog.observe, 1 % sampled", best_us(lambda: sampled.observe(request, 200, 13, 0, 0.0002))

    structured, standard = structlog.get_logger("bench"), logging.getLogger("bench")
    yield "structlog event", best_us(lambda: structured.info("price changed", sku="A1", price=990))
    extra = {"sku": "A1", "price": 990}
    yield "standard library record", best_us(lambda: standard.info("price changed", extra=extra))
    yield "standard library record below the level", best_us(lambda: standard.debug("price changed", extra=extra))

    counter = Registry().counter("bench_total", "", ["stream"])
    kept = counter.labels("a")
    yield "Counter.labels().inc", best_us(lambda: counter.labels("a").inc())
    yield "Counter, series kept", best_us(kept.inc)
    yield "traceparent, seen before", best_us(lambda: parse_traceparent(TRACEPARENT))
    yield "traceparent, new", best_us(lambda: parse_traceparent.__wrapped__(TRACEPARENT))
    yield "masking a text of 60 characters", best_us(lambda: mask_tokens("refused token=abc of alice at https://example.com/reset"))

    for number in range(100):
        metrics.observe(_request(f"/route/{number}"), 200, 13, 0, 0.0002)
    snapshots = [metrics.collect() for _ in range(4)]
    yield "snapshot of 100 routes", best_us(metrics.collect, 4)
    yield "merging 4 of them", best_us(lambda: merge(snapshots), 4)
    merged = merge(snapshots)
    yield "rendering the sum", best_us(lambda: render(merged), 4)


def _request(path: str = "/users/<id:int>") -> Request[Any, Any]:
    config = SimpleNamespace(FORWARDED_SECRET="", REAL_IP_HEADER=None, PROXIES_COUNT=None)
    exchange: Any = SimpleNamespace(info=ConnectionInfo(("127.0.0.1", 5555), ("127.0.0.1", 8000)))
    app = SimpleNamespace(config=config)
    head = read_plain(b"\r\nHost: localhost", 100)
    assert head is not None
    request: Request[Any, Any] = Request(app, exchange, b"GET", b"/users/42?q=1", head, b"")
    request.route = Route("user", path, [], ["GET"], lambda request: None)
    return request


if __name__ == "__main__":
    main()
