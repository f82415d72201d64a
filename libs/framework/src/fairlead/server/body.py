"""Reading one body, by length or in chunks, into memory or into a stream."""

from __future__ import annotations

from fairlead.errors import PayloadTooLarge
from fairlead.http.chunked import ChunkedDecoder
from fairlead.http.head import Head
from fairlead.streaming import RequestStream


class BodyReader:
    """Takes bytes until the body is whole. With a `stream` the pieces go there, else they are collected."""

    __slots__ = ("_decoder", "_left", "_pieces", "_total", "ended", "limit", "stream")

    def __init__(self, head: Head, limit: int) -> None:
        self._decoder = ChunkedDecoder() if head.chunked else None
        self._left = head.length
        self.limit = limit
        self._pieces: list[bytes] = []
        self._total = 0
        self.stream: RequestStream | None = None
        self.ended = False

    def feed(self, data: bytes) -> tuple[bool, bytes]:
        """Whether more may come at once, and what follows the body. Raises `BadRequest` (400), `PayloadTooLarge` (413)."""
        if self._decoder is not None:
            pieces, rest = self._decoder.feed(data)
            self.ended = self._decoder.ended
        else:
            pieces, rest = [data[: self._left]], data[self._left :]
            self._left -= len(pieces[0])
            self.ended = not self._left
        wants_more = True
        if self.stream is None:
            self._collect(pieces)
        else:
            for piece in pieces:
                wants_more = self.stream.feed(piece)
            if self.ended:
                self.stream.end()
        return wants_more or self.ended, rest

    def _collect(self, pieces: list[bytes]) -> None:
        self._pieces += pieces
        self._total += sum(map(len, pieces))
        if self._total > self.limit:
            raise PayloadTooLarge(f"The body passes {self.limit} bytes")
        if len(self._pieces) > 1024:  # tiny pieces: an object each would cost more than the body
            self._pieces = [b"".join(self._pieces)]

    def collected(self) -> bytes:
        """The whole body."""
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    def fail(self, error: BaseException) -> None:
        """No more will come."""
        if self.stream is not None:
            self.stream.fail(error)
