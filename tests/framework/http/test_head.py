"""The two readers of a request's head agree, and ids of clients are kept only when they are plain."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fairlead.http.head as module
from fairlead.errors import BadRequest, FairleadException, HeadersTooLarge, URITooLong
from fairlead.http.head import (
    Head,
    _judge,
    check_partial,
    origin_form,
    read_any,
    read_line,
    read_plain,
    read_unusual,
    request_id_of,
    too_large,
    usual_line,
)
from fairlead.http.limits import Limits

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


@settings(max_examples=2000)
@given(st.one_of(BLOCKS, st.binary(max_size=40).map(lambda data: b"\r\nHost: a\r\nUpgrade: websocket\r\n" + data)))
def test_fields_can_be_read_again(block: bytes) -> None:
    """Fields that were forgotten come out of the block as the general reader had found them."""
    try:
        head = read_any(b"GET / HTTP/1.1", block, 100)
    except FairleadException:
        return
    before = list(head.fields())
    head.forget_pairs()
    assert (head.pairs, list(head.fields())) == (None, before)


@settings(max_examples=500)
@given(st.binary(max_size=60), st.binary(max_size=60))
def test_general_reader_never_breaks(line: bytes, block: bytes) -> None:
    """Any bytes give a head or a refusal with a status, never another exception."""
    try:
        read_any(line, b"\r\n" + block, 100)
    except FairleadException as exc:
        assert 400 <= exc.status_code <= 505  # noqa: PT017  both ways are right


LINE = b"GET / HTTP/1.1"
OLD = b"GET / HTTP/1.0"


@pytest.mark.parametrize(
    ("line", "fields", "expected"),
    [
        (LINE, b"Connection: close", {"keep_alive": False, "ordinary": False}),
        (LINE, b"Connection: x, Keep-Alive", {"keep_alive": True, "ordinary": True}),
        (OLD, b"X: 1", {"keep_alive": False, "ordinary": False, "version": "1.0"}),
        (OLD, b"Connection: keep-alive", {"keep_alive": True, "ordinary": False}),
        (OLD, b"Expect: 100-continue", {"expects_continue": False}),
        (OLD, b"Connection: upgrade\r\nUpgrade: websocket", {"upgrade": b""}),
        (LINE, b"Expect: 100-Continue", {"expects_continue": True}),
        (LINE, b"Upgrade: WebSocket\r\nConnection: Upgrade", {"upgrade": b"websocket"}),
        (LINE, b"Upgrade: websocket", {"upgrade": b""}),
        (LINE, b"Transfer-Encoding: Chunked", {"chunked": True, "length": 0}),
        (LINE, b"Content-Length: 017\r\nConnection: close", {"chunked": False, "length": 17}),
        (b"BREW /pot HTTP/1.1", b"Connection: close", {"keep_alive": False}),
        (LINE, b"X-Request-ID: a\r\nConnection: close", {"has_request_id": True}),
        (LINE, b"Connection: close", {"has_request_id": False}),
    ],
)
def test_facts(line: bytes, fields: bytes, expected: dict[str, object]) -> None:
    """What the general reader makes of framing and connection fields (RFC 9112 §6, §9.3)."""
    head = read_any(line, b"\r\nHost: a\r\n" + fields, 100)
    assert {name: getattr(head, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("line", "block", "status"),
    [
        (LINE, b"\r\nX: 1", 400),
        (LINE, b"\r\nHost: a\r\nHost: a", 400),
        (OLD, b"\r\nHost: a/b", 400),
        (LINE, b"\r\nHost: a\r\nX: 1\r\n 2", 400),
        (LINE, b"\r\nHost: a\r\nX: \x00", 400),
        (LINE, b"\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked", 400),
        (LINE, b"\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1", 400),
        (LINE, b"\r\nHost: a\r\nTransfer-Encoding: gzip, chunked", 400),
        (OLD, b"\r\nHost: a\r\nTransfer-Encoding: chunked", 400),
        (LINE, b"\r\nHost: a\r\nContent-Length: 5 \r\nConnection: close", 400),
        (LINE, b"\r\nHost: a\r\nExpect: miracles", 417),
        (LINE, b"\r\nHost: a\r\nExpect: 100-continue\r\nExpect: 100-continue", 417),
        (LINE, b"\r\nHost: a" + b"\r\nX: 1" * 100, 431),
    ],
)
def test_refusals(line: bytes, block: bytes, status: int) -> None:
    """What is not certain is refused with its status."""
    assert read_plain(block, 100) is None or line == OLD
    with pytest.raises(FairleadException) as refused:
        read_any(line, block, 100)
    assert refused.value.status_code == status


@pytest.mark.parametrize(
    "fields",
    [
        [(b"host", b"a"), (b"x y", b"1")],
        [(b"host", b"a"), (b"x", b"a\x00")],
        [(b"host", b"a"), (b"content-length", b"1"), (b"transfer-encoding", b"chunked")],
        [(b"host", b"a"), (b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")],
        [(b"host", b"a"), (b"transfer-encoding", b"identity")],
        [(b"host", b"a"), (b"content-length", b"+1")],
    ],
)
def test_rules_hold_whatever_the_parser_lets_through(fields: list[tuple[bytes, bytes]]) -> None:
    """What today's llhttp refuses itself is refused here as well: its leniency has changed from version to version."""
    with pytest.raises(BadRequest):
        _judge(Head(b"", fields))


