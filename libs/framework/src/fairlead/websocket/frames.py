"""Frames on the wire (RFC 6455 §5.2), as far as the direct path needs them.

A server's frame is a header of 2, 4 or 10 bytes and the payload, unmasked. Every message that is sent without compression
is one final frame, so its header depends only on opcode and length. What arrives and is not a plain final frame, and what
is sent compressed, goes through the `websockets` library (see `general`).
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform without the library's C extension
    from websockets.utils import apply_mask

__all__ = [
    "BINARY",
    "MASKED_HEADER_BYTES",
    "MAX_SHORT_BYTES",
    "PING",
    "PONG",
    "SHORT_READS",
    "SHORT_TEXT",
    "TEXT",
    "Encoding",
    "apply_mask",
    "close_reason",
    "control_frame",
    "control_payload",
    "encode_message",
    "frame",
]

Encoding: TypeAlias = Literal["text", "bytes", "json"]

TEXT: Final = 0x81
"""First byte of a whole text message: FIN, no reserved bits, opcode 1."""
BINARY: Final = 0x82
PING: Final = 0x89
PONG: Final = 0x8A

MAX_CONTROL_BYTES: Final = 125
"""The payload of a control frame (§5.5)."""
MAX_REASON_BYTES: Final = 123
"""What a close frame has left for the reason after the two bytes of the code (§5.5.1)."""

MASKED_HEADER_BYTES: Final = 6
"""Of a client's frame with up to 125 bytes: two and the mask."""
MAX_SHORT_BYTES: Final = 125
"""Up to here the second byte is the payload's length; beyond, more of the header follows."""

# PERF: most messages are short; an entry of a table costs a third of building the header (0.04 µs against 0.13 µs).
SHORT_TEXT = tuple(bytes((TEXT, size)) for size in range(126))
_SHORT_BINARY = tuple(bytes((BINARY, size)) for size in range(126))


def _no_frame(data: bytes) -> tuple[int, int, bytes, bytes]:
    """Too short for a masked frame's header."""
    return 0, 0, b"", b""


# PERF: one call in place of two subscripts and two slices, which take twice the instructions.
SHORT_READS: Final[tuple[Callable[[bytes], tuple[int, int, bytes, bytes]], ...]] = (
    *[_no_frame] * MASKED_HEADER_BYTES,
    *(Struct(f"BB4s{size}s").unpack for size in range(MAX_SHORT_BYTES + 1)),
)
"""By the length of what was read: gives its first two bytes and, should it be one short masked frame, the mask and the payload."""

_ENCODINGS = (None, *get_args(Encoding))
_encode_json: Callable[[Any], bytes] = msgspec.json.Encoder().encode


def frame(first: int, payload: bytes) -> bytes:
    """A whole frame: its first byte (`TEXT`, `BINARY`), the length in as few bytes as §5.2 demands, the payload."""
    size = len(payload)
    if size < 126:
        return (SHORT_TEXT if first == TEXT else _SHORT_BINARY)[size] + payload
    if size < 65536:
        return bytes((first, 126, size >> 8, size & 0xFF)) + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


def control_frame(first: int, data: bytes) -> bytes:
    """A `PING` or `PONG`. Raises ValueError for more than 125 bytes (§5.5)."""
    if len(data) > MAX_CONTROL_BYTES:
        raise ValueError(f"a control frame holds at most {MAX_CONTROL_BYTES} bytes")
    return bytes((first, len(data))) + data


def control_payload(data: str | bytes) -> bytes:
    """What a handler gives to `ping` and `pong`, as bytes."""
    return data.encode() if isinstance(data, str) else bytes(data)


def encode_message(data: Any, encoding: Encoding | None = None) -> tuple[int, bytes]:
    """What the handler sends as the first byte of its frame and the payload.

    Without `encoding` the type decides: `str` is text, bytes-like is binary, a dict, list, tuple or msgspec Struct is JSON
    in a text message. `encoding` overrides: "text" (bytes must be UTF-8), "bytes" (a `str` is sent as UTF-8), "json"
    (anything that msgspec encodes). Raises TypeError for what fits none of these, ValueError for bytes that are no text
    and for an encoding that does not exist.
    """
    if encoding not in _ENCODINGS:
        raise ValueError(f"a websocket knows the encodings text, bytes and json, not {encoding!r}")
    if encoding == "json" or (encoding is None and isinstance(data, dict | list | tuple | msgspec.Struct)):
        return TEXT, _encode_json(data)
    if isinstance(data, str):
        return (BINARY if encoding == "bytes" else TEXT), data.encode()
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"a websocket sends str, bytes, dict or list, not {type(data).__name__} (encoding={encoding!r})")
    payload = bytes(data)
    if encoding == "text":
        payload.decode()  # a text message that is no UTF-8 would make the client fail the connection (§8.1)
        return TEXT, payload
    return BINARY, payload


def close_reason(text: str) -> str:
    """`text` cut to what fits into a close frame, without a broken character at its end."""
    return text.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
