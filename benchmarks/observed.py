"""What the servers with telemetry have in common: one request in a hundred traced, and for the peers a log and metrics."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from typing import Any

ENDPOINT = "BENCH_OTLP_ENDPOINT"
"""Where spans go: `benchmarks.telemetry` receives them. Without it nobody does."""

_NOT_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}

JSON_LOG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "benchmarks.observed.JsonLines"}},
    "handlers": {"out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}},
    "loggers": {
        name: {"handlers": ["out"], "level": "INFO", "propagate": False}
        for name in ("uvicorn.error", "uvicorn.access", "sanic.root", "sanic.error", "sanic.access", "sanic.server")
    },
}


class JsonLines(logging.Formatter):
    """A line of JSON with what the record has to say, as the usual packages for it do."""

    def format(self, record: logging.LogRecord) -> str:
        """One record."""
        fields = {name: value for name, value in vars(record).items() if name not in _NOT_FIELDS}
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        known = {"timestamp": moment, "level": record.levelname, "logger": record.name, "event": record.getMessage()}
        return json.dumps({**known, **fields}, default=str)


def trace_one_in_a_hundred() -> None:
    """By the standard variables."""
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = os.environ.get(ENDPOINT, "http://127.0.0.1:9")
    os.environ["OTEL_METRICS_EXPORTER"] = os.environ["OTEL_LOGS_EXPORTER"] = "none"
    os.environ["OTEL_TRACES_SAMPLER"] = "parentbased_traceidratio"
    os.environ["OTEL_TRACES_SAMPLER_ARG"] = "0.01"


def begin_tracing() -> None:
    """As the SDK's documentation says."""
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def prometheus_observer() -> Callable[[str, str, int, float], None]:
    """A histogram of prometheus_client with the labels of Fairlead's."""
    from prometheus_client import Histogram

    histogram = Histogram("http_server_request_duration_seconds", "Duration.", ["method", "route", "status"])

    def observe(method: str, route: str, status: int, duration_s: float) -> None:
        histogram.labels(method, route, status).observe(duration_s)

    return observe
