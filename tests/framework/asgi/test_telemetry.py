"""fairlead.asgi.telemetry: numbers, lines and spans of an application under an ASGI server, on each of them (P4, K10)."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import websockets
from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from opentelemetry.util._once import Once

from fairlead import App, Request, json, text
from fairlead.asgi import AsgiApplication, expose_metrics
from fairlead.errors import ConfigurationError
from fairlead.response import HTTPResponse
from fairlead.telemetry import logging as telemetry_logging
from fairlead.telemetry.instruments import registry
from fairlead.telemetry.logging import LogStream
from fairlead.telemetry.rendering import Event
from fairlead.telemetry.tracing import current_traceparent
from fairlead.testing.otlp import OtlpReceiver
from tests.framework.asgi.servers import SERVERS, Serve, StartFailed

TOKEN = "a token of the tests"
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

FOREIGN = [name for name in SERVERS if name != "native"]


@pytest.fixture(params=FOREIGN)
def server_name(request: pytest.FixtureRequest) -> str:
    """Which of the others' servers it is."""
    name: str = request.param
    return name


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has no provider yet."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    monkeypatch.setattr("opentelemetry._logs._internal._LOGGER_PROVIDER", None)
    monkeypatch.setattr("opentelemetry._logs._internal._LOGGER_PROVIDER_SET_ONCE", Once())
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http,database")


@pytest.fixture
def receiver(fresh: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpReceiver]:
    """A collector that the environment names, for logs as well."""
    with OtlpReceiver() as receiver:
        for name, value in receiver.environ().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("fairlead.telemetry.otel.sdk.CLIENTS", {})  # the client of the tests is in this process as well
        yield receiver


def make_app(**config: Any) -> App[Any, Any]:
    app: App[Any, Any] = App("observed", config=config)

    @app.get("/products/<id:int>")
    async def show(request: Request[Any, Any], id: int) -> HTTPResponse:
        logging.getLogger("shop").warning("shown")
        with trace.get_tracer("tests").start_as_current_span("inside") as span:
            inner = f"{span.get_span_context().span_id:016x}"
        return json({"traceparent": current_traceparent(), "inner": inner, "id": request.id})

    @app.get("/broken")
    async def broken(request: Request[Any, Any]) -> HTTPResponse:
        raise KeyError("secret")

    @app.get("/pieces")
    async def pieces(request: Request[Any, Any]) -> None:
        response = await request.respond(content_type="text/plain")
        await response.send(b"piece")

    @app.websocket("/echo")
    async def echo(request: Request[Any, Any], ws: Any) -> None:
        async for message in ws:
            await ws.send(message)

    expose_metrics(app, token=TOKEN)
    return app


async def metrics_of(client: httpx.AsyncClient, **headers: str) -> str:
    answer = await client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}", **headers})
    assert answer.status_code == 200
    return answer.text


async def test_metrics(serve: Serve) -> None:
    """Requests by route, method and status, the process and its websockets, at a guarded route; all of it forgotten at the end."""
    before = registry.snapshot()
    async with serve(make_app()) as url, httpx.AsyncClient(base_url=url) as client:
        for number in range(3):
            await client.get(f"/products/{number}")
        await client.get("/broken")
        assert (await client.get("/metrics")).status_code == 401
        assert (await client.get("/metrics", headers={"authorization": "Bearer wrong"})).status_code == 401
        async with websockets.connect(url.replace("http", "ws", 1) + "/echo") as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"
            metrics = await metrics_of(client)
        labels = 'http_request_method="GET",http_route="/products/<id:int>",http_response_status_code="200"'
        assert f"http_server_request_duration_seconds_count{{{labels}}} 3" in metrics
        assert 'http_route="/broken",http_response_status_code="500"} 1' in metrics
        assert "fairlead_websockets 1" in metrics
        assert "process_cpu_seconds_total" in metrics
        assert (await metrics_of(client, accept="application/openmetrics-text")).endswith("# EOF\n")
    assert registry.snapshot().keys() == before.keys()


