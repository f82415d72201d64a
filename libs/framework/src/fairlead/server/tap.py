"""Connections that tell of themselves: when they begin and end, and each piece that is written.

For applications that listen to `http.lifecycle.begin`, `.complete` or `.send`; for all others the server makes plain connections,
which know nothing of this. What a websocket writes after the handshake is not told of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from fairlead.server.connection import HttpConnection
from fairlead.server.shared import Shared
from fairlead.taps import Taps


class TappedConnection(HttpConnection):
    """A connection with taps."""

    __slots__ = ("_taps",)

    def __init__(self, shared: Shared, taps: Taps) -> None:
        super().__init__(shared)
        self._taps = taps

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, and listen to what is written."""
        super().connection_made(transport)
        if self._taps.send is not None:
            self._write = partial(_tell_and_write, self._taps.send, self._write)
        if self._taps.begin is not None:
            self._taps.begin(self.info)

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        info = self.info
        super().connection_lost(exc)
        if self._taps.complete is not None:
            self._taps.complete(info)


def _tell_and_write(tell: Callable[[bytes], object], write: Callable[[bytes], None], data: bytes) -> None:
    tell(data)
    write(data)
