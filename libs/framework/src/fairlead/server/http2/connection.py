"""One HTTP/2 connection: frames in and out, its streams, their turns, and its end.

What one read brings is handed to the library at once; the events that come of it start handlers, feed bodies, open windows. What is
to be sent collects in the library and leaves in one write: at the end of a read, or of the loop's turn in which a handler sent.

Sending takes turns: a stream with data sends one frame, then the next stream does, while the transport has room. So one large
download doesn't hold up the small ones beside it.

Reading stops while the transport is over its high-water mark: a peer that asks and does not read (pings, settings, resets) would
otherwise let the answers pile up.

Deadlines: while there are streams the server's sweep calls `expire` every second, which looks after each of them. Without any it is
the keep-alive time-out, or the header time-out within a header block.

The end: GOAWAY that names no stream first (RFC 9113 §6.8), so that requests which are on their way are still taken; when the last
stream is done, GOAWAY with the last one that was, and the close. The library's own GOAWAY would refuse to send anything after it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import Frame, GoAwayFrame

from fairlead.errors import FairleadException
from fairlead.http.clock import CLOCK
from fairlead.request import Request
from fairlead.server.http2.guard import CREDIT_PER_S, EARNED_BY_DATA, FrameTooLong, Guard, TooCostly
from fairlead.server.http2.head import read_head
from fairlead.server.http2.inflow import STREAM_WINDOW_BYTES
from fairlead.server.http2.stream import Http2Stream
from fairlead.server.link import CLOSING, IDLE, LINGERING, Link

logger = logging.getLogger("fairlead.server")

CONNECTION_WINDOW_BYTES = 1_048_576
"""What all streams together may have on the way."""

WRITE_BYTES = 65536
"""Frames are collected for one write up to this size."""

HEADER_TABLE_BYTES = 4096
"""Of our encoder, at most; the default of RFC 9113 §6.5.2."""

ANY_STREAM = 2**31 - 1

LEAVE_GRACE_S = 1.0
"""So long after the first GOAWAY requests may still be on their way."""

_CONFIGURATION = H2Configuration(client_side=False, validate_outbound_headers=False, normalize_outbound_headers=False)


class Http2Connection(Link):
    """The protocol object of a connection."""

    __slots__ = (
        "_block_ends_at",
        "_guard",
        "_highest",
        "_idle_until",
        "_is_flushing",
        "_leaves_at",
        "_sending",
        "_window_owed",
        "h2",
        "handlers",
        "session",
        "streams",
    )

    def __init__(self, shared: Any) -> None:
        super().__init__(shared, final=False)
        limits = shared.limits
        self.session = None
        self.h2 = H2Connection(_CONFIGURATION)
        self.h2.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: limits.max_streams,
                SettingCodes.MAX_HEADER_LIST_SIZE: limits.max_head_bytes,
                SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW_BYTES,
            },
        )
        self.h2._frame_dispatch_table[GoAwayFrame] = self._on_goaway  # the library would take it for the end, and send nothing more
        self.h2.decoder.max_header_list_size = 2 * limits.max_head_bytes + 32 * limits.max_header_fields  # below it: 431
        self.streams: dict[int, Http2Stream] = {}
        self.handlers = 0
        """How many handlers wait, those of streams that were reset included."""
        self._guard = Guard(2 * limits.max_head_bytes)  # Huffman's code lengthens some
        self._sending: dict[int, Http2Stream] = {}
        self._window_owed = 0
        self._highest = 0
        self._is_flushing = False
        self._idle_until = CLOCK.now + limits.first_byte_timeout_s
        self._block_ends_at = inf
        self._leaves_at = inf

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        shared = self.shared
        shared.connections.add(self)
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(CONNECTION_WINDOW_BYTES - STREAM_WINDOW_BYTES)
        self.flush()
        if shared.admission.enter(self) is not None:
            self._terminate(ErrorCodes.ENHANCE_YOUR_CALM)
        elif shared.draining:
            self.drain()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.shared.connections.discard(self)
        self.shared.admission.leave(self)
        if self._info is not None:
            self._info.lost = True
        for stream in list(self.streams.values()):
            stream.client_left()
        self.shared.changed()

    def eof_received(self) -> bool:
        """The client has left."""
        return False

    def pause_writing(self) -> None:
        self._paused = True
        self._unread = self.transport.get_write_buffer_size()
        self.write_deadline = CLOCK.now + self.shared.limits.write_timeout_s
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused = False
        self.write_deadline = inf
        if not self.transport.is_closing():
            self.transport.resume_reading()
        self._send_turns()

    def data_received(self, data: bytes) -> None:
        """Take frames."""
        if self.state is not IDLE:
            return
        try:
            self._guard.feed(data)
            for event in self.h2.receive_data(data):
                react = _REACTIONS.get(type(event))
                if react is not None:
                    react(self, event)
        except TooCostly as exc:
            logger.warning("an HTTP/2 peer was told to calm down", extra={"cause": str(exc)})
            self._terminate(ErrorCodes.ENHANCE_YOUR_CALM)
        except (FrameTooLong, ProtocolError) as exc:  # for the latter the library has its GOAWAY ready
            logger.info("an HTTP/2 peer broke the protocol", extra={"cause": str(exc) or type(exc).__name__})
            self._terminate(ErrorCodes.FRAME_SIZE_ERROR if isinstance(exc, FrameTooLong) else None)
        except BaseException:  # a defect, or the end of the process
            self.abort()
            raise
        else:
            self._send_turns()
            self._renew_deadline()

    # What the library tells

    def _on_request(self, event: RequestReceived) -> None:
        assert event.stream_id is not None
        shared, has_body = self.shared, event.stream_ended is None
        stream = Http2Stream(self, event.stream_id, has_client_ended=not has_body)
        self._highest = event.stream_id
        if self.handlers >= shared.limits.max_streams:  # of streams that were reset, and whose handlers have not come to their end
            self.h2_reset(event.stream_id, ErrorCodes.REFUSED_STREAM)
            return
        self.streams[event.stream_id] = stream
        try:
            method, target, head = read_head(event.headers, shared.limits, has_body=has_body)
            request = shared.request_class(shared.app, stream, method, target, head, b"")
            stream.begin(request, has_body=has_body)
        except FairleadException as exc:
            stream.refuse(exc)

    def _on_data(self, event: DataReceived) -> None:
        assert event.stream_id is not None
        size = event.flow_controlled_length or 0
        self._window_owed += size
        if self._window_owed >= CONNECTION_WINDOW_BYTES // 4:
            self.h2.increment_flow_control_window(self._window_owed)
            self._window_owed = 0
        stream = self.streams.get(event.stream_id)
        if stream is not None and stream.inflow is not None:
            try:
                stream.inflow.receive(event.data, size)
            except FairleadException as exc:
                stream.refuse(exc)

    def _on_end(self, event: StreamEnded) -> None:
        assert event.stream_id is not None
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            stream.client_ended()

    def _on_reset(self, event: StreamReset) -> None:
        assert event.stream_id is not None
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            stream.client_left()

    def _on_window(self, event: WindowUpdated) -> None:
        """A stream has room again; what waits for the connection's window is in the queue already."""
        stream = self.streams.get(event.stream_id or 0)
        if stream is not None and stream.outflow.has_work:
            self._sending[stream.stream_id] = stream

    def _on_settings(self, event: RemoteSettingsChanged) -> None:
        """All streams may have room now. The encoder's table stays small: a peer may allow gigabytes, and we would fill them."""
        encoder = self.h2.encoder
        if encoder.header_table_size > HEADER_TABLE_BYTES:
            encoder.header_table_size = HEADER_TABLE_BYTES
        for stream_id, stream in self.streams.items():
            if stream.outflow.has_work:
                self._sending[stream_id] = stream

    def _on_goaway(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        """The client opens no more streams and still wants those that are open (RFC 9113 §6.8): so proxies renew connections."""
        self._leaves_at = 0.0
        if not self.streams:
            self.shared.loop.call_soon(self._close_if_idle)
        return [], []

    # What streams use

    def send_soon(self, stream: Http2Stream) -> None:
        """A stream has something to send: it gets its turn at the end of this one of the loop."""
        self._sending[stream.stream_id] = stream
        self.flush_soon()

    def flush_soon(self) -> None:
        """Write what the library has, at the end of the loop's turn."""
        if not self._is_flushing and not self.lost:
            self._is_flushing = True
            self.shared.loop.call_soon(self._send_turns)

    def flush(self) -> None:
        """Write what the library has."""
        data = self.h2.data_to_send()
        if data and not self.lost:
            self._write(data)

    def h2_reset(self, stream_id: int, code: ErrorCodes) -> None:
        """Reset a stream, if it is not over."""
        with suppress(ProtocolError):
            self.h2.reset_stream(stream_id, code)
        self.flush_soon()

    def open_window(self, stream_id: int, size: int) -> None:
        """Let the peer send so much more on a stream, if it is not over."""
        with suppress(ProtocolError):
            self.h2.increment_flow_control_window(size, stream_id)
        self.flush_soon()

    def check_end(self, stream: Http2Stream) -> None:
        """Let go of a stream for which there is nothing left to do."""
        if not stream.is_over or self.streams.pop(stream.stream_id, None) is None:
            return
        if not stream.has_client_ended:
            self.h2_reset(stream.stream_id, ErrorCodes.NO_ERROR)  # stop sending (RFC 9113 §8.1)
        if not self.streams:
            self._idle_until = CLOCK.now + self.shared.limits.keep_alive_timeout_s
            self._renew_deadline()
            self.shared.changed()
            if CLOCK.now >= self._leaves_at:
                self.shared.loop.call_soon(self._close_if_idle)  # after what this stream has sent

    def _close_if_idle(self) -> None:
        if self.is_idle and not self.lost:
            self.close()

    def _send_turns(self) -> None:
        """A frame of each stream in turn, as long as there is room. Who waits for the connection's window keeps its place."""
        self._is_flushing = False
        sending, collected = self._sending, 0
        waiting: dict[int, Http2Stream] = {}
        while sending and not self._paused and not self.lost:
            stream_id = next(iter(sending))
            stream = sending.pop(stream_id)
            if stream.outflow.size and self.h2.outbound_flow_control_window <= 0:
                waiting[stream_id] = stream
            elif self._send_frame(stream):
                sending[stream_id] = stream  # at the end of the queue
                self._guard.earn(EARNED_BY_DATA)
                collected += self.h2.max_outbound_frame_size
            else:  # done, or until the peer opens its window
                self.check_end(stream)
            if collected >= WRITE_BYTES:
                self.flush()
                collected = 0
        if waiting:
            self._sending = {**waiting, **sending}
        self.flush()

    @staticmethod
    def _send_frame(stream: Http2Stream) -> bool:
        outflow = stream.outflow
        try:
            return outflow.has_work and outflow.send_frame()
        except ProtocolError:  # reset meanwhile
            outflow.close()
            return False

    # The end

    def _go_away(self, last_stream_id: int, code: ErrorCodes = ErrorCodes.NO_ERROR) -> None:
        """Written past the library, which would then refuse to finish the streams that are open."""
        frame = GoAwayFrame(0)
        frame.last_stream_id, frame.error_code = last_stream_id, code
        self.flush()
        if not self.lost:
            self._write(frame.serialize())

    def _terminate(self, code: ErrorCodes | None) -> None:
        """End all streams and the connection; with a code, say so first."""
        if code is not None:
            self._go_away(self._highest, code)
        self.flush()
        self._sending.clear()
        self.begin_end(LINGERING)
        for stream in list(self.streams.values()):
            stream.client_left()

    def settle(self) -> None:
        if self.state is CLOSING:
            self._go_away(self._highest)
        self.end_transport()

    # The server's side

    def _renew_deadline(self) -> None:
        if self.state is not IDLE:
            return
        if not self._guard.is_in_block:
            self._block_ends_at = inf
        elif self._block_ends_at == inf:
            self._block_ends_at = CLOCK.now + self.shared.limits.header_timeout_s
        self.deadline = CLOCK.now if self.streams else min(self._idle_until, self._block_ends_at)

    def expire(self) -> None:
        """A deadline has passed, or streams are to be looked after."""
        if self.write_deadline <= CLOCK.now or self.state is CLOSING:
            self._expire_writing()
        elif self.state is LINGERING:
            self.abort()
        elif self._block_ends_at <= CLOCK.now:
            self._terminate(ErrorCodes.ENHANCE_YOUR_CALM)
        elif self.streams:
            self._guard.earn(CREDIT_PER_S)
            for stream in list(self.streams.values()):
                stream.sweep()
            self._renew_deadline()
        else:
            self.close()

    @property
    def is_idle(self) -> bool:
        """Whether there is no stream."""
        return not self.streams and self.state is IDLE

    @property
    def request(self) -> Request[Any, Any] | None:
        """One of the requests that wait for their handlers."""
        return next((stream.request for stream in self.streams.values() if stream.is_handled), None)

    def drain(self) -> None:
        """The server is stopping: what has come and what is on its way is answered, then the connection ends."""
        if self.state is IDLE:
            self._go_away(ANY_STREAM)
            self._leaves_at = min(self._leaves_at, CLOCK.now + LEAVE_GRACE_S)


_REACTIONS: dict[type[Event], Callable[[Http2Connection, Any], None]] = {
    RequestReceived: Http2Connection._on_request,
    DataReceived: Http2Connection._on_data,
    StreamEnded: Http2Connection._on_end,
    StreamReset: Http2Connection._on_reset,
    WindowUpdated: Http2Connection._on_window,
    RemoteSettingsChanged: Http2Connection._on_settings,
}
