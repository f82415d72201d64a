"""`fairlead healthcheck` against real sockets (mission K8)."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from fairlead.cli import main

Answer = Callable[[bytes], int]


@pytest.fixture
def management() -> Iterator[Answer]:
    """`port = management(b"HTTP/1.1 …")`: a port that gives that answer, once; the request is kept."""
    listeners: list[socket.socket] = []

    def answer(raw: bytes) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(raw)

        threading.Thread(target=serve, daemon=True).start()
        return int(listener.getsockname()[1])

    yield answer
    for listener in listeners:
        listener.close()


@pytest.mark.parametrize(
    ("raw", "status", "word"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n", 0, "ok\n"),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 9\r\n\r\ndraining\n", 1, "draining\n"),
        (b"junk\r\n", 1, None),
        (b"", 1, None),
    ],
)
def test_the_answer_decides(
    management: Answer, capsys: pytest.CaptureFixture[str], raw: bytes, status: int, word: str | None
) -> None:
    """K8: 0 only for 200; the probe's word is what `docker inspect` shows."""
    assert main(["healthcheck", "--port", str(management(raw))]) == status
    shown = capsys.readouterr().out
    assert shown == word if word else shown.startswith("no answer from 127.0.0.1, port ")


def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    """K8: one line, 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert main(["healthcheck", "--port", str(port), "--probe", "livez"]) == 1
    assert capsys.readouterr().out == f"no answer from 127.0.0.1, port {port}: Connection refused\n"


def test_a_port_that_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """K8: it gives up by itself."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert main(["healthcheck", "--port", str(port), "--timeout", "0.1"]) == 1
    assert "timed out" in capsys.readouterr().out


def test_address_and_port_come_from_the_environment(
    management: Answer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """K8: a service that listens on every address is reached on the loopback."""
    port = management(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")
    monkeypatch.setenv("FAIRLEAD_MANAGEMENT_HOST", "0.0.0.0")
    monkeypatch.setenv("FAIRLEAD_MANAGEMENT_PORT", str(port))
    assert main(["healthcheck"]) == 0
    assert capsys.readouterr().out == "ok\n"
