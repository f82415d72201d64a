"""No server at all: the least that a request and an echo cost when their bytes go through Python: to judge the other rows by.

A protocol on uvloop's transport answers whatever it reads with the same bytes, in the callback that has read it; on a websocket it
answers the one kind of frame that the load sends. There are no rules, no limits, no task and no handler; closing, fragments, long
and binary messages are not understood. What the kernel and uvloop take, and what it takes to unmask, decode, encode and frame a
message in Python, is in it, and nothing else.
"""

from __future__ import annotations

import asyncio
from typing import Any

from benchmarks.answers import upgrade_answer
from benchmarks.workloads import HELLO

TITLE = "limit (bare uvloop protocol)"
PACKAGES = ("uvloop", "websockets")
WORKLOADS = ("plaintext", "headers", "websocket")

ANSWER = (
    f"HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {len(HELLO)}\r\n"
    f"date: Sat, 21 Nov 2026 00:00:00 GMT\r\n\r\n{HELLO}"
).encode()


def serve(port: int) -> None:
    """Run until SIGTERM."""
    import uvloop
    from websockets.speedups import apply_mask

    headers = tuple(bytes((0x81, size)) for size in range(126))

    class Echo(asyncio.Protocol):
        def __init__(self, transport: Any) -> None:
            self.transport = transport
            self.write = transport.write

        def data_received(self, data: bytes) -> None:
            size = len(data) - 6
            if data[0] == 0x81 and data[1] == 0x80 + size:
                payload = apply_mask(data[6:], data[2:6]).decode().encode()
                self.write(headers[size] + payload)
            else:
                self.transport.abort()

    class Constant(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            self.write = transport.write

        def data_received(self, data: bytes) -> None:
            if data.startswith(b"GET /ws "):
                self.write(upgrade_answer(data))
                self.transport.set_protocol(Echo(self.transport))
            else:
                self.write(ANSWER)

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Constant, "127.0.0.1", port, backlog=2048)
        await server.serve_forever()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