async def test_what_is_refused_is_counted(serve: Serve) -> None:
    """What never became a request has a count of its own, by status."""
    async with serve(make_app(REQUEST_MAX_SIZE=10)) as url, httpx.AsyncClient(base_url=url) as client:
        assert (await client.post("/products/1", content=b"x" * 100)).status_code in (405, 413)
        assert (await client.get("/products/1", headers={"host": "a b"})).status_code == 400
        metrics = await metrics_of(client)
        seen_here = 'fairlead_http_messages_refused_total{http_response_status_code="400"} 1' in metrics
    assert seen_here or "fairlead_http_messages_refused_total" in metrics  # some servers refuse such a Host themselves


async def test_spans_metrics_and_logs_by_the_variables(serve: Serve, receiver: OtlpReceiver) -> None:
    """One server span a request, in its caller's trace, with what is done inside as its child; logs in it; numbers pushed."""
    async with serve(make_app()) as url, httpx.AsyncClient(base_url=url) as client:
        called = (await client.get("/products/7", headers={"traceparent": CALLER})).json()
        alone = (await client.get("/products/8")).json()
        await client.get("/broken")
    servers = {span.attributes["fairlead.request_id"]: span for span in receiver.spans if span.name == "GET /products/<id:int>"}
    assert len(servers) == 2
    span = servers[called["id"]]
    assert (span.trace_id, span.parent_id) == (CALLER[3:35], CALLER[36:52])
    assert span.attributes["http.route"] == "/products/<id:int>"
    assert called["traceparent"] == f"00-{span.trace_id}-{span.span_id}-01"
    inside = {one.span_id: one.parent_id for one in receiver.spans if one.name == "inside"}
    assert inside == {called["inner"]: span.span_id, alone["inner"]: servers[alone["id"]].span_id}
    assert [one.attributes["error.type"] for one in receiver.spans if one.name == "GET /broken"] == ["KeyError"]
    said = {one.attributes["fairlead.request_id"]: (one.trace_id, one.span_id) for one in receiver.logs if one.body == "shown"}
    assert said == {key: (one.trace_id, one.span_id) for key, one in servers.items()}
    assert span.resource["process.pid"] == os.getpid()
    counted = [one for one in receiver.metrics if one.name == "http.server.request.duration"]
    assert {one.attributes["http.route"]: one.value for one in counted} == {"/products/<id:int>": 2, "/broken": 1}


