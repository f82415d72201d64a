"""A connection in memory: two transports, each the other's network.

How it works. What one end writes waits in its `_outgoing` until the loop's next turn and is then given to the protocol of
the other end, in reads of at most `read_bytes`, while that end is reading. Past the high-water mark the writer's protocol
is told to pause, as on a socket whose peer does not read. `close` delivers what was written, then the end of the stream;
`abort` forgets it. So the real HTTP connection runs unchanged, bytes and back-pressure included, and nothing needs a port.

Rejected: calling the handler with a made-up request (it would test the handler against our idea of a request); a socket
pair (the kernel's buffers decide when a writer has to wait, so that no test can).
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

HIGH_WATER_BYTES = 65536
READ_BYTES = 262144
"""As much as uvloop reads at once."""

CLIENT_ADDRESS = ("127.0.0.1", 50000)
SERVER_ADDRESS = ("127.0.0.1", 80)


class MemoryTransport(asyncio.Transport):
    """One end of a connection; made by `connect`. Set `read_bytes` to 1 to have everything arrive byte by byte."""

    def __init__(self, protocol: asyncio.BaseProtocol, sockname: tuple[str, int], peername: tuple[str, int]) -> None:
        super().__init__()
        self.extra: dict[str, Any] = {"sockname": sockname, "peername": peername}
        """What `get_extra_info` knows."""
        self.read_bytes = READ_BYTES
        self.peer: MemoryTransport
        self._loop = asyncio.get_running_loop()
        self._protocol: Any = protocol
        self._outgoing: deque[bytes] = deque()
        self._size = 0
        self._is_reading = True
        self._is_closing = False  # nothing more is written
        self._is_ending = False  # the end of the stream follows what is written
        self._is_lost = False
        self._is_paused = False  # our protocol was told to pause
        self._is_scheduled = False
        self._has_heard_the_end = False  # our protocol was told that the other end has finished

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Addresses, and what `extra` was given."""
        return self.extra.get(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the connection to another protocol."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol of this end."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    # --- writing ---

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send to the other end. To an end that is gone it is lost, and this one is told so."""
        if self._is_ending and not self._is_closing:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._is_closing or not data:
            return
        if self.peer._is_lost:
            self._lose(ConnectionResetError("the other end is gone"))
            return
        self._outgoing.append(bytes(data))
        self._size += len(data)
        self._schedule()
        if self._size > HIGH_WATER_BYTES and not self._is_paused:
            self._is_paused = True
            self._protocol.pause_writing()

    def pretend_tls(self) -> None:
        """Let both ends believe that the connection is encrypted."""
        self.extra["sslcontext"] = self.peer.extra["sslcontext"] = True

    def get_write_buffer_size(self) -> int:
        """How many bytes the other end has not taken."""
        return self._size

    def can_write_eof(self) -> bool:
        """Yes; not while it counts as TLS, which has no half-closed connections."""
        return "sslcontext" not in self.extra

    def write_eof(self) -> None:
        """Send the end of the stream after what is written; reading goes on."""
        self._is_ending = True
        self._schedule()

    # --- reading ---

    def is_reading(self) -> bool:
        """Whether data is taken."""
        return self._is_reading and not self._is_closing

    def pause_reading(self) -> None:
        """Take nothing for now."""
        self._is_reading = False

    def resume_reading(self) -> None:
        """Take data again."""
        self._is_reading = True
        self.peer._schedule()

    # --- the end ---

    def is_closing(self) -> bool:
        """Whether `close` or `abort` was called or the connection is lost."""
        return self._is_closing

    def close(self) -> None:
        """Deliver what is written, then end. The other end may go on sending; nobody hears it."""
        if not self._is_closing:
            self._is_closing = self._is_ending = True
            self._schedule()

    def abort(self) -> None:
        """End at once; the other end sees a broken connection."""
        self._outgoing.clear()
        self._size = 0
        self._lose(None)
        self.peer._lose(ConnectionResetError("the other end has aborted"))

    def _lose(self, error: Exception | None) -> None:
        self._is_closing = True
        if not self._is_lost:
            self._is_lost = True
            self._loop.call_soon(self._protocol.connection_lost, error)

    # --- the network ---

    def _schedule(self) -> None:
        if not self._is_scheduled and (self._outgoing or self._is_ending):
            self._is_scheduled = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._is_scheduled = False
        peer = self.peer
        if peer._is_lost:
            self._outgoing.clear()
        elif self._outgoing and peer._is_closing:
            self._outgoing.clear()  # it hears nothing any more
        elif self._outgoing:
            if not peer._is_reading:
                return
            data = self._take(peer.read_bytes)
            peer._protocol.data_received(data)
        self._relax()
        if self._outgoing:
            self._schedule()
        elif self._is_ending:
            self._end()

    def _take(self, size: int) -> bytes:
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        if len(data) > size:
            self._outgoing.append(data[size:])
            data = data[:size]
        self._size -= len(data)
        return data

    def _relax(self) -> None:
        if self._is_paused and self._size <= HIGH_WATER_BYTES // 4 and not self._is_lost:
            self._is_paused = False
            self._protocol.resume_writing()

    def _end(self) -> None:
        """What was written is delivered: tell the other end that no more will come."""
        peer = self.peer
        if self._is_closing:
            self._lose(None)
        if peer._is_reading and not peer._is_closing and not peer._has_heard_the_end:
            peer._has_heard_the_end = True
            if not peer._protocol.eof_received():
                peer.close()


def connect(
    client: asyncio.BaseProtocol,
    server: asyncio.BaseProtocol,
    *,
    client_address: tuple[str, int] = CLIENT_ADDRESS,
    server_address: tuple[str, int] = SERVER_ADDRESS,
) -> tuple[MemoryTransport, MemoryTransport]:
    """Join two protocols; returns the client's and the server's transport. Both have seen `connection_made`."""
    near = MemoryTransport(client, client_address, server_address)
    far = MemoryTransport(server, server_address, client_address)
    near.peer, far.peer = far, near
    server.connection_made(far)
    client.connection_made(near)
    return near, far
