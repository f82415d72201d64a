"""The head of a request: what its header block says of framing and connection.

There are two readers with one result. `read_plain` judges the usual block with one strict regular expression; whatever it does
not know for plain (Upgrade, Expect, Transfer-Encoding, Connection: close, HTTP/1.0, malformed) goes to `read_any`, which lets
httptools (llhttp) parse the fields and then applies the rules of RFC 9112 that llhttp leaves to its caller. A block that the
first accepts means the same to the second; a property test holds the two against each other.

Everything that is not certain is refused with 400: request smuggling lives on two readers' different guesses.
"""

from __future__ import annotations

import copy
import functools
import itertools
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from fairlead.errors import BadRequest, ExpectationFailed, FairleadException, HeadersTooLarge, URITooLong
from fairlead.http.limits import Limits

Pairs = Sequence[tuple[bytes, bytes]]

WEBSOCKET = b"websocket"

AROUND_TARGET_BYTES = 44
"""What a request line holds beside its target: a method of 32 letters, the version, two spaces, and an empty line before."""


class Head:
    """Facts of one header block. `block` is the raw text from the first CRLF on; it is empty where `pairs` alone say what holds."""

    __slots__ = (
        "_content_type",
        "block",
        "chunked",
        "expects_continue",
        "has_request_id",
        "has_trace",
        "keep_alive",
        "length",
        "note",
        "ordinary",
        "pairs",
        "upgrade",
        "version",
    )

    def __init__(self, block: bytes = b"", pairs: Pairs | None = None, *, length: int = 0) -> None:
        self.block = block
        self.pairs = pairs
        self._content_type: str | None = None
        self.length = length
        self.chunked = False
        self.keep_alive = True
        self.expects_continue = False
        self.upgrade = b""
        self.version = "1.1"
        self.has_request_id = True
        self.has_trace = True
        """Whether there may be a `traceparent`: who looks for it need not read the fields of requests without one."""
        self.ordinary = True
        """HTTP/1.1 and keep-alive: the response needs no connection field."""
        self.note: Any = None
        """For the observer of the connection's requests: what it made of this block, for those that repeat it."""

    @property
    def content_type(self) -> str:
        """The Content-Type in lower case without its parameters, "" without one. PERF: kept for the messages that repeat it."""
        if self._content_type is None:
            values = [value for name, value in self.fields() if name.lower() == b"content-type"]
            self._content_type = values[0].partition(b";")[0].strip().lower().decode("latin-1") if values else ""
        return self._content_type

    def fields(self) -> Pairs:
        """The fields as they came, in order."""
        if self.pairs is None:
            self.pairs = [
                (name, value.strip(b" \t"))
                for name, _, value in (line.partition(b":") for line in self.block.split(b"\r\n") if line)
            ]
        return self.pairs

    def forget_pairs(self) -> None:
        """Let go of the fields, where the block says them, until somebody asks for them."""
        if self.block:
            self.pairs = None


# Request ids -----------------------------------------------------------------------------------------------------------------

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}").fullmatch

_DIGITS_OF_THREE = [f"{number:03x}" for number in range(4096)]
new_ids = map("".join, itertools.product([os.urandom(10).hex()], *[_DIGITS_OF_THREE] * 4))
"""Ids for requests that bring none."""


def request_id_of(head: Head) -> str:
    """The client's X-Request-ID when it is short and plain (log injection, mission T9), else a new one.

    A new one is 32 hexadecimal digits: 20 that are random for the process, 12 that count. PERF: a quarter of formatting a number,
    a twentieth of a UUID4; and as no Python runs in it, threads may share it.
    """
    if head.has_request_id:
        values = [value for name, value in head.fields() if name.lower() == b"x-request-id"]
        if values and _REQUEST_ID(values[0]):
            return values[0].decode()
    return next(new_ids)


# The plain reader ------------------------------------------------------------------------------------------------------------

_PLAIN_BLOCK = re.compile(rb"(?:\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*)+").fullmatch
_SPECIAL = re.compile(rb"\r\n(?:transfer-encoding|upgrade|expect|content-length|connection):").search
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*(?=\r\n|\Z)").findall
_NOT_PLAIN = re.compile(rb"\r\n(?:transfer-encoding|upgrade|expect):").search
_KEEP_ALIVE = re.compile(rb"\r\nconnection:[ \t]*keep-alive[ \t]*(?=\r\n|\Z)").search
_HOST = re.compile(rb"\r\nhost:[ \t]*(?:[A-Za-z0-9\-._~%!$&'()*+,;=]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?[ \t]*(?=\r\n|\Z)").search


