"""`fairlead healthcheck` against real sockets (mission K8)."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fairlead.cli import main
from fairlead.management.private_socket import close_private_socket, open_private_socket, socket_path

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


@pytest.fixture
def private_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The management port of a service that answers `/readyz` on its private socket, and nowhere else."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
    listener = open_private_socket(socket_path(port), make_folder=True)
    listener.setblocking(True)

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            ready = connection.recv(4096).startswith(b"GET /readyz ")
            status = b"200 OK" if ready else b"503 Service Unavailable"
            connection.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 8\r\n\r\nprivate\n")

    thread = threading.Thread(target=serve)
    thread.start()
    yield port
    thread.join()
    close_private_socket(listener)


@pytest.mark.parametrize(("words", "status"), [([], 0), (["--probe", "livez"], 1)])
def test_the_socket_is_asked_first(
    private_port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], status: int
) -> None:
    """K8: HEALTHCHECK works whatever address and port the probes are on, as long as there is a management socket."""
    monkeypatch.setenv("FAIRLEAD_MANAGEMENT_HOST", "192.0.2.1")
    monkeypatch.setenv("FAIRLEAD_MANAGEMENT_PORT", str(private_port))
    assert main(["healthcheck", *words]) == status
    assert capsys.readouterr().out == "private\n"


def test_a_socket_that_nobody_answers_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """K8: a supervisor that was killed leaves its socket behind: unwell, and said in a line."""
    path = tmp_path / "left.sock"
    open_private_socket(path, make_folder=False).close()
    monkeypatch.setenv("FAIRLEAD_MANAGEMENT_SOCKET", str(path))
    assert main(["healthcheck"]) == 1
    assert capsys.readouterr().out == f"no service answers at {path}: Connection refused\n"


def test_address_and_port_come_from_the_environment(
    management: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """K8: a service that listens on every address is reached on the loopback."""
    port = management(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))  # the user's may hold the socket of a service that had this port
    monkeypatch.setenv("FAIRLEAD_MANAGEMENT_HOST", "0.0.0.0")
    monkeypatch.setenv("FAIRLEAD_MANAGEMENT_PORT", str(port))
    assert main(["healthcheck"]) == 0
    assert capsys.readouterr().out == "ok\n"
