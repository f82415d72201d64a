"""What one stream still has to send: as much leaves as the windows of stream and connection, and the transport, have room for."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from fairlead.errors import RequestCancelled
from fairlead.http.clock import CLOCK

if TYPE_CHECKING:
    from fairlead.server.http2.connection import Http2Connection

HIGH_WATER_BYTES = 65536
"""So much may wait for the peer before the handler has to wait."""

FRAME_BYTES = 65536
"""A frame is no longer than this, also for a peer that takes longer ones: other streams have their turn."""


class Outflow:
    """The sending side of a stream. `put` pieces and the `end`; the connection calls `send_frame` while it `has_work`."""

    __slots__ = ("_connection", "_has_end", "_pieces", "_stream_id", "_waiter", "is_done", "progress_at", "size", "taken")

    def __init__(self, connection: Http2Connection, stream_id: int) -> None:
        self._connection = connection
        self._stream_id = stream_id
        self._pieces: deque[bytes] = deque()
        self._has_end = False
        self._waiter: asyncio.Future[None] | None = None
        self.size = 0
        """Bytes that wait."""
        self.taken = 0
        """Bytes that have left since `progress_at`."""
        self.progress_at = CLOCK.now
        self.is_done = False
        """The end has been sent, or the stream is over."""

    def put(self, data: bytes, *, is_last: bool) -> None:
        """Send, as soon as there is room."""
        if data:
            if not self.size:
                self.progress_at, self.taken = CLOCK.now, 0
            self._pieces.append(data)
            self.size += len(data)
        self._has_end = self._has_end or is_last

    @property
    def has_work(self) -> bool:
        """Whether there is something to send."""
        return not self.is_done and (self.size > 0 or self._has_end)

    def send_frame(self) -> bool:
        """Hand one frame to the library; False when the peer's windows have no room for one."""
        h2 = self._connection.h2
        if not self.size:
            h2.end_stream(self._stream_id)
            self.close()
            return True
        room = min(h2.local_flow_control_window(self._stream_id), h2.max_outbound_frame_size, FRAME_BYTES)
        if room <= 0:
            return False
        data = self._take(room)
        ends = self._has_end and not self.size
        h2.send_data(self._stream_id, data, end_stream=ends)
        if ends:
            self.close()
        elif self.size <= HIGH_WATER_BYTES:
            self._wake()
        return True

    def _take(self, room: int) -> bytes:
        piece = self._pieces.popleft()
        if len(piece) > room:
            self._pieces.appendleft(piece[room:])  # the rest of a large body is copied once for each frame's worth of window
            piece = piece[:room]
        self.size -= len(piece)
        self.taken += len(piece)
        return piece

    async def room(self) -> None:
        """Wait until little enough waits. Raises `RequestCancelled` when the peer does not want it any more."""
        while self.size > HIGH_WATER_BYTES and not self.is_done:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self.is_done and not self._has_end:
            raise RequestCancelled("the client is gone")

    def close(self) -> None:
        """Nothing more is sent."""
        self.is_done = True
        self._pieces.clear()
        self.size = 0
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def is_stalled(self) -> bool:
        """Whether the peer has taken nothing, or too little, for the write time-out; looked at once a second."""
        if not self.size:
            return False
        limits = self._connection.shared.limits
        if CLOCK.now < self.progress_at + limits.write_timeout_s:
            return False
        before = self.size + self.taken
        if self.taken < max(1, min(before, limits.min_read_rate * limits.write_timeout_s)):
            return True
        self.progress_at, self.taken = CLOCK.now, 0
        return False
