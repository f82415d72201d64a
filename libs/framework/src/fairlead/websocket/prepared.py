"""One message for many websockets: encoded once, framed once, and compressed once for each variant (W11).

    news = PreparedMessage({"price": 5})
    for ws in room:
        ws.post(news)

How a compressed frame can be shared: deflate may look back into earlier messages of its own connection, so a connection's
compressor makes frames for that connection alone. A prepared frame comes from a fresh compressor and looks back at nothing,
so every peer with the same window can read it. Since the peer's window then holds bytes that the connection's own compressor
never saw, that one begins afresh with the next message that it compresses (see `general`).
"""

from __future__ import annotations

from typing import Any, Final

from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from fairlead.websocket.frames import TEXT, Encoding, encode_message, frame

COMPRESS_FROM_BYTES: Final = 64
"""Shorter messages are sent as they are, also when compression was agreed: deflate would hardly shorten them."""


class PreparedMessage:
    """`data` as `Websocket.send` takes it, ready for `send` and `post` of any number of websockets. Never changes."""

    __slots__ = ("_compressed", "_first", "_payload", "plain", "size")

    def __init__(self, data: Any, encoding: Encoding | None = None) -> None:
        self._first, self._payload = encode_message(data, encoding)
        self.plain = frame(self._first, self._payload)
        """The frame without compression."""
        self.size = len(self._payload)
        """Bytes of the payload, before compression."""
        self._compressed: dict[int, bytes] = {}

    def compressed(self, extension: PerMessageDeflate) -> bytes:
        """The frame for connections that agreed on the window of `extension`."""
        bits = extension.local_max_window_bits
        whole = self._compressed.get(bits)
        if whole is None:
            alone = PerMessageDeflate(True, True, bits, bits, extension.compress_settings)
            whole = Frame(Opcode(self._first & 0xF), self._payload).serialize(mask=False, extensions=[alone])
            self._compressed[bits] = whole
        return whole

    def __str__(self) -> str:
        """The text of a text message; a binary one as Python writes bytes."""
        return self._payload.decode() if self._first == TEXT else repr(self._payload)
