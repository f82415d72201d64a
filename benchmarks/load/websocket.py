"""Load for the websocket workload: every connection sends a message, waits for its echo, sends the next.

Frames are made once; an answer is compared by its length, and the first and the last one of each connection by their bytes, so a
message costs the loader two system calls and a handful of bytecodes. It reports the share of its core that it needed: near 1 it,
and not the server, was the limit.

    python websocket.py PORT CORE CONNECTIONS SECONDS
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from functools import partial
from typing import Any

import uvloop

from benchmarks.answers import client_frame, server_frame, upgrade_request
from benchmarks.workloads import BY_NAME, ECHO

BUFFER_BYTES = 4096


class EchoClient(asyncio.BufferedProtocol):
    """One connection. `count` grows with every echo while `is_running`."""

    def __init__(self, opened: asyncio.Future[None]) -> None:
        self.count = 0
        self.is_running = True
        self.is_right = True
        self.opened = opened
        self._frame = client_frame(ECHO)
        self._echo = server_frame(ECHO)
        self._size = len(self._echo)
        self._buffer = bytearray(BUFFER_BYTES)
        self._received = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._write = transport.write
        port = transport.get_extra_info("peername")[1]
        transport.write(upgrade_request(BY_NAME["websocket"].target, port))

    def connection_lost(self, error: Exception | None) -> None:
        if self.is_running:
            self.is_right = False

    def get_buffer(self, hint: int) -> memoryview:
        return memoryview(self._buffer)[self._received :]

    def buffer_updated(self, size: int) -> None:
        if size == self._size and self._received == 0 and self.count:
            self.count += 1
            if self.is_running:
                self._write(self._frame)
            else:
                self._finish()
            return
        self._received += size
        self._take()

    def _take(self) -> None:
        """The rare cases: the handshake's answer, the first echo, an echo in two pieces."""
        if not self.opened.done():
            if b"\r\n\r\n" not in self._buffer[: self._received]:
                return
            self.is_right = self._buffer.startswith(b"HTTP/1.1 101")
            self.opened.set_result(None)
            self._received = 0
        elif self._received < self._size:
            return
        else:
            self.is_right &= self._buffer[: self._received] == self._echo
            self._received = 0
            self.count += 1
            if self.is_running:
                self._write(self._frame)
            else:
                self._finish()

    def begin(self) -> None:
        """Send the first message."""
        self._write(self._frame)

    def _finish(self) -> None:
        self.is_right &= self._buffer[: self._size] == self._echo
        self._transport.abort()


def _same(client: EchoClient) -> EchoClient:
    return client


async def measure(port: int, connections: int, seconds: float) -> dict[str, object]:
    """Messages per second over `seconds`, after all connections are open."""
    loop = asyncio.get_running_loop()
    clients: list[EchoClient] = []
    for _ in range(connections):
        client = EchoClient(loop.create_future())
        await loop.create_connection(partial(_same, client), "127.0.0.1", port)
        await client.opened
        clients.append(client)
    for client in clients:
        client.begin()
    started_s, cpu_s = time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    counted = sum(client.count for client in clients)
    wall_s, cpu_s = time.perf_counter() - started_s, time.process_time() - cpu_s
    for client in clients:
        client.is_running = False
    await asyncio.sleep(0.1)
    return {
        "per_second": counted / wall_s,
        "load_cpu": cpu_s / wall_s,
        "errors": sum(not client.is_right or not client.count for client in clients),
    }


if __name__ == "__main__":
    port, core, connections, seconds = sys.argv[1:]
    os.sched_setaffinity(0, {int(core)})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure(int(port), int(connections), float(seconds)))))
