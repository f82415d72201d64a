"""Refused messages and websockets on /metrics (missions W10, K10)."""

from __future__ import annotations

import asyncio
from typing import Any

from fairlead import App
from fairlead.server import Server
from fairlead.telemetry.metrics import merge, render
from fairlead.telemetry.server_metrics import CertificateMetrics, ServerMetrics
from fairlead.testing import AsyncTestClient
from fairlead.websocket import Overflow, PreparedMessage, SendQueue
from fairlead.workers.listener import open_listener


async def test_refused_messages_are_counted() -> None:
    """K10: what never became a request is in no route's series."""
    app: App[Any, Any] = App("refusing")
    with open_listener("127.0.0.1", 0) as listener:
        server = Server(app.finalise(), [listener])
        await server.start()
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        answer = await reader.read()
        writer.close()
        snapshot = ServerMetrics(server).collect()
        await server.drain(asyncio.get_running_loop().time() + 1)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert list(snapshot) == ["fairlead_http_messages_refused_total"]
    assert snapshot["fairlead_http_messages_refused_total"]["series"] == [(["400"], 1)]


async def test_websockets_are_counted() -> None:
    """W10: open ones, closed ones by code, messages and bytes in both directions."""
    app: App[Any, Any] = App("echoing")

    @app.websocket("/echo")
    async def echo(request: Any, ws: Any) -> None:
        async for message in ws:
            await ws.send(message)
            await ws.send("!")

    async with AsyncTestClient(app) as client:
        metrics = ServerMetrics(client.server._server)
        async with client.websocket("/echo") as ws:
            await ws.send("abc")
            assert [await ws.recv(), await ws.recv()] == ["abc", "!"]
            during = metrics.collect()
        after = metrics.collect()
    assert during["fairlead_websockets"]["series"] == [([], 1)]
    assert after["fairlead_websockets"]["series"] == [([], 0)]
    assert after["fairlead_websockets_opened_total"]["series"] == [([], 1)]
    assert after["fairlead_websockets_closed_total"]["series"] == [(["1000"], 1)]
    assert after["fairlead_websocket_messages_total"]["series"] == [(["received"], 1), (["sent"], 2)]
    assert after["fairlead_websocket_bytes_total"]["series"] == [(["received"], 3), (["sent"], 4)]
    assert b'fairlead_websockets_closed_total{code="1000"} 2\n' in render(merge([after, after]))


async def test_what_waits_and_what_a_ping_takes() -> None:
    """W10: the depth of the queues, what was dropped and replaced, and the round trips of pings, by bucket."""
    app: App[Any, Any] = App("waiting")
    ready = asyncio.Event()

    @app.websocket("/feed")
    async def feed(request: Any, ws: Any) -> None:
        await (await ws.ping())
        app.ctx.queue = SendQueue(ws, max_messages=3, overflow=Overflow.DROP_OLDEST)
        ready.set()
        await ws.recv()

    async with AsyncTestClient(app) as client:
        metrics = ServerMetrics(client.server._server)
        async with client.websocket("/feed") as ws:
            await ready.wait()
            ws.pause_reading()
            message = PreparedMessage("x" * 65536)
            while len(app.ctx.queue) < 3:
                app.ctx.queue.put(message)
            app.ctx.queue.put(message)
            app.ctx.queue.put(message, key="price")
            app.ctx.queue.put(message, key="price")
            during = metrics.collect()
            ws.resume_reading()
    assert during["fairlead_websocket_queued"]["series"] == [([], 3)]
    assert during["fairlead_websocket_dropped_total"]["series"] == [([], 2)]
    assert during["fairlead_websocket_coalesced_total"]["series"] == [([], 1)]
    ((_, round_trips),) = during["fairlead_websocket_ping_seconds"]["series"]
    assert isinstance(round_trips, list)
    assert 0 <= round_trips[0] < 10
    assert sum(round_trips[1:]) == 1
    assert b'fairlead_websocket_ping_seconds_bucket{le="+Inf"} 1\n' in render(merge([during]))


def test_certificates_say_when_they_expire() -> None:
    """K10: by file; of two workers the one with the older certificate counts."""

    class Known:
        def __init__(self, expires_at: float) -> None:
            self._expires_at = expires_at

        def expiries(self) -> dict[str, float]:
            return {"/tls/tls.crt": self._expires_at}

    both = merge([CertificateMetrics(Known(2_000.0)).collect(), CertificateMetrics(Known(1_000.0)).collect()])
    assert both["fairlead_tls_certificate_expiry_timestamp_seconds"]["series"] == [(["/tls/tls.crt"], 1_000.0)]
