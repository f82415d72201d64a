"""fairlead.telemetry.context: each line finds its own request."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from fairlead.request import Request, current_request
from fairlead.telemetry.context import RequestContext, request_fields

from .conftest import MakeRequest


def test_nothing_outside_of_requests() -> None:
    """At start-up there is no request to name."""
    assert request_fields() == {}


async def test_concurrent_requests_never_mix(make_request: MakeRequest) -> None:
    """Handlers that interleave, and the tasks that they start, each see their own id (T9)."""
    gate = asyncio.Event()
    seen: list[tuple[str, str]] = []

    async def background(expected: str) -> None:
        await gate.wait()
        seen.append((expected, request_fields()["request_id"]))

    async def handler(request: Request[Any, Any]) -> None:
        current_request.set(request)
        task = asyncio.create_task(background(request.id))
        await asyncio.sleep(0)
        seen.append((request.id, request_fields()["request_id"]))
        await task

    requests = [make_request(headers={"X-Request-ID": f"id-{number}"}) for number in range(10)]
    handlers = [asyncio.create_task(handler(request)) for request in requests]
    asyncio.get_running_loop().call_later(0.01, gate.set)
    await asyncio.gather(*handlers)
    assert len(seen) == 20
    assert all(expected == found for expected, found in seen)


async def test_a_thread_of_the_request_sees_it(make_request: MakeRequest) -> None:
    """`asyncio.to_thread` carries the context along (P1)."""
    request = make_request()
    current_request.set(request)
    assert (await asyncio.to_thread(request_fields))["request_id"] == request.id


def test_the_filter_adds_the_ids_to_records(make_request: MakeRequest, handling: Any) -> None:
    """A format of one's own can say %(request_id)s, also outside of requests."""
    record = logging.makeLogRecord({"msg": "x"})
    assert RequestContext().filter(record)
    assert logging.Formatter("%(request_id)s|%(trace_id)s|").format(record) == "||"
    handling(make_request(headers={"X-Request-ID": "abc"}))
    assert RequestContext().filter(record)
    assert logging.Formatter("%(request_id)s|%(trace_id)s").format(record) == "abc|"
