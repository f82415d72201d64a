"""fairlead.telemetry.otel.finished_request: both ways from a finished request to its span come to the same."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from fairlead import App, Request, text
from fairlead.http.head import Head, read_plain
from fairlead.request import ConnectionInfo
from fairlead.telemetry.otel import finished_request
from fairlead.telemetry.otel.engine import OtelEngine
from fairlead.telemetry.otel.finished_request import FinishedRequest
from fairlead.telemetry.otel.sampling import DrawnIds, draw_place, sampling_from

CALLER = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PROXIED = {"PROXIES_COUNT": 1, "REAL_IP_HEADER": "x-real-ip"}


def _engine() -> OtelEngine:
    ids = DrawnIds()
    processor = SimpleSpanProcessor(InMemorySpanExporter())
    return OtelEngine(TracerProvider(id_generator=ids, shutdown_on_exit=False), sampling_from({}), ids, processor, lambda *_: None)


def _finished(
    *lines: bytes, target: bytes = b"/products/7", method: bytes = b"GET", status: int = 200, **config: Any
) -> FinishedRequest:
    app: App[Any, Any] = App("finished")
    app.config.update(config)

    @app.get("/products/<id:int>")
    async def show(request: Request[Any, Any], id: int) -> Any:
        return text("")

    app.finalise()
    block = b"".join(b"\r\n" + line for line in (b"Host: shop.example:8000", *lines))
    head = read_plain(block, 100)
    assert head is not None
    exchange: Any = SimpleNamespace(info=ConnectionInfo(("192.0.2.1", 50000), ("192.0.2.2", 80)))
    request: Request[Any, Any] = Request(app, exchange, method, target, head, b"")
    app.dispatcher.find(request)
    return FinishedRequest(request, draw_place(1.0, request.trace), _engine(), status, 5)


@pytest.mark.parametrize(
    "finished",
    [
        pytest.param(lambda: _finished(), id="plain"),
        pytest.param(lambda: _finished(b"User-Agent: tests", b"User-Agent: more", target=b"/products/7?token=abc&p=2"), id="query"),
        pytest.param(lambda: _finished(b"User-Agent: " + "é".encode("latin-1") * 2_000, target=b"/" + b"x" * 3_000), id="long"),
        pytest.param(lambda: _finished(CALLER), id="caller"),
        pytest.param(lambda: _finished(CALLER, b"tracestate: vendor=1,other=two"), id="state"),
        pytest.param(lambda: _finished(b"traceparent: nonsense"), id="no caller"),
        pytest.param(lambda: _finished(method=b"BREW", target=b"/nowhere", status=404), id="method"),
        pytest.param(lambda: _finished(status=503), id="error"),
        pytest.param(lambda: _finished(b"X-Real-IP: 198.51.100.7", b"X-Forwarded-Host: proxied", **PROXIED), id="proxied"),
        pytest.param(lambda: _finished(b"X-Real-IP: 198.51.100.7"), id="proxies are not trusted"),
    ],
)
def test_the_bytes_say_what_the_span_says(finished: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """K10: `write` and `complete` give one span: written for the first time, and from the block that is kept."""
    monkeypatch.setattr(finished_request, "_blocks", {})
    one = finished()
    (expected,) = encode_spans([one.complete(Resource({}))]).resource_spans[0].scope_spans[0].spans
    for _ in range(2):
        written = Span.FromString(one.write())
        assert _sorted(written) == _sorted(expected)


def _sorted(span: Span) -> Span:
    attributes = sorted(span.attributes, key=lambda one: one.key)
    del span.attributes[:]
    span.attributes.extend(attributes)
    return span


def test_requests_that_differ_have_blocks_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Method, status, version, host and route each make another block, and a client that invents hosts can't fill the memory."""
    blocks: dict[Any, bytes] = {}
    monkeypatch.setattr(finished_request, "_blocks", blocks)
    monkeypatch.setattr(finished_request, "MAX_BLOCKS", 3)
    for status in (200, 404, 503):
        _finished(status=status).write()
    assert len(set(blocks.values())) == 3
    _finished(status=204).write()
    assert len(blocks) == 1


def test_fields_of_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under an ASGI server a head has pairs in the place of a block; the caller is found in them as well."""
    one = _finished()
    one._request.head = Head(pairs=[(b"host", b"shop"), tuple(CALLER.split(b": "))])
    one._request.trace = None
    assert Span.FromString(one.write()).parent_span_id.hex() == "b7ad6b7169203331"
