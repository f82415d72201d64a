"""The span of a request: what it says, whose child it is, and what code inside the request sees of it."""

from __future__ import annotations

import asyncio
import json as jsonlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import structlog
from opentelemetry import trace as otel
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from fairlead import App, Request, json, text
from fairlead.errors import NotFound
from fairlead.http.head import Head
from fairlead.request import ConnectionInfo
from fairlead.telemetry import tracing
from fairlead.telemetry.otel.exporter import Completing
from fairlead.telemetry.otel.http_attributes import opening_attributes
from fairlead.telemetry.tracing import current_traceparent
from fairlead.testing import AsyncTestClient
from tests.framework.telemetry.conftest import Recorded

from .conftest import Traces

Trace = Callable[..., Traces]

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CALLER = f"00-{TRACE_ID}-b7ad6b7169203331-01"
UNSAMPLED = CALLER[:-2] + "00"


def _app() -> App[Any, Any]:
    app: App[Any, Any] = App("traced")

    @app.get("/products/<id:int>")
    async def show(request: Request[Any, Any], id: int) -> Any:
        span = otel.get_current_span().get_span_context()
        return json({"traceparent": current_traceparent(), "span": f"{span.span_id:016x}", "sampled": span.trace_flags.sampled})

    @app.get("/missing")
    async def missing(request: Request[Any, Any]) -> Any:
        raise NotFound("nothing here")

    @app.get("/broken")
    async def broken(request: Request[Any, Any]) -> Any:
        raise KeyError("secret")

    @app.get("/pieces")
    async def pieces(request: Request[Any, Any]) -> None:
        stream = await request.respond(content_type="text/plain")
        for number in range(20):
            await stream.send(b"x" * number)

    @app.websocket("/echo")
    async def echo(request: Request[Any, Any], ws: Any) -> None:
        async for message in ws:
            await ws.send(message)

    return app


async def test_a_sampled_request_has_a_span_by_the_conventions(trace: Trace) -> None:
    """Name, kind and attributes are those of OpenTelemetry's stable conventions for HTTP servers (K10)."""
    traces = trace()
    async with AsyncTestClient(traces.watch(_app())) as client:
        answer = (await client.get("/products/42?token=abc&page=2", headers={"user-agent": "tests"})).json()
    (span,) = traces.finished
    assert (span.name, span.kind) == ("GET /products/<id:int>", SpanKind.SERVER)
    attributes = dict(span.attributes or {})
    assert attributes.pop("fairlead.request_id")
    expected = {
        "http.request.method": "GET",
        "http.route": "/products/<id:int>",
        "http.response.status_code": 200,
        "url.path": "/products/42",
        "url.query": "token=***&page=2",
        "url.scheme": "http",
        "server.address": "testserver",
        "server.port": 80,
        "user_agent.original": "tests",
        "network.protocol.version": "1.1",
    }
    attributes.pop("client.address", None)  # a connection in memory has none
    assert attributes == expected
    context = span.get_span_context()
    assert context is not None
    assert answer["traceparent"] == f"00-{context.trace_id:032x}-{context.span_id:016x}-01"
    assert tracing.spans == {}


async def test_a_request_that_says_little(trace: Trace) -> None:
    """An unknown method is shown as such beside its original; what a request does not bring is left out, not empty."""
    traces = trace()
    app = _app()
    async with AsyncTestClient(traces.watch(app)) as client:
        await client.request("BREW", "/products/42", headers={"user-agent": ""})
    (span,) = traces.finished
    attributes = dict(span.attributes or {})
    assert (attributes["http.request.method"], attributes["http.request.method_original"]) == ("_OTHER", "BREW")
    assert "user_agent.original" not in attributes
    connection = ConnectionInfo(("192.0.2.1", 50000), ("192.0.2.2", 80))
    nameless: Request[Any, Any] = Request(app, SimpleNamespace(info=connection), b"GET", b"/", Head(), b"")  # type: ignore[arg-type]
    found = opening_attributes(nameless)
    assert "server.address" not in found
    assert found["client.address"] == "192.0.2.1"
    nameless.exchange.info = ConnectionInfo("", "/run/shop.sock")  # a peer on a Unix socket has no address
    assert "client.address" not in opening_attributes(nameless)


