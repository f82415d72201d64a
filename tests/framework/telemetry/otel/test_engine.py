"""Tracing in a process beside its requests: messages, baggage, samplers of one's own, failures."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import baggage, propagate
from opentelemetry import context as otel_context
from opentelemetry import trace as otel
from opentelemetry.context import Context
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import SpanKind

from fairlead import App, Request, json
from fairlead.http.trace_context import parse_traceparent
from fairlead.telemetry.metrics import merge
from fairlead.telemetry.snapshot import Snapshot
from fairlead.telemetry.tracing import current_trace, current_traceparent, message_span, unobserved
from fairlead.testing import AsyncTestClient
from tests.framework.telemetry.otel.conftest import Traces

Trace = Callable[..., Traces]

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_messages_have_spans_of_their_own(trace: Trace) -> None:
    """A producer's span is the child of what the message came about in, and the consumer's of the producer's."""
    traces = trace()
    with message_span("send", "orders", PARENT, messages=3) as sent_on:
        assert current_traceparent() == sent_on
    with message_span("process", "orders", sent_on), message_span("send", "pages"):
        pass
    sent, delivered, processed = traces.finished
    assert [(span.name, span.kind) for span in (sent, processed, delivered)] == [
        ("send orders", SpanKind.PRODUCER),
        ("process orders", SpanKind.CONSUMER),
        ("send pages", SpanKind.PRODUCER),
    ]
    assert (sent.attributes or {})["messaging.batch.message_count"] == 3
    assert sent.parent is not None
    assert f"{sent.parent.span_id:016x}" == PARENT[36:52]
    assert processed.parent is not None
    assert processed.parent.span_id == int(sent_on[36:52], 16)
    assert delivered.parent == processed.get_span_context()


async def test_messages_outside_of_traces_have_none(trace: Trace) -> None:
    """Without a trace, or in one that is not sampled, nothing is made, and the traceparent goes on as it came."""
    traces = trace()
    for traceparent in ("", "nonsense", f"{PARENT[:-2]}00"):
        with message_span("process", "orders", traceparent) as sent_on:
            assert sent_on == traceparent
    assert (traces.finished, current_trace(), current_traceparent()) == ([], None, "")


async def test_polling_can_be_left_out(trace: Trace) -> None:
    """Inside of `unobserved` the clients' instrumentations look away; without tracing it is nothing at all."""
    with unobserved():
        assert is_instrumentation_enabled()
    trace()
    with unobserved():
        assert not is_instrumentation_enabled()
    assert is_instrumentation_enabled()


@pytest.mark.parametrize("share", ["0.0", "1.0"])
async def test_baggage_passes(trace: Trace, share: str) -> None:
    """What a caller has put into its baggage reaches whoever is called, sampled or not."""
    traces = trace(OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG=share)
    app: App[Any, Any] = App("baggage")

    @app.get("/")
    async def handler(request: Request[Any, Any]) -> Any:
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        return json({"carrier": carrier, "tenant": baggage.get_baggage("tenant"), "known": "nothing" in otel_context.get_current()})

    async with AsyncTestClient(traces.watch(app)) as client:
        answer = (await client.get("/", headers={"baggage": "tenant=acme"})).json()
    assert (answer["tenant"], answer["carrier"]["baggage"], answer["known"]) == ("acme", "tenant=acme", False)
    passed_on = parse_traceparent(answer["carrier"]["traceparent"])
    assert passed_on is not None
    assert passed_on.is_sampled is (share == "1.0")


async def test_a_sampler_of_ones_own_is_asked(trace: Trace) -> None:
    """Its answer counts for every request; the SDK's provider has it (here: the SDK's own default, which follows the caller)."""
    traces = trace(OTEL_TRACES_SAMPLER="one_of_our_own")
    app: App[Any, Any] = App("own")

    @app.get("/")
    async def handler(request: Request[Any, Any]) -> Any:
        return json(otel.get_current_span().is_recording())

    async with AsyncTestClient(traces.watch(app)) as client:
        assert (await client.get("/")).json() is True
        assert (await client.get("/", headers={"traceparent": PARENT})).json() is True
        assert (await client.get("/", headers={"traceparent": f"{PARENT[:-2]}00"})).json() is False
    assert [span.parent is not None for span in traces.finished] == [False, True]