def read_plain(block: bytes, max_fields: int) -> Head | None:
    """The head of an ordinary HTTP/1.1 request, None when it isn't ordinary. `block` begins with CRLF and has no last one."""
    if _PLAIN_BLOCK(block) is None or block.count(b"\r\n") > max_fields:
        return None
    lower = block.lower()
    if lower.count(b"\r\nhost:") != 1 or _HOST(lower) is None:
        return None
    head = Head(block)
    if _SPECIAL(lower) is not None:
        if _NOT_PLAIN(lower) is not None:
            return None
        if lower.count(b"\r\nconnection:") and (_KEEP_ALIVE(lower) is None or lower.count(b"\r\nconnection:") != 1):
            return None
        if lower.count(b"\r\ncontent-length:"):
            lengths = _LENGTH(lower)
            if len(lengths) != 1 or lower.count(b"\r\ncontent-length:") != 1:
                return None
            head.length = int(lengths[0])
    # PERF: `in` raises and drops a TypeError for bytes in bytes (CPython 3.11): 145 ns, and `find` takes 70
    head.has_request_id = lower.find(b"\r\nx-request-id:") >= 0
    head.has_trace = lower.find(b"\r\ntraceparent:") >= 0
    return head


# The general reader ----------------------------------------------------------------------------------------------------------

_FIELD_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_FIELD_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*").fullmatch
_DIGITS = re.compile(rb"[0-9]{1,18}").fullmatch
_HOST_VALUE = re.compile(rb"(?:[A-Za-z0-9\-._~%!$&'()*+,;=]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?").fullmatch
_ABSOLUTE = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?]+)([/?].*)?").fullmatch
_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([!-~]+) HTTP/([0-9])\.([0-9])").fullmatch


class _Fields:
    """Collects what httptools calls back."""

    __slots__ = ("pairs",)

    def __init__(self) -> None:
        self.pairs: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.pairs.append((name, value))


class UnsupportedVersion(FairleadException):
    """505: neither HTTP/1.1 nor HTTP/1.0 (RFC 9110 §15.6.6)."""

    status_code = 505


def read_line(line: bytes) -> tuple[bytes, bytes, str]:
    """Method, target and version of a request line. Raises `BadRequest` (400) or `UnsupportedVersion` (505)."""
    found = _REQUEST_LINE(line)
    if found is None:
        raise BadRequest("The request line is malformed")
    method, target, major, minor = found.groups()
    if major != b"1" or minor not in b"01":
        raise UnsupportedVersion(f"HTTP/{major.decode()}.{minor.decode()} is not spoken here")
    if b"#" in target:
        raise BadRequest("A request target has no fragment")
    if target[:1] != b"/" and _ABSOLUTE(target) is None and (method, target) != (b"OPTIONS", b"*"):
        raise BadRequest("The request target is no path and no http URL")  # nor is this a proxy, for CONNECT (RFC 9112 §3.2)
    return method, target, "1.1" if minor == b"1" else "1.0"


def origin_form(target: bytes, head: Head) -> tuple[bytes, Head]:
    """Path and query of an absolute target, whose authority takes the place of Host (RFC 9112 §3.2.2). Raises `BadRequest`."""
    found = _ABSOLUTE(target)
    if found is None:
        return target, head
    authority, path = found[1], found[2] or b"/"
    if _HOST_VALUE(authority) is None:
        raise BadRequest("The authority of the request target is malformed")
    head = copy.copy(head)  # the one that a connection remembers stays as it is
    head.pairs = [(b"host", authority), *((name, value) for name, value in head.fields() if name.lower() != b"host")]
    head.block = b""
    return path if path.startswith(b"/") else b"/" + path, head


@functools.lru_cache(maxsize=16)
def usual_line(max_target_bytes: int) -> Callable[[bytes, int], re.Match[bytes] | None]:
    """Finds, at a position, a line that needs no second look, as (method, target): a known method, and a target in origin form,
    not too long, of visible ASCII without "#" (RFC 9112 §3.2)."""
    pattern = rb'(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[!-"$-~]{0,%d}) HTTP/1\.1(?=\r\n)' % max(0, max_target_bytes - 1)
    return re.compile(pattern).match


def read_unusual(line: bytes, block: bytes, head: Head, limits: Limits) -> tuple[bytes, bytes, Head]:
    """Method, target in origin form and head of a line that is not the usual one; `head` is what its block said so far.

    Raises `URITooLong` (414), and as `read_line` and `read_any`.
    """
    method, target, version = read_line(line)
    if len(target) > limits.max_target_bytes:
        raise too_large(target, limits)
    if version != head.version:  # a remembered block under another version means something else
        head = read_any(line, block, limits.max_header_fields)
    return method, *origin_form(target, head)


