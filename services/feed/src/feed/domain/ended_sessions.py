"""Sessions that `auth` has ended before their time: what was opened in one is closed, and its tokens open nothing more (SEC-T03).

An access token is good until it expires, whatever becomes of its session, and a connection may outlive even that. `auth` says on
the stream ``auth:sessions`` which sessions were ended: by a logout, a change of password, a stolen token, a lock. Every worker
hears it and remembers it for as long as a token of that session can live, so that whoever was closed does not come straight back
with the same token. A worker that starts reads up on what was said before.

While Redis is away nothing is heard; what was said meanwhile is heard when it is back. Until then a token's expiry is what holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from fairlead.auth import InvalidToken, Principal
from fairlead.channels import Entry, Fanout, StreamReader
from fairlead.channels.stream import Stream

__all__ = ["STREAM", "EndedSessions"]

STREAM: Final = "auth:sessions"
EVENT: Final = "sessions.ended"

REMEMBERED_S: Final = 1_020.0
"""The longest life of an access token (900 s), the leeway of verifiers and as much again for clocks that differ."""

PRELOAD: Final = 10_000
"""Events that a worker reads up on when it starts: in a quarter of an hour, ten a second."""

_decode = msgspec.json.Decoder(list[str]).decode


class EndedSessions:
    """What one worker knows of ended sessions, and the connections that were opened in those that go on. `run` it as a task."""

    def __init__(self, stream: Stream, *, clock: Callable[[], float] = time.time) -> None:
        self.reader = StreamReader(stream, Fanout(gap_notice=""), render=self._take, preload=PRELOAD)
        self._clock = clock
        self._forget_at: dict[str, float] = {}
        self._open: dict[str, dict[Callable[[], None], None]] = {}

    async def run(self) -> None:
        """Hear of endings until cancelled."""
        await self.reader.run()

    def check(self, principal: Principal) -> None:
        """Raises `InvalidToken` (401) for a token of a session that was ended."""
        if principal.session in self._forget_at:
            raise InvalidToken("its session was ended")

    @contextmanager
    def watch(self, principal: Principal, end: Callable[[], None]) -> Iterator[None]:
        """Call `end` should the session be ended inside the `with` block. Raises `InvalidToken` (401) when it is already."""
        self.check(principal)
        watchers = self._open.setdefault(principal.session, {})
        watchers[end] = None
        try:
            yield
        finally:
            watchers.pop(end, None)
            if not watchers and self._open.get(principal.session) is watchers:
                del self._open[principal.session]

    def _take(self, entry: Entry) -> None:
        """Note an ending, and tell whom it concerns: there is nothing that clients are to be sent."""
        now, forget_at = self._clock(), entry.position.ms / 1_000 + REMEMBERED_S
        while self._forget_at and next(iter(self._forget_at.values())) <= now:  # in the order of the stream: the oldest first
            del self._forget_at[next(iter(self._forget_at))]
        if entry.fields["event"] != EVENT or forget_at <= now:
            return
        for session in _decode(entry.fields["sessions"]):
            self._forget_at[session] = forget_at
            for end in list(self._open.pop(session, ())):
                end()
