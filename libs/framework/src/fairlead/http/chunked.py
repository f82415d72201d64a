"""The chunked transfer coding, strictly (RFC 9112 §7.1).

A sans-IO decoder: bytes go in in any pieces, the body's pieces come out, and what follows the message stays untouched for the next
one. Where peers are lenient (`0x3`, `+3`, a bare LF, junk after a chunk's data, endless extensions) two of them on one path can be
made to disagree on where a request ends, so here all of that is 400. Trailers are read, bounded, checked and dropped: nothing that
comes after the body can change what was decided before it.
"""

from __future__ import annotations

import enum
import re

from fairlead.errors import BadRequest

MAX_SIZE_LINE = 256
"""Bytes of a chunk-size line, extensions included."""

MAX_TRAILERS = 8192
"""Bytes of all trailer fields."""

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?").fullmatch
_TRAILER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t\x20-\x7e\x80-\xff]*").fullmatch
_FORBIDDEN_TRAILERS = frozenset(
    (b"host", b"content-length", b"transfer-encoding", b"trailer", b"content-encoding", b"content-type", b"authorization")
)


class _Expect(enum.Enum):
    SIZE = enum.auto()
    DATA = enum.auto()
    DATA_END = enum.auto()
    TRAILER = enum.auto()


class ChunkedDecoder:
    """Decodes one chunked body; a new one for each message."""

    __slots__ = ("_buffer", "_expect", "_left", "_trailer_bytes", "ended")

    def __init__(self) -> None:
        self._buffer = b""
        self._expect = _Expect.SIZE
        self._left = 0
        self._trailer_bytes = 0
        self.ended = False

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """The decoded pieces, and, once `ended`, the bytes after the message. Raises `BadRequest` (400)."""
        data = self._buffer + data if self._buffer else data
        self._buffer = b""
        pieces: list[bytes] = []
        position = 0
        while not self.ended:
            if self._expect is _Expect.DATA:
                piece = data[position : position + self._left]
                if not piece:
                    return pieces, b""
                pieces.append(piece)
                position += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._expect = _Expect.DATA_END
                continue
            if self._expect is _Expect.DATA_END:
                ending = data[position : position + 2]
                if ending != b"\r\n"[: len(ending)]:
                    raise BadRequest("A chunk is longer than its size says")
                if len(ending) < 2:
                    break
                position += 2
                self._expect = _Expect.SIZE
                continue
            end = data.find(b"\r\n", position)
            if end < 0:
                self._check_partial(data, position)
                break
            self._take_line(data[position:end])
            position = end + 2
        if self.ended:
            return pieces, data[position:]
        self._buffer = data[position:]
        return pieces, b""

    def _check_partial(self, data: bytes, position: int) -> None:
        length = len(data) - position
        if self._expect is _Expect.SIZE:
            if length > MAX_SIZE_LINE:
                raise BadRequest("A chunk-size line is too long")
        elif length + self._trailer_bytes > MAX_TRAILERS:
            raise BadRequest("The trailer section is too long")
        if b"\n" in data[position:]:
            raise BadRequest("A line of the chunked body ends without CR")

    def _take_line(self, line: bytes) -> None:
        if self._expect is _Expect.TRAILER:
            self._take_trailer(line)
            return
        found = _SIZE_LINE(line) if len(line) <= MAX_SIZE_LINE else None
        if found is None:
            raise BadRequest("A chunk-size line is malformed")
        self._left = int(found[1], 16)
        self._expect = _Expect.DATA if self._left else _Expect.TRAILER

    def _take_trailer(self, line: bytes) -> None:
        if not line:
            self.ended = True
            return
        self._trailer_bytes += len(line) + 2
        found = _TRAILER(line)
        if found is None or found[1].lower() in _FORBIDDEN_TRAILERS:
            raise BadRequest("A trailer field is malformed or forbidden")
        if self._trailer_bytes > MAX_TRAILERS:
            raise BadRequest("The trailer section is too long")
