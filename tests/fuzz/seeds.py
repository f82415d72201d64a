"""Conversations to begin with: each a list of messages as a client would send them, on one connection."""

from __future__ import annotations

from collections.abc import Callable

from h2.config import H2Configuration
from h2.connection import H2Connection
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from tests.framework.server.smuggling_cases import SMUGGLING
from tests.framework.server.wire_cases import CASES

__all__ = ["SEEDS", "Seed"]

Seed = list[bytes]


def _post(path: bytes, kind: bytes, body: bytes) -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (path, kind, len(body), body)


def _chunked(path: bytes, *chunks: bytes) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
    return b"POST %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%b" % (path, body)


def http1() -> list[Seed]:
    """The cases of the wire's tests, and what the routes of the target take."""
    form = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\ntext\r\n--b--\r\n'
    usual = [
        b"GET /?a=1&b=%20%C3%BC HTTP/1.1\r\nHost: a\r\nCookie: s=1; t=2\r\nAccept: text/*;q=0.5\r\nAuthorization: Bearer x\r\n\r\n",
        b'HEAD / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: for="[::1]";proto=https\r\n\r\n',
        b"GET /long HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip;q=1.0, br, zstd;q=0\r\nRange: bytes=0-1\r\n\r\n",
        _post(b"/json?x=1", b"application/json", b'{"a": 1, "b": -2}'),
        _post(b"/form", b"application/x-www-form-urlencoded", b"a=1&b=%20&c"),
        _post(b"/form", b"multipart/form-data; boundary=b", form),
        _post(b"/echo", b"text/plain", b"hello"),
        _chunked(b"/upload", b"hello", b"x" * 300),
        b"PUT /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    ]
    literal = [[case.data] for case in (*CASES, *SMUGGLING)]
    return literal + ([[message] for message in usual] + [usual]) * 10


def http2() -> list[Seed]:
    """By prior knowledge: a request, one with a body, several at once, and everything else that a client may say."""

    def talk(*steps: Callable[[H2Connection], None]) -> Seed:
        connection = H2Connection(H2Configuration(client_side=True, validate_outbound_headers=False))
        connection.initiate_connection()
        messages = [connection.data_to_send()]
        for step in steps:
            step(connection)
            messages.append(connection.data_to_send())
        return messages

    def ask(
        stream: int, path: str = "/", method: str = "GET", *more: tuple[str, str], ends: bool = True
    ) -> Callable[[H2Connection], None]:
        fields = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "a"), *more]
        return lambda connection: connection.send_headers(stream, fields, end_stream=ends)

    def send(stream: int, data: bytes, *, ends: bool = True) -> Callable[[H2Connection], None]:
        return lambda connection: connection.send_data(stream, data, end_stream=ends)

    return [
        talk(ask(1)),
        talk(ask(1, "/echo", "POST", ("content-length", "5"), ends=False), send(1, b"hello")),
        talk(ask(1, "/upload", "POST", ends=False), send(1, b"x" * 300, ends=False), send(1, b"")),
        talk(*(ask(stream, "/long") for stream in range(1, 12, 2))),
        talk(ask(1, "/long"), lambda connection: connection.reset_stream(1), ask(3)),
        talk(lambda connection: connection.ping(b"12345678"), ask(1), lambda connection: connection.close_connection()),
        talk(ask(1, "/", "GET", *((f"x-{number}", "v" * 100) for number in range(30)))),
        talk(lambda connection: connection.increment_flow_control_window(1000), lambda c: c.update_settings({4: 70000}), ask(1)),
    ]


def websocket() -> list[Seed]:
    """The handshake, then frames: texts, fragments, pings, a close; compressed ones as well."""

    def opened(path: bytes, *frames: Frame, deflate: bool = False) -> Seed:
        offer = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" if deflate else b""
        handshake = (
            b"GET %b HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" % path
            + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%b\r\n" % offer
        )
        coding = PerMessageDeflate(False, False, 15, 15)
        return [handshake, *(_masked(coding.encode(frame) if deflate else frame) for frame in frames)]

    usual = (
        Frame(Opcode.TEXT, b"hello"),
        Frame(Opcode.BINARY, bytes(range(200))),
        Frame(Opcode.TEXT, "grüß".encode(), fin=False),
        Frame(Opcode.PING, b"inside"),
        Frame(Opcode.CONT, b" dich"),
        Frame(Opcode.TEXT, b"x" * 5_000),
        Frame(Opcode.CLOSE, b"\x03\xe8bye"),
    )
    return [
        opened(b"/ws", *usual),
        opened(b"/ws", *usual[:2], *usual[:2]),
        opened(b"/deflate", *usual, deflate=True),
        opened(b"/deflate", *usual[:5], deflate=True),
        opened(b"/ws", Frame(Opcode.TEXT, b"y" * 70_000), Frame(Opcode.CLOSE, b"")),
    ]


def _masked(frame: Frame) -> bytes:
    """As a client writes it, with the same key each time: a case is to be made again."""
    key, data = b"\x11\x22\x33\x44", frame.data
    head = frame.fin << 7 | frame.rsv1 << 6 | frame.opcode
    if len(data) < 126:
        length = bytes([head, 0x80 | len(data)])
    elif len(data) < 65_536:
        length = bytes([head, 0x80 | 126]) + len(data).to_bytes(2)
    else:
        length = bytes([head, 0x80 | 127]) + len(data).to_bytes(8)
    return length + key + bytes(byte ^ key[place % 4] for place, byte in enumerate(data))


SEEDS: dict[str, Callable[[], list[Seed]]] = {"http1": http1, "http2": http2, "websocket": websocket}
