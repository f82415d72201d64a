"""The request path without a network: bytes go into a real connection, and come out at a transport that keeps the last of them.

What remains is what Fairlead itself costs, without the kernel's half, so a change of a tenth of a microsecond shows, and other
programs on the machine disturb little.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import uvloop

from benchmarks.servers import fairlead
from benchmarks.workloads import WORKLOADS, Workload
from fairlead.server import Server
from fairlead.server.connection import HttpConnection
from fairlead.types import Observer

T = TypeVar("T")
PIPELINED = 16


class Transport:
    """The other side: takes what is written."""

    def __init__(self) -> None:
        self.last = b""

    def write(self, data: bytes) -> None:
        self.last = data

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 54321) if name in ("peername", "sockname") else default

    def is_reading(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return False


def request_bytes(workload: Workload) -> bytes:
    """The workload's request (or requests) as its load generator sends it."""
    body = workload.body_bytes
    lines = [f"{'POST' if body else 'GET'} {workload.target} HTTP/1.1", "Host: 127.0.0.1:8000"]
    lines += [f"{name}: {value}" for name, value in workload.headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    one = ("\r\n".join(lines) + "\r\n\r\n").encode() + body
    return one * PIPELINED if workload.name == "pipelined" else one


def run(observer: Observer | None, use: Callable[[Callable[[bytes], None]], T]) -> T:
    """`use(feed)` in a callback of a running loop; `feed(data)` gives data to a connection that serves the benchmark's routes."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(observer, use))


async def _run(observer: Observer | None, use: Callable[[Callable[[bytes], None]], T]) -> T:
    app = fairlead.build()
    app.finalise()
    await app.startup()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(app.dispatcher, [listener], limits=app.config.limits(), observer=observer)
        await server.start()
        transport, loop = Transport(), asyncio.get_running_loop()
        assert server.shared is not None
        connection = HttpConnection(server.shared)
        connection.connection_made(transport)  # type: ignore[arg-type]
        done: asyncio.Future[T] = loop.create_future()

        def outside_of_tasks() -> None:
            try:
                _check(connection.data_received, transport)
                done.set_result(use(connection.data_received))
            except BaseException as error:
                done.set_exception(error)

        loop.call_soon(outside_of_tasks)
        result = await done
        connection.connection_lost(None)
        await server.drain(loop.time())
    await app.shutdown()
    return result


def workloads() -> Iterator[Workload]:
    """Those that are requests and nothing else."""
    return (workload for workload in WORKLOADS if not workload.is_websocket)


def _check(feed: Callable[[bytes], None], transport: Transport) -> None:
    for workload in workloads():
        feed(request_bytes(workload))
        if not transport.last.startswith(b"HTTP/1.1 200 OK\r\n"):
            raise RuntimeError(f"{workload.title}: {transport.last!r}")