def test_flushing_is_passed_on() -> None:
    """Whoever asks the provider to flush reaches the exporter, and learns what it says."""
    asked: list[int] = []

    class Exporter(InMemorySpanExporter):
        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            asked.append(timeout_millis)
            return False

    assert Completing(Exporter(), Resource.create({})).force_flush(500) is False
    assert asked == [500]


async def test_a_callers_trace_goes_on(trace: Trace) -> None:
    """With a sampled `traceparent` the span is the caller's child, whatever the ratio says."""
    traces = trace(OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG="0")
    async with AsyncTestClient(traces.watch(_app())) as client:
        await client.get("/products/1", headers={"traceparent": CALLER, "tracestate": "vendor=1"})
    (span,) = traces.finished
    assert span.parent is not None
    assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE_ID, "b7ad6b7169203331")
    assert span.parent.trace_state.get("vendor") == "1"


async def test_an_unsampled_request_has_no_span_and_passes_its_trace_on(trace: Trace) -> None:
    """No span is made for it nor inside it, and what it calls hears of its caller's trace, marked as unsampled."""
    traces = trace()
    app = _app()

    @app.get("/inside")
    async def inside(request: Request[Any, Any]) -> Any:
        with traces.provider.get_tracer("client").start_as_current_span("call") as span:
            assert not span.is_recording()
            return text(current_traceparent())

    async with AsyncTestClient(traces.watch(app)) as client:
        answer = (await client.get("/products/1", headers={"traceparent": UNSAMPLED})).json()
        passed_on = (await client.get("/inside", headers={"traceparent": UNSAMPLED})).text
    assert traces.finished == []
    assert answer["traceparent"] == UNSAMPLED
    assert not answer["sampled"]
    assert passed_on.startswith(f"00-{TRACE_ID}-")
    assert passed_on.endswith("-00")


async def test_a_request_without_a_trace_that_is_not_drawn_gets_an_unsampled_one(trace: Trace) -> None:
    """What it calls must not begin traces of its own: it is told a trace id, and that it is not sampled."""
    traces = trace(OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG="0.0")
    async with AsyncTestClient(traces.watch(_app())) as client:
        first, second = [(await client.get("/products/1")).json()["traceparent"] for _ in range(2)]
    assert traces.finished == []
    assert first.endswith("-00")
    assert first != second


async def test_the_ratio_holds(trace: Trace) -> None:
    """About as many requests are sampled as the ratio says, and the SDK agrees with each decision."""
    traces = trace(OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG="0.5")
    async with AsyncTestClient(traces.watch(_app())) as client:
        for _ in range(200):
            await client.get("/products/1")
    assert 50 < len(traces.finished) < 150


async def test_an_invalid_traceparent_is_as_good_as_none(trace: Trace) -> None:
    """A new trace is begun (W3C Trace Context §3.2.2), and so for a header that came twice."""
    traces = trace()
    async with AsyncTestClient(traces.watch(_app())) as client:
        await client.get("/products/1", headers={"traceparent": "nonsense"})
        await client.get("/products/1", headers=[("traceparent", CALLER), ("traceparent", CALLER)])
    assert [span.parent for span in traces.finished] == [None, None]


async def test_errors(trace: Trace) -> None:
    """5xx is an error with its type and the exception; 4xx is the client's, and none (conventions for HTTP servers)."""
    traces = trace()
    async with AsyncTestClient(traces.watch(_app())) as client:
        await client.get("/missing")
        await client.get("/broken")
        await client.get("/nowhere")
    missing, broken, nowhere = traces.finished
    assert missing.status.status_code is StatusCode.UNSET
    assert broken.status.status_code is StatusCode.ERROR
    assert (broken.attributes or {})["error.type"] == "KeyError"
    assert [event.name for event in broken.events] == ["exception"]
    assert nowhere.name == "GET"
    assert "http.route" not in (nowhere.attributes or {})


async def test_pieces_of_a_stream_are_events(trace: Trace) -> None:
    """The first pieces, then those whose number is a power of two."""
    traces = trace()
    async with AsyncTestClient(traces.watch(_app())) as client:
        await client.get("/pieces")
    (span,) = traces.finished
    assert [(event.attributes or {})["number"] for event in span.events] == [*range(1, 9), 16]


