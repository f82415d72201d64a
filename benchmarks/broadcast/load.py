"""The subscribers: as many websockets as wanted, which count the frames that arrive."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from benchmarks.answers import client_frame, upgrade_request

OPENING_AT_ONCE = 200
LIMIT_S = 60.0
BROWSER = (
    b"Pragma: no-cache\r\nCache-Control: no-cache\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36\r\n"
    b"Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\nOrigin: http://127.0.0.1:%d\r\n"
    b"Cookie: session=%b; theme=dark; consent=yes\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
)
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"


class Subscriber(asyncio.Protocol):
    """One websocket; tells `crowd` when it has opened and when it has so many frames as are expected."""

    def __init__(self, crowd: Crowd) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.frames = 0
        self.last = b""
        self._crowd = crowd
        self._rest = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(upgrade_request("/", self._crowd.port)[:-2] + self._crowd.fields() + b"\r\n")

    def connection_lost(self, error: Exception | None) -> None:
        self._crowd.lost += 1
        self._crowd.finish()

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        if not self.opened.done():
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._rest = head
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self.opened.set_result(None)
        start = 0
        while len(data) - start >= 2:
            size, header = data[start + 1], 2
            if size == 126:
                size, header = int.from_bytes(data[start + 2 : start + 4], "big"), 4
            if len(data) - start < header + size:
                break
            self.last = data[start + header : start + header + size]
            start += header + size
            self.frames += 1
            if self.frames == self._crowd.expected and self is not self._crowd.subscribers[-1]:
                self._crowd.arrived += 1
                self._crowd.finish()
        self._rest = data[start:]


class Crowd:
    """All subscribers of one server, and one who makes it broadcast."""

    def __init__(self, port: int, *, compression: bool = False, browsers: bool = False) -> None:
        self.port = port
        self._compression = compression
        self._browsers = browsers
        self.subscribers: list[Subscriber] = []
        self.expected = 0
        self.arrived = 0
        self.lost = 0
        self._done: asyncio.Future[None] | None = None

    def fields(self) -> bytes:
        """What the next handshake says beyond what it must."""
        if self._browsers:
            return BROWSER % (self.port, os.urandom(24).hex().encode())
        return DEFLATE if self._compression else b""

    async def open(self, count: int) -> None:
        """Connect so many more."""
        loop = asyncio.get_running_loop()
        for start in range(0, count, OPENING_AT_ONCE):
            part = [
                (await loop.create_connection(lambda: Subscriber(self), "127.0.0.1", self.port))[1]
                for _ in range(min(OPENING_AT_ONCE, count - start))
            ]
            async with asyncio.timeout(LIMIT_S):
                await asyncio.gather(*(subscriber.opened for subscriber in part))
            self.subscribers += part

    async def broadcast(self, count: int) -> float:
        """Have the last one ask for `count` messages to all others; seconds until all have arrived. Raises RuntimeError if some
        don't. Whether the last one gets them too doesn't matter."""
        speaker, listeners = self.subscribers[-1], len(self.subscribers) - 1
        if self.lost:
            raise RuntimeError(f"{self.lost} connections were lost")
        for subscriber in self.subscribers:
            subscriber.frames = 0
        self.expected, self.arrived, self._listeners = count, 0, listeners
        self._done = asyncio.get_running_loop().create_future()
        began_s = time.perf_counter()
        speaker.transport.write(client_frame(str(count)))
        async with asyncio.timeout(LIMIT_S):
            await self._done
        if self.lost:
            raise RuntimeError(f"{self.lost} connections were lost")
        return time.perf_counter() - began_s

    async def ask(self, wish: str) -> bytes:
        """The answer to the last one's wish."""
        speaker = self.subscribers[-1]
        before = speaker.frames
        speaker.transport.write(client_frame(wish))
        async with asyncio.timeout(LIMIT_S):
            while speaker.frames == before:  # noqa: ASYNC110 - the load is not what is measured
                await asyncio.sleep(0.05)
        return speaker.last

    def finish(self) -> None:
        """Whether all has arrived, or never will."""
        if self._done is not None and not self._done.done() and (self.lost or self.arrived >= self._listeners):
            self._done.set_result(None)

    def close(self) -> None:
        """Leave."""
        self._done = None
        for subscriber in self.subscribers:
            subscriber.transport.abort()
