"""The general path: frames that are no plain message, ping or pong, and everything that is sent compressed.

How it works: the `websockets` library's `ServerProtocol` is a state machine without I/O. It is given whole frames (so it
always stands at a frame's border), checks everything that RFC 6455 demands of one, decompresses, answers close frames, and
says which frames came. Here fragments are put together again, text is checked while it comes, and what the
library wants to send is collected.

The object is made when a connection first needs it: most connections need it for their close frame only, and 10,000 idle
ones then save its memory (2.3 KiB each) and the handshake its time.

Fragments that are not compressed come without a detour through the library (`receive_fragment`), whose parser takes 10 µs for each:
a message in small pieces would cost far more than its bytes. The library then knows nothing of the message that is under way, so
the rules for what may follow (§5.4) are kept here.

Fragments are written into one growing buffer, never kept one by one, and their number is bounded: a message of a million
one-byte fragments costs a megabyte of memory, not two hundred.
"""

from __future__ import annotations

import codecs
import io
import logging
import zlib
from collections.abc import Sequence
from typing import TypeAlias

from websockets.exceptions import ProtocolError
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from fairlead.websocket.prepared import PreparedMessage

Message: TypeAlias = str | bytes

BytesLike: TypeAlias = bytes | bytearray | memoryview

FIN = 0x80
"""The bit of a message's last frame (RFC 6455 §5.2)."""

RSV1 = 0x40
"""The bit of a message's first frame that says that the message is compressed (RFC 7692 §6)."""

FRAGMENT_BYTES = 16
"""A message may have one fragment for every so many bytes that it may be long; smaller ones are an attack on the CPU."""

# The library's own account of a connection (INFO "connection closed") would double ours.
_logger = logging.getLogger("fairlead.websocket.protocol")
_logger.setLevel(logging.WARNING)

_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)
Utf8Decoder = codecs.getincrementaldecoder("utf-8")


def payload_bytes(message: Message) -> int:
    """How long a message was on the wire, before compression."""
    return len(message) if isinstance(message, bytes) or message.isascii() else len(message.encode())


