"""structlog and the standard library's loggers, in one stream on stdout.

Both ends meet in one `Renderer` and one `LineWriter`:

    structlog.get_logger("catalog.prices").info("price changed", sku=…)  ─┐
                                                                          ├─ Event ─ renderer ─ LineWriter ─ stdout
    logging.getLogger("asyncpg").warning("…", extra={…})  ─ LineHandler  ─┘

The format is JSON where stdout is no terminal (a container, a pipe) and text where it is one; `format` overrides
that. The loggers of the framework are those below "fairlead" of the standard library, so the core needs no structlog:
without the extra `fairlead[telemetry]` everything here works the same, only `structlog.get_logger` is not there to be
joined.

`configure(dict_config=…)` replaces all of it by `logging.config.dictConfig`; structlog then hands its events to the
standard library's loggers, and so does the access log. `JsonFormatter` and `context.RequestContext` are for use in
such a configuration.

PERF: structlog over the standard library's handlers costs 17.6 µs an event, this path about 8 (benchmarks/pieces.py).
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

from fairlead.errors import ConfigurationError
from fairlead.telemetry.arrival import when_imported
from fairlead.telemetry.flood import FloodGate
from fairlead.telemetry.line_writer import LineWriter
from fairlead.telemetry.rendering import ConsoleRenderer, Event, JsonRenderer, Renderer
from fairlead.telemetry.snapshot import Snapshot, family

__all__ = ["JsonFormatter", "LineHandler", "LogStream", "configure", "current_stream", "event_of"]

Format: TypeAlias = Literal["json", "console"]

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
QUIET_LOGGERS = ("asyncio", "httpcore", "httpx", "urllib3")
"""Third parties that narrate every step below WARNING."""

_RECORD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


class LogStream:
    """Where the events of this process go; `writer` is None under a dict configuration, which has its own handlers."""

    def __init__(
        self, identity: Mapping[str, Any], format: Format, writer: LineWriter | None, renderer: Renderer, *, flood_limit: int = 0
    ) -> None:
        self.identity = dict(identity)
        self.format = format
        self.writer = writer
        self.renderer = renderer
        self.also: Callable[[Event], None] | None = None
        """Who else gets each event (`otel/logs.py`)."""
        self._gate = FloodGate(flood_limit if writer is not None else 0, self._tell_flood)
        self.admits = self._gate.admits
        """Whether one more line of `(logger, message)` may pass: ask before making an `Event` of it."""

    def emit(self, event: Event) -> None:
        """Write one event; errors are flushed at once, because a process in trouble may not live to do it later."""
        if self.writer is None:
            _hand_over(event)
            return
        self.writer.write(self.renderer(event))
        if self.also is not None:
            self.also(event)
        if event.level in ("error", "critical"):
            self.writer.hurry()

    def _tell_flood(self, logger: str, message: str, left_out: int) -> None:
        fields = {"of": logger, "message": message, "left_out": left_out}
        self.emit(Event(time.time(), "warning", "fairlead.telemetry", "log lines were left out", fields))

    def flush(self, timeout_s: float = 2.0) -> bool:
        """Wait until everything is written, at most `timeout_s`; whether it was."""
        self._gate.settle()
        return self.writer is None or self.writer.flush(timeout_s)

    def close(self) -> None:
        """Write what is pending, and nothing more after that."""
        self._gate.settle()
        if self.writer is not None:
            self.writer.close()

    def collect(self) -> Snapshot:
        """The number of lines that were dropped: a `Collector` for the registry."""
        return {
            "fairlead_log_lines_dropped_total": family(
                "counter",
                "Log lines left out because stdout was full or closed.",
                [((), self.writer.dropped if self.writer is not None else 0)],
            ),
            "fairlead_log_lines_left_out_total": family(
                "counter", "Log lines left out because their message repeated itself too fast.", [((), self._gate.left_out)]
            ),
        }


_stream: LogStream | None = None


def current_stream() -> LogStream | None:
    """What `configure` has set up in this process; None when somebody else sees to its logs."""
    return _stream


def configure(
    *,
    service: str,
    version: str = "",
    worker: int | str | None = None,
    format: str | None = None,
    level: str = "info",
    flood_limit: int = 0,
    dict_config: Mapping[str, Any] | None = None,
) -> LogStream:
    """Set up every logger of this process. Called once, by the supervisor and by each worker, before anything else is
    loaded.

    `format` is "json", "console" or None for whichever suits stdout; `level` is debug, info, warning, error or
    critical; of one message no more than `flood_limit` lines a second pass (0: all). Raises `ConfigurationError` for anything
    else, and for a dict configuration that `logging` refuses. `AccessLog` wants the stream that it returns; it is
    flushed at exit.
    """
    global _stream
    number = LEVELS.get(level.lower())
    if number is None:
        raise ConfigurationError(f"LOG_LEVEL is one of {', '.join(LEVELS)}, not {level!r}")
    identity = {"service": service, "version": version, "worker": worker, "pid": os.getpid()}
    identity = {name: value for name, value in identity.items() if value is not None and value != ""}
    stream = _open(identity, _choose_format(format), flood_limit, is_writing=dict_config is None)
    if _stream is not None:
        _stream.close()
        atexit.unregister(_stream.flush)
    atexit.register(stream.flush)
    _stream = stream
    if dict_config is not None:
        _apply(dict_config)
    else:
        _join_standard_library(stream, number)
    when_imported("structlog", lambda: _join_structlog(stream, number))
    return stream


def _join_structlog(stream: LogStream, level: int) -> None:
    from fairlead.telemetry import structured

    structured.join(stream, level)


def _apply(dict_config: Mapping[str, Any]) -> None:
    from logging.config import dictConfig  # only who has one pays for it: it loads socketserver and more

    try:
        dictConfig(dict(dict_config))
    except (ValueError, TypeError, AttributeError, ImportError) as error:
        cause = f": {error.__cause__}" if error.__cause__ is not None else ""
        raise ConfigurationError(f"the log configuration is refused: {error}{cause}") from error


def _choose_format(format: str | None) -> Format:
    match (format or "").lower():
        case "json":
            return "json"
        case "console":
            return "console"
        case "" | "auto":
            return "console" if os.isatty(_stdout_fd()) else "json"
    raise ConfigurationError(f"LOG_FORMAT is json or console, not {format!r}")


def _stdout_fd() -> int:
    """Stdout's descriptor; 1 where a test or an embedder has put something without one in its place."""
    try:
        return sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return 1


