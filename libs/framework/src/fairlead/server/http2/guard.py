"""What an HTTP/2 peer may cost beside its requests.

Most frames are an answer's price: a window update for data that was sent, a ping now and then. A peer that sends them for their own
sake makes the server work for nothing (CVE-2019-9512 ping, -9515 settings, -9513 and -9516 priorities and empty fields, -9518 empty
data, CVE-2023-44487 streams that are opened and reset). No frame is bad by itself, so they are paid for: a connection has a
*credit*, requests and data earn some, everything else costs, and time gives some back. A peer without credit is told
ENHANCE_YOUR_CALM.

A header block that never ends (CVE-2024-27316, CONTINUATION) is held to the limit of the head, compressed as it is.

Frames are counted by their headers of nine bytes, before the library has parsed them: it has no event for some (a window update for
a stream that is closed), and builds an object for each.
"""

from __future__ import annotations

DATA, HEADERS, RST_STREAM, CONTINUATION = 0x0, 0x1, 0x3, 0x9
END_STREAM, END_HEADERS = 0x1, 0x4

CREDIT = 1000
"""At the beginning, and never more: a client may cancel a page of a hundred requests at once."""

CREDIT_PER_S = 50

PRICE_OF_RESET = 20
EARNED_BY_REQUEST = 10
EARNED_BY_DATA = 2
"""For a frame with data in either direction: a receiver may send a window update for the stream and one for the connection."""

FRAME_HEADER_BYTES = 9
PREFACE_BYTES = 24
MAX_FRAME_BYTES = 16_384
"""The least that a receiver must allow (RFC 9113 §6.5.2), and all that is allowed here."""


class TooCostly(Exception):
    """The peer has used up its credit, or its header block is too long: ENHANCE_YOUR_CALM."""


class FrameTooLong(Exception):
    """A frame is longer than agreed, and the library would wait for all of it before it says so: FRAME_SIZE_ERROR."""


class Guard:
    """Feed it all that was read, from the preface on, before the library; tell it what was of use."""

    __slots__ = ("_block_bytes", "_header", "_left", "_max_block_bytes", "credit")

    def __init__(self, max_block_bytes: int) -> None:
        self.credit = CREDIT
        self._max_block_bytes = max_block_bytes
        self._block_bytes = 0
        self._header = b""  # of a frame whose header has come in part
        self._left = PREFACE_BYTES  # of what has begun, still to come

    @property
    def is_in_block(self) -> bool:
        """Whether a header block has begun and not ended."""
        return self._block_bytes > 0

    def feed(self, data: bytes) -> None:
        """Count the frames that begin in `data`. Raises `TooCostly`, `FrameTooLong`."""
        at = self._left
        if self._header:
            data = self._header + data
            self._header = b""
        size = len(data)
        while at + FRAME_HEADER_BYTES <= size:
            length = int.from_bytes(data[at : at + 3], "big")
            self._count(data[at + 3], data[at + 4], length)
            at += FRAME_HEADER_BYTES + length
        if at < size:
            self._header, self._left = data[at:], 0
        else:
            self._left = at - size
        if self.credit < 0:
            raise TooCostly("frames that ask for nothing")

    def _count(self, kind: int, flags: int, length: int) -> None:
        if length > MAX_FRAME_BYTES:
            raise FrameTooLong(f"a frame of {length} bytes")
        if kind in (HEADERS, CONTINUATION):
            if kind == HEADERS:
                self.earn(EARNED_BY_REQUEST)
            else:
                self.credit -= 1
            self._block_bytes += length + 1
            if self._block_bytes > self._max_block_bytes:
                raise TooCostly("a header block that is too long")
            if flags & END_HEADERS:
                self._block_bytes = 0
        elif kind == DATA and (length or flags & END_STREAM):
            self.earn(EARNED_BY_DATA)
        else:
            self.credit -= PRICE_OF_RESET if kind == RST_STREAM else 1

    def earn(self, credit: int) -> None:
        """Something useful has happened."""
        self.credit = min(CREDIT, self.credit + credit)