class GeneralPath:
    """Feed it whole frames by `receive`; then write what is `to_send` and see whether it `has_ended`."""

    __slots__ = (
        "_bytes",
        "_decoder",
        "_fragments",
        "_is_compressed",
        "_is_overtaken",
        "_max_fragments",
        "_protocol",
        "_size",
        "_text",
    )

    def __init__(self, max_size: int, extensions: Sequence[Extension]) -> None:
        self._protocol = ServerProtocol(state=State.OPEN, max_size=max_size, logger=_logger)
        self._protocol.extensions = list(extensions)
        self._max_fragments = max_size // FRAGMENT_BYTES + FRAGMENT_BYTES
        self._fragments = 0
        self._size = 0  # of the fragments that the library did not see
        self._is_compressed = False
        self._is_overtaken = False  # the peer's window holds what our compressor never saw
        self._text: io.StringIO | None = None
        self._bytes: bytearray | None = None
        self._decoder: codecs.IncrementalDecoder | None = None

    @property
    def is_fragmented(self) -> bool:
        """Whether a fragmented message is under way: until its end, no data frame may come by another path."""
        return self._fragments > 0

    @property
    def room(self) -> int:
        """How long the next data frame may be: what the fragments so far leave of the limit."""
        size = self._protocol.max_message_size or 0
        return size - self._size - (self._protocol.current_size or 0)

    @property
    def takes_fragments(self) -> bool:
        """Whether an uncompressed data frame may go to `receive_fragment`: no compressed message is under way."""
        return not (self._is_compressed and self.is_fragmented)

    @property
    def has_ended(self) -> bool:
        """Whether a close frame has been sent or received, or the connection was failed."""
        return self._protocol.state is not State.OPEN

    @property
    def is_complete(self) -> bool:
        """Whether both close frames have been exchanged."""
        return self._protocol.close_rcvd is not None and self._protocol.close_sent is not None

    @property
    def received_close(self) -> tuple[int, str] | None:
        """Code and reason of the peer's close frame, 1005 for one without a code."""
        close = self._protocol.close_rcvd
        return None if close is None else (close.code, close.reason)

    @property
    def sent_close(self) -> tuple[int, str] | None:
        """Code and reason of our close frame."""
        close = self._protocol.close_sent
        return None if close is None else (close.code, close.reason)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be sent: the TCP connection is to be closed."""
        return self._protocol.eof_sent

    def text_decoder(self) -> codecs.IncrementalDecoder | None:
        """A decoder that has seen the fragments so far; None when they are no text, or compressed."""
        if self._decoder is None or self._is_compressed:
            return None
        decoder = Utf8Decoder()
        decoder.setstate(self._decoder.getstate())
        return decoder

    def receive(self, data: bytes | bytearray) -> Message | None:
        """Take a whole frame, or the beginning of one whose header is already against the rules.

        Returns the message that it ends, if it ends one.
        """
        opcode = data[0] & 0xF
        if opcode in _DATA and self.is_fragmented and not self._is_compressed:
            self._refuse_fragment(data)
            return None
        if opcode in (Opcode.TEXT, Opcode.BINARY):
            self._is_compressed = data[0] & RSV1 > 0
        elif opcode == Opcode.CLOSE and self.is_fragmented:
            self._forget_fragments()  # a control frame may come between fragments (§5.4); the library would fail on this one
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():  # one frame at most
            if isinstance(event, Frame) and event.opcode in _DATA:
                return self._assemble(event.opcode, event.fin, event.data)
        return None

    def receive_fragment(self, first: int, payload: bytes) -> Message | None:
        """Take an unmasked data frame without reserved bits, not longer than `room`, that begins, goes on with or ends a message.

        Only while `takes_fragments`. Returns the message that it ends, if it ends one.
        """
        opcode = first & 0xF
        if (opcode == Opcode.CONT) is not self.is_fragmented:
            reason = "unexpected" if opcode == Opcode.CONT else "expected a"
            self.fail(CloseCode.PROTOCOL_ERROR, f"{reason} continuation frame")
            return None
        self._is_compressed = False
        self._size += len(payload)
        return self._assemble(opcode, first >= FIN, payload)

    def _refuse_fragment(self, data: bytes | bytearray) -> None:
        """A message that the library does not know of is under way, and this data frame is none that it may go on with."""
        if data[0] & 0x7F == Opcode.CONT and data[1] >= FIN:  # masked, no reserved bits: so it is too long
            self.fail(CloseCode.MESSAGE_TOO_BIG, f"over size limit ({self._protocol.max_message_size} bytes)")
        else:
            self.fail(CloseCode.PROTOCOL_ERROR, "expected a continuation frame")

    def to_send(self) -> bytes:
        """What the library wants written since the last call."""
        return b"".join(self._protocol.data_to_send())

    def compress(self, is_text: bool, payload: bytes) -> bytes:
        """A message as a compressed frame."""
        if self._is_overtaken:
            self._is_overtaken = False
            deflate = self._deflate
            deflate.encoder = zlib.compressobj(wbits=-deflate.local_max_window_bits, **deflate.compress_settings)
        whole = Frame(Opcode.TEXT if is_text else Opcode.BINARY, payload)
        return whole.serialize(mask=False, extensions=self._protocol.extensions)

    def share(self, message: PreparedMessage) -> bytes:
        """A prepared message as a compressed frame. Our own compressor has not seen it, and begins afresh after it."""
        self._is_overtaken = not self._deflate.local_no_context_takeover
        return message.compressed(self._deflate)

    @property
    def _deflate(self) -> PerMessageDeflate:
        (extension,) = self._protocol.extensions
        assert isinstance(extension, PerMessageDeflate)
        return extension

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake. Raises ValueError for a code that may not be sent (§7.4)."""
        try:
            self._protocol.send_close(code, reason)
        except ProtocolError as error:
            raise ValueError(f"{code} may not be sent as a close code") from error

    def fail(self, code: int, reason: str) -> None:
        """Fail the connection (§7.1.7): a close frame, then nothing that arrives counts any more. Raises as `close`."""
        try:
            if not self._protocol.eof_sent:
                self._protocol.fail(code, reason)
        except ProtocolError as error:
            raise ValueError(f"{code} may not be sent as a close code") from error

    def _assemble(self, opcode: int, fin: bool, data: BytesLike) -> Message | None:
        try:
            return self._add(opcode, fin, data)
        except UnicodeDecodeError as error:
            # §8.1: bytes in a text message that are no UTF-8 fail the connection
            self.fail(CloseCode.INVALID_DATA, f"{error.reason} at position {error.start}")
            return None

    def _add(self, opcode: int, fin: bool, data: BytesLike) -> Message | None:
        if opcode != Opcode.CONT:
            if fin:
                return str(data, "utf-8") if opcode == Opcode.TEXT else bytes(data)
            if opcode == Opcode.TEXT:
                self._text, self._decoder = io.StringIO(), Utf8Decoder()
            else:
                self._bytes = bytearray()
        self._fragments += 1
        if self._fragments > self._max_fragments:
            self.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
            return None
        if self._bytes is not None:
            self._bytes += data
        else:
            assert self._text is not None  # a continuation without a beginning was refused before
            assert self._decoder is not None
            self._text.write(self._decoder.decode(data, fin))
        return self._end() if fin else None

    def _end(self) -> Message:
        message: Message = self._text.getvalue() if self._text is not None else bytes(self._bytes or b"")
        self._forget_fragments()
        return message

    def _forget_fragments(self) -> None:
        self._text = self._bytes = self._decoder = None
        self._fragments = self._size = 0
        self._protocol.current_size = None
