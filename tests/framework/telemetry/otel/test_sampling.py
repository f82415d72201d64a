"""The standard samplers' decisions, taken before OpenTelemetry is asked; and what turns it on at all."""

from __future__ import annotations

import random

import pytest
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from fairlead.http.trace_context import TraceContext
from fairlead.telemetry.otel import wants
from fairlead.telemetry.otel.sampling import DrawnIds, draw_gap, draw_place, sampling_from

PARENT = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", is_sampled=True)
UNSAMPLED = PARENT._replace(is_sampled=False)


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "catalog"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://collector:4318/v1/metrics"}, False),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False),
    ],
)
def test_what_turns_traces_on(environ: dict[str, str], wanted: bool) -> None:
    """An endpoint or an exporter, of this signal; a name alone does not."""
    assert wants("traces", environ) is wanted


@pytest.mark.parametrize(
    ("name", "ratio", "share", "sampled", "unsampled"),
    [
        ("", "", 1.0, True, False),
        ("always_on", "", 1.0, True, True),
        ("always_off", "", 0.0, False, False),
        ("traceidratio", "0.0", 0.0, False, False),
        ("traceidratio", "1.0", 1.0, True, True),
        ("parentbased_always_on", "", 1.0, True, False),
        ("parentbased_always_off", "", 0.0, True, False),
        ("parentbased_traceidratio", "0.25", 0.25, True, False),
        ("parentbased_traceidratio", "much", 1.0, True, False),
        ("parentbased_traceidratio", "7", 1.0, True, False),
        ("PARENTBASED_ALWAYS_OFF", "", 0.0, True, False),
        ("a_sampler_of_ones_own", "", 1.0, True, True),
    ],
)
def test_the_standard_samplers(name: str, ratio: str, share: float, sampled: bool, unsampled: bool) -> None:
    """The share of requests without a parent, and what a parent's decision means."""
    sampling = sampling_from({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": ratio})
    assert sampling.share == share
    assert (sampling.wants(PARENT), sampling.wants(UNSAMPLED), sampling.wants(None)) == (sampled, unsampled, True)


def test_other_propagators_are_asked_each_time() -> None:
    """With B3 headers a `traceparent` says nothing: every request is looked at in full."""
    assert not sampling_from({"OTEL_PROPAGATORS": "b3"}).is_known
    assert sampling_from({"OTEL_PROPAGATORS": "tracecontext, baggage"}).is_known


def test_gaps_are_those_of_a_throw_for_each_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gap of n is as likely as n failures and a success: the bounds between the first gaps are where the geometric law has them.
    Everything and nothing need no draw."""
    at_least = [0.75**gaps for gaps in range(4)]  # the likelihood of a gap of so many and more
    for gap, likelihood in enumerate(at_least):
        monkeypatch.setattr(random, "random", lambda below=1 - likelihood + 1e-9: below)
        assert draw_gap(0.25) == gap
        monkeypatch.setattr(random, "random", lambda below=1 - likelihood * 0.75 - 1e-9: below)
        assert draw_gap(0.25) == gap
    assert (draw_gap(1.0), draw_gap(0.0)) == (0, -1)


@pytest.mark.parametrize("share", [1e-9, 0.01, 0.5, 1.0])
def test_drawn_traces_are_those_that_a_sampler_takes(share: float) -> None:
    """Whoever samples the same trace by the same ratio further on comes to the same decision."""
    sampler = TraceIdRatioBased(share)
    for _ in range(100):
        place = draw_place(share, None)
        assert sampler.should_sample(None, int(place.trace_id, 16), "").decision is Decision.RECORD_AND_SAMPLE
        assert (len(place.trace_id), len(place.span_id)) == (32, 16)
    assert draw_place(share, PARENT).trace_id == PARENT.trace_id


def test_the_sdk_is_given_the_place() -> None:
    """A span that is made for a request has the ids that its log lines have shown."""
    ids = DrawnIds()
    assert ids.generate_trace_id() != ids.generate_trace_id()
    assert ids.generate_span_id() != ids.generate_span_id()
    ids.place = PARENT
    assert (f"{ids.generate_trace_id():032x}", f"{ids.generate_span_id():016x}") == (PARENT.trace_id, PARENT.span_id)
