"""Literal requests and the statuses that may answer them: 0 stands for a close without an answer.

Each case: name, bytes, accepted first statuses, source. In doubt a server answers 400 and closes.
"""

from __future__ import annotations

from typing import NamedTuple


class Case(NamedTuple):
    """One literal request."""

    name: str
    data: bytes
    accepted: tuple[int, ...]
    source: str
    answers: int = 1
    """How many final answers come at most."""


OK = (200,)
BAD = (400,)
GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /echo HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


def _bodies(*cases: tuple[str, bytes, tuple[int, ...], str]) -> list[Case]:
    return [Case(f"chunked: {name}", CHUNKED + data, accepted, source) for name, data, accepted, source in cases]


def _fields(*cases: tuple[str, bytes, tuple[int, ...], str]) -> list[Case]:
    return [Case(f"field: {name}", GET + data + b"\r\n", accepted, source) for name, data, accepted, source in cases]


def _heads(*cases: tuple[str, bytes, tuple[int, ...], str]) -> list[Case]:
    return [Case(f"head: {name}", data, accepted, source) for name, data, accepted, source in cases]


CASES: list[Case] = [
    *_heads(
        ("plain", GET + b"\r\n", OK, "RFC 9112 §2.1"),
        ("an empty line before", b"\r\n" + GET + b"\r\n", OK, "RFC 9112 §2.2"),
        ("HTTP/1.0 without Host", b"GET / HTTP/1.0\r\n\r\n", OK, "RFC 9112 §3.2"),
        ("absolute form", b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", OK, "RFC 9112 §3.2.2"),
        ("absolute form of https", b"GET HTTPS://a HTTP/1.1\r\nHost: a\r\n\r\n", OK, "RFC 9112 §3.2.2"),
        ("absolute form without Host", b"GET http://a/ HTTP/1.1\r\n\r\n", BAD, "RFC 9112 §3.2"),
        ("absolute form of a strange scheme", b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", BAD, "RFC 9112 §3.2"),
        ("user information in the target", b"GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n", BAD, "RFC 9110 §4.2.4"),
        ("no authority in the target", b"GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n", BAD, "RFC 9110 §4.2.1"),
        ("no Host", b"GET / HTTP/1.1\r\n\r\n", BAD, "RFC 9112 §3.2"),
        ("no Host but others", b"GET / HTTP/1.1\r\nX: 1\r\n\r\n", BAD, "RFC 9112 §3.2"),
        ("two Hosts", GET + b"Host: b\r\n\r\n", BAD, "RFC 9112 §3.2"),
        ("two equal Hosts", GET + b"Host: a\r\n\r\n", BAD, "RFC 9112 §3.2"),
        ("Host with a path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", BAD, "RFC 9112 §3.2"),
        ("Host with user information", b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", BAD, "RFC 9110 §4.2.4"),
        ("Host with a space", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", BAD, "RFC 9112 §3.2"),
        ("bare LF", b"GET / HTTP/1.1\nHost: a\n\n", BAD, "RFC 9112 §2.2"),
        ("bare LF between fields", b"GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n", BAD, "RFC 9112 §2.2"),
        ("bare CR in the line", b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", BAD, "RFC 9112 §2.2"),
        ("two spaces before the target", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", BAD, "RFC 9112 §3"),
        ("two spaces after the target", b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", BAD, "RFC 9112 §3"),
        ("tab in place of the space", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", BAD, "RFC 9112 §3"),
        ("space before the method", b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", BAD, "RFC 9112 §3"),
        ("space at the end", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", BAD, "RFC 9112 §3"),
        ("no version", b"GET /\r\nHost: a\r\n\r\n", BAD, "RFC 9112 §3"),
        ("lower-case version", b"GET / http/1.1\r\nHost: a\r\n\r\n", BAD, "RFC 9112 §2.3"),
        ("HTTP/1.2", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", (400, 505), "RFC 9110 §15.6.6"),
        ("HTTP/2.0", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", (400, 505), "RFC 9110 §15.6.6"),
        ("HTTP/0.9", b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", (400, 505), "RFC 9110 §15.6.6"),
        ("version of two digits", b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", BAD, "RFC 9112 §2.3"),
        ("version with junk", b"GET / HTTP/1.1x\r\nHost: a\r\n\r\n", BAD, "RFC 9112 §2.3"),
        ("method with a slash", b"GE/T / HTTP/1.1\r\nHost: a\r\n\r\n", BAD, "RFC 9110 §9.1"),
        ("unknown method", b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", (400, 405, 501), "RFC 9110 §9.1"),
        ("lower-case method", b"get / HTTP/1.1\r\nHost: a\r\n\r\n", (400, 405, 501), "RFC 9110 §9.1"),
        ("CONNECT", b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", (400, 405, 501), "RFC 9110 §9.3.6"),
        ("fragment in the target", b"GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", BAD, "RFC 9112 §3.2"),
        ("control character in the target", b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", BAD, "RFC 3986 §2"),
        ("NUL in the target", b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", BAD, "RFC 3986 §2"),
        ("byte beyond ASCII in the target", b"GET /\xe4 HTTP/1.1\r\nHost: a\r\n\r\n", BAD, "RFC 3986 §2"),
        ("DEL in the target", b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", BAD, "RFC 3986 §2"),
        ("target without a slash", b"GET x HTTP/1.1\r\nHost: a\r\n\r\n", BAD, "RFC 9112 §3.2"),
        ("path behind something", b"GET x/ HTTP/1.1\r\nHost: a\r\n\r\n", BAD, "RFC 9112 §3.2"),
        ("asterisk for GET", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", BAD, "RFC 9112 §3.2.4"),
        ("asterisk for OPTIONS", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", (200, 204, 404, 405), "RFC 9112 §3.2.4"),
        ("bare LF before the line", b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", BAD, "RFC 9112 §2.2"),
        ("bare LFs for ever", b"\n" * 50, BAD, "RFC 9112 §2.2"),
        ("bare LF that ends the head", b"GET / HTTP/1.1\r\nHost: a\n\r\n", BAD, "RFC 9112 §2.2"),
        ("long target", b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", (414, 431), "RFC 9110 §15.5.15"),
        ("many fields", GET + b"X: 1\r\n" * 101 + b"\r\n", (431,), "RFC 6585 §5"),
        ("long field", GET + b"X: " + b"y" * 20_000 + b"\r\n\r\n", (431,), "RFC 6585 §5"),
        ("binary junk", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", (400, 0), "TLS to a plain port"),
        ("junk line", b"hello\r\n\r\n", BAD, "RFC 9112 §3"),
    ),
    *_fields(
        ("tab and spaces around a value", b"X:\t 1 \t\r\n", OK, "RFC 9112 §5.1"),
        ("empty value", b"X:\r\n", OK, "RFC 9110 §5.5"),
        ("bytes beyond ASCII", b"X: \xe4\r\n", OK, "RFC 9110 §5.5"),
        ("space before the colon", b"X : 1\r\n", BAD, "RFC 9112 §5.1"),
        ("space before the colon of Content-Length", b"Content-Length : 5\r\n", BAD, "RFC 9112 §5.1"),
        ("no colon", b"X\r\n", BAD, "RFC 9112 §5"),
        ("empty name", b": 1\r\n", BAD, "RFC 9110 §5.1"),
        ("name with a space", b"X Y: 1\r\n", BAD, "RFC 9110 §5.1"),
        ("name with a bracket", b"X[]: 1\r\n", BAD, "RFC 9110 §5.1"),
        ("name beyond ASCII", b"X\xe4: 1\r\n", BAD, "RFC 9110 §5.1"),
        ("NUL in a value", b"X: a\x00b\r\n", BAD, "RFC 9110 §5.5"),
        ("control character in a value", b"X: a\x01b\r\n", BAD, "RFC 9110 §5.5"),
        ("DEL in a value", b"X: a\x7fb\r\n", BAD, "RFC 9110 §5.5"),
        ("bare CR in a value", b"X: a\rb\r\n", BAD, "RFC 9112 §2.2"),
        ("obs-fold", b"X: a\r\n b\r\n", BAD, "RFC 9112 §5.2"),
        ("obs-fold by tab", b"X: a\r\n\tb\r\n", BAD, "RFC 9112 §5.2"),
        ("fold before the first field's end", b" X: a\r\n", BAD, "RFC 9112 §2.2"),
        ("unknown expectation", b"Expect: miracles\r\n", (417,), "RFC 9110 §10.1.1"),
        ("Transfer-Encoding: identity", b"Transfer-Encoding: identity\r\n", BAD, "RFC 9112 §6.1"),
        ("Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: gzip, chunked\r\n", (400, 501), "RFC 9112 §6.1"),
        ("Transfer-Encoding: chunked, gzip", b"Transfer-Encoding: chunked, gzip\r\n", (400, 501), "RFC 9112 §6.3"),
        ("Transfer-Encoding: xchunked", b"Transfer-Encoding: xchunked\r\n", (400, 501), "request smuggling"),
        ("Transfer-Encoding twice", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", BAD, "RFC 9112 §6.1"),
        ("vertical tab before chunked", b"Transfer-Encoding: \x0bchunked\r\n", BAD, "request smuggling"),
        ("both framings", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", BAD, "RFC 9112 §6.3"),
        ("both framings, other order", b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", BAD, "RFC 9112 §6.3"),
        ("two Content-Lengths", b"Content-Length: 5\r\nContent-Length: 6\r\n", BAD, "RFC 9112 §6.3"),
        ("two equal Content-Lengths", b"Content-Length: 0\r\nContent-Length: 0\r\n", BAD, "RFC 9112 §6.3 (the strict choice)"),
        ("list of Content-Lengths", b"Content-Length: 5, 5\r\n", BAD, "RFC 9110 §8.6"),
        ("Content-Length: +5", b"Content-Length: +5\r\n", BAD, "RFC 9110 §8.6"),
        ("Content-Length: -5", b"Content-Length: -5\r\n", BAD, "RFC 9110 §8.6"),
        ("Content-Length: 0x5", b"Content-Length: 0x5\r\n", BAD, "RFC 9110 §8.6"),
        ("Content-Length: 5.0", b"Content-Length: 5.0\r\n", BAD, "RFC 9110 §8.6"),
        ("Content-Length: 1_0", b"Content-Length: 1_0\r\n", BAD, "int() of Python"),
        ("empty Content-Length", b"Content-Length:\r\n", BAD, "RFC 9110 §8.6"),
        ("Content-Length beyond 64 bits", b"Content-Length: " + b"9" * 30 + b"\r\n", (400, 413), "RFC 9110 §8.6"),
    ),
    Case(
        "Transfer-Encoding on HTTP/1.0",
        b"POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        BAD,
        "RFC 9112 §6.1",
    ),
    Case("body by length", POST + b"Content-Length: 5\r\n\r\nhello", OK, "RFC 9112 §6.2"),
    Case("body cut short", POST + b"Content-Length: 5\r\n\r\nhel", (0, 400), "RFC 9112 §8"),
    Case("body over the limit", POST + b"Content-Length: 2000\r\n\r\n" + b"x" * 2000, (413,), "RFC 9110 §15.5.14"),
    Case("announced over the limit", POST + b"Content-Length: 999999999\r\n\r\n", (413,), "RFC 9110 §15.5.14"),
    *_bodies(
        ("plain", b"5\r\nhello\r\n0\r\n\r\n", OK, "RFC 9112 §7.1"),
        ("two chunks", b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", OK, "RFC 9112 §7.1"),
        ("upper and leading zeros", b"0005\r\nhello\r\n000\r\n\r\n", OK, "RFC 9112 §7.1"),
        ("extension", b"5;a=b\r\nhello\r\n0\r\n\r\n", OK, "RFC 9112 §7.1.1"),
        ("trailer", b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", OK, "RFC 9112 §7.1.2"),
        ("size 0x5", b"0x5\r\nhello\r\n0\r\n\r\n", BAD, "RFC 9112 §7.1"),
        ("size +5", b"+5\r\nhello\r\n0\r\n\r\n", BAD, "RFC 9112 §7.1"),
        ("size -5", b"-5\r\nhello\r\n0\r\n\r\n", BAD, "RFC 9112 §7.1"),
        ("size with an underscore", b"0_5\r\nhello\r\n0\r\n\r\n", BAD, "int() of Python"),
        ("size with a space before", b" 5\r\nhello\r\n0\r\n\r\n", BAD, "RFC 9112 §7.1"),
        ("size with a space after", b"5 \r\nhello\r\n0\r\n\r\n", BAD, "RFC 9112 §7.1"),
        ("empty size", b"\r\nhello\r\n0\r\n\r\n", BAD, "RFC 9112 §7.1"),
        ("no hexadecimal", b"g\r\nhello\r\n0\r\n\r\n", BAD, "RFC 9112 §7.1"),
        ("size beyond 64 bits", b"1" + b"0" * 16 + b"\r\nhello\r\n0\r\n\r\n", (400, 413), "RFC 9112 §7.1"),
        ("bare LF after the size", b"5\nhello\r\n0\r\n\r\n", BAD, "RFC 9112 §7.1"),
        ("bare CR in an extension", b"5;a\rb\r\nhello\r\n0\r\n\r\n", BAD, "RFC 9112 §7.1.1"),
        ("oversized extension", b"5;" + b"a" * 5000 + b"\r\nhello\r\n0\r\n\r\n", BAD, "CVE-2023-39326 class"),
        ("junk after the data", b"5\r\nhelloX\r\n0\r\n\r\n", BAD, "RFC 9112 §7.1"),
        ("no CRLF after the data", b"5\r\nhello0\r\n\r\n", BAD, "RFC 9112 §7.1"),
        ("bare LF after the data", b"5\r\nhello\n0\r\n\r\n", BAD, "RFC 9112 §7.1"),
        ("trailer Content-Length", b"0\r\nContent-Length: 5\r\n\r\n", BAD, "RFC 9110 §6.5.1"),
        ("trailer Host", b"0\r\nHost: b\r\n\r\n", BAD, "RFC 9110 §6.5.1"),
        ("trailer without a colon", b"0\r\nX\r\n\r\n", BAD, "RFC 9112 §7.1.2"),
        ("trailer with a space before the colon", b"0\r\nX : 1\r\n\r\n", BAD, "RFC 9112 §5.1"),
        ("endless trailers", b"0\r\n" + b"X: 1\r\n" * 5000 + b"\r\n", BAD, "RFC 9110 §6.5"),
        ("over the limit", b"7d0\r\n" + b"x" * 2000 + b"\r\n0\r\n\r\n", (413,), "RFC 9110 §15.5.14"),
    ),
]
