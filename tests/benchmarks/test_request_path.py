"""benchmarks.request_path: requests without a network."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import request_path
from benchmarks.workloads import BY_NAME
from fairlead.telemetry.metrics import RequestMetrics


def test_a_request_goes_the_whole_way() -> None:
    """Each workload's bytes are answered by the real connection, and the observer is told of every request."""
    metrics = RequestMetrics()

    def use(feed: Callable[[bytes], None]) -> int:
        feed(request_path.request_bytes(BY_NAME["pipelined"]))
        return 7

    assert request_path.run(metrics.observe, use) == 7
    counts = metrics.collect()["http_server_response_body_size_bytes"]["series"]
    by_route = {labels[1]: value[1] for labels, value in counts if isinstance(value, list)}
    checked = {workload.name for workload in request_path.workloads()}
    assert checked == {"plaintext", "json", "path", "body", "headers", "pipelined"}
    assert by_route == {"/plaintext": 1 + 1 + 16 + 16, "/json": 1, "/users/<id:int>": 1, "/items": 1}
