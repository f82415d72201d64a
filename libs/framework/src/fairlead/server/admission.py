"""How many connections a server takes: in all, and from one address.

A connection too many is accepted, answered and closed, because one that stays in the accept queue hears nothing. So some file
descriptors are kept back: a server that has none left can't even refuse, and its loop would spin on `accept`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

from fairlead.errors import FairleadException, ServiceUnavailable, TooManyRequests
from fairlead.http.limits import Limits
from fairlead.request import ConnectionInfo

KEPT_BACK = 100
"""File descriptors for what else a process opens: logs, databases, files, and connections that are being refused."""


class Peer(Protocol):
    """What is counted: a connection."""

    @property
    def info(self) -> ConnectionInfo:
        """Where it comes from."""


class Admission:
    """Counts connections. `enter` for each that is made, `leave` for each that is lost."""

    def __init__(self, limits: Limits, connections: Collection[Any]) -> None:
        self._max = limits.max_connections or _descriptors()
        self._max_per_peer = limits.max_connections_per_peer
        self._connections = connections
        self._peers: dict[str, int] = {}

    def enter(self, connection: Peer) -> FairleadException | None:
        """A connection was made. What to refuse it with, if it is one too many."""
        if self._max_per_peer:
            peer = connection.info.client_ip
            count = self._peers[peer] = self._peers.get(peer, 0) + 1
            if peer and count > self._max_per_peer:  # a unix socket has no address: there is a proxy behind it
                return TooManyRequests("Too many connections from this address", retry_after=1)
        if self._max and len(self._connections) > self._max:
            return ServiceUnavailable("Too many connections", retry_after=1)
        return None

    def leave(self, connection: Peer) -> None:
        """A connection is gone."""
        if self._max_per_peer:
            peer = connection.info.client_ip
            self._peers[peer] -= 1
            if not self._peers[peer]:
                del self._peers[peer]


def _descriptors() -> int:
    """As many connections as the process may have open files, less what is kept back; 0 where there is no such limit."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 0 if soft == resource.RLIM_INFINITY else max(1, soft - KEPT_BACK)