def _open(identity: Mapping[str, Any], format: Format, flood_limit: int, *, is_writing: bool) -> LogStream:
    renderer: Renderer
    if format == "json":
        renderer, gather_s = JsonRenderer(identity), 0.05
    else:
        colours = os.isatty(_stdout_fd()) and "NO_COLOR" not in os.environ
        renderer, gather_s = ConsoleRenderer(colours=colours, worker=identity.get("worker")), 0.0

    def notice(dropped: int) -> bytes:
        fields = {"dropped": dropped}
        return renderer(Event(time.time(), "warning", "fairlead.telemetry", "log lines were dropped", fields))

    writer = LineWriter(_stdout_fd(), notice=notice, gather_s=gather_s) if is_writing else None
    return LogStream(identity, format, writer, renderer, flood_limit=flood_limit)


# The standard library's side --------------------------------------------------------------------------------


def _join_standard_library(stream: LogStream, level: int) -> None:
    logging.captureWarnings(True)
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler, LineHandler) or type(handler) is logging.StreamHandler:
            root.removeHandler(handler)
    root.addHandler(LineHandler(stream))
    root.setLevel(level)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


class LineHandler(logging.Handler):
    """Hands each record to a stream."""

    def __init__(self, stream: LogStream) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if record.levelno >= logging.CRITICAL or self._stream.admits(record.name, str(record.msg)):
                self._stream.emit(event_of(record))
        except Exception:  # the contract of logging: a log call doesn't raise
            self.handleError(record)

    def flush(self) -> None:
        self._stream.flush()


class JsonFormatter(logging.Formatter):
    """The JSON schema of `rendering` for a dict configuration of one's own:
    `"formatters": {"json": {"()": "fairlead.telemetry.logging.JsonFormatter", "service": "catalog"}}`."""

    def __init__(self, **identity: Any) -> None:
        super().__init__()
        self._render = JsonRenderer(identity)

    def format(self, record: logging.LogRecord) -> str:
        return self._render(event_of(record)).decode().rstrip("\n")


def event_of(record: logging.LogRecord) -> Event:
    """A record of the standard library as an event; what was given as `extra` becomes fields."""
    try:
        message = record.getMessage()
    except Exception:  # arguments that don't fit their format
        message = f"{record.msg} {record.args!r}"
    extra = {str(name): value for name, value in vars(record).items() if name not in _RECORD_FIELDS}
    level = "critical" if record.levelno >= 50 else _level_name(record.levelno)
    exception = record.exc_info[1] if record.exc_info else None
    return Event(record.created, level, record.name, message, extra, exception, record.stack_info)


def _hand_over(event: Event) -> None:
    """An event as a record of the standard library, for handlers that somebody else has configured."""
    fields = {f"{name}_" if name in _RECORD_FIELDS else name: value for name, value in event.fields.items()}
    if event.stack is not None:
        fields["stack"] = event.stack
    logging.getLogger(event.logger).log(LEVELS[event.level], event.event, exc_info=event.exception, extra=fields)


def _level_name(number: int) -> str:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warning"
    return "info" if number >= logging.INFO else "debug"
