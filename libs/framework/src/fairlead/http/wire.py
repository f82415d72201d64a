"""The head of an HTTP/1.1 response as bytes, from ready-made pieces.

PERF: for the usual response (200, a known content type, no further headers) the head is three joins of constants; the general
case below is about four times slower and still formats nothing but the fields that were set.
"""

from __future__ import annotations

from fairlead.http.clock import CLOCK
from fairlead.http.headers import Headers, check_field
from fairlead.http.status import STATUS_LINES, has_no_body

LENGTHS: list[bytes] = [b"%d\r\n" % length for length in range(4096)]
"""Short Content-Length values, line end included."""

CLOSE = b"connection: close\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"
CONTENT_LENGTH = b"content-length: "
CRLF = b"\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_HOP_BY_HOP = frozenset(("connection", "content-length", "keep-alive", "transfer-encoding", "date"))


class _OkHeads(dict[str | None, bytes]):
    """Content type → everything of a 200 response up to and including `content-length: `."""

    def __missing__(self, content_type: str | None) -> bytes:
        head = STATUS_LINES[200] + content_type_line(content_type) + CONTENT_LENGTH
        if len(self) < 256:
            self[content_type] = head
        return head


def content_type_line(content_type: str | None) -> bytes:
    """The Content-Type field as a line, nothing for None."""
    if not content_type:
        return b""
    check_field("content-type", content_type)
    return b"content-type: " + content_type.encode("latin-1") + CRLF


OK_HEADS = _OkHeads()


def encode_head(
    status: int,
    content_type: str | None,
    headers: Headers | None,
    length: int | None,
    *,
    keep_alive: bool,
    extra: bytes = b"",
    http_1_0: bool = False,
) -> bytes:
    """A whole response head, empty line included.

    `length` None means that the body's length is unknown: chunked, or for an HTTP/1.0 client until the connection closes.
    `extra` are ready-made lines. Framing and connection fields are the server's own: what `headers` say of them is left out
    (a Content-Length that the application sets on an answer to HEAD is kept by passing it as `length`).

    Raises ValueError for a status that ends no exchange (below 200) or is none, and for fields that would break out of their line.
    """
    if not 200 <= status <= 999:
        raise ValueError(f"{status} is no status of a final response")
    parts = [STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status]
    if content_type and not (headers is not None and "content-type" in headers):
        parts.append(content_type_line(content_type))
    if not has_no_body(status):
        if length is not None:
            parts.append(b"content-length: %d\r\n" % length)
        elif not http_1_0:
            parts.append(CHUNKED)
    if headers:
        parts.append(_encode_fields(headers))
    if not keep_alive:
        parts.append(CLOSE)
    elif http_1_0:
        parts.append(b"connection: keep-alive\r\n")
    parts += (CLOCK.date_line, extra, CRLF)
    return b"".join(parts)


def _encode_fields(headers: Headers) -> bytes:
    lines: list[str] = []
    for name, value in headers.multi_items():
        if name not in _HOP_BY_HOP:
            check_field(name, value)
            lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode("latin-1")
