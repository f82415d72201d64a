"""The two readers of a request's head agree, and ids of clients are kept only when they are plain."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.errors import FairleadException
from fairlead.http.head import Head, read_any, read_plain

NAMES = st.sampled_from(
    [
        b"Host",
        b"host",
        b"X-A",
        b"Content-Length",
        b"Connection",
        b"Upgrade",
        b"Transfer-Encoding",
        b"Expect",
        b"X-Request-ID",
        b"X A",
        b"",
    ]
)
VALUES = st.sampled_from(
    [b"a", b"", b"5", b"05", b"+5", b"keep-alive", b"close", b"chunked", b"a:80", b"a b", b"[::1]", b"\x00", b"\xe4", b"x\ty"]
)
BLOCKS = st.lists(st.tuples(NAMES, st.sampled_from([b":", b": ", b" :", b":\t"]), VALUES), max_size=5).map(
    lambda fields: b"".join(b"\r\n" + name + colon + value for name, colon, value in fields)
)


def facts(head: Head) -> tuple[object, ...]:
    """What matters of a head."""
    return (head.length, head.chunked, head.keep_alive, head.ordinary, head.expects_continue, head.upgrade, list(head.fields()))


@settings(max_examples=2000)
@given(st.one_of(BLOCKS, st.binary(max_size=40).map(lambda data: b"\r\nHost: a\r\n" + data)))
def test_readers_agree(block: bytes) -> None:
    """What the plain reader accepts, the general reader accepts with the same meaning."""
    plain = read_plain(block, 100)
    if plain is not None:
        assert facts(read_any(b"GET / HTTP/1.1", block, 100)) == facts(plain)


@settings(max_examples=500)
@given(st.binary(max_size=60), st.binary(max_size=60))
def test_general_reader_never_breaks(line: bytes, block: bytes) -> None:
    """Any bytes give a head or a refusal with a status, never another exception."""
    try:
        read_any(line, b"\r\n" + block, 100)
    except FairleadException as exc:
        assert 400 <= exc.status_code <= 505  # noqa: PT017  both ways are right


def test_content_type_is_normalised() -> None:
    """The Content-Type is known in lower case and without parameters, "" without one."""
    assert Head(b"\r\nContent-Type: Application/JSON; charset=x").content_type == "application/json"
    assert Head(b"\r\nHost: a").content_type == ""
