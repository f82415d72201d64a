"""What the tests of telemetry share: requests as the server makes them, and a stream that can be read back."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from fairlead.http.head import Head
from fairlead.request import ConnectionInfo, Request, current_request
from fairlead.routing import Route
from fairlead.telemetry import logging as telemetry_logging
from fairlead.telemetry.line_writer import LineWriter
from fairlead.telemetry.logging import LogStream
from fairlead.telemetry.rendering import ConsoleRenderer, JsonRenderer

IDENTITY = {"service": "catalog", "version": "26.11.0", "worker": 0, "pid": 7}

MakeRequest = Callable[..., Request[Any, Any]]


@pytest.fixture
def make_request() -> MakeRequest:
    """Builds a request for a target and headers; `route` is the template of the route that took it."""

    def make(
        target: bytes = b"/products/42",
        headers: dict[str, str] | None = None,
        *,
        method: bytes = b"GET",
        route: str | None = "/products/<id:int>",
        **config: Any,
    ) -> Request[Any, Any]:
        settings = {"FORWARDED_SECRET": "", "REAL_IP_HEADER": None, "PROXIES_COUNT": None, **config}
        block = "".join(f"\r\n{name}: {value}" for name, value in (headers or {}).items())
        exchange = SimpleNamespace(info=ConnectionInfo(("192.0.2.1", 5555), ("127.0.0.1", 8000)))
        app = SimpleNamespace(config=SimpleNamespace(**settings))
        request: Request[Any, Any] = Request(app, exchange, method, target, Head(block.encode("latin-1")), b"")
        if route is not None:
            request.route = Route("products.show", route, [], ["GET"], lambda request: None)
        return request

    return make


@pytest.fixture
def handling() -> Iterator[Callable[[Request[Any, Any]], None]]:
    """Makes a request the current one until the test ends."""

    def handle(request: Request[Any, Any]) -> None:
        current_request.set(request)

    yield handle
    current_request.set(None)


class Pipe:
    """The reading end of a stdout."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self._is_open = {self.reader, self.writer}

    def close(self, fd: int) -> None:
        if fd in self._is_open:
            self._is_open.remove(fd)
            os.close(fd)

    def read(self) -> bytes:
        """Everything that was written, up to the end: closes the writing end."""
        self.close(self.writer)
        with os.fdopen(os.dup(self.reader), "rb") as file:
            return file.read()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A pipe in place of stdout."""
    pipe = Pipe()
    yield pipe
    pipe.close(pipe.writer)
    pipe.close(pipe.reader)


class Recorded:
    """A log stream and what came out of it."""

    def __init__(self, pipe: Pipe, stream: LogStream) -> None:
        self._pipe = pipe
        self.stream = stream

    def text(self) -> str:
        assert self.stream.flush(10)
        return self._pipe.read().decode()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines()]


@pytest.fixture
def json_log(pipe: Pipe) -> Iterator[Recorded]:
    """A stream of JSON lines."""
    writer = LineWriter(pipe.writer)
    yield Recorded(pipe, LogStream(IDENTITY, "json", writer, JsonRenderer(IDENTITY)))
    writer.close()  # before the next test's pipe gets the same descriptor


@pytest.fixture
def console_log(pipe: Pipe) -> Iterator[Recorded]:
    """A stream for a terminal without colours."""
    writer = LineWriter(pipe.writer)
    yield Recorded(pipe, LogStream(IDENTITY, "console", writer, ConsoleRenderer(colours=False)))
    writer.close()


@pytest.fixture
def loggers() -> Iterator[None]:
    """Puts the process's loggers back as they were."""
    root = logging.getLogger()
    handlers, level, stream = root.handlers[:], root.level, telemetry_logging._stream
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()
    for name in telemetry_logging.QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.NOTSET)
    if telemetry_logging._stream is not stream:
        telemetry_logging._stream = stream
    warnings.resetwarnings()
