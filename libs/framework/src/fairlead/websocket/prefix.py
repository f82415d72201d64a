"""A text frame that has come in part: its bytes are checked as they come, so that what is no UTF-8 fails at once (§8.1).

A frame may be a mebibyte long and come over minutes; without this the fault in its first bytes would be found at its end.
The text itself is not kept: the whole frame is decoded when it is there, and only frames that need several reads pay twice.
"""

from __future__ import annotations

from codecs import IncrementalDecoder

from fairlead.websocket.frames import apply_mask


class TextPrefix:
    """Checks the payload of one masked frame, with a decoder that has seen the message's earlier frames.

    Call `check` whenever more of the payload has come.
    """

    __slots__ = ("_checked", "_decoder", "_mask")

    def __init__(self, mask: bytes, decoder: IncrementalDecoder) -> None:
        self._mask = mask
        self._decoder = decoder
        self._checked = 0

    def check(self, buffer: bytearray, start: int) -> None:
        """Take what is new in `buffer`, where the payload begins at `start`. Raises UnicodeDecodeError."""
        new = buffer[start + self._checked :]
        turn = self._checked % 4
        self._checked += len(new)
        self._decoder.decode(apply_mask(new, self._mask[turn:] + self._mask[:turn]))
