"""fairlead.telemetry.access_log and observer: one event for each request."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairlead.http.trace_context import TraceContext
from fairlead.telemetry.access_log import MAX_SIZES, AccessLog
from fairlead.telemetry.line_writer import LANE_PIECES, LineWriter
from fairlead.telemetry.logging import LogStream
from fairlead.telemetry.metrics import RequestMetrics
from fairlead.telemetry.observer import compose
from fairlead.telemetry.rendering import MAX_TEXT, JsonRenderer, escape
from fairlead.telemetry.tracing import spans

from .conftest import IDENTITY, MakeRequest, Recorded

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def test_the_line_of_a_request(json_log: Recorded, make_request: MakeRequest) -> None:
    """Every field of the schema, in its order (T9, K10)."""
    access_log = AccessLog(json_log.stream)
    access_log.observe(make_request(b"/products/42?q=1", {"X-Request-ID": "abc-1"}), 200, 13, 0, 0.0012345)
    text = json_log.text()
    line = json.loads(text)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info",
        "event": "request",
        "logger": "fairlead.access",
        **IDENTITY,
        "request_id": "abc-1",
        "method": "GET",
        "route": "/products/<id:int>",
        "path": "/products/42",
        "status": 200,
        "duration_ms": 1.234,
        "bytes": 13,
        "client_ip": "192.0.2.1",
    }


def test_the_timestamp_is_that_of_the_renderer(
    json_log: Recorded, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Access lines and others sort together: same format, milliseconds included, across a change of the second."""
    times = iter([1_700_000_000.0078125, 1_700_000_000.9375, 1_700_000_001.5])
    monkeypatch.setattr("fairlead.telemetry.access_log.time.time", lambda: next(times))
    access_log = AccessLog(json_log.stream)
    request = make_request()
    for second in range(3):
        access_log.observe(request, 200, 0, second, second)
    assert [line["timestamp"] for line in json_log.lines()] == [
        "2023-11-14T22:13:20.007Z",
        "2023-11-14T22:13:20.937Z",
        "2023-11-14T22:13:21.500Z",
    ]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1), st.binary(min_size=1, max_size=20), st.booleans())
def test_any_target_gives_one_line(make_request: MakeRequest, target: bytes, method: bytes, with_query: bool) -> None:
    """Whatever the peer sent as path and method, one valid line comes out, without control characters (SEC-A05)."""
    writer = LineWriter(-1)
    stream = LogStream(IDENTITY, "json", writer, JsonRenderer(IDENTITY))
    writer.lane_limit = LANE_PIECES  # nobody is to take it from here
    AccessLog(stream, with_query=with_query).observe(make_request(target, method=method, route=None), 400, 0, 0, 0.001)
    text = "".join(writer.lane)
    assert text.count("\n") == 1
    assert json.loads(text)["event"] == "request"
    assert escape(text[:-1]) == text[:-1]


def test_the_path_is_escaped(json_log: Recorded, make_request: MakeRequest) -> None:
    """Line feeds and escapes in a path are visible and without effect (CVE-2020-7694)."""
    AccessLog(json_log.stream).observe(make_request(b'/a\r\n\x1b[31m"\\b', route=None), 404, 0, 0, 0.001)
    (line,) = json_log.lines()
    assert line["path"] == '/a\\u000d\\u000a\\u001b[31m"\\b'
    assert line["route"] == "_unmatched"


def test_a_long_path_is_cut(json_log: Recorded, make_request: MakeRequest) -> None:
    """However long a target may be, its line is not."""
    AccessLog(json_log.stream).observe(make_request(b"/" + b"a" * 70_000, route=None), 414, 0, 0, 0.001)
    (line,) = json_log.lines()
    assert line["path"] == "/" + "a" * (MAX_TEXT - 1) + "..."


def test_a_route_may_hold_a_percent_sign(json_log: Recorded, make_request: MakeRequest) -> None:
    """The line is made by %: what is constant must not be taken for a directive."""
    AccessLog(json_log.stream).observe(make_request(route="/100%/<x:int>"), 200, 0, 0, 0.001)
    (line,) = json_log.lines()
    assert line["route"] == "/100%/<x:int>"


