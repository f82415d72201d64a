"""Each server must give the right answer before it is measured: a fast 404 is no result."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
from base64 import b64encode
from typing import Any

from benchmarks.workloads import MALFORMED_ITEM, Workload


class WrongAnswer(Exception):
    """A server answers something else than it should."""


def check(workload: Workload, port: int) -> None:
    """Ask once, as the load will. Raises `WrongAnswer`."""
    if workload.is_websocket:
        _check_echo(workload, port)
        return
    status, answer = _ask(workload, port, workload.body_bytes)
    if (status, answer) != (200, workload.answer):
        raise WrongAnswer(f"{workload.target}: {status} {answer!r}")
    if workload.body is not None:
        status, answer = _ask(workload, port, json.dumps(MALFORMED_ITEM).encode())
        if not 400 <= status < 500:
            raise WrongAnswer(f"{workload.target} took a malformed body: {status} {answer!r}")


def _ask(workload: Workload, port: int, body: bytes) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST" if body else "GET", workload.target, body or None, workload.headers)
        response = connection.getresponse()
        content = response.read()
        kind = response.headers.get_content_type()
        return response.status, json.loads(content) if kind == "application/json" and content else content.decode()
    finally:
        connection.close()


def upgrade_request(target: str, port: int) -> bytes:
    """The opening handshake of a websocket (RFC 6455 §4.1)."""
    key = b64encode(os.urandom(16)).decode()
    return (
        f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def upgrade_answer(request: bytes) -> bytes:
    """A server's answer to it (§4.2.2), without looking at anything but the key."""
    key = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:")).split(b":")[1].strip()
    accept = b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest())
    head = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: "
    return head + accept + b"\r\n\r\n"


def client_frame(text: str) -> bytes:
    """A short text message as a client sends it: masked (§5.3)."""
    payload, mask = text.encode(), os.urandom(4)
    assert len(payload) < 126
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return bytes([0x81, 0x80 | len(payload)]) + mask + masked


def server_frame(text: str) -> bytes:
    """The same message as a server sends it: not masked."""
    payload = text.encode()
    return bytes([0x81, len(payload)]) + payload


def _check_echo(workload: Workload, port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        stream = connection.makefile("rb")
        connection.sendall(upgrade_request(workload.target, port))
        status = stream.readline()
        if b" 101 " not in status:
            raise WrongAnswer(f"{workload.target}: {status!r}")
        while stream.readline() not in (b"\r\n", b""):
            pass
        for message in (workload.answer, "another one"):
            connection.sendall(client_frame(message))
            expected = server_frame(message)
            answer = stream.read(len(expected))
            if answer != expected:
                raise WrongAnswer(f"{workload.target}: {answer!r}")
