"""No server at all: the least that an echo costs when its bytes go through Python, for the other rows to be judged by.

A protocol on uvloop's transport answers the one kind of frame that the load sends, in the callback that has read it. There are no
rules, no limits, no task and no handler; closing, fragments, long and binary messages are not understood. What the kernel and
uvloop take, and what it takes to unmask, decode, encode and frame a message in Python, is in it, and nothing else.
"""

from __future__ import annotations

import asyncio
from typing import Any

from benchmarks.answers import upgrade_answer

TITLE = "limit (bare uvloop protocol)"
PACKAGES = ("uvloop", "websockets")
WORKLOADS = ("websocket",)


def serve(port: int) -> None:
    """Run until SIGTERM."""
    import uvloop
    from websockets.speedups import apply_mask

    headers = tuple(bytes((0x81, size)) for size in range(126))

    class Echo(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            self.write = transport.write
            self.is_open = False

        def data_received(self, data: bytes) -> None:
            if self.is_open:
                size = len(data) - 6
                if data[0] == 0x81 and data[1] == 0x80 + size:
                    payload = apply_mask(data[6:], data[2:6]).decode().encode()
                    self.write(headers[size] + payload)
                else:
                    self.transport.abort()
            else:
                self.is_open = True
                self.write(upgrade_answer(data))

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", port)
        await server.serve_forever()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