async def test_one_signal_alone(serve: Serve, receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics without traces and logs: numbers are pushed, and no span is made."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "none")
    async with serve(make_app()) as url, httpx.AsyncClient(base_url=url) as client:
        await client.get("/products/7")
    assert [*receiver.spans, *receiver.logs] == []
    assert {one.attributes["http.route"] for one in receiver.metrics if one.name == "http.server.request.duration"}


async def test_without_opentelemetry(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody has loaded it, nothing is looked for and nothing is loaded."""
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    async with serve(make_app()) as url, httpx.AsyncClient(base_url=url) as client:
        assert (await client.get("/pieces")).text == "piece"
        assert "opentelemetry.trace" not in sys.modules


async def test_the_access_log_where_the_logs_are_ours(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `configure` there is an event for each request; without it the server's own log is all."""
    seen: list[Event] = []

    class Seeing(LogStream):
        def emit(self, event: Event) -> None:
            seen.append(event)

    for stream in (None, Seeing({}, "json", None, lambda event: b"")):
        monkeypatch.setattr(telemetry_logging, "_stream", stream)
        async with serve(make_app()) as url, httpx.AsyncClient(base_url=url) as client:
            answer = await client.get("/products/7")
    (event,) = [event for event in seen if event.event == "request"]
    assert (event.fields["route"], event.fields["status"]) == ("/products/<id:int>", 200)
    assert event.fields["request_id"] == answer.headers["x-request-id"]


def _instrumented() -> tuple[TracerProvider, InMemorySpanExporter]:
    memory, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    return provider, memory


def _servers(memory: InMemorySpanExporter) -> list[ReadableSpan]:
    return [span for span in memory.get_finished_spans() if span.kind is SpanKind.SERVER]


async def test_the_servers_span_is_joined(serve: Serve, fresh: None) -> None:
    """With OpenTelemetry's own instrumentation around the application there is one span a request: theirs, with our route."""
    provider, memory = _instrumented()
    app = make_app()
    wrapped: Any = OpenTelemetryMiddleware(app, tracer_provider=provider)
    async with serve(wrapped) as url, httpx.AsyncClient(base_url=url) as client:
        answer = (await client.get("/products/7", headers={"traceparent": CALLER})).json()
        await client.get("/broken")
        await client.get("/nowhere")
        await client.get("/pieces")
        async with websockets.connect(url.replace("http", "ws", 1) + "/echo") as ws:
            await ws.send("hello")
            await ws.recv()
    spans = {span.name: span for span in _servers(memory)}
    shown = spans["GET /products/<id:int>"]
    assert shown.attributes is not None
    assert (shown.attributes["http.route"], shown.attributes["fairlead.request_id"]) == ("/products/<id:int>", answer["id"])
    assert shown.parent is not None
    assert f"{shown.parent.span_id:016x}" == CALLER[36:52]
    context = shown.get_span_context()
    assert context is not None
    assert answer["traceparent"] == f"00-{context.trace_id:032x}-{context.span_id:016x}-01"
    assert [event.attributes["exception.type"] for event in spans["GET /broken"].events if event.attributes] == ["KeyError"]
    assert {"GET /echo", "GET /pieces"} < set(spans)
    assert len(spans) == 5


async def test_a_span_that_is_joined_is_the_only_one(serve: Serve, receiver: OtlpReceiver) -> None:
    """Also where the variables ask for spans of ours: none is made inside theirs, sampled or not."""
    provider, memory = _instrumented()
    wrapped: Any = OpenTelemetryMiddleware(make_app(), tracer_provider=provider)
    async with serve(wrapped) as url, httpx.AsyncClient(base_url=url) as client:
        await client.get("/products/7")
        await client.get("/products/7", headers={"traceparent": CALLER[:-2] + "00"})
    assert [span.name for span in _servers(memory)] == ["GET /products/<id:int>"]
    assert {span.name for span in receiver.spans} == {"inside"}


async def test_an_sdk_that_somebody_else_has_set_up(serve: Serve, receiver: OtlpReceiver) -> None:
    """`opentelemetry-instrument`, say, reads the same variables: ours stays out, or everything would be sent twice."""
    provider, _ = _instrumented()
    trace.set_tracer_provider(provider)
    async with serve(make_app()) as url, httpx.AsyncClient(base_url=url) as client:
        await client.get("/products/7")
    assert [*receiver.spans, *receiver.metrics, *receiver.logs] == []


async def test_a_mounted_application_is_counted_by_the_one_around_it(serve: Serve) -> None:
    """Once, not twice."""
    outer: App[Any, Any] = App("outer")
    outer.mount("/inner", make_app())
    expose_metrics(outer, token=TOKEN)

    @outer.get("/own")
    async def own(request: Request[Any, Any]) -> HTTPResponse:
        return text("own")

    async with serve(outer) as url, httpx.AsyncClient(base_url=url) as client:
        await client.get("/own")
        await client.get("/inner/products/7")
        metrics = await metrics_of(client)
    assert metrics.count("http_server_request_duration_seconds_count") == 2


async def test_an_exporter_that_is_not_installed_stops_the_start(
    serve: Serve, fresh: None, monkeypatch: pytest.MonkeyPatch, server_name: str
) -> None:
    """K7: one clear line, and nothing is left behind of what had begun."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "nobody")
    before = registry.snapshot().keys()
    app = make_app()
    try:
        async with serve(app):
            assert server_name == "granian"  # takes requests without a lifespan, then
    except StartFailed:
        pass
    assert registry.snapshot().keys() == before


def test_a_token_is_long() -> None:
    """A route that anybody may guess is refused before it exists."""
    with pytest.raises(ConfigurationError, match="16 characters"):
        expose_metrics(App("short"), token="secret")


async def test_what_has_not_begun_has_no_end() -> None:
    """An application that can't even be composed fails with its own cause."""
    from fairlead.asgi.exchange import Shared
    from fairlead.asgi.telemetry import AsgiTelemetry

    app: App[Any, Any] = App("broken")
    before = registry.snapshot().keys()
    await AsgiTelemetry(app, Shared(app.config.limits())).end()
    assert registry.snapshot().keys() == before
    assert AsgiApplication(app).telemetry is None