def test_field_that_the_parser_merges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer fields than lines (a parser that unfolds) are refused: others on the way may have counted differently."""

    class Unfolding:
        def __init__(self, target: Any) -> None:
            self.target = target

        def feed_data(self, data: bytes) -> None:
            self.target.on_header(b"host", b"a")

    monkeypatch.setattr(module, "HttpRequestParser", Unfolding)
    with pytest.raises(BadRequest, match="folded"):
        read_any(LINE, b"\r\nHost: a\r\n folded", 100)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET / HTTP/2.0", 505),
        (b"GET / HTTP/1.2", 505),
        (b"GET /  HTTP/1.1", 400),
        (b"GET /#a HTTP/1.1", 400),
        (b"GET a HTTP/1.1", 400),
        (b"GET a/b HTTP/1.1", 400),
        (b"GET * HTTP/1.1", 400),
        (b"GET ftp://a/ HTTP/1.1", 400),
        (b"GET http:///a HTTP/1.1", 400),
        (b"CONNECT a:443 HTTP/1.1", 400),
    ],
)
def test_request_lines_that_are_refused(line: bytes, status: int) -> None:
    """A target is a path, an http URL, or `*` for OPTIONS; anything else could be read in two ways (RFC 9112 §3.2)."""
    with pytest.raises(FairleadException) as refused:
        read_line(line)
    assert refused.value.status_code == status


def test_request_lines() -> None:
    """Method, target and version, also of methods that nobody knows."""
    assert read_line(b"OPTIONS * HTTP/1.1") == (b"OPTIONS", b"*", "1.1")
    assert read_line(b"BREW http://a HTTP/1.0") == (b"BREW", b"http://a", "1.0")


@pytest.mark.parametrize(
    ("target", "path", "host"),
    [
        (b"/a?b", b"/a?b", b"own"),
        (b"*", b"*", b"own"),
        (b"http://other:80/a?b", b"/a?b", b"other:80"),
        (b"HTTPS://[::1]", b"/", b"[::1]"),
        (b"http://other?b", b"/?b", b"other"),
    ],
)
def test_absolute_targets(target: bytes, path: bytes, host: bytes) -> None:
    """An absolute target is cut to its path, and its authority counts in place of Host (RFC 9112 §3.2.2)."""
    own = read_plain(b"\r\nX: 1\r\nHost: own", 100)
    assert own is not None
    found, head = origin_form(target, own)
    assert (found, [value for name, value in head.fields() if name.lower() == b"host"]) == (path, [host])
    assert dict(own.fields())[b"Host"] == b"own"


def test_absolute_target_with_user_information() -> None:
    """User information in an authority is a trick to show another host than is meant: 400 (RFC 9110 §4.2.4)."""
    with pytest.raises(BadRequest):
        origin_form(b"http://good@evil/", Head(b"\r\nHost: good"))


@pytest.mark.parametrize(
    ("fields", "is_plain"),
    [
        (b"Connection: keep-alive", True),
        (b"Connection: keep-alive\r\nConnection: keep-alive", False),
        (b"Connection: close", False),
        (b"Content-Length: 5", True),
        (b"Content-Length: 5\r\nContent-Length: 5", False),
        (b"Content-Length: 5, 5", False),
        (b"Transfer-Encoding: chunked", False),
        (b"X: 1", True),
    ],
)
def test_what_is_plain(fields: bytes, is_plain: bool) -> None:
    """The shortcut takes what needs no second look; everything else goes to the general reader."""
    assert (read_plain(b"\r\nHost: a\r\n" + fields, 100) is not None) is is_plain


def test_request_ids() -> None:
    """A short plain id of the client is kept; otherwise each has 32 hexadecimal digits of its own (T9)."""
    assert request_id_of(Head(b"\r\nX-Request-ID: abc-1")) == "abc-1"
    made = {request_id_of(Head(b"\r\nX-Request-ID: " + value)) for value in (b"", b"a b", b"x" * 129, b'"')}
    without = Head(b"\r\nHost: a")
    without.has_request_id = False
    made |= {request_id_of(without), request_id_of(Head(b"\r\nHost: a"))}
    assert len(made) == 6
    assert {len(name) for name in made} == {32}


def test_content_type_is_normalised() -> None:
    """The Content-Type is known in lower case and without parameters, "" without one."""
    head = Head(b"\r\nContent-Type: Application/JSON; charset=x")
    assert [head.content_type, head.content_type] == ["application/json"] * 2
    assert Head(b"\r\nHost: a").content_type == ""


SMALL = Limits(max_head_bytes=200, max_target_bytes=20)


@pytest.mark.parametrize(
    ("start", "refusal"),
    [
        (b"", None),
        (b"GET /" + b"a" * 19, None),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", None),
        (b"GET / HTTP/1.1\nHost: a", BadRequest),
        (b"GET /" + b"a" * 150, URITooLong),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 200, HeadersTooLarge),
    ],
    ids=["nothing", "target at its limit", "whole lines", "LF alone", "endless target", "endless field"],
)
def test_beginning_of_a_head(start: bytes, refusal: type[FairleadException] | None) -> None:
    """What has not ended yet is refused as soon as it can't become a head: 400, 414 or 431."""
    if refusal is None:
        check_partial(start, SMALL)
    else:
        with pytest.raises(refusal):
            check_partial(start, SMALL)


