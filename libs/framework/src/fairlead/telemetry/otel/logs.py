"""Log events over OTLP, beside the lines on stdout: the SDK's pipeline behind the same events, masked in the same way.

How it works. `LogStream` hands each event that it writes to `LogExport.take` as well (under a dict configuration a handler of the
root logger does), and that makes a record of it: severity, body, attributes, the ids of its trace. The SDK's processor keeps
records in a bounded queue, and a thread of its own sends them in batches. What finds the queue full is dropped and counted here,
before it gets there, as are batches that the collector did not take: nobody ever waits.

What the SDK itself logs, and what its HTTP client says while a batch is being sent, makes no record: it would never end.

The access log is off here unless `ACCESS_LOG_OTLP` is set: a record costs as much as a dozen lines, and for the requests that
matter there are spans. Rejected: turning logs on by the endpoint for everything, as the standard has it: they would be collected
twice.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber, set_logger_provider
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from fairlead.telemetry.access_log import LOGGER as ACCESS
from fairlead.telemetry.access_log import AccessLog
from fairlead.telemetry.context import request_fields
from fairlead.telemetry.logging import LogStream, event_of
from fairlead.telemetry.rendering import Event, describe, masked, without_tokens
from fairlead.telemetry.snapshot import Snapshot, family
from fairlead.types import Observer

__all__ = ["LogExport"]

MAX_QUEUE = 2_048
"""The SDK's own default of `OTEL_BLRP_MAX_QUEUE_SIZE`."""

SEVERITIES = {
    "debug": SeverityNumber.DEBUG,
    "info": SeverityNumber.INFO,
    "warning": SeverityNumber.WARN,
    "error": SeverityNumber.ERROR,
    "critical": SeverityNumber.FATAL,
}
_NOWHERE = set_span_in_context(INVALID_SPAN, Context())


class LogExport:
    """Takes events from any thread; `begin`, later `shutdown`, once in a process."""

    def __init__(self, exporter: LogRecordExporter, resource: Resource, environ: Mapping[str, str] = os.environ) -> None:
        self._max_queue = _positive(environ.get("OTEL_BLRP_MAX_QUEUE_SIZE", ""), MAX_QUEUE)
        self._lock = threading.Lock()
        self._pending = 0
        self.dropped = 0
        """Records that the collector never got, as far as is known here."""
        self._sending = threading.local()
        self._provider = LoggerProvider(resource, shutdown_on_exit=False)
        self._provider.add_log_record_processor(BatchLogRecordProcessor(_Watched(exporter, self._around)))
        self._stream: LogStream | None = None
        self._handler: _Handler | None = None

    def begin(self, stream: LogStream | None) -> None:
        """Take what goes to `stream` from now on. None, or one without a writer: the logs are configured by somebody else."""
        set_logger_provider(self._provider)
        if stream is not None and stream.writer is not None:
            self._stream = stream
            stream.also = self.take
        else:
            self._handler = _Handler(self.take)
            logging.getLogger().addHandler(self._handler)

    def shutdown(self) -> None:
        """Take nothing more, and send what is left: waits for the collector."""
        if self._stream is not None:
            self._stream.also = None
        if self._handler is not None:
            logging.getLogger().removeHandler(self._handler)
        self._provider.shutdown()

    def take(self, event: Event) -> None:
        """Make a record of an event; never raises, never waits."""
        logger = event.logger
        if logger == ACCESS or logger.partition(".")[0] == "opentelemetry" or getattr(self._sending, "is_on", False):
            return
        self._emit(event, request_fields(), event.fields)

    def _take_access(self, event: Event) -> None:
        fields = dict(event.fields)
        ids: dict[str, str] = {name: fields.pop(name) for name in ("request_id", "trace_id", "span_id") if name in fields}
        self._emit(event, ids, fields)

    def _emit(self, event: Event, ids: Mapping[str, str], fields: Mapping[str, Any]) -> None:
        with self._lock:
            if self._pending >= self._max_queue:
                self.dropped += 1
                return
            self._pending += 1
        try:
            self._provider.get_logger(event.logger).emit(_record(event, ids, fields))
        except Exception:
            with self._lock:
                self._pending -= 1
                self.dropped += 1

    def _around(self, batch: Sequence[ReadableLogRecord], export: Callable[[Any], LogRecordExportResult]) -> LogRecordExportResult:
        """Send a batch, in the processor's thread."""
        self._sending.is_on, result = True, LogRecordExportResult.FAILURE
        try:
            result = export(batch)
        finally:
            self._sending.is_on = False
            with self._lock:
                self._pending = max(self._pending - len(batch), 0)
                self.dropped += len(batch) if result is not LogRecordExportResult.SUCCESS else 0
        return result

    def with_access(self, observer: Observer, **options: Any) -> Observer:
        """An observer that makes a record of each request that has an access line; `options` are those of `AccessLog`."""
        record = AccessLog(_RecordStream(self._take_access), **options).observe

        def observe(request: Any, status: int, body_bytes: int, started_s: float, ended_s: float, aborted: str = "", /) -> None:
            observer(request, status, body_bytes, started_s, ended_s, aborted)
            record(request, status, body_bytes, started_s, ended_s, aborted)

        return observe

    def collect(self) -> Snapshot:
        """A `Collector` for the registry."""
        help = "Log records that did not reach the collector."
        return {"fairlead_log_records_dropped_total": family("counter", help, [((), self.dropped)])}


def _record(event: Event, ids: Mapping[str, str], fields: Mapping[str, Any]) -> LogRecord:
    attributes = {name: masked(name, value) for name, value in fields.items()}
    if "request_id" in ids:
        attributes["fairlead.request_id"] = ids["request_id"]
    if event.exception is not None:
        attributes |= {f"exception.{name}": text for name, text in describe(event.exception).items()}
    if event.stack is not None:
        attributes["code.stacktrace"] = event.stack
    return LogRecord(
        timestamp=int(event.created_s * 1e9),
        context=_context(ids),
        severity_text=event.level,
        severity_number=SEVERITIES[event.level],
        body=without_tokens(event.event),
        attributes=without_tokens(attributes),
    )


def _context(ids: Mapping[str, str]) -> Context:
    """Where in a trace it was said; never the ambient one, which would make a span to answer."""
    if "trace_id" not in ids:
        return _NOWHERE
    span_id = int(ids.get("span_id", "0"), 16)
    flags = TraceFlags(TraceFlags.SAMPLED if span_id else TraceFlags.DEFAULT)
    place = SpanContext(int(ids["trace_id"], 16), span_id, is_remote=False, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(place), Context())


def _positive(text: str, default: int) -> int:
    return int(text) if text.strip().isdecimal() and int(text) > 0 else default


class _Watched(LogRecordExporter):
    """The exporter, with `around` about each batch."""

    def __init__(self, exporter: Any, around: Callable[..., LogRecordExportResult]) -> None:
        self._exporter = exporter
        self._around = around

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        return self._around(batch, self._exporter.export)

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return bool(self._exporter.force_flush(timeout_millis))


class _Handler(logging.Handler):
    """Takes the records of the standard library, where a dict configuration is in charge."""

    def __init__(self, take: Callable[[Event], None]) -> None:
        super().__init__()
        self._take = take

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._take(event_of(record))
        except Exception:  # the contract of logging: a log call doesn't raise
            self.handleError(record)


class _RecordStream(LogStream):
    """What an `AccessLog` writes to that makes records."""

    def __init__(self, take: Callable[[Event], None]) -> None:
        super().__init__({}, "json", None, lambda event: b"")
        self._take = take

    def emit(self, event: Event) -> None:
        self._take(event)
