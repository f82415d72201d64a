"""fairlead.telemetry.otel.logs: what is logged goes over OTLP as well, and nobody waits for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from opentelemetry import _logs
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.util._once import Once

from fairlead.http.trace_context import parse_traceparent
from fairlead.telemetry import logging as telemetry_logging
from fairlead.telemetry import structured
from fairlead.telemetry.access_log import AccessLog
from fairlead.telemetry.logging import LogStream, configure
from fairlead.telemetry.otel import wants
from fairlead.telemetry.otel.logs import LogExport, _Watched
from fairlead.telemetry.rendering import Event
from fairlead.testing.otlp import OtlpReceiver, ReceivedLog
from tests.framework.telemetry.conftest import MakeRequest, Recorded

RESOURCE = Resource({"service.name": "shop"})
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(autouse=True)
def no_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has no logger provider yet."""
    monkeypatch.setattr("opentelemetry._logs._internal._LOGGER_PROVIDER", None)
    monkeypatch.setattr("opentelemetry._logs._internal._LOGGER_PROVIDER_SET_ONCE", Once())


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    """A collector."""
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture
def log(json_log: Recorded, loggers: None) -> Recorded:
    """A stream of JSON lines that every logger of the process goes to."""
    telemetry_logging._join_standard_library(json_log.stream, logging.INFO)
    structured.join(json_log.stream, logging.INFO)
    return json_log


def _begun(receiver: OtlpReceiver, stream: LogStream, **environ: str) -> LogExport:
    export = LogExport(OTLPLogExporter(f"http://127.0.0.1:{receiver.port}/v1/logs"), RESOURCE, environ)
    export.begin(stream)
    return export


