"""structlog's end of the stream. The only module that imports structlog; `logging.configure` imports it when the
library is there.

`structlog.get_logger("catalog.prices")` names the logger; without a name it is "app". Fields that were bound with
`structlog.contextvars` are included.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from fairlead.telemetry.logging import LogStream
from fairlead.telemetry.rendering import Event

__all__ = ["join"]

_LEVELS = {"warn": "warning", "exception": "error", "fatal": "critical", "msg": "info"}


def join(stream: LogStream, level: int) -> None:
    """Send structlog's events to `stream`, or to the standard library's loggers when the stream has no writer."""
    if stream.writer is None:
        _hand_over()
    else:
        _connect(stream, level)


def _connect(stream: LogStream, level: int) -> None:
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, _to_event],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *name: _Sink(stream, name[0] if name else "app"),
        cache_logger_on_first_use=True,
    )


def _hand_over() -> None:
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.stdlib.render_to_log_kwargs],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


class _Sink:
    """What structlog calls its logger: takes the finished event."""

    def __init__(self, stream: LogStream, name: str) -> None:
        self.name = name
        self._stream = stream

    def emit(self, event: Event) -> None:
        self._stream.emit(event)

    debug = info = warning = warn = error = exception = critical = fatal = msg = log = emit


def _to_event(sink: Any, method: str, fields: MutableMapping[str, Any]) -> tuple[tuple[Event], dict[str, Any]]:
    """The last processor: (positional, keyword) arguments for the sink's method."""
    title = str(fields.pop("event", ""))
    exception = _exception(fields.pop("exc_info", None))
    stack = _stack() if fields.pop("stack_info", False) else None
    event = Event(time.time(), _LEVELS.get(method, method), sink.name, title, _plain_names(fields), exception, stack)
    return (event,), {}


def _exception(exc_info: Any) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1] if len(exc_info) > 1 else None
    return sys.exc_info()[1] if exc_info else None


def _stack() -> str:
    import traceback

    frames = [frame for frame in traceback.extract_stack() if "structlog" not in frame.filename.split("/")]
    return "".join(traceback.format_list(frames[:-2])).rstrip("\n")


def _plain_names(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in fields.items()}
