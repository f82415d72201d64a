"""fairlead.telemetry.metrics: rate, errors and duration of each route."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.http.head import Head
from fairlead.request import Request
from fairlead.telemetry import metrics
from fairlead.telemetry.instruments import ADVISED_BOUNDS_S
from fairlead.telemetry.metrics import DURATION_BOUNDS_S, Aggregate, RequestMetrics, merge, render

from .conftest import MakeRequest


def _durations(observed: RequestMetrics) -> dict[tuple[str, ...], list[float]]:
    series = observed.collect()["http_server_request_duration_seconds"]["series"]
    return {tuple(labels): value for labels, value in series if isinstance(value, list)}


def test_a_request_is_counted_by_method_route_and_status(make_request: MakeRequest) -> None:
    """The labels are the method, the route's template (never the path) and the status."""
    observed = RequestMetrics()
    observed.observe(make_request(b"/products/1"), 200, 10, 0, 0.004)
    observed.observe(make_request(b"/products/2", route=None), 404, 0, 0, 0.2)
    durations = _durations(observed)
    assert set(durations) == {("GET", "/products/<id:int>", "200"), ("GET", "_unmatched", "404")}


def test_requests_of_one_route_share_a_series(make_request: MakeRequest) -> None:
    """Sum, buckets and body bytes add up over requests."""
    observed = RequestMetrics()
    request = make_request()
    for duration_s in (0.00002, 0.0001, 0.00011, 60):
        observed.observe(request, 200, 10, 0, duration_s)
    ((_, (total_s, *counts)),) = _durations(observed).items()
    assert total_s == 0.00002 + 0.0001 + 0.00011 + 60
    assert counts == [2, 1, *([0] * (len(DURATION_BOUNDS_S) - 2)), 1]
    sizes = observed.collect()["http_server_response_body_size_bytes"]["series"]
    assert [value for _, value in sizes] == [[40, 4]]


def test_bounds_tell_services_of_every_speed_apart() -> None:
    """From 100 µs to 10 s no bucket is wider than a factor of 2.5, and those that OpenTelemetry advises are among them."""
    assert (DURATION_BOUNDS_S[0], DURATION_BOUNDS_S[-1]) == (0.0001, 10.0)
    assert all(upper / lower <= 2.51 for lower, upper in itertools.pairwise(DURATION_BOUNDS_S))
    assert set(ADVISED_BOUNDS_S) <= set(DURATION_BOUNDS_S)


def test_received_bodies_are_counted(make_request: MakeRequest) -> None:
    """A body counts with its announced length, a chunked one with what has come of it; `total` is the number of requests."""
    observed = RequestMetrics()
    announced, chunked = make_request(), make_request()
    announced.head.length, chunked.head.chunked, chunked.body = 700, True, b"seven b"
    for request in (announced, chunked, make_request()):
        observed.observe(request, 200, 0, 0, 0.001)
    assert observed.collect()["http_server_request_body_size_bytes"]["series"][0][1] == [707, 3]
    assert observed.total == 3


def test_bodies_that_are_not_sent_do_not_count(make_request: MakeRequest) -> None:
    """An answer to HEAD has no body, at the first request and at all that follow."""
    observed = RequestMetrics()
    for _ in range(2):
        observed.observe(make_request(method=b"HEAD"), 200, 10, 0, 0.001)
    assert [value for _, value in observed.collect()["http_server_response_body_size_bytes"]["series"]] == [[0, 2]]


def test_answers_that_broke_off_are_counted(make_request: MakeRequest) -> None:
    """By method, route and reason, beside the status that their head said."""
    observed = RequestMetrics()
    for aborted in ("client", "client", "error"):
        observed.observe(make_request(), 200, 10, 0, 0.001, aborted)
    family = observed.collect()["fairlead_http_responses_aborted_total"]
    assert family["series"] == [(["GET", "/products/<id:int>", "client"], 2), (["GET", "/products/<id:int>", "error"], 1)]
    assert set(_durations(observed)) == {("GET", "/products/<id:int>", "200")}


def test_unknown_methods_share_one_label(make_request: MakeRequest) -> None:
    """A client can't open series by inventing methods: they are `_OTHER`, and nothing is kept for them."""
    observed = RequestMetrics()
    for number in range(100):
        observed.observe(make_request(method=b"X%d" % number, route=None), 405, 0, 0, 0.001)
    assert {labels: sum(value[1:]) for labels, value in _durations(observed).items()} == {("_OTHER", "_unmatched", "405"): 100}
    assert observed._by_request.found == {}


def test_series_are_bounded(make_request: MakeRequest) -> None:
    """Past the bound requests are counted together, none is lost."""
    observed = RequestMetrics(max_series=3)
    for number in range(10):
        observed.observe(make_request(route=f"/{number}"), 200, 0, 0, 0.001)
    durations = _durations(observed)
    assert len(durations) == 4
    assert sum(durations[("_OTHER", "_OTHER", "_OTHER")][1:]) == 7


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([b"GET", b"POST"]), st.sampled_from([200, 404]), st.floats(0, 100)), max_size=50),
    st.integers(1, 4),
)
def test_requests_of_several_workers_add_up(requests: list[tuple[bytes, int, float]], workers: int) -> None:
    """N requests spread over workers, one of them dead, read N (K10)."""
    observers = [RequestMetrics() for _ in range(workers)]
    aggregate = Aggregate()
    for number, (method, status, duration_s) in enumerate(requests):
        request: Request[None, None] = Request(None, None, method, b"/", Head(), b"")  # type: ignore[arg-type]
        observers[number % workers].observe(request, status, 1, 0, duration_s)
        aggregate.update(number % workers, observers[number % workers].collect())
    aggregate.retire(0)
    families = aggregate.merged()
    counted = (
        [sum(v[1:]) for _, v in families["http_server_request_duration_seconds"]["series"] if isinstance(v, list)]
        if families
        else []
    )
    assert sum(counted) == len(requests)


def test_the_text_names_the_semantic_conventions(make_request: MakeRequest) -> None:
    """Names and labels in `/metrics` are OpenTelemetry's."""
    observed = RequestMetrics()
    observed.observe(make_request(), 200, 13, 0, 0.004)
    text = render(merge([observed.collect()])).decode()
    labels = 'http_request_method="GET",http_route="/products/<id:int>",http_response_status_code="200"'
    assert f"http_server_request_duration_seconds_count{{{labels}}} 1\n" in text
    assert f'http_server_request_duration_seconds_bucket{{{labels},le="0.005"}} 1\n' in text
    assert f"http_server_response_body_size_bytes_sum{{{labels}}} 13\n" in text


def test_the_front_door_has_every_name() -> None:
    """Everything that `__all__` promises can be imported from here."""
    assert all(hasattr(metrics, name) for name in metrics.__all__)
