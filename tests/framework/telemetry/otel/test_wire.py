"""fairlead.telemetry.otel.wire: the bytes of spans mean what those of the library's encoder mean."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags, TraceState
from opentelemetry.trace.status import Status, StatusCode

from fairlead.telemetry.otel import wire

RESOURCES = [Resource({"service.name": "shop", "process.pid": 7}), Resource({}, "https://example.org/schema")]
SCOPES = [InstrumentationScope("fairlead"), InstrumentationScope("client", "1.2", "https://example.org/schema"), None]

scalars = (
    st.text(max_size=400)
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.sampled_from([0, 1, True, False, 0.0, -0.0, 1.0, 2**63, -(2**63) - 1, "\ud800"])
    | st.floats(allow_nan=False)
)
values = scalars | st.lists(scalars, max_size=3) | st.binary(max_size=5) | st.dictionaries(st.text(max_size=3), scalars, max_size=2)
attributes = st.dictionaries(st.text(max_size=140), values, max_size=5)
plain_attributes = st.dictionaries(st.sampled_from(["a", "b"]), scalars, max_size=2)
instants = st.integers(0, 2**64 - 1)
contexts = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.booleans(),
    st.just(TraceFlags(1)),
    st.sampled_from([None, TraceState([("vendor", "1"), ("other", "two")])]),
)
states = st.sampled_from(StatusCode).flatmap(
    lambda code: st.builds(Status, st.just(code), st.text(max_size=9) if code is StatusCode.ERROR else st.none())
)


@st.composite
def spans(draw: st.DrawFn) -> ReadableSpan:
    """Any span; most of them plain."""
    found: Any = draw(attributes | plain_attributes)
    if draw(st.booleans()):
        found = BoundedAttributes(draw(st.sampled_from([1, 2, None])), dict.fromkeys(found, "text"), immutable=False)
    return ReadableSpan(
        draw(st.text(max_size=200)),
        draw(contexts),
        draw(st.none() | contexts),
        draw(st.sampled_from(RESOURCES)),
        found,
        draw(st.just([]) | st.lists(st.builds(Event, st.text(max_size=5), plain_attributes, instants), max_size=2)),
        draw(st.just([]) | st.lists(st.builds(Link, contexts, plain_attributes), max_size=2)),
        draw(st.sampled_from(SpanKind)),
        status=draw(states),
        start_time=draw(st.none() | instants),
        end_time=draw(instants),
        instrumentation_scope=draw(st.sampled_from(SCOPES)),
    )


def _flat(request: ExportTraceServiceRequest) -> list[tuple[bytes, ...]]:
    """Each span with its scope and its resource, in an order that depends on nothing else."""
    return sorted(
        (group.resource.SerializeToString(), group.schema_url.encode(), scope.scope.SerializeToString(), span)
        for group in request.resource_spans
        for scope in group.scope_spans
        for span in _serialized(scope.spans)
    )


def _serialized(spans: Iterable[Any]) -> Iterable[bytes]:
    return (span.SerializeToString(deterministic=True) for span in spans)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(spans(), max_size=6))
def test_it_means_what_the_library_means(spans: list[ReadableSpan]) -> None:
    """Decoded, it is the same request: every kind of attribute, event, link, status, parent and state, plain or not."""
    assert _flat(ExportTraceServiceRequest.FromString(wire.encode(spans))) == _flat(encode_spans(spans))


def test_what_is_not_plain_is_the_librarys() -> None:
    """A list, bytes, a number past 64 bits: the span arrives as the library makes it."""
    for value in ([1, 2], b"bytes", 2**70):
        span = ReadableSpan("x", SpanContext(1, 1, is_remote=False), attributes={"it": value, "ok": 1}, start_time=1, end_time=2)  # type: ignore[dict-item]
        assert _flat(ExportTraceServiceRequest.FromString(wire.encode([span]))) == _flat(encode_spans([span]))


def test_plain_spans_are_written_here() -> None:
    """The library is asked for resource and scope alone, once for each group: with a hundred spans as with one."""
    one = ReadableSpan(
        "GET /",
        SpanContext(1, 1, is_remote=False),
        None,
        RESOURCES[0],
        {"http.route": "/", "long": "x" * 1_000, "ok": True, "share": 0.5, "size": -1},
        start_time=1,
        end_time=2,
        instrumentation_scope=SCOPES[0],
    )
    asked: list[int] = []

    def encode(spans: Any) -> Any:
        asked.append(len(spans))
        return encode_spans(spans)

    wire.encode_spans, original = encode, wire.encode_spans  # type: ignore[attr-defined]
    try:
        data = wire.encode([one] * 100)
    finally:
        wire.encode_spans = original  # type: ignore[attr-defined]
    assert asked == [1]
    assert _flat(ExportTraceServiceRequest.FromString(data)) == _flat(encode_spans([one] * 100))
