"""What a websocket reads: bytes are cut into frames, frames sorted onto their path, messages queued for the handler.

Cutting (RFC 6455 §5.2) decodes a frame's length and no more, except for the three kinds of frames that need no further
rules: a plain message (final, uncompressed, outside a fragmented one), a ping, a pong. All others are passed on whole. A
frame whose header alone breaks a rule (no mask, unknown opcode, too long) is passed on at once, as the library fails on it
without waiting for the payload; so no more than one permitted frame is ever kept. A text that comes in several reads is
checked as it comes (`prefix`).

The brake: when `max_queue` messages wait, cutting and reading stop ("held"), and TCP slows the peer down; what was read
already stays as bytes. They stop as well while the peer, by not reading, blocks the answers that it asks for (a flood of
pings), and for the rest of the loop's turn after `FRAMES_PER_TURN` frames that are no message. So memory is bounded by the
queue, one read and the transport's high-water mark, and a flood leaves other connections their turn.
"""

from __future__ import annotations

import asyncio
from codecs import IncrementalDecoder
from typing import Final, Protocol

from fairlead.websocket.frames import (
    BINARY,
    MASKED_HEADER_BYTES,
    MAX_CONTROL_BYTES,
    MAX_SHORT_BYTES,
    PING,
    PONG,
    SHORT_READS,
    TEXT,
    apply_mask,
)
from fairlead.websocket.general import Message
from fairlead.websocket.outbox import Outbox
from fairlead.websocket.prefix import TextPrefix
from fairlead.websocket.stats import WebsocketStats
from fairlead.websocket.waiter import Waiter

FRAMES_PER_TURN: Final = 64
"""So many frames that are no message are handled before other connections have their turn (about 0.5 ms)."""

BYTES_OF_A_FRAME: Final = 16384
"""So many inflated bytes count as a frame of these."""

HEADER_BYTES: Final = 2
"""The shortest beginning of a frame that says how the rest is to be read."""

MASK_BIT_LESS_HEADER: Final = 0x80 - MASKED_HEADER_BYTES
"""A read that is one short frame is by this less long than its second byte says: mask bit and length."""

NOT_PLAIN: Final = 0x78
"""Reserved bits, and the bit of control frames, in a frame's first byte."""

_OPCODES: Final = frozenset((0x0, 0x1, 0x2, 0x8, 0x9, 0xA))


class Sink(Protocol):
    """Where the frames go: the websocket."""

    open: bool
    is_direct: bool
    """Plain messages may be delivered as they are: open, and no fragmented message is under way."""
    is_deaf: bool
    """Nothing that still arrives counts."""

    @property
    def limit(self) -> int:
        """How long the next frame may be."""

    takes_fragments: bool
    """Whether uncompressed fragments may go to `receive_fragment`."""

    def receive_fragment(self, first: int, payload: bytes) -> None:
        """An uncompressed data frame of a message that has several."""

    def receive_control(self, first: int, payload: bytes) -> None:
        """A whole ping or pong."""

    def receive_other(self, data: bytearray) -> None:
        """Any other frame, or the beginning of one that breaks the rules."""

    def text_decoder(self, first: int) -> IncrementalDecoder | None:
        """What checks the payload of a frame that begins with `first`; None when it is no text, or compressed."""

    def receive_no_text(self, error: UnicodeDecodeError) -> None:
        """A text that is no UTF-8, or the beginning of one."""