def _one(receiver: OtlpReceiver) -> ReceivedLog:
    (log,) = receiver.logs
    return log


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_LOGS_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, False),
        ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://collector:4318/v1/logs"}, True),
        ({"OTEL_LOGS_EXPORTER": "otlp"}, True),
        ({"OTEL_LOGS_EXPORTER": "console"}, True),
        ({"OTEL_LOGS_EXPORTER": "none", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://collector:4318/v1/logs"}, False),
        ({"OTEL_LOGS_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_what_turns_logs_on(environ: dict[str, str], expected: bool) -> None:
    """K10: the standard variables, as for traces and metrics, and nothing else."""
    assert wants("logs", environ) is expected


def test_events_of_every_kind(receiver: OtlpReceiver, log: Recorded) -> None:
    """structlog's, the framework's and third parties' loggers: severity, body, fields, logger and resource; stdout has them too."""
    export = _begun(receiver, log.stream)
    structlog.get_logger("catalog.prices").warning("price changed", price=990, ok=True, tags=["a", 1], more={"a": {"b": 1.5}})
    logging.getLogger("asyncpg").error("gone: %s", "away", extra={"host": "db"})
    export.shutdown()
    first, second = receiver.logs
    assert (first.logger, first.severity, first.body) == ("catalog.prices", "warning", "price changed")
    assert (first.attributes["price"], first.attributes["ok"]) == (990, True)
    assert [one.string_value or one.int_value for one in first.attributes["tags"].values] == ["a", 1]
    assert first.resource == {"service.name": "shop"}
    assert (second.logger, second.body, second.attributes) == ("asyncpg", "gone: away", {"host": "db"})
    assert [line["event"] for line in log.lines()] == ["price changed", "gone: away"]
    assert first.time_ns > 1_700_000_000 * 10**9


def test_secrets_are_masked(receiver: OtlpReceiver, log: Recorded) -> None:
    """By name, by look, in the body, in nested fields and in tracebacks, before anything leaves the process."""
    export = _begun(receiver, log.stream)
    try:
        raise ValueError(f"refused: {JWT}")
    except ValueError:
        logging.getLogger("app").exception("token %s", JWT, extra={"password": "hunter2", "deep": {"api_key": "k", "say": JWT}})
    export.shutdown()
    one = _one(receiver)
    assert one.body == "token ***"
    assert one.attributes["password"] == "***"
    assert one.attributes["exception.type"] == "ValueError"
    assert one.attributes["exception.message"] == "refused: ***"
    assert "raise ValueError" in one.attributes["exception.stacktrace"]
    assert "eyJ" not in str(one)
    assert "hunter2" not in str(one)


def test_a_request_and_its_trace(receiver: OtlpReceiver, log: Recorded, make_request: MakeRequest, handling: Any) -> None:
    """What is said inside a request has its id and the ids of its trace; outside there are none (T9)."""
    export = _begun(receiver, log.stream)
    request = make_request(headers={"traceparent": CALLER})
    handling(request)
    logging.getLogger("app").warning("inside")
    request.trace = parse_traceparent(CALLER)._replace(is_remote=False)  # type: ignore[union-attr]
    log.stream.emit(Event(1.0, "info", "app", "in a span of this process", {}, None, "the stack"))
    handling(None)
    logging.getLogger("app").warning("outside")
    export.shutdown()
    caller, own, outside = receiver.logs
    assert (caller.trace_id, caller.span_id) == (CALLER[3:35], "")
    assert caller.attributes == {"fairlead.request_id": request.id}
    assert (own.trace_id, own.span_id, own.attributes["code.stacktrace"]) == (CALLER[3:35], CALLER[36:52], "the stack")
    assert (outside.trace_id, outside.span_id, outside.attributes) == ("", "", {})


def test_access_records(receiver: OtlpReceiver, log: Recorded, make_request: MakeRequest) -> None:
    """Off unless asked for; then a record for each line, with its fields and its request's trace, whatever the format of stdout."""
    export = _begun(receiver, log.stream)
    access = AccessLog(log.stream)
    access.observe(make_request(), 200, 5, 0.0, 0.001)
    AccessLog(LogStream({}, "json", None, lambda event: b"")).observe(make_request(), 200, 5, 0.0, 0.001)  # to other handlers
    request = make_request(headers={"traceparent": CALLER})
    export.with_access(access.observe, sample=0.0)(request, 200, 5, 0.0, 0.001)
    export.with_access(access.observe, sample=0.0)(request, 503, 5, 0.0, 0.001)
    export.shutdown()
    one = _one(receiver)
    assert (one.logger, one.severity, one.body, one.trace_id) == ("fairlead.access", "error", "request", CALLER[3:35])
    assert one.attributes["fairlead.request_id"] == request.id
    assert (one.attributes["status"], one.attributes["route"], one.attributes["bytes"]) == (503, "/products/<id:int>", 5)
    assert access.metrics.total == 3


def test_a_configuration_of_ones_own(receiver: OtlpReceiver, log: Recorded) -> None:
    """Under a dict configuration, whose handlers are not ours, every logger's events are sent all the same, each once."""
    stream = configure(service="shop", dict_config={"version": 1, "disable_existing_loggers": False, "root": {"level": "INFO"}})
    export = _begun(receiver, stream)
    logging.getLogger("asyncpg").warning("gone")
    structlog.get_logger("app").info("said")
    root = logging.getLogger()
    root.handlers[-1].handle(logging.makeLogRecord({"levelno": "no number"}))  # nothing is raised at whoever logs
    export.shutdown()
    logging.getLogger("asyncpg").warning("after the end")
    assert [log.body for log in receiver.logs] == ["gone", "said"]


class Stalled:
    """A collector's exporter that waits, logs while it does, and says what it is told to."""

    def __init__(self, result: LogRecordExportResult = LogRecordExportResult.SUCCESS) -> None:
        self.asked, self.go_on = threading.Event(), threading.Event()
        self.result = result
        self.batches: list[list[str]] = []

    def export(self, batch: Any) -> LogRecordExportResult:
        """A batch."""
        self.asked.set()
        assert self.go_on.wait(10)
        logging.getLogger("urllib3").error("a connection was lost")
        logging.getLogger("opentelemetry.sdk").error("and so was a batch")
        self.batches.append([one.log_record.body for one in batch])
        return self.result

    def shutdown(self) -> None:
        """Nothing is kept."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is kept."""
        return True


def test_a_full_queue_drops_and_counts(log: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the collector stalls, logging goes on; what finds no room is counted. What the exporter logs itself makes no record."""
    monkeypatch.setenv("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "2")
    monkeypatch.setenv("OTEL_BLRP_MAX_QUEUE_SIZE", "4")
    exporter: Any = Stalled()
    export = LogExport(exporter, RESOURCE)
    export.begin(log.stream)
    app = logging.getLogger("app")
    app.warning("0")
    app.warning("1")
    assert exporter.asked.wait(10)
    for number in range(2, 8):
        app.warning(str(number))
    assert export.dropped == 4
    assert _dropped(export) == 4
    exporter.go_on.set()
    export.shutdown()
    assert exporter.batches == [["0", "1"], ["2", "3"]]
    assert export.dropped == 4


def test_a_batch_that_the_collector_refuses_is_counted(log: Recorded) -> None:
    """So is an event that no record can be made of; a flush reaches the exporter."""
    exporter: Any = Stalled(LogRecordExportResult.FAILURE)
    exporter.go_on.set()
    export = LogExport(exporter, RESOURCE, {"OTEL_BLRP_MAX_QUEUE_SIZE": "-3"})
    export.begin(log.stream)
    assert _Watched(exporter, export._around).force_flush(5) is True
    assert _logs.get_logger_provider().force_flush() is True  # type: ignore[attr-defined]
    logging.getLogger("app").warning("refused")
    export.take(Event(1.0, "no level", "app", "strange", {}))
    export.shutdown()
    assert exporter.batches == [["refused"]]
    assert _dropped(export) == 2


def _dropped(export: LogExport) -> int:
    ((_, value),) = export.collect()["fairlead_log_records_dropped_total"]["series"]
    assert isinstance(value, int)
    return value


def test_the_stream_is_left_as_it_was(log: Recorded) -> None:
    """After the end nothing is taken."""
    exporter: Any = Stalled()
    exporter.go_on.set()
    export = LogExport(exporter, RESOURCE)
    export.begin(log.stream)
    export.shutdown()
    logging.getLogger("app").warning("after the end")
    assert exporter.batches == []
