"""Random sequences of frames, cut at random places: no defect, no stream or handler that is forgotten (issue 3, 6).

Most frames are such as a client sends; a few are anything at all. Ten thousand seeds were tried when this was written.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from hpack import Encoder

from fairlead import App, Request, text
from fairlead.response import HTTPResponse
from fairlead.server.http2.connection import Http2Connection
from fairlead.server.shared import Shared
from fairlead.testing.transport import connect

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, WINDOW = 0, 1, 3, 4, 6, 8
END_STREAM, END_HEADERS = 0x1, 0x4


def frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream_id.to_bytes(4, "big") + payload


class Sender:
    """Makes frames up."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._encoder = Encoder()
        self._next_id = 1
        self._open: list[int] = []

    def stream(self) -> bytes:
        """Everything that the client sends."""
        frames = [self._anything() if self.random.random() < 0.02 else self._usual() for _ in range(self.random.randrange(60))]
        return PREFACE + frame(SETTINGS, 0, 0, b"") + b"".join(frames)

    def _usual(self) -> bytes:
        choose, kind = self.random.choice, self.random.random()
        if kind < 0.4 or not self._open:
            return self._request()
        stream_id = choose(self._open)
        if kind < 0.75:
            ends = kind < 0.5
            if ends:
                self._open.remove(stream_id)
            return frame(DATA, END_STREAM if ends else 0, stream_id, b"x" * choose((0, 1, 100, 1500, 2500)))
        if kind < 0.85:
            self._open.remove(stream_id)
            return frame(RESET, 0, stream_id, (8).to_bytes(4, "big"))
        if kind < 0.93:
            return frame(WINDOW, 0, choose((0, stream_id)), choose((1, 100, 30_000)).to_bytes(4, "big"))
        if kind < 0.97:
            return frame(SETTINGS, 0, 0, (4).to_bytes(2, "big") + choose((0, 1, 100, 65_535, 100_000)).to_bytes(4, "big"))
        return frame(PING, 0, 0, b"12345678")

    def _request(self) -> bytes:
        stream_id, self._next_id = self._next_id, self._next_id + 2
        ends = self.random.random() < 0.4
        path = self.random.choice(("/", "/waits", "/uploads", "/streams", "/whole", "/none"))
        fields = [(":method", "GET" if ends else "POST"), (":scheme", "http"), (":authority", "a"), (":path", path)]
        if self.random.random() < 0.1:
            fields.append(self.random.choice((("expect", "100-continue"), ("content-length", "5"), ("connection", "x"))))
        if not ends:
            self._open.append(stream_id)
        return frame(HEADERS, END_HEADERS | ends, stream_id, self._encoder.encode(fields))

    def _anything(self) -> bytes:
        stream_id = self.random.choice((0, 1, 2, self._next_id, self.random.randrange(50)))
        return frame(
            self.random.randrange(12), self.random.randrange(256), stream_id, self.random.randbytes(self.random.randrange(20))
        )


def make_app() -> App:
    app = App("sequences", config={"REQUEST_MAX_SIZE": 2000})
    app.add_route(lambda request: text("hello" * 100), "/", name="root")

    @app.get("/waits")
    async def waits(request: Request) -> HTTPResponse:
        await asyncio.sleep(0)
        return text("x" * 25_000)

    @app.post("/uploads", stream=True)
    async def uploads(request: Request) -> HTTPResponse:
        await request.receive_body()
        return text(str(len(request.body)))

    @app.post("/streams", stream=True)
    async def streams(request: Request) -> None:
        response = await request.respond()
        for _ in range(10):
            await response.send("x" * 9000)

    @app.post("/whole")
    async def whole(request: Request) -> HTTPResponse:
        return text(str(len(request.body)))

    return app


async def test_sequences(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever comes, and however it is cut: when the peer is gone, so is all that it has asked for."""
    loop = asyncio.get_running_loop()
    defects: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda loop, context: defects.append(context))
    app = make_app()
    shared = Shared(app.finalise(), app.config.limits(), loop)
    for seed in range(100):
        sender = Sender(seed)
        server = Http2Connection(shared)
        near, _ = connect(asyncio.Protocol(), server)
        data = sender.stream()
        while data:
            size = sender.random.choice((1, 5, 50, 500, 5000))
            near.write(data[:size])
            data = data[size:]
            if sender.random.random() < 0.3:
                await asyncio.sleep(0)
            if sender.random.random() < 0.02 and not server.lost:
                server.expire()
        for _ in range(8):
            await asyncio.sleep(0)
        near.abort()
        for _ in range(4):
            await asyncio.sleep(0)
        assert (seed, defects, server.streams, server.handlers) == (seed, [], {}, 0)
    assert (len(shared.connections), len(shared.runner.in_flight)) == (0, 0)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    shared.runner.close()