def test_a_trace_is_named(json_log: Recorded, make_request: MakeRequest) -> None:
    """A valid traceparent gives the trace id; an invalid one nothing."""
    access_log = AccessLog(json_log.stream)
    for header in (TRACEPARENT, "nonsense"):
        access_log.observe(make_request(headers={"traceparent": header}), 200, 0, 0, 0.001)
    first, second = json_log.lines()
    assert first["trace_id"] == TRACE
    assert "trace_id" not in second


def test_query_and_user_agent_when_wanted(json_log: Recorded, make_request: MakeRequest) -> None:
    """Both are off by default; a token in the query is masked."""
    for access_log in (AccessLog(json_log.stream), AccessLog(json_log.stream, with_query=True, with_user_agent=True)):
        request = make_request(b"/reset?token=abc&page=2", {"User-Agent": "curl/8 \x9b"})
        access_log.observe(request, 200, 0, 0, 0.001)
    first, second = json_log.lines()
    assert (first["path"], "user_agent" in first) == ("/reset", False)
    assert second["path"] == "/reset?token=***&page=2"
    assert second["user_agent"] == "curl/8 \\u009b"


def test_server_errors_are_errors(json_log: Recorded, make_request: MakeRequest) -> None:
    """The level follows the status."""
    access_log = AccessLog(json_log.stream)
    for status in (200, 404, 500, 503):
        access_log.observe(make_request(), status, 0, 0, 0.001)
    assert [line["level"] for line in json_log.lines()] == ["info", "info", "error", "error"]


def test_errors_only(json_log: Recorded, make_request: MakeRequest) -> None:
    """Only what failed, from status 400 on."""
    access_log = AccessLog(json_log.stream, errors_only=True)
    for status in (200, 304, 400, 404, 500):
        access_log.observe(make_request(), status, 0, 0, 0.001)
    assert [line["status"] for line in json_log.lines()] == [400, 404, 500]


