"""multipart/form-data (RFC 7578), cut into parts as its bytes arrive. Sans-IO: bytes in, events out.

`MultipartReader.feed` gives, for each part, its `PartHead`, then pieces of its content as bytes, then `END_OF_PART`; the same
for every way in which the stream is cut. `end` says that no more comes. The parsing is the `multipart` library's, in its strict
mode: no folded header lines, a name in every part. What is added here:

- The form begins with its first boundary. A preamble is text that nobody reads, and a way to keep a parser busy. What follows
  the last boundary is passed over, as RFC 2046 §5.1.1 says.
- The boundary is one that RFC 2046 allows, at most 70 characters: the parser looks for it in everything that arrives.
- Fields and files have limits of their own. A malformed form is 400, one that passes a limit 413.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser

from fairlead.errors import BadRequest, FairleadException, PayloadTooLarge
from fairlead.http.limits import FormLimits
from fairlead.http.media import OCTETS, split_parameters

END_OF_PART: Final = None

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]").fullmatch
_EXTENDED = re.compile(r";\s*filename\*\s*=\s*utf-8'[A-Za-z0-9-]*'([^\s;\"]*)", re.IGNORECASE).search


@dataclass(frozen=True, slots=True)
class PartHead:
    """What a part says of itself; all of it is the client's word."""

    name: str
    filename: str | None
    """None: a field, else a file. The last component of a path that the client gave, "" for a file input left empty."""
    type: str
    """The media type without parameters; "text/plain" for fields and "application/octet-stream" for files that name none."""
    charset: str | None
    headers: tuple[tuple[str, str], ...]
    """Names in title case, in the order in which they came."""


def boundary_of(content_type: str) -> str:
    """The boundary that a Content-Type names. Raises `BadRequest` (400) without one, or for an impossible one."""
    boundary = split_parameters(content_type)[1].get("boundary", "")
    if not _BOUNDARY(boundary):
        raise BadRequest("The form's Content-Type names no boundary of 1 to 70 allowed characters")
    return boundary


class MultipartReader:
    """Reads one form."""

    def __init__(self, boundary: str, limits: FormLimits) -> None:
        self._limits = limits
        self._parser = PushMultipartParser(
            boundary,
            max_header_size=limits.max_header_bytes,
            max_header_count=limits.max_part_headers,
            max_segment_count=limits.max_parts,
            strict=True,
        )
        self._opening: bytes | None = b""
        self._first_line = b"--" + boundary.encode()
        self._is_complete = False
        self._head: PartHead | None = None
        self._size = 0

    def feed(self, data: bytes) -> Iterator[PartHead | bytes | None]:
        """The events in the next piece; to be exhausted before the next call. Raises `BadRequest`, `PayloadTooLarge`."""
        if self._opening is not None:
            data = self._open(self._opening + data)
        if not data or self._is_complete:
            return
        try:
            for event in self._parser.parse(data):
                yield self._event(event)
        except MultipartError as exc:
            raise _refusal(exc) from None
        if self._head is None:
            self._is_complete = _has_ended(self._parser)

    def end(self) -> None:
        """No more comes. Raises `BadRequest` (400) for a form that is cut short."""
        if not self._is_complete:
            raise BadRequest("The form ends before its last boundary")

    def _open(self, data: bytes) -> bytes:
        """The data when it holds the whole first line, else nothing."""
        start = data[2:] if data.startswith(b"\r\n") else data
        first = self._first_line
        if len(start) >= len(first) + 2 and start.startswith(first):
            self._opening = None
            return start
        if not first.startswith(start[: len(first)]) and data != b"\r":
            raise BadRequest("The form does not begin with its boundary")
        self._opening = data
        return b""

    def _event(self, event: MultipartSegment | bytes | None) -> PartHead | bytes | None:
        if isinstance(event, MultipartSegment):
            self._head, self._size = _head_of(event), 0
            return self._head
        if event is None:
            self._head = None
            return END_OF_PART
        self._size += len(event)
        head, limits = self._head, self._limits
        assert head is not None
        limit = limits.max_field_bytes if head.filename is None else limits.max_file_bytes
        if limit and self._size > limit:
            kind = "field" if head.filename is None else "file"
            raise PayloadTooLarge(f"A {kind} of the form passes {limit} bytes", context={"part": head.name})
        return bytes(event)


def _head_of(segment: MultipartSegment) -> PartHead:
    filename = segment.filename
    if filename is None:  # RFC 7578 §4.2 forbids `filename*`; clients send it nevertheless
        found = _EXTENDED(segment.header("Content-Disposition"))
        filename = unquote(found[1]) if found else None
    if filename is not None:
        filename = filename.replace("\\", "/").rpartition("/")[2].replace("\0", "")
    kind = segment.content_type or ("text/plain" if filename is None else OCTETS)
    return PartHead(segment.name or "", filename, kind, segment.charset, tuple(segment.headerlist))


def _has_ended(parser: PushMultipartParser) -> bool:
    """Whether the last boundary has come; the parser tells it when it is closed, so a copy of it is."""
    try:
        copy.copy(parser).close()  # type: ignore[no-untyped-call]
    except MultipartError:
        return False
    return True


def _refusal(error: MultipartError) -> FairleadException:
    if isinstance(error, ParserLimitReached):
        return PayloadTooLarge(f"The form passes a limit: {error}")
    return BadRequest(f"The form is malformed: {error}")
