"""Listening sockets: one for each slot on one port, refused when the port is taken (mission K4)."""

from __future__ import annotations

import socket
import sys

import pytest

from fairlead.workers.listener import ListenError, address_of, open_listener, open_listeners


def close(listeners: list[socket.socket]) -> None:
    """Close them all."""
    for listener in listeners:
        listener.close()


def test_each_slot_has_a_socket_of_its_own_on_one_port() -> None:
    """K4: a free port is taken once and shared; all of them listen and block nobody."""
    listeners = open_listeners("127.0.0.1", 0, 3, backlog=16)
    try:
        assert len({listener.getsockname() for listener in listeners}) == 1
        assert len({listener.fileno() for listener in listeners}) == 3
        assert not any(listener.getblocking() for listener in listeners)
        for listener in listeners:
            assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
            assert not listener.get_inheritable()
    finally:
        close(listeners)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux spreads connections over the sockets of one port")
def test_connections_are_spread() -> None:
    """T10: the kernel gives every slot its share."""
    listeners = open_listeners("127.0.0.1", 0, 2, backlog=64)
    clients = [socket.create_connection(listeners[0].getsockname()) for _ in range(40)]
    try:
        counts = [_accept_all(listener) for listener in listeners]
        assert sum(counts) == 40
        assert min(counts) > 0
    finally:
        close(clients + listeners)


def _accept_all(listener: socket.socket) -> int:
    count = 0
    while True:
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


def test_a_taken_port_is_refused() -> None:
    """K4: one line that names port and address."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        message = f"port {port} on 127.0.0.1 is taken by another process"
        with pytest.raises(ListenError) as many:
            open_listeners("127.0.0.1", port, 2, backlog=16)
        with pytest.raises(ListenError) as one:
            open_listener("127.0.0.1", port)
    assert (str(many.value), str(one.value)) == (message, message)
    assert ListenError.exit_status == 1


def test_a_port_of_shared_sockets_is_refused_as_well() -> None:
    """K4: SO_REUSEPORT would let a second service in without an error."""
    listeners = open_listeners("127.0.0.1", 0, 2, backlog=16)
    try:
        with pytest.raises(ListenError, match="is taken"):
            open_listeners("127.0.0.1", listeners[0].getsockname()[1], 2, backlog=16)
    finally:
        close(listeners)


def test_a_port_can_be_taken_again_at_once() -> None:
    """A restart does not wait for connections of the last run to be forgotten (TIME_WAIT)."""
    listener = open_listener("127.0.0.1", 0)
    port = listener.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port)):
        listener.setblocking(True)
        listener.accept()[0].close()
    listener.close()
    open_listener("127.0.0.1", port).close()


@pytest.mark.parametrize(
    ("host", "words"),
    [("192.0.2.1", "192.0.2.1 is no address of this machine"), ("no such host", "cannot listen on 'no such host'")],
)
def test_an_impossible_address_is_one_line(host: str, words: str) -> None:
    """The message is for an operator."""
    with pytest.raises(ListenError, match=words):
        open_listener(host, 0)


def test_ipv6() -> None:
    """Both families are served; the address is shown as a URL needs it."""
    listener = open_listener("::1", 0)
    try:
        assert address_of(listener) == f"[::1]:{listener.getsockname()[1]}"
    finally:
        listener.close()