async def test_a_sampler_of_ones_own_that_says_no(trace: Trace) -> None:
    """A stream and a websocket whose caller is not sampled work as without tracing, and leave no span."""
    traces = trace(OTEL_TRACES_SAMPLER="one_of_our_own")
    app: App[Any, Any] = App("own")
    headers = {"traceparent": f"{PARENT[:-2]}00"}

    @app.get("/pieces")
    async def pieces(request: Request[Any, Any]) -> None:
        stream = await request.respond(content_type="text/plain")
        await stream.send(b"one, ")
        await stream.send(b"two")

    @app.websocket("/echo")
    async def echo(request: Request[Any, Any], ws: Any) -> None:
        await ws.send(await ws.recv())

    async with AsyncTestClient(traces.watch(app)) as client:
        assert (await client.get("/pieces", headers=headers)).text == "one, two"
        async with client.websocket("/echo", headers=headers) as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"
    assert traces.finished == []


async def test_an_invalid_header_is_drawn_like_none(trace: Trace) -> None:
    """Whoever sends nonsense is not traced more often than others."""
    traces = trace(OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG="0.0")
    app: App[Any, Any] = App("drawn")
    app.add_route(lambda request: json(current_traceparent()), "/", name="one")
    async with AsyncTestClient(traces.watch(app)) as client:
        made_up = (await client.get("/", headers={"traceparent": "nonsense"})).json()
    assert traces.finished == []
    passed_on = parse_traceparent(made_up)
    assert passed_on is not None
    assert not passed_on.is_sampled


async def test_a_context_without_a_span(trace: Trace) -> None:
    """Baggage that is set outside of requests is no trace."""
    trace()
    token = otel_context.attach(baggage.set_baggage("tenant", "acme"))
    assert (current_trace(), current_traceparent()) == (None, "")
    otel_context.detach(token)


async def test_a_propagator_that_looks_through_all_headers(trace: Trace) -> None:
    """Some find their fields by a prefix (Jaeger's baggage): they are given the names."""

    class Prefixed(TextMapPropagator):
        def extract(self, carrier: Any, context: Context | None = None, getter: Any = None) -> Context:
            for name in getter.keys(carrier):
                if name.startswith("uberctx-"):
                    (value,) = getter.get(carrier, name)
                    context = baggage.set_baggage(name.removeprefix("uberctx-"), value, context)
            return context or Context()

        def inject(self, carrier: Any, context: Context | None = None, setter: Any = None) -> None:
            """Nothing to send on."""

        @property
        def fields(self) -> set[str]:
            return set()

    traces = trace(OTEL_TRACES_SAMPLER="one_of_our_own")
    app: App[Any, Any] = App("prefixed")
    app.add_route(lambda request: json(baggage.get_baggage("tenant")), "/", name="one")
    usual = propagate.get_global_textmap()
    propagate.set_global_textmap(Prefixed())
    try:
        async with AsyncTestClient(traces.watch(app)) as client:
            assert (await client.get("/", headers={"uberctx-tenant": "acme"})).json() == "acme"
    finally:
        propagate.set_global_textmap(usual)


async def test_a_tracer_that_fails_costs_the_span_only(
    trace: Trace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The request is answered, and the log says what went wrong."""
    traces = trace()
    app: App[Any, Any] = App("failing")
    app.add_route(lambda request: json(1), "/", name="one")

    def fail(request: Request[Any, Any]) -> None:
        raise RuntimeError("no tracing today")

    monkeypatch.setattr(traces.engine, "_begin", fail)
    with caplog.at_level(logging.ERROR):
        async with AsyncTestClient(traces.watch(app)) as client:
            assert (await client.get("/")).json() == 1
    assert "a request's span could not be begun" in [record.message for record in caplog.records]
    assert traces.finished == []


async def test_the_ambient_context_reads_like_any_other(trace: Trace) -> None:
    """Outside of requests it is empty, whichever way it is read."""
    ambient = trace().engine.ambient
    assert isinstance(ambient, Context)
    assert ("key" in ambient, ambient.get("key", 7), dict(ambient.copy())) == (False, 7, {})
    with pytest.raises(KeyError):
        ambient["key"]


def test_the_newest_exemplar_stays() -> None:
    """Of two workers' examples of one bucket the later one is kept."""

    def snapshot(trace_id: str, at_s: float) -> Snapshot:
        return {
            "d": {
                "kind": "histogram",
                "help": "",
                "labels": ["route"],
                "bounds": [1.0],
                "combine": "sum",
                "series": [(["/"], [0.5, 1, 0])],
                "exemplars": [(["/"], 0, [trace_id, "s", 0.5, at_s])],
            }
        }

    for order in ([snapshot("old", 1.0), snapshot("new", 2.0)], [snapshot("new", 2.0), snapshot("old", 1.0)]):
        assert merge(order)["d"]["exemplars"] == [(["/"], 0, ["new", "s", 0.5, 2.0])]