def check_partial(start: bytes, limits: Limits) -> None:
    """Judge the beginning of a head. Raises as soon as it can't become one any more (400, 414, 431)."""
    size = len(start)
    if size > limits.max_head_bytes or (size > limits.max_target_bytes + AROUND_TARGET_BYTES and b"\n" not in start):
        raise too_large(start, limits)
    if start.count(b"\n") != start.count(b"\r\n"):
        raise BadRequest("Lines of a head end with CR LF")


def too_large(start: bytes, limits: Limits) -> FairleadException:
    """What a head that begins so is refused with: 414 when it is the target that is long, else 431."""
    if b"\r\n" not in start and len(start) > min(limits.max_target_bytes, limits.max_head_bytes // 2):
        return URITooLong("The request target is too long")
    return HeadersTooLarge(f"The head passes {limits.max_head_bytes} bytes")


def read_any(line: bytes, block: bytes, max_fields: int) -> Head:
    """The head of any request. Raises `BadRequest` (400), `HeadersTooLarge` (431), `ExpectationFailed` (417)."""
    _, _, version = read_line(line)
    if block.count(b"\r\n") > max_fields:
        raise HeadersTooLarge(f"More than {max_fields} header fields")
    collected = _Fields()
    parser = HttpRequestParser(collected)
    try:
        parser.feed_data(b"GET / HTTP/" + version.encode() + block + b"\r\n\r\n")  # the line is read: any method, any target
    except HttpParserUpgrade:
        pass
    except HttpParserError as exc:
        raise BadRequest(f"The request's head is malformed: {exc}") from None
    pairs = collected.pairs
    if len(pairs) != block.count(b"\r\n"):
        raise BadRequest("A header field is folded or malformed")  # obs-fold, RFC 9112 §5.2
    head = Head(block, pairs)
    head.version = version
    _judge(head)
    return head


def _judge(head: Head) -> None:
    fields: dict[bytes, list[bytes]] = {}
    assert head.pairs is not None
    for name, value in head.pairs:
        if _FIELD_NAME(name) is None or _FIELD_VALUE(value) is None:
            raise BadRequest("A header field holds a character that it may not")
        fields.setdefault(name.lower(), []).append(value)
    _check_host(fields.get(b"host", []), head.version)
    _set_framing(head, fields)
    _set_connection(head, fields)
    expectations = fields.get(b"expect", [])
    if expectations:
        if len(expectations) > 1 or expectations[0].lower() != b"100-continue":
            raise ExpectationFailed("The only expectation met here is 100-continue")
        head.expects_continue = head.version == "1.1"  # RFC 9110 §10.1.1: ignored from an HTTP/1.0 client
    head.has_request_id = b"x-request-id" in fields
    head.has_trace = b"traceparent" in fields


def _check_host(hosts: list[bytes], version: str) -> None:
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        raise BadRequest("Exactly one Host is needed")  # RFC 9112 §3.2
    if hosts and _HOST_VALUE(hosts[0]) is None:
        raise BadRequest("The Host is malformed")


def _set_framing(head: Head, fields: dict[bytes, list[bytes]]) -> None:
    lengths, codings = fields.get(b"content-length", []), fields.get(b"transfer-encoding", [])
    if codings:
        if lengths:
            raise BadRequest("Content-Length and Transfer-Encoding exclude each other")  # RFC 9112 §6.3, smuggling
        if head.version != "1.1":
            raise BadRequest("Transfer-Encoding needs HTTP/1.1")  # RFC 9112 §6.1
        if len(codings) != 1 or codings[0].lower() != b"chunked":
            raise BadRequest("The only transfer coding understood here is chunked")
        head.chunked = True
    elif lengths:
        if len(lengths) != 1 or _DIGITS(lengths[0]) is None:
            raise BadRequest("The Content-Length is malformed")
        head.length = int(lengths[0])


def _set_connection(head: Head, fields: dict[bytes, list[bytes]]) -> None:
    options = {option.strip().lower() for value in fields.get(b"connection", []) for option in value.split(b",")}
    head.keep_alive = b"close" not in options and (head.version == "1.1" or b"keep-alive" in options)
    head.ordinary = head.keep_alive and head.version == "1.1"
    upgrades = fields.get(b"upgrade", [])
    if upgrades and b"upgrade" in options and head.version == "1.1":
        asked = b",".join(upgrades).strip().lower()
        head.upgrade = WEBSOCKET if asked == WEBSOCKET else asked
