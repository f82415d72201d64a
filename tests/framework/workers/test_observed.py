"""A service under a supervisor and what it tells of itself: traces and metrics over OTLP, counts that add up (K10)."""

from __future__ import annotations

import os
import re
import signal
from typing import Any

from fairlead.testing.otlp import OtlpReceiver

MODULES = """

@app.get("/modules")
async def modules(request):
    import sys
    return text(" ".join(name for name in sys.modules if name.startswith("opentelemetry")))
"""


async def test_nothing_is_imported_unless_it_is_asked_for(start: Any) -> None:
    """Without OTEL_ variables no module of OpenTelemetry is loaded; with OTEL_SDK_DISABLED neither."""
    for environ in ({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}):
        service = await (await start(more=MODULES, **environ)).ready()
        assert await service.get("/modules") == (200, "")


async def test_each_worker_is_an_instance_of_its_own(start: Any) -> None:
    """K10: spans and metrics of every worker arrive, under one service and different instances; the last ones at the drain."""
    with OtlpReceiver() as receiver:
        service = await (await start("--workers", "2", more=MODULES, **receiver.environ())).ready()
        pids = {await service.get("/pid") for _ in range(40)}
        assert "opentelemetry.sdk.trace" in (await service.get("/modules"))[1]
        service.signal(signal.SIGTERM)
        assert await service.process.wait() == 0
        spans = [span for span in receiver.spans if span.name == "GET /pid"]
        assert len(spans) == 40
        assert {span.resource["service.name"] for span in spans} == {"tested"}
        assert len({span.resource["service.instance.id"] for span in spans}) == len(pids) == 2
        counted = [one for one in receiver.metrics if one.name == "http.server.request.duration"]
        assert sum(one.value for one in counted if one.attributes["http.route"] == "/pid") == 40


async def test_a_missing_collector_costs_nothing_but_its_traces(start: Any) -> None:
    """Nobody listens at the endpoint: requests are answered, and the service stops in time with status 0 (K2)."""
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "FAIRLEAD_GRACEFUL_SHUTDOWN_TIMEOUT": "2"}
    service = await (await start(**variables)).ready()
    assert await service.get("/") == (200, "hello")
    service.signal(signal.SIGTERM)
    assert await service.process.wait() == 0


async def test_counts_outlive_a_killed_worker(start: Any) -> None:
    """N requests on four workers, one of them killed and replaced: /metrics reads N, when the dead one had been asked since its
    last request; else N minus what it had answered since it was asked last, and never more than N."""
    service = await (await start("--workers", "4")).ready()
    first = [await service.get("/pid") for _ in range(60)]
    assert {status for status, _ in first} == {200}
    assert await _count(service) == 60  # whoever reads has every worker hand over its counts
    os.kill(service.worker_pid(2), signal.SIGKILL)
    await service.event("worker is ready", worker=2, count=2)
    second = [await service.get("/pid") for _ in range(40)]
    assert await _count(service) == 100
    victim = str(service.worker_pid(1))
    third = [await service.get("/pid") for _ in range(40)]
    by_victim = sum(pid == victim for _, pid in third)
    assert {status for status, _ in second + third} == {200}
    os.kill(int(victim), signal.SIGKILL)  # what it has counted since then, it may not have handed over
    await service.event("worker is ready", worker=1, count=2)
    assert 140 - by_victim <= await _count(service) <= 140


async def _count(service: Any) -> int:
    _, text = await service.get("/metrics", "management")
    found = re.findall(r'http_server_request_duration_seconds_count\{[^}]*http_route="/pid"[^}]*\} (\d+)', text)
    return sum(map(int, found))


SAYING = """

@app.get("/say")
async def say(request):
    import logging
    logging.getLogger("shop").warning("said", extra={"password": "hunter2"})
    return text("ok")
"""


async def test_logs_of_each_worker_go_out_as_well(start: Any) -> None:
    """K10: named, logs arrive from every worker, in the trace of their request and masked; the last ones at the drain."""
    with OtlpReceiver() as receiver:
        variables = receiver.environ() | {"FAIRLEAD_ACCESS_LOG_OTLP": "true"}
        service = await (await start("--workers", "2", more=SAYING, **variables)).ready()
        for _ in range(40):
            assert await service.get("/say") == (200, "ok")
        metrics = (await service.get("/metrics", "management"))[1]
        assert "fairlead_log_records_dropped_total 0" in metrics
        assert "fairlead_spans_dropped_total 0" in metrics
        service.signal(signal.SIGTERM)
        assert await service.process.wait() == 0
    said = [log for log in receiver.logs if log.body == "said"]
    assert len(said) == 40
    assert {log.attributes["password"] for log in said} == {"***"}
    spans = {(span.trace_id, span.span_id): span.attributes["fairlead.request_id"] for span in receiver.spans}
    assert all(spans[log.trace_id, log.span_id] == log.attributes["fairlead.request_id"] for log in said)
    requests = [log for log in receiver.logs if log.logger == "fairlead.access" and log.attributes["path"] == "/say"]
    assert len(requests) == 40
    assert all(spans[log.trace_id, log.span_id] == log.attributes["fairlead.request_id"] for log in requests)
    instances = {log.resource["service.instance.id"] for log in said}
    assert len(instances) == 2
    assert instances == {span.resource["service.instance.id"] for span in receiver.spans}
