"""The control channel between the supervisor and one worker.

How this works. A socketpair; each message is four bytes of length (big-endian) and that many bytes of msgpack, one of
the tagged structs of `fairlead.workers.messages`. Both ends are the same class, each with the union that it receives.
The end of the stream is itself a message: to the worker it says that the supervisor is gone, to the supervisor that the
worker is.

Rejected: pipes of `multiprocessing` (pickle: a worker that was taken over could run code in PID 1), JSON lines (metric
snapshots are large, and newlines need scanning), a queue in shared memory (nothing tells of the other side's death).
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any, Generic, TypeVar

import msgspec

__all__ = ["MAX_MESSAGE_BYTES", "Channel", "ChannelError", "frame", "receive_now"]

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""A metrics snapshot of some thousand routes and statuses has a few MiB; whatever is larger is a fault."""

CONGESTED_BYTES = 1024 * 1024
"""More than this waiting means that the peer does not read; repeated messages (beats) are then left out."""

_LENGTH_BYTES = 4

Received = TypeVar("Received")

_encoder = msgspec.msgpack.Encoder()


class ChannelError(Exception):
    """What came is no message of this channel: too long, or not decodable. The channel can't be used any further."""


def frame(message: msgspec.Struct) -> bytes:
    """A message as it goes over the wire. Raises `ChannelError` when it is too long for the other side."""
    body = _encoder.encode(message)
    _check_length(len(body))
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


def receive_now(sock: socket.socket, kind: type[Received]) -> Received:
    """Block for one message, for a process that has no loop yet. Raises EOFError when the other side is gone."""
    length = int.from_bytes(_receive_exactly(sock, _LENGTH_BYTES), "big")
    return _decode(msgspec.msgpack.Decoder(kind), _receive_exactly(sock, _check_length(length)))


class Channel(Generic[Received]):
    """One end of the channel. Make it with `open`; `close` it at the end. For one loop only, not for other threads."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        decoder: msgspec.msgpack.Decoder[Received],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = decoder

    @classmethod
    async def open(cls, sock: socket.socket, receives: Any) -> Channel[Received]:
        """Take over a connected socket; `receives` is the type (or union) of the messages that will come in."""
        reader, writer = await asyncio.open_unix_connection(sock=sock)
        return cls(reader, writer, msgspec.msgpack.Decoder(receives))

    async def receive(self) -> Received | None:
        """The next message, None when the other side is gone. Raises `ChannelError` on what is no message."""
        try:
            length = int.from_bytes(await self._reader.readexactly(_LENGTH_BYTES), "big")
            body = await self._reader.readexactly(_check_length(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        return _decode(self._decoder, body)

    def send(self, message: msgspec.Struct) -> None:
        """Queue a message. To a peer that is gone it is a no-op: `receive` tells of that."""
        if not self._writer.is_closing():
            self._writer.write(frame(message))

    async def flush(self) -> None:
        """Wait until the peer has taken what was sent, as far as it still reads."""
        with suppress(ConnectionError):
            await self._writer.drain()

    @property
    def is_congested(self) -> bool:
        """True when the peer has not been reading for a while."""
        return self._writer.transport.get_write_buffer_size() > CONGESTED_BYTES

    async def close(self) -> None:
        """Send what is queued, then close."""
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


def _check_length(length: int) -> int:
    if length > MAX_MESSAGE_BYTES:
        raise ChannelError(f"a message of {length} bytes passes the limit of {MAX_MESSAGE_BYTES}")
    return length


def _decode(decoder: msgspec.msgpack.Decoder[Received], body: bytes) -> Received:
    try:
        return decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise ChannelError(f"not a message of this channel: {error}") from error


def _receive_exactly(sock: socket.socket, count: int) -> bytes:
    chunks = bytearray()
    while len(chunks) < count:
        chunk = sock.recv(count - len(chunks))
        if not chunk:
            raise EOFError("the channel ended inside of a message" if chunks else "the channel ended")
        chunks += chunk
    return bytes(chunks)
