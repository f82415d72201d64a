"""Literal bytes on which two readers of one path might disagree: framing, pipelining, expectations, upgrades.

They are the vectors of published advisories and of request-smuggling research, written down anew. `answers` is how many messages
may be answered at most: what is hidden behind a refused message is never answered.
"""

from __future__ import annotations

from tests.framework.server.wire_cases import BAD, CHUNKED, GET, OK, POST, Case

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"
BODY = b"0\r\n\r\n" + HIDDEN
CODED = (400, 501)


def _case(name: str, data: bytes, accepted: tuple[int, ...], source: str, answers: int = 1) -> Case:
    return Case(f"smuggling: {name}", data, accepted, source, answers)


def _coding(value: bytes) -> bytes:
    return POST + b"Transfer-Encoding:" + value + b"\r\n\r\n" + BODY


def _length(value: bytes) -> bytes:
    return POST + b"Content-Length:" + value + b"\r\n\r\nhello" + HIDDEN


SMUGGLING: list[Case] = [
    # Which coding is this?
    _case("chunked in upper case", _coding(b" CHUNKED"), OK, "RFC 9112 §7 (names of codings are case-insensitive)", 2),
    _case("tab before chunked", _coding(b"\tchunked"), OK, "RFC 9110 §5.5 (optional white space)", 2),
    _case("space after chunked", _coding(b" chunked "), (200, 400), "RFC 9110 §5.5 (llhttp refuses it)", 2),
    _case("chunked twice in one field", _coding(b" chunked, chunked"), CODED, "RFC 9112 §6.1"),
    _case("an empty element before", _coding(b" ,chunked"), CODED, "RFC 9112 §6.1 (the strict choice)"),
    _case("an empty element after", _coding(b" chunked,"), CODED, "RFC 9112 §6.1 (the strict choice)"),
    _case("identity before", _coding(b" identity, chunked"), CODED, "RFC 9112 §7 (removed coding)"),
    _case("quoted", _coding(b' "chunked"'), CODED, "CVE-2022-32214 class"),
    _case("with a parameter", _coding(b" chunked;q=1"), CODED, "RFC 9112 §7"),
    _case("a prefix", _coding(b" chunke"), CODED, "CVE-2022-32213 class"),
    _case("no value", _coding(b""), CODED, "RFC 9112 §6.1"),
    _case("form feed", _coding(b" \x0cchunked"), CODED, "CVE-2024-23829 class (white space of Python)"),
    _case("no-break space", _coding(b" \xa0chunked"), CODED, "white space of latin-1"),
    _case("Kelvin sign", _coding(b" chun\xe2\x84\xaaed"), CODED, "case folding beyond ASCII"),
    _case("NUL behind", _coding(b" chunked\x00"), CODED, "RFC 9110 §5.5"),
    _case("space before the colon", POST + b"Transfer-Encoding : chunked\r\n\r\n" + BODY, BAD, "RFC 9112 §5.1"),
    _case("tab before the colon", POST + b"Transfer-Encoding\t: chunked\r\n\r\n" + BODY, BAD, "RFC 9112 §5.1"),
    _case("name behind a space", POST + b" Transfer-Encoding: chunked\r\n\r\n" + BODY, BAD, "RFC 9112 §5.2"),
    _case("name behind a bare CR", POST + b"X: 1\rTransfer-Encoding: chunked\r\n\r\n" + BODY, BAD, "RFC 9112 §2.2"),
    _case("name behind a bare LF", POST + b"X: 1\nTransfer-Encoding: chunked\r\n\r\n" + BODY, BAD, "CVE-2022-32214"),
    _case("folded value", POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + BODY, BAD, "CVE-2022-32215"),
    _case("folded after chunked", POST + b"Transfer-Encoding: chunked\r\n , identity\r\n\r\n" + BODY, BAD, "CVE-2022-32215"),
    _case("two fields", POST + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY, CODED, "RFC 9112 §6.1"),
    _case("underscore for the hyphen", POST + b"Transfer_Encoding: chunked\r\n\r\n", OK, "CGI names: another field", 1),
    _case("chunked on GET", GET + b"Transfer-Encoding: chunked\r\n\r\n" + BODY, OK, "RFC 9110 §9.3.1 (framed as any)", 2),
    # How long is this?
    _case("zeros before the length", _length(b" 0005"), OK, "RFC 9110 §8.6 (1*DIGIT)", 2),
    _case("length with a sign", _length(b" +5"), BAD, "CVE-2023-47641 class (int() of Python)"),
    _case("length with a space inside", _length(b" 5 0"), BAD, "RFC 9110 §8.6"),
    _case("length with a comma behind", _length(b" 5,"), BAD, "RFC 9110 §8.6"),
    _case("length with junk behind", _length(b" 5x"), BAD, "RFC 9110 §8.6"),
    _case("length in other digits", _length(b" \xd9\xa5"), BAD, "int() of Python takes every script's digits"),
    _case("superscript length", _length(b" \xb2"), BAD, "isdigit() of Python"),
    _case("length in scientific form", _length(b" 5e0"), BAD, "RFC 9110 §8.6"),
    _case("length with a vertical tab", _length(b" \x0b5"), BAD, "white space of Python"),
    _case("length behind NUL", _length(b" 5\x00"), BAD, "RFC 9110 §5.5"),
    _case("19 digits", _length(b" 1000000000000000005"), (400, 413), "64 bits"),
    _case("length that wraps at 64 bits", _length(b" 18446744073709551621"), (400, 413), "64 bits"),
    _case("two names in two cases", POST + b"content-length: 5\r\nCONTENT-LENGTH: 0\r\n\r\nhello", BAD, "RFC 9112 §6.3"),
    _case("folded length", POST + b"Content-Length:\r\n 5\r\n\r\nhello", BAD, "RFC 9112 §5.2"),
    _case("length and chunked", POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY, BAD, "CL.TE"),
    _case("chunked and length", POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + BODY, BAD, "TE.CL"),
    _case("length and identity", POST + b"Content-Length: 5\r\nTransfer-Encoding: identity\r\n\r\nhello", BAD, "TE.TE"),
    _case("a body that looks like a request", POST + b"Content-Length: 33\r\n\r\n" + HIDDEN, OK, "RFC 9112 §6.2", 1),
    _case("GET with a body that looks like a request", GET + b"Content-Length: 33\r\n\r\n" + HIDDEN, OK, "RFC 9110 §9.3.1", 1),
    # Where does the chunk end?
    _case("last chunk without its CRLF", CHUNKED + b"0\r\n" + HIDDEN, BAD, "RFC 9112 §7.1"),
    _case("last chunk with a bare LF", CHUNKED + b"0\n\n" + HIDDEN, BAD, "CVE-2024-1135 class"),
    _case("last chunk behind a CR", CHUNKED + b"0\r\r\n\r\n" + HIDDEN, BAD, "RFC 9112 §7.1"),
    _case("two bytes in place of CRLF", CHUNKED + b"5\r\nhelloXX0\r\n\r\n" + HIDDEN, BAD, "CVE-2025-22871 class"),
    _case("bare LF in an extension", CHUNKED + b"5;a\nX: 1\r\nhello\r\n0\r\n\r\n" + HIDDEN, BAD, "TERM.EXT"),
    _case(
        "quoted CRLF in an extension", CHUNKED + b'5;a="\r\nhello\r\n0\r\n\r\n' + HIDDEN, OK, "RFC 9112 §7.1.1: a line is a line", 2
    ),
    _case("NUL in an extension", CHUNKED + b"5;\x00\r\nhello\r\n0\r\n\r\n" + HIDDEN, BAD, "RFC 9112 §7.1.1"),
    _case("size with a semicolon before", CHUNKED + b";5\r\nhello\r\n0\r\n\r\n" + HIDDEN, BAD, "RFC 9112 §7.1"),
    _case("size in scientific form", CHUNKED + b"5e-1\r\nhello\r\n0\r\n\r\n" + HIDDEN, BAD, "RFC 9112 §7.1"),
    _case("size with a tab behind", CHUNKED + b"5\t\r\nhello\r\n0\r\n\r\n" + HIDDEN, BAD, "RFC 9112 §7.1 (the strict choice)"),
    _case("size beyond the limit", CHUNKED + b"fffffffffffffff\r\nhello\r\n0\r\n\r\n", (0, 400, 413), "CVE-2013-2028 class"),
    _case("endless zeros before the size", CHUNKED + b"0" * 5000 + b"5\r\nhello\r\n0\r\n\r\n", BAD, "limits"),
    _case("many extensions", CHUNKED + b"5" + b";a=b" * 2000 + b"\r\nhello\r\n0\r\n\r\n", BAD, "CVE-2023-39326"),
    _case("trailer that ends another way", CHUNKED + b"0\r\nX: 1\n\r\n" + HIDDEN, BAD, "RFC 9112 §7.1.2"),
    _case("trailer Transfer-Encoding", CHUNKED + b"0\r\nTransfer-Encoding: chunked\r\n\r\n" + HIDDEN, BAD, "RFC 9110 §6.5.1"),
    _case("trailer Content-Type", CHUNKED + b"0\r\nContent-Type: text/html\r\n\r\n" + HIDDEN, BAD, "RFC 9110 §6.5.1"),
    _case("trailer Authorization", CHUNKED + b"0\r\nAuthorization: Basic eDp4\r\n\r\n" + HIDDEN, BAD, "RFC 9110 §6.5.1"),
    _case("trailer X-Forwarded-For", CHUNKED + b"0\r\nX-Forwarded-For: 1\r\n\r\n" + HIDDEN, OK, "dropped: RFC 9110 §6.5", 2),
    _case("trailer with NUL", CHUNKED + b"0\r\nX: \x00\r\n\r\n" + HIDDEN, BAD, "RFC 9110 §5.5"),
    _case("folded trailer", CHUNKED + b"0\r\nX: 1\r\n y\r\n\r\n" + HIDDEN, BAD, "RFC 9112 §5.2"),
    _case("chunked on HTTP/1.0", b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY, BAD, "RFC 9112 §6.1"),
    # Where does the message begin?
    _case("two requests", GET + b"\r\n" + HIDDEN, OK, "RFC 9112 §9.3.2", 2),
    _case("behind Connection: close", GET + b"Connection: close\r\n\r\n" + HIDDEN, OK, "RFC 9112 §9.6", 1),
    _case("behind close among others", GET + b"Connection: x, CLOSE\r\n\r\n" + HIDDEN, OK, "RFC 9112 §9.6", 1),
    _case("behind HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n" + HIDDEN, OK, "RFC 9112 §9.3", 1),
    _case(
        "behind HTTP/1.0 with keep-alive", b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + HIDDEN, OK, "RFC 9112 §C.2.2", 2
    ),
    _case("behind an empty line", GET + b"\r\n\r\n" + HIDDEN, OK, "RFC 9112 §2.2", 2),
    _case("behind junk", GET + b"\r\nX" + HIDDEN, OK, "XGET is a method, unknown", 2),
    _case("behind a body without its length", POST + b"\r\nhello" + HIDDEN, OK, "RFC 9112 §6.3: no body", 2),
    _case("a head that ends in spaces", GET + b" \r\n\r\n" + HIDDEN, BAD, "RFC 9112 §5.2"),
    _case("line of a second request in a field", GET + b"X: 1\r\nGET /hidden HTTP/1.1\r\n\r\n", BAD, "RFC 9112 §5"),
    # Who is meant?
    _case("Host with a comma", b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", BAD, "RFC 9110 §7.2"),
    _case("Host with a fragment", b"GET / HTTP/1.1\r\nHost: a#b\r\n\r\n", BAD, "RFC 9110 §7.2"),
    _case("Host with a query", b"GET / HTTP/1.1\r\nHost: a?b\r\n\r\n", BAD, "RFC 9110 §7.2"),
    _case("Host with a backslash", b"GET / HTTP/1.1\r\nHost: a\\b\r\n\r\n", BAD, "RFC 3986 §3.2.2"),
    _case("Host with markup", b"GET / HTTP/1.1\r\nHost: <a>\r\n\r\n", BAD, "RFC 3986 §3.2.2"),
    _case("Host beyond ASCII", b"GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n", BAD, "RFC 3986 §3.2.2"),
    _case("Host with a port in letters", b"GET / HTTP/1.1\r\nHost: a:http\r\n\r\n", BAD, "RFC 3986 §3.2.3"),
    _case("Host with two ports", b"GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", BAD, "RFC 3986 §3.2.3"),
    _case("Host of IPv6", b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", OK, "RFC 3986 §3.2.2"),
    _case("Host with half a bracket", b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", BAD, "RFC 3986 §3.2.2"),
    _case("empty Host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", OK, "RFC 9112 §3.2 (a target without authority)"),
    _case("Host in another case beside it", b"GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n", BAD, "RFC 9112 §3.2"),
    _case("Host with a space before the colon", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", BAD, "RFC 9112 §5.1"),
    _case("folded Host", b"GET / HTTP/1.1\r\nHost:\r\n a\r\n\r\n", BAD, "RFC 9112 §5.2"),
    _case("Host as the first, folded line", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", BAD, "RFC 9112 §2.2"),
    _case("target of two slashes", b"GET //b/ HTTP/1.1\r\nHost: a\r\n\r\n", (200, 404), "RFC 9112 §3.2.1: a path"),
    _case("target with a backslash", b"GET /\\b HTTP/1.1\r\nHost: a\r\n\r\n", (400, 404), "RFC 3986 §3.3"),
    _case("target in absolute form with a fragment", b"GET http://a/#x HTTP/1.1\r\nHost: a\r\n\r\n", BAD, "RFC 9112 §3.2.2"),
    _case("target in absolute form with two ports", b"GET http://a:1:2/ HTTP/1.1\r\nHost: a\r\n\r\n", BAD, "RFC 3986 §3.2.3"),
    _case("target in authority form", b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", BAD, "RFC 9112 §3.2.3"),
    _case("target with a bare CR", b"GET /\rX HTTP/1.1\r\nHost: a\r\n\r\n", BAD, "RFC 9112 §2.2"),
    _case("target with a space", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", BAD, "RFC 9112 §3"),
    _case("very long method", b"M" * 200 + b" / HTTP/1.1\r\nHost: a\r\n\r\n", (400, 501), "RFC 9110 §9.1"),
    _case("PRI of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505), "RFC 9113 §3.4"),
    # Expectations and upgrades
    _case(
        "expectation in upper case",
        POST + b"Expect: 100-CONTINUE\r\nContent-Length: 5\r\n\r\nhello" + HIDDEN,
        OK,
        "RFC 9110 §10.1.1",
        2,
    ),
    _case("expectation without a body", GET + b"Expect: 100-continue\r\n\r\n" + HIDDEN, OK, "RFC 9110 §10.1.1", 2),
    _case(
        "two expectations",
        POST + b"Expect: 100-continue\r\nExpect: x\r\nContent-Length: 5\r\n\r\nhello",
        (417,),
        "RFC 9110 §10.1.1",
    ),
    _case("empty expectation", POST + b"Expect:\r\nContent-Length: 5\r\n\r\nhello", (400, 417), "RFC 9110 §10.1.1"),
    _case(
        "expectation of HTTP/1.0",
        b"POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
        OK,
        "RFC 9110 §10.1.1",
    ),
    _case("expectation that is refused", POST + b"Expect: x\r\nContent-Length: 35\r\n\r\n" + HIDDEN, (417,), "CL.0 by Expect", 1),
    _case(
        "upgrade to h2c",
        GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n" + HIDDEN,
        OK,
        "h2c smuggling: ignored (RFC 9110 §7.8)",
        2,
    ),
    _case(
        "upgrade with a body",
        POST + b"Connection: Upgrade\r\nUpgrade: x\r\nContent-Length: 5\r\n\r\nhello" + HIDDEN,
        OK,
        "RFC 9110 §7.8",
        2,
    ),
    _case("upgrade without Connection", GET + b"Upgrade: websocket\r\n\r\n" + HIDDEN, OK, "RFC 9110 §7.8", 2),
    _case(
        "websocket where there is none",
        GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 777\r\nSec-WebSocket-Key: x\r\n\r\n" + HIDDEN,
        OK,
        "websocket smuggling: what follows is HTTP",
        2,
    ),
    _case(
        "upgrade on HTTP/1.0",
        b"GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + HIDDEN,
        OK,
        "RFC 9110 §7.8",
        1,
    ),
    _case(
        "Connection that names Host", GET + b"Connection: Host\r\n\r\n" + HIDDEN, OK, "hop-by-hop abuse: an origin drops nothing", 2
    ),
    _case(
        "Connection that names Content-Length",
        POST + b"Connection: Content-Length\r\nContent-Length: 5\r\n\r\nhello" + HIDDEN,
        OK,
        "hop-by-hop abuse",
        2,
    ),
    _case("Keep-Alive with rubbish", GET + b"Keep-Alive: timeout=-1\r\n\r\n" + HIDDEN, OK, "RFC 9112 §C.2.2: ignored", 2),
]
