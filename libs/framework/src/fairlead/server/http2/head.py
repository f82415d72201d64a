"""From the fields of an HTTP/2 request to its `Head`.

The library has refused what RFC 9113 §8.2 and §8.3 call malformed: upper-case names, fields of a connection, pseudo-fields that are
unknown, repeated, missing or late, `:authority` and Host that differ, a body that is not as long as its Content-Length. What is
checked here is what it leaves open, by the same rules as for HTTP/1.1: nothing is passed on as HTTP/1.1 here, but applications do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from fairlead.errors import BadRequest, ExpectationFailed, FairleadException, HeadersTooLarge
from fairlead.http.head import Head
from fairlead.http.limits import Limits

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}").fullmatch
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*").fullmatch
_TARGET = re.compile(rb'/[!-"$-~]*').fullmatch
_HOST = re.compile(rb"(?:[A-Za-z0-9\-._~%!$&'()*+,;=]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?").fullmatch
_DIGITS = re.compile(rb"[0-9]{1,18}").fullmatch

Pairs = Iterable[tuple[bytes, bytes]]


def read_head(fields: Pairs, limits: Limits, *, has_body: bool) -> tuple[bytes, bytes, Head]:
    """Method, target and head. Raises `BadRequest` (400), 414, `ExpectationFailed` (417), `HeadersTooLarge` (431)."""
    pseudo: dict[bytes, bytes] = {}
    pairs: list[tuple[bytes, bytes]] = []
    cookies: list[bytes] = []
    size = 0
    for name, value in fields:
        size += len(name) + len(value) + 4  # as a line of HTTP/1.1 has them
        if name.startswith(b":"):
            pseudo[name] = value
        elif name == b"cookie":
            cookies.append(value)
        else:
            pairs.append((name, value))
    if cookies:
        pairs.append((b"cookie", b"; ".join(cookies)))  # split for compression's sake (RFC 9113 §8.2.3)
    if size > limits.max_head_bytes:
        raise HeadersTooLarge(f"The head passes {limits.max_head_bytes} bytes")
    if len(pairs) > limits.max_header_fields:
        raise HeadersTooLarge(f"More than {limits.max_header_fields} header fields")
    method, target = _line(pseudo, limits)
    authority = pseudo.get(b":authority")
    if authority is not None:
        pairs = [(b"host", authority), *((name, value) for name, value in pairs if name != b"host")]
    head = Head(pairs=pairs)
    head.version = "2"
    head.chunked = has_body
    _judge(head, pairs)
    return method, target, head


def _line(pseudo: dict[bytes, bytes], limits: Limits) -> tuple[bytes, bytes]:
    method, target = pseudo[b":method"], pseudo.get(b":path", b"")
    if _METHOD(method) is None:
        raise BadRequest("The method is malformed")
    if len(target) > limits.max_target_bytes:
        raise FairleadException("The request target is too long", 414)
    if _TARGET(target) is None and (method, target) != (b"OPTIONS", b"*"):
        raise BadRequest("The request target is no path")  # nor is this a proxy, for CONNECT
    if pseudo.get(b":scheme") not in (b"http", b"https"):
        raise BadRequest("The scheme is neither http nor https")
    return method, target


def _judge(head: Head, pairs: list[tuple[bytes, bytes]]) -> None:
    lengths: list[bytes] = []
    hosts: list[bytes] = []
    expectations: list[bytes] = []
    for name, value in pairs:
        if _TOKEN(name) is None or _VALUE(value) is None:
            raise BadRequest("A header field holds a character that it may not")
        if name == b"content-length":
            lengths.append(value)
        elif name == b"host":
            hosts.append(value)
        elif name == b"expect":
            expectations.append(value.lower())
    if len(hosts) != 1 or _HOST(hosts[0]) is None:
        raise BadRequest("Exactly one well-formed host is needed")
    if lengths:
        if len(lengths) > 1 or _DIGITS(lengths[0]) is None:
            raise BadRequest("The Content-Length is malformed")
        head.length = int(lengths[0])
        if head.length and not head.chunked:
            raise BadRequest("The body is not as long as its Content-Length")  # RFC 9113 §8.1.1; the library looks at DATA only
    if expectations:
        if expectations != [b"100-continue"]:
            raise ExpectationFailed("The only expectation met here is 100-continue")
        head.expects_continue = True