def test_which_part_is_too_large() -> None:
    """414 when it is the target that is long, also where the whole head is small; else 431."""
    assert isinstance(too_large(b"GET /" + b"a" * 40, SMALL), URITooLong)
    assert isinstance(too_large(b"GET / HTTP/1.1\r\nX: " + b"a" * 200, SMALL), HeadersTooLarge)


def test_usual_and_unusual_lines() -> None:
    """The usual line is found at a glance; another is read in full, its target judged by the same limit."""
    found = usual_line(SMALL.max_target_bytes)(b"GET /" + b"a" * 19 + b" HTTP/1.1\r\n", 0)
    assert found is not None
    assert found.groups() == (b"GET", b"/" + b"a" * 19)
    for line in (b"GET /" + b"a" * 20 + b" HTTP/1.1\r\n", b"BREW / HTTP/1.1\r\n", b"GET http://a/ HTTP/1.1\r\n"):
        assert usual_line(SMALL.max_target_bytes)(line, 0) is None
    block = b"\r\nHost: a"
    head = Head(block)
    assert read_unusual(b"BREW /pot HTTP/1.1", block, head, SMALL) == (b"BREW", b"/pot", head)
    with pytest.raises(URITooLong):
        read_unusual(b"GET /" + b"a" * 20 + b" HTTP/1.1", block, head, SMALL)


def test_remembered_block_under_another_version() -> None:
    """A block that was read under HTTP/1.1 keeps its connection alive; under HTTP/1.0 the same bytes don't."""
    block = b"\r\nHost: a"
    remembered = read_any(b"GET / HTTP/1.1", block, 100)
    _, _, head = read_unusual(b"GET / HTTP/1.0", block, remembered, SMALL)
    assert (head.version, head.keep_alive, remembered.keep_alive) == ("1.0", False, True)
