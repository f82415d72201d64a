"""structlog's end of the stream. The only module that imports structlog, and itself imported once somebody else has done so.

`structlog.get_logger("catalog.prices")` names the logger; without a name it is "app". Fields that were bound with
`structlog.contextvars` are included.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import MutableMapping
from typing import Any

import structlog

from fairlead.telemetry.logging import LogStream
from fairlead.telemetry.rendering import Event

__all__ = ["join"]

_LEVELS = {"warn": "warning", "exception": "error", "fatal": "critical", "msg": "info"}


class _Target:
    """Where events go now. Loggers that were made under an earlier configuration are kept by structlog, and must follow."""

    stream: LogStream


def join(stream: LogStream, level: int) -> None:
    """Send structlog's events to `stream`. Where handlers of the standard library take over, they decide on levels."""
    _Target.stream = stream
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, _to_event],
        wrapper_class=structlog.make_filtering_bound_logger(level if stream.writer is not None else logging.NOTSET),
        logger_factory=lambda *name: _Sink(name[0] if name else "app"),
        cache_logger_on_first_use=True,
    )


class _Sink:
    """What structlog calls its logger: takes the finished event."""

    def __init__(self, name: str) -> None:
        self.name = name

    def emit(self, event: Event) -> None:
        _Target.stream.emit(event)

    debug = info = warning = warn = error = exception = critical = fatal = msg = log = emit


def _to_event(sink: Any, method: str, fields: MutableMapping[str, Any]) -> tuple[tuple[Event], dict[str, Any]]:
    """The last processor: (positional, keyword) arguments for the sink's method."""
    title = str(fields.pop("event", ""))
    if method not in ("critical", "fatal") and not _Target.stream.admits(sink.name, title):
        raise structlog.DropEvent
    exception = _exception(fields.pop("exc_info", None))
    stack = _stack() if fields.pop("stack_info", False) else None
    event = Event(time.time(), _LEVELS.get(method, method), sink.name, title, fields, exception, stack)
    return (event,), {}


def _exception(exc_info: Any) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1] if len(exc_info) > 1 else None
    return sys.exc_info()[1] if exc_info else None


def _stack() -> str:
    frames = [frame for frame in traceback.extract_stack() if "structlog" not in frame.filename.split("/")]
    return "".join(traceback.format_list(frames[:-2])).rstrip("\n")
