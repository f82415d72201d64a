"""Frames on the wire: headers, and what a handler's data becomes."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import msgspec
import pytest

from fairlead.websocket import frames
from fairlead.websocket.frames import BINARY, PING, TEXT, close_reason, control_frame, encode_message, frame

from .conftest import server_frames


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70000])
@pytest.mark.parametrize("first", [TEXT, BINARY])
def test_length_takes_as_few_bytes_as_it_can(first: int, size: int) -> None:
    """RFC 6455 §5.2: the length is encoded in the minimal number of bytes, and the payload follows unmasked."""
    payload = b"x" * size
    data = frame(first, payload)
    assert [(first, payload)] == server_frames(data)
    assert len(data) - size == (2 if size < 126 else 4 if size < 65536 else 10)


class Price(msgspec.Struct):
    """A typed message."""

    amount: int


@pytest.mark.parametrize(
    ("data", "encoding", "expected"),
    [
        ("grüß", None, (TEXT, "grüß".encode())),
        (b"\x00\xff", None, (BINARY, b"\x00\xff")),
        (bytearray(b"ab"), None, (BINARY, b"ab")),
        (memoryview(b"ab"), None, (BINARY, b"ab")),
        ({"a": [1, None]}, None, (TEXT, b'{"a":[1,null]}')),
        ([1, 2], None, (TEXT, b"[1,2]")),
        ((1, 2), None, (TEXT, b"[1,2]")),
        (Price(5), None, (TEXT, b'{"amount":5}')),
        ("plain", "text", (TEXT, b"plain")),
        (b"plain", "text", (TEXT, b"plain")),
        ("plain", "bytes", (BINARY, b"plain")),
        (b"plain", "bytes", (BINARY, b"plain")),
        ("plain", "json", (TEXT, b'"plain"')),
        (7, "json", (TEXT, b"7")),
    ],
)
def test_data_becomes_a_message(data: Any, encoding: Any, expected: tuple[int, bytes]) -> None:
    """W2: the type of the data decides between text, binary and JSON; `encoding` overrides it."""
    assert expected == encode_message(data, encoding)


@pytest.mark.parametrize(("data", "encoding"), [(7, None), (object(), "text"), ({"a": 1}, "bytes"), (None, None)])
def test_other_data_is_refused(data: Any, encoding: Any) -> None:
    """W2: what is neither text, bytes nor JSON is a TypeError that names the type."""
    with pytest.raises(TypeError, match=type(data).__name__):
        encode_message(data, encoding)


def test_bytes_that_are_no_text_are_not_sent_as_text() -> None:
    """RFC 6455 §8.1: a text message must be UTF-8; the mistake is the sender's and raises there."""
    with pytest.raises(ValueError, match="utf-8"):
        encode_message(b"\xff", "text")


def test_misspelt_encoding() -> None:
    """W2: an encoding that does not exist is not ignored."""
    with pytest.raises(ValueError, match="'JSON'"):
        encode_message("a", "JSON")  # type: ignore[arg-type]


def test_control_frames_are_short() -> None:
    """RFC 6455 §5.5: a control frame holds at most 125 bytes."""
    assert bytes((PING, 125)) + b"x" * 125 == control_frame(PING, b"x" * 125)
    with pytest.raises(ValueError, match="125"):
        control_frame(PING, b"x" * 126)


@pytest.mark.parametrize(("given", "expected"), [("bye", "bye"), ("x" * 200, "x" * 123), ("ü" * 100, "ü" * 61)])
def test_reason_is_cut_between_characters(given: str, expected: str) -> None:
    """RFC 6455 §5.5.1: the reason of a close frame has 123 bytes, and is UTF-8 to its last one."""
    assert expected == close_reason(given)


def test_a_platform_without_the_c_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the library comes without its C extension, its own Python unmasks the same way."""
    monkeypatch.setitem(sys.modules, "websockets.speedups", None)
    assert frames.__file__ is not None
    spec = importlib.util.spec_from_file_location("frames_without_speedups", frames.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.apply_mask is not frames.apply_mask
    assert module.apply_mask(b"hello", b"\x01\x02\x03\x04") == frames.apply_mask(b"hello", b"\x01\x02\x03\x04")