def test_sampling_keeps_errors(json_log: Recorded, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share of the successes, all of the failures."""
    monkeypatch.setattr(random, "random", iter([0.05, 0.5, 0.09]).__next__)
    access_log = AccessLog(json_log.stream, sample=0.1)
    for number, status in enumerate((200, 200, 500, 200)):
        access_log.observe(make_request(b"/%d" % number), status, 0, 0, 0.001)
    assert [line["path"] for line in json_log.lines()] == ["/0", "/2", "/3"]


def test_bytes_are_those_that_were_sent(json_log: Recorded, make_request: MakeRequest) -> None:
    """Nothing of a body goes out in answer to HEAD, or with 204 and 304; the metrics count likewise, every time."""
    access_log = AccessLog(json_log.stream)
    get, head = make_request(), make_request(method=b"HEAD")
    for request, status in ((get, 200), (head, 200), (head, 200), (get, 304)):
        access_log.observe(request, status, 13, 0, 0.001)
    assert [line["bytes"] for line in json_log.lines()] == [13, 0, 0, 0]
    sizes = access_log.metrics.collect()["http_server_response_body_size_bytes"]["series"]
    assert [value for _, value in sizes] == [[13, 1], [0, 2], [0, 1]]


def test_answers_that_broke_off(json_log: Recorded, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """They have the status of their head, and say why they broke off; they are counted and never sampled away."""
    access_log = AccessLog(json_log.stream, errors_only=True)
    for aborted in ("", "client", "error"):
        access_log.observe(make_request(), 200, 7, 0, 0.001, aborted)
    assert [(line["status"], line["bytes"], line["aborted"]) for line in json_log.lines()] == [
        (200, 7, "client"),
        (200, 7, "error"),
    ]
    family = access_log.metrics.collect()["fairlead_http_responses_aborted_total"]
    assert family["series"] == [(["GET", "/products/<id:int>", "client"], 1), (["GET", "/products/<id:int>", "error"], 1)]


@pytest.mark.parametrize("sample", [-0.1, 1.1])
def test_a_share_is_between_nothing_and_all(json_log: Recorded, sample: float) -> None:
    """A share outside of 0 … 1 raises ValueError."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        AccessLog(json_log.stream, sample=sample)


def test_the_address_behind_a_proxy(json_log: Recorded, make_request: MakeRequest) -> None:
    """What a trusted proxy says counts, unless no proxy is trusted."""
    for access_log in (AccessLog(json_log.stream), AccessLog(json_log.stream, trusts_proxies=False)):
        request = make_request(headers={"X-Forwarded-For": "203.0.113.7"}, PROXIES_COUNT=1)
        access_log.observe(request, 200, 0, 0, 0.001)
    assert [line["client_ip"] for line in json_log.lines()] == ["203.0.113.7", "192.0.2.1"]


def test_in_a_terminal(console_log: Recorded, make_request: MakeRequest) -> None:
    """Method, path and status are the title; the rest follows."""
    request = make_request(headers={"X-Request-ID": "abc-1"})
    AccessLog(console_log.stream).observe(request, 200, 13, 0, 0.0012)
    text = console_log.text()
    assert "info     GET /products/42 200 (fairlead.access) duration_ms=1.2 bytes=13 client_ip=192.0.2.1" in text
    assert "request_id=abc-1" in text


def test_sent_and_broken_off_in_a_terminal(console_log: Recorded, make_request: MakeRequest) -> None:
    """The same bytes as in the JSON line, and why an answer broke off, sampled or not."""
    access_log = AccessLog(console_log.stream, errors_only=True)
    access_log.observe(make_request(), 200, 13, 0, 0.001)
    access_log.observe(make_request(method=b"HEAD"), 404, 13, 0, 0.001)
    access_log.observe(make_request(), 200, 13, 0, 0.001, "client")
    first, second = console_log.text().splitlines()
    assert "HEAD /products/42 404" in first
    assert "bytes=0" in first
    assert "bytes=13" in second
    assert "aborted=client" in second


def test_under_a_dict_configuration(make_request: MakeRequest, caplog: pytest.LogCaptureFixture) -> None:
    """The event goes through the logger "fairlead.access", so that the configuration decides (T9)."""
    stream = LogStream(IDENTITY, "json", None, JsonRenderer(IDENTITY))
    with caplog.at_level(logging.INFO, "fairlead.access"):
        AccessLog(stream).observe(make_request(), 503, 13, 0, 0.0012)
    (record,) = caplog.records
    assert (record.name, record.levelname, record.getMessage()) == ("fairlead.access", "ERROR", "request")
    assert vars(record)["route"] == "/products/<id:int>"
    assert vars(record)["status"] == 503


def test_constants_are_bounded(json_log: Recorded, make_request: MakeRequest) -> None:
    """Requests that no route took keep nothing behind: methods and paths are the client's choice."""
    access_log = AccessLog(json_log.stream)
    for number in range(10):
        access_log.observe(make_request(method=b"X%d" % number, route=None), 405, 0, 0, 0.001)
    assert access_log._constants.found == {}


def test_the_observer_is_what_is_on(json_log: Recorded, make_request: MakeRequest) -> None:
    """Nothing on: None, and the server looks for nothing. One on: that one itself. Both: both are told."""
    metrics = RequestMetrics()
    access_log = AccessLog(json_log.stream, metrics=metrics)
    assert compose() is None
    counting: Callable[..., None] | None = compose(metrics)
    assert counting is not None
    counting(make_request(), 200, 10, 0, 0.001)
    assert compose(metrics, access_log) is compose(access_log=access_log) is access_log.observe
    access_log.observe(make_request(), 200, 13, 0, 0.001)
    assert [line["status"] for line in json_log.lines()] == [200]
    assert metrics.collect()["http_server_response_body_size_bytes"]["series"][0][1] == [23, 2]


def test_an_access_log_counts_in_its_own_metrics(json_log: Recorded) -> None:
    """Metrics that nothing would be counted in are a mistake, and found at once."""
    with pytest.raises(ValueError, match="not the access log's"):
        compose(RequestMetrics(), AccessLog(json_log.stream))


def test_received_bodies_are_counted(json_log: Recorded, make_request: MakeRequest) -> None:
    """A body counts with its announced length, a chunked one with what has come of it."""
    access_log = AccessLog(json_log.stream)
    announced, chunked = make_request(), make_request()
    announced.head.length, chunked.head.chunked, chunked.body = 700, True, b"seven b"
    for request in (announced, chunked):
        access_log.observe(request, 200, 0, 0, 0.001)
    assert access_log.metrics.collect()["http_server_request_body_size_bytes"]["series"][0][1] == [707, 2]


def test_the_span_of_a_request_is_finished(json_log: Recorded, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one observer that the server calls ends the request's span too, also when its line is left out."""
    finished: list[tuple[int, int, float]] = []

    class Span:
        def finish(self, status: int, body_bytes: int, duration_s: float) -> None:
            finished.append((status, body_bytes, duration_s))

    traced: Any = make_request()
    monkeypatch.setitem(spans, traced, Span())
    AccessLog(json_log.stream, errors_only=True).observe(traced, 201, 5, 0, 0.25)
    assert (finished, traced in spans, json_log.lines()) == ([(201, 5, 0.25)], False, [])


def test_a_full_lane_is_turned_over(json_log: Recorded, make_request: MakeRequest) -> None:
    """A busy loop does not collect lines for ever: once so many pieces wait, they are handed over."""
    access_log, writer = AccessLog(json_log.stream), json_log.stream.writer
    assert writer is not None
    writer.lane_limit = LANE_PIECES  # the thread leaves the lane alone
    waiting, requests = [], LANE_PIECES // 4  # a line has more than four pieces
    for _ in range(requests):
        access_log.observe(make_request(), 200, 0, 0, 0.001)
        waiting.append(len(writer.lane))
    assert 0 < max(waiting) < LANE_PIECES
    writer.lane_limit = 0
    assert len(json_log.lines()) == requests


def test_requests_that_repeat_their_head(json_log: Recorded, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a connection's repeated head says is on each line; what one of its requests alone had (its span, why it broke off) is on
    no other's."""

    class Span:
        def finish(self, status: int, body_bytes: int, duration_s: float) -> None:
            """Nobody wants to know."""

    access_log = AccessLog(json_log.stream, with_user_agent=True)
    requests = [make_request(headers={"User-Agent": "curl/8"}) for _ in range(4)]
    requests[0].head.has_trace = False  # as the server finds
    for request in requests:
        request.head = requests[0].head
        request.route = requests[0].route
    monkeypatch.setitem(spans, requests[0], Span())
    requests[0].trace = TraceContext(TRACE, "b7ad6b7169203331", is_sampled=True, is_remote=False)
    for request, aborted in zip(requests, ("", "client", "", ""), strict=True):
        access_log.observe(request, 200, 0, 0, 0.001, aborted)
    assert requests[0].head.note[-1] == ',"client_ip":"192.0.2.1","user_agent":"curl/8"}\n'
    access_log.observe(requests[3], 200, 5, 0, 0.001)
    access_log.observe(requests[3], 404, 5, 0, 0.001)
    requests[3].target = b"/products/43"
    access_log.observe(requests[3], 404, 5, 0, 0.001)
    requests[3].route = None
    access_log.observe(requests[3], 404, 5, 0, 0.001)
    *lines, size, status, target, route = json_log.lines()
    assert (size["bytes"], status["status"], target["path"], route["route"]) == (5, 404, "/products/43", "_unmatched")
    assert {(line["client_ip"], line["user_agent"]) for line in (*lines, size, status, target, route)} == {("192.0.2.1", "curl/8")}
    assert {line["bytes"] for line in lines} == {0}
    assert [line.get("trace_id") for line in lines] == [TRACE, None, None, None]
    assert [line.get("aborted") for line in lines] == [None, "client", None, None]


def test_each_size_of_a_body(json_log: Recorded, make_request: MakeRequest) -> None:
    """Any number of sizes, of which only so many are remembered."""
    access_log, request = AccessLog(json_log.stream), make_request(b"/page", route="/page")
    sizes = [*range(MAX_SIZES + 2)] * 2
    for size in sizes:
        access_log.observe(request, 200, size, 0, 0.001)
    assert [(line["path"], line["bytes"]) for line in json_log.lines()] == [("/page", size) for size in sizes]
    assert len(access_log._constants.found[request.route][b"GET"][200][2]) == MAX_SIZES


def test_errors_only_in_a_terminal(console_log: Recorded, make_request: MakeRequest) -> None:
    """What is left out of the log is counted all the same."""
    access_log = AccessLog(console_log.stream, errors_only=True)
    for status in (200, 404):
        access_log.observe(make_request(), status, 0, 0, 0.001)
    assert access_log.metrics.total == 2
    (line,) = console_log.text().splitlines()
    assert "GET /products/42 404" in line