async def test_a_websocket_is_a_span_with_its_messages(trace: Trace) -> None:
    """The span lasts as long as the websocket; messages in both directions are events of it, and still counted (W10)."""
    traces = trace()
    async with AsyncTestClient(traces.watch(_app())) as client, client.websocket("/echo") as ws:
        await ws.send("hello")
        assert await ws.recv() == "hello"
    (span,) = traces.finished
    assert (span.name, (span.attributes or {})["http.response.status_code"]) == ("GET /echo", 101)
    events = [((event.attributes or {})["direction"], (event.attributes or {})["size"]) for event in span.events]
    assert events == [("received", 5), ("sent", 5)]


async def test_log_lines_carry_the_innermost_span(trace: Trace, json_log: Recorded) -> None:
    """A line in a handler has the span of the request; one inside a span of the service's own has that one."""
    traces = trace()
    app: App[Any, Any] = App("logged")

    @app.get("/")
    async def handler(request: Request[Any, Any]) -> Any:
        outer = _line(json_log)
        with traces.provider.get_tracer("own").start_as_current_span("inner") as span:
            inner = _line(json_log)
        return json({"outer": outer, "inner": inner, "own": f"{span.get_span_context().span_id:016x}"})

    async with AsyncTestClient(traces.watch(app)) as client:
        lines = (await client.get("/")).json()
    server = traces.finished[-1].get_span_context()
    assert server is not None
    assert (lines["outer"]["trace_id"], lines["outer"]["span_id"]) == (f"{server.trace_id:032x}", f"{server.span_id:016x}")
    assert (lines["inner"]["trace_id"], lines["inner"]["span_id"]) == (f"{server.trace_id:032x}", lines["own"])


def _line(log: Recorded) -> dict[str, Any]:
    from fairlead.telemetry.rendering import Event

    line: dict[str, Any] = jsonlib.loads(log.stream.renderer(Event(0.0, "info", "tests", "said", {})))
    return line


async def test_tasks_go_on_in_the_trace(trace: Trace) -> None:
    """What `app.add_task` starts in a request belongs to its trace, also when the request is over."""
    traces = trace()
    app: App[Any, Any] = App("tasks")
    over = asyncio.Event()
    heard: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def later() -> None:
        await over.wait()
        with traces.provider.get_tracer("own").start_as_current_span("late"):
            heard.set_result(current_traceparent())

    @app.get("/")
    async def handler(request: Request[Any, Any]) -> Any:
        request.app.add_task(later())
        return text(current_traceparent())

    async with AsyncTestClient(traces.watch(app)) as client:
        within = (await client.get("/")).text
        over.set()
        assert (await heard)[:36] == within[:36]
    server, late = traces.finished
    assert late.parent == server.get_span_context()


async def test_requests_of_one_connection_never_mix(trace: Trace) -> None:
    """Concurrent requests, some sampled and some not, each see their own place in their own trace."""
    traces = trace()
    app: App[Any, Any] = App("mixed")

    @app.get("/<number:int>")
    async def handler(request: Request[Any, Any], number: int) -> Any:
        before = current_traceparent()
        await asyncio.sleep(0)
        with traces.provider.get_tracer("own").start_as_current_span("inner"):
            await asyncio.sleep(0)
        assert current_traceparent() == before
        return text(before)

    async with AsyncTestClient(traces.watch(app)) as client:

        async def one(number: int) -> None:
            flags = f"{number % 2:02x}"
            answer = (await client.get(f"/{number}", headers={"traceparent": f"00-{number:032x}-00000000000000aa-{flags}"})).text
            assert answer.startswith(f"00-{number:032x}-")
            assert answer.endswith(flags)

        await asyncio.gather(*(one(number) for number in range(1, 60)))


async def test_exemplars_name_the_trace(trace: Trace) -> None:
    """A traced request is the example of its bucket, in the metrics that a scraper of OpenMetrics reads."""
    from fairlead.telemetry.exposition import OPENMETRICS, render

    traces = trace()
    async with AsyncTestClient(traces.watch(_app())) as client:
        await client.get("/products/1")
    context = traces.finished[0].get_span_context()
    assert context is not None
    rendered = render(traces.metrics.collect(), OPENMETRICS).decode()
    assert f'# {{trace_id="{context.trace_id:032x}",span_id="{context.span_id:016x}"}}' in rendered
    assert "trace_id" not in render(traces.metrics.collect()).decode()
    structlog.reset_defaults()