class Inbox:
    """The receiving side. `read` passes whole frames to `sink`, which hands their messages back by `deliver`."""

    __slots__ = (
        "_is_paused",
        "_loop",
        "_max_queue",
        "_need",
        "_outbox",
        "_partial_since",
        "_prefix",
        "_sink",
        "_stats",
        "_too_long",
        "_transport",
        "buffer",
        "is_held",
        "queue",
        "waiter",
    )

    def __init__(
        self, transport: asyncio.Transport, sink: Sink, outbox: Outbox, stats: WebsocketStats, max_queue: int, max_size: int
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._sink = sink
        self._outbox = outbox
        self._stats = stats
        self._max_queue = max_queue
        self._too_long = MASKED_HEADER_BYTES + min(max_size, MAX_SHORT_BYTES) + 1  # for a read that is a short frame
        self._prefix: TextPrefix | None = None  # of the text at the buffer's beginning, when it has come in part
        self._partial_since: float | None = None  # of the frame at the buffer's beginning, since `partial_s` saw it first
        self._need = HEADER_BYTES  # so long must the buffer be before it is worth looking at again
        self.buffer = bytearray()
        """What was read and not yet cut."""
        self.queue: list[Message] = []
        """Messages that wait for the handler; after taking the last one of a held inbox, call `go_on`.

        PERF: a deque would take 0.6 KiB for its first block, a third of an idle websocket; `pop(0)` of 32 costs nothing.
        """
        self.waiter = Waiter(self._loop)
        """Of the task that waits for a message."""
        self.is_held = False
        """No cutting, and no reading."""
        self._is_paused = False  # the transport's reading

    def read(self, data: bytes) -> None:
        """Take what was read, and let the handler that waits for it run.

        PERF: nearly every read of a browser's traffic is one short message, which is delivered without a further call.
        """
        size = len(data)
        if size >= self._too_long or self.buffer or self.is_held or not self._sink.is_direct:
            self._feed(data)
            return
        first, second, mask, payload = SHORT_READS[size](data)
        message: Message
        if second - size != MASK_BIT_LESS_HEADER:
            self._feed(data)
            return
        if first == TEXT:
            try:
                message = apply_mask(payload, mask).decode()
            except UnicodeDecodeError as error:
                self._sink.receive_no_text(error)
                return
        elif first == BINARY:
            message = apply_mask(payload, mask)
        else:
            self._feed(data)
            return
        waiter = self.waiter
        if waiter.can_step:
            stats = self._stats
            stats.messages_received += 1
            stats.bytes_received += size - MASKED_HEADER_BYTES
            waiter.step(message)
        else:
            self.deliver(message, size - MASKED_HEADER_BYTES)
            waiter.wake_soon()

    def _feed(self, data: bytes) -> None:
        """Anything but one short message."""
        if self._sink.is_deaf:
            return
        self.buffer += data
        if not self.is_held and (len(self.buffer) >= self._need or self._prefix is not None):
            self._cut()
            if self.queue:
                self._wake()

    def deliver(self, message: Message, size: int) -> None:
        """Queue a message of `size` bytes for the task that waits, which is to be woken."""
        stats = self._stats
        stats.messages_received += 1
        stats.bytes_received += size
        queue = self.queue
        queue.append(message)
        if len(queue) >= self._max_queue:
            self.hold()

    def hold(self) -> None:
        """Stop cutting and reading until `go_on`."""
        self.is_held = True
        if not (self._is_paused or self._transport.is_closing()):
            self._is_paused = True
            self._transport.pause_reading()

    def go_on(self) -> None:
        """Cut and read again, unless the queue is still full or the peer does not take what we answer.

        After the end has begun nothing holds: the peer's close frame, or its end of stream, is to be seen.
        """
        if not self.is_held or (self._sink.open and (self._outbox.is_paused or len(self.queue) >= self._max_queue)):
            return
        self.is_held = False
        if len(self.buffer) >= self._need:
            self._cut()
            if self.queue:
                self.waiter.wake_soon()
        if self._is_paused and not (self.is_held or self._transport.is_closing()):
            self._is_paused = False
            self._transport.resume_reading()

    def partial_s(self, now: float) -> float:
        """For how many seconds a frame has been half sent, as far as the calls of this, one a second, can tell; 0.0 for none."""
        if not self.buffer or self.is_held:
            self._partial_since = None
            return 0.0
        if self._partial_since is None:
            self._partial_since = now
        return now - self._partial_since

    def _wake(self) -> None:
        if self.waiter.can_step:
            self.waiter.step(None)
        else:
            self.waiter.wake_soon()

    def _cut(self) -> None:
        """Take whole frames off the front of the buffer until none is left or the inbox is held."""
        buffer = self.buffer
        sink = self._sink
        end = len(buffer)
        at = others = 0
        need = HEADER_BYTES
        while end - at >= HEADER_BYTES and not (self.is_held or sink.is_deaf):
            first, second = buffer[at], buffer[at + 1]
            if second < 0x80 or first & 0xF not in _OPCODES:
                sink.receive_other(buffer[at:])
                at = end
                break
            length = second & 0x7F
            start = at + 6  # of the payload, behind a mask of 4 bytes
            if length > 125:
                width = 2 if length == 126 else 8
                if end - at < HEADER_BYTES + width:
                    need = HEADER_BYTES + width
                    break
                length = int.from_bytes(buffer[at + 2 : at + 2 + width], "big")
                start += width
            if length > sink.limit:
                sink.receive_other(buffer[at:])
                at = end
                break
            stop = start + length
            if stop > end:
                need = stop - at
                if end <= start:
                    need = start + 1 - at  # for the first byte of the payload to be checked
                else:
                    self._check_part(first, start)
                break
            self._prefix = None
            if sink.is_direct and first in (TEXT, BINARY):
                self._take(first, apply_mask(buffer[start:stop], buffer[start - 4 : start]))
            else:
                others += 1
                if first in (PING, PONG) and length <= MAX_CONTROL_BYTES:
                    sink.receive_control(first, apply_mask(buffer[start:stop], buffer[start - 4 : start]))
                elif first & NOT_PLAIN == 0 and sink.takes_fragments:
                    sink.receive_fragment(first, apply_mask(buffer[start:stop], buffer[start - 4 : start]))
                else:
                    before = self._stats.bytes_received
                    sink.receive_other(buffer[at:stop])
                    others += (self._stats.bytes_received - before) // BYTES_OF_A_FRAME  # inflating takes its time
                if others >= FRAMES_PER_TURN:
                    self.hold()
                    self._loop.call_soon(self.go_on)
            at = stop
        if at:
            del buffer[:at]
            self._partial_since = None
        self._need = need

    def _take(self, first: int, payload: bytes) -> None:
        if first != TEXT:
            self.deliver(payload, len(payload))
            return
        try:
            self.deliver(payload.decode(), len(payload))
        except UnicodeDecodeError as error:
            self._sink.receive_no_text(error)

    def _check_part(self, first: int, start: int) -> None:
        """A frame has come in part: its payload begins at `start`."""
        if self._prefix is None:
            decoder = self._sink.text_decoder(first)
            if decoder is None:
                return
            self._prefix = TextPrefix(bytes(self.buffer[start - 4 : start]), decoder)
        try:
            self._prefix.check(self.buffer, start)
        except UnicodeDecodeError as error:
            self._sink.receive_no_text(error)
