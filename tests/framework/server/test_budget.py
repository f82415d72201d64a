"""The price of a request in Python calls, which are steadier than times (architecture, «The way of a request»)."""

from __future__ import annotations

import asyncio
import sys
from types import FrameType
from typing import Any

import pytest

from fairlead import App, Request, json, text
from fairlead.http.limits import Limits
from fairlead.server.connection import HttpConnection
from fairlead.server.shared import Shared

MAX_CALLS = 20
MAX_FRAMES_BETWEEN = 3
FIELDS = b"".join(b"X-Field-%d: value\r\n" % number for number in range(12))


class MemoryTransport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: Any) -> None:
        """Keep it."""
        self.written.append(bytes(data))

    def is_reading(self) -> bool:
        """Always."""
        return True


def make_app(depths: list[int]) -> App:
    """Handlers that note how deep they are."""
    app = App("budget")

    def note() -> None:
        depth, frame = 0, sys._getframe(1)
        while frame.f_back is not None and frame.f_code.co_name != "data_received":
            depth, frame = depth + 1, frame.f_back
        depths.append(depth)

    @app.get("/text")
    async def plain(request: Request) -> object:
        note()
        return text("Hello")

    @app.get("/json")
    def sync(request: Request) -> object:
        note()
        return json({"hello": "world"})

    @app.get("/users/<id:int>")
    async def user(request: Request, id: int) -> object:
        note()
        return json({"id": id})

    return app


@pytest.mark.parametrize(
    ("target", "fields", "calls"), [(b"/text", b"", 20), (b"/text", FIELDS, 20), (b"/json", b"", 20), (b"/users/7", b"", 20)]
)
async def test_call_budget(target: bytes, fields: bytes, calls: int) -> None:
    """A bodyless request costs at most 20 Python calls, twelve header fields or not, and 3 frames to the handler."""
    depths: list[int] = []
    app = make_app(depths)
    loop = asyncio.get_running_loop()
    shared = Shared(app.finalise(), Limits(), loop)
    connection, transport = HttpConnection(shared), MemoryTransport()
    data = b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n"
    counted: list[str] = []

    def count(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            counted.append(frame.f_code.co_qualname)

    def run() -> None:
        connection.connection_made(transport)
        connection.data_received(data)
        sys.setprofile(count)
        try:
            connection.data_received(data)
        finally:
            sys.setprofile(None)

    loop.call_soon(run)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert transport.written[-1].startswith(b"HTTP/1.1 200 OK")
    own = [name for name in counted if "note" not in name and "MemoryTransport" not in name]
    assert len(own) <= calls, own
    assert depths[-1] - 1 <= MAX_FRAMES_BETWEEN
    shared.runner.close()
