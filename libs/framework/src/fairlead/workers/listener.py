"""Listening sockets, made and kept by the supervisor (mission K4).

How this works. Each worker slot has a socket of its own on the same address (SO_REUSEPORT: the kernel spreads new
connections over them by the hash of their addresses). The supervisor makes them, listens, and keeps them open for as
long as the slot exists; workers come and go with a copy of the descriptor. A connection that waits in the queue of a
slot whose worker has died is therefore not lost: the replacement accepts it.

SO_REUSEPORT has a trap: any other process of the same user may share the port too, so that a second server on a taken
port would start without an error and get half of the connections. A socket without the option is bound first: that one
fails when the port is taken.

Rejected: one socket for all workers (wakes them all, and spreads unevenly under epoll); workers that bind for
themselves (their queue dies with them).
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from typing import ClassVar

__all__ = ["ListenError", "add_listener", "address_of", "open_listener", "open_listeners"]


class ListenError(Exception):
    """The address can't be listened on. The message is one line for the operator; exit status 1."""

    exit_status: ClassVar[int] = 1


def open_listener(host: str, port: int, backlog: int = 128, *, purpose: str = "") -> socket.socket:
    """One listening socket that nobody else may share. Port 0 takes a free one.

    Raises `ListenError`, in whose text `purpose` tells what nobody has asked for by name.
    """
    family, address = _resolve(host, port)
    try:
        return _listening(family, address, backlog, shared=False)
    except ListenError as error:
        raise ListenError(f"{purpose}: {error}" if purpose else str(error)) from error.__cause__


def open_listeners(host: str, port: int, count: int, backlog: int) -> list[socket.socket]:
    """`count` listening sockets on one address, one for each slot. Port 0 takes a free one. Raises `ListenError`.

    `backlog` connections may wait in each slot's queue; the kernel caps it (net.core.somaxconn).
    """
    family, address = _resolve(host, port)
    with _bound(family, address, shared=False) as probe:
        address = probe.getsockname()
    if sys.platform != "linux":  # elsewhere the option does not spread connections: the slots share one queue
        first = _listening(family, address, backlog, shared=False)
        return [first, *(first.dup() for _ in range(count - 1))]
    listeners: list[socket.socket] = []
    try:
        for _ in range(count):
            listeners.append(_listening(family, address, backlog, shared=True))
    except ListenError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def add_listener(first: socket.socket) -> socket.socket:
    """One more socket on the address of `first`, for a slot that is added to a running service. Raises `ListenError`.

    It is bound and does not listen yet, so that the kernel sends it no connection before its worker is ready to take it.
    """
    if sys.platform != "linux":
        return first.dup()
    sock = _bound(first.family, first.getsockname(), shared=True)
    sock.setblocking(False)
    return sock


def address_of(listener: socket.socket) -> str:
    """`127.0.0.1:8000`, `[::1]:8000`."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[object, ...]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ListenError(f"cannot listen on {host!r}: {error.strerror}") from error
    family, _, _, _, address = found[0]
    return family, address


def _listening(family: socket.AddressFamily, address: tuple[object, ...], backlog: int, *, shared: bool) -> socket.socket:
    listener = _bound(family, address, shared=shared)
    try:
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        raise _explained(error, address) from error
    listener.setblocking(False)
    return listener


def _bound(family: socket.AddressFamily, address: tuple[object, ...], *, shared: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise _explained(error, address) from error
    return sock


def _explained(error: OSError, address: tuple[object, ...]) -> ListenError:
    host, port = address[:2]
    if error.errno == errno.EADDRINUSE:
        return ListenError(f"port {port} on {host} is taken by another process")
    if error.errno == errno.EACCES:
        return ListenError(f"port {port} on {host} needs a privilege that this process does not have")
    if error.errno == errno.EADDRNOTAVAIL:
        return ListenError(f"{host} is no address of this machine")
    return ListenError(f"cannot listen on {host}, port {port}: {os.strerror(error.errno or 0)}")
