"""The fields of a response as pairs, for protocols that frame messages themselves (ASGI, HTTP/2); `wire` has the HTTP/1.1 text."""

from __future__ import annotations

from fairlead.errors import ServerError
from fairlead.http.headers import Headers, check_field
from fairlead.http.status import has_no_body

Fields = list[tuple[bytes, bytes]]

_OF_THE_PROTOCOL = frozenset(
    ("connection", "content-length", "date", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade")
)
"""What the server says itself, and what belongs to one connection (RFC 9110 §7.6.1); HTTP/2 forbids it (RFC 9113 §8.2.2)."""


def response_fields(
    status: int, content_type: str | None, headers: Headers | None, length: int | None, request_id: str = ""
) -> Fields:
    """The header fields of a final response, names in lower case; `length` None where it is not known.

    Raises ValueError for a status that is none, and for a field that would break out of its line, with nothing written.
    """
    if not 200 <= status <= 999:
        raise ValueError(f"{status} is no status of a final response")
    fields: Fields = []
    if content_type and not (headers is not None and "content-type" in headers):
        check_field("content-type", content_type)
        fields.append((b"content-type", content_type.encode("latin-1")))
    if length is not None and not has_no_body(status):
        fields.append((b"content-length", b"%d" % length))
    if headers:
        for name, value in headers.multi_items():
            if name not in _OF_THE_PROTOCOL:
                check_field(name, value)
                fields.append((name.encode("ascii"), value.strip().encode("latin-1")))
    if request_id:
        fields.append((b"x-request-id", request_id.encode()))
    return fields


class BodyLength:
    """Holds a streamed body to the Content-Length that the application has set, if it has set one.

    Raises `ServerError` for one that is no number, for a body that is longer, and at `end` for one that is shorter.
    """

    __slots__ = ("_left", "declared")

    def __init__(self, headers: Headers | None) -> None:
        text = headers.get("content-length") if headers is not None else None
        if text is not None and not (text.isascii() and text.isdecimal()):
            raise ServerError(extra={"content-length": text})
        self.declared = int(text) if text is not None else None
        self._left = self.declared

    def take(self, size: int) -> None:
        """So many bytes more."""
        if self._left is not None:
            self._left -= size
            if self._left < 0:
                raise ServerError("The body is longer than its Content-Length")

    def end(self) -> None:
        """The body is complete."""
        if self._left:
            raise ServerError("The body is shorter than its Content-Length")


def whole_length(headers: Headers | None, body: bytes, *, head_only: bool) -> int:
    """The Content-Length of a whole response; an answer to HEAD may declare what GET would send (RFC 9110 §8.6)."""
    if head_only and not body and headers is not None and headers.get("content-length", "").isdecimal():
        return int(headers["content-length"])
    return len(body)
