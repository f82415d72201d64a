"""Ports: free ones, taken ones, and by whom."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import psutil
import pytest

from fairlead.local.ports import free_port, holder, is_taken


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_free_port() -> None:
    """A free port is one that a server could take."""
    assert not is_taken(free_port())


def test_taken(listener: socket.socket) -> None:
    """A port on which somebody listens is taken, and its holder is named (make run, one line each)."""
    port = listener.getsockname()[1]
    assert is_taken(port)
    said = holder(port)
    assert said.startswith(f"pid {os.getpid()} (python")
    assert len(said) < 90


def test_taken_by_a_server_that_shares() -> None:
    """SO_REUSEPORT of the other side makes no difference, nor does it that it listens on every address."""
    with socket.create_server(("0.0.0.0", 0), reuse_port=True) as server:
        assert is_taken(server.getsockname()[1])


def test_bound_but_silent() -> None:
    """A port that is bound and not listened on can't be had either."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        assert is_taken(other.getsockname()[1])


def test_unknown_holder(monkeypatch: pytest.MonkeyPatch, listener: socket.socket) -> None:
    """Where the system does not tell us who it is, we say no more than we know."""

    def refuse(kind: str) -> list[object]:
        raise psutil.AccessDenied

    monkeypatch.setattr("psutil.net_connections", refuse)
    assert "another process" == holder(listener.getsockname()[1])
