"""Cuts frames out of what was read (RFC 6455 §5.2) and sorts them onto their path.

Only the length is decoded here, as far as it takes to find a frame's end, plus the three kinds of frames that need no
further rules: a plain message, a ping, a pong. All others are passed on whole. A frame whose header alone breaks a rule
(no mask, unknown opcode, too long) is passed on at once, as the library fails on it without waiting for the payload; so no
more than one permitted frame is ever kept.
"""

from __future__ import annotations

from typing import Final, Protocol

from fairlead.websocket.frames import BINARY, PING, PONG, TEXT, apply_mask

FRAMES_PER_TURN: Final = 64
"""So many frames that are no message are handled before other connections have their turn (about 0.5 ms)."""

HEADER_BYTES: Final = 2
"""The shortest beginning of a frame that says how the rest is to be read."""

_OPCODES: Final = frozenset((0x0, 0x1, 0x2, 0x8, 0x9, 0xA))


class Sink(Protocol):
    """Where the frames go."""

    is_direct: bool
    """Plain messages may go to `receive`: the websocket is open and no fragmented message is under way."""
    is_held: bool
    """Nothing more is wanted at the moment."""
    is_deaf: bool
    """Nothing more is wanted, ever."""

    @property
    def limit(self) -> int:
        """How long the next frame may be."""

    def receive(self, first: int, payload: bytes) -> None:
        """A plain, whole message."""

    def receive_control(self, first: int, payload: bytes) -> None:
        """A whole ping or pong."""

    def receive_other(self, data: bytearray) -> None:
        """Any other frame, or the beginning of one that breaks the rules."""

    def yield_turn(self) -> None:
        """Hold, and go on in the loop's next turn."""


def cut(buffer: bytearray, sink: Sink) -> int:
    """Take whole frames off the front of `buffer` until none is left or the sink is held.

    Returns how long the buffer must be for the next call to make sense.
    """
    end = len(buffer)
    at = others = 0
    need = HEADER_BYTES
    while end - at >= HEADER_BYTES and not (sink.is_held or sink.is_deaf):
        first, second = buffer[at], buffer[at + 1]
        length = second & 0x7F
        start = at + 6  # of the payload, behind a mask of 4 bytes
        if length > 125:
            width = 2 if length == 126 else 8
            if end - at < HEADER_BYTES + width:
                need = HEADER_BYTES + width
                break
            length = int.from_bytes(buffer[at + 2 : at + 2 + width], "big")
            start += width
        if second < 0x80 or first & 0xF not in _OPCODES or length > sink.limit:
            sink.receive_other(buffer[at:])
            at = end
            break
        stop = start + length
        if stop > end:
            need = stop - at
            break
        if sink.is_direct and first in (TEXT, BINARY):
            sink.receive(first, apply_mask(buffer[start:stop], buffer[start - 4 : start]))
        else:
            others += 1
            if first in (PING, PONG) and length <= 125:
                sink.receive_control(first, apply_mask(buffer[start:stop], buffer[start - 4 : start]))
            else:
                sink.receive_other(buffer[at:stop])
            if others == FRAMES_PER_TURN:
                sink.yield_turn()
        at = stop
    del buffer[:at]
    return need
