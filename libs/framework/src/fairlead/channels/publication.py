"""One message of a stream on its way to many: each form in which it is sent is made once, when it is first asked for (W11)."""

from __future__ import annotations

from typing import Any

from fairlead.channels.stream import StreamPosition
from fairlead.event_stream import encode_event
from fairlead.websocket import PreparedMessage


class Publication(PreparedMessage):
    """A text for websockets (see `PreparedMessage`) and for event streams. `position` is None for a statement about now,
    from which nobody resumes."""

    __slots__ = ("_event", "position")

    def __init__(self, data: Any, position: StreamPosition | None = None) -> None:
        super().__init__(data)
        self.position = position
        self._event: bytes | None = None

    @property
    def event(self) -> bytes:
        """As a server-sent event, whose id is the position."""
        if self._event is None:
            self._event = encode_event(str(self), id=None if self.position is None else str(self.position))
        return self._event
