"""Files as responses: conditional requests, ranges, whole or in pieces. For folders see `fairlead.static`.

Everything that touches the disk runs in a thread. Only the bytes that the client is to have are read: none for HEAD or 304, a part
for a range. What is no regular file is a 404 (opening a FIFO would hold a thread for ever).
"""

from __future__ import annotations

import asyncio
import errno
import mimetypes
import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from fairlead.errors import FileNotFound, PreconditionFailed, RangeNotSatisfiable
from fairlead.http import media
from fairlead.http.conditional import has_changed, http_date, is_unmodified
from fairlead.http.headers import Headers
from fairlead.request import Request
from fairlead.response import HTTPResponse
from fairlead.streaming import ResponseStream
from fairlead.types import HeaderItems

PIECE_BYTES = 262_144

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.IGNORECASE).fullmatch
_MISSING = frozenset(
    (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.ENXIO)
)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)  # Windows has no FIFOs in its folders


def guess_content_type(path: str | Path) -> str:
    """The media type for a file's name, with a charset for text."""
    kind, encoding = mimetypes.guess_type(str(path))
    if encoding is not None:
        return "application/gzip" if encoding == "gzip" else media.OCTETS
    if kind is None:
        return media.OCTETS
    if kind.startswith("text/") or kind in ("application/javascript", "image/svg+xml"):
        return f"{kind}; charset=utf-8"
    return kind


def etag_of(status: os.stat_result) -> str:
    """A strong entity tag from size and modification time in nanoseconds."""
    return f'"{status.st_size:x}-{status.st_mtime_ns:x}"'


async def validate_file(request_headers: Headers, last_modified: datetime | float | int) -> HTTPResponse | None:
    """A 304 when the client's If-Modified-Since still holds, else None."""
    if not isinstance(last_modified, datetime):
        last_modified = datetime.fromtimestamp(last_modified, UTC)
    dates = Headers({"if-modified-since": request_headers.get("if-modified-since", "")})
    return HTTPResponse(b"", 304) if is_unmodified(dates, None, last_modified) else None


def parse_range(header: str, total: int) -> tuple[int, int] | None:
    """First and last byte of a single range; None for other units and multiple ranges, which are answered whole.

    Raises `RangeNotSatisfiable` (416).
    """
    found = _RANGE(header.strip())
    if found is None:
        return None
    first, last = found.groups()
    if not first and not last:
        return None
    if first:
        start, end = int(first), min(int(last), total - 1) if last else total - 1
        if last and int(last) < int(first):
            return None
    else:
        start, end = max(total - int(last), 0), total - 1
    if start >= total or not total or (not first and int(last) == 0):
        raise RangeNotSatisfiable("The range lies beyond the file", total=total)
    return start, end


async def file(
    location: str | os.PathLike[str],
    status: int = 200,
    request_headers: Headers | None = None,
    validate_when_requested: bool = True,
    mime_type: str | None = None,
    headers: HeaderItems | None = None,
    filename: str | None = None,
    last_modified: datetime | float | int | None = None,
    max_age: float | int | None = None,
    no_store: bool | None = None,
) -> HTTPResponse:
    """A response with a file's content, read in a thread, whole: for what fits into memory.

    With `request_headers` conditional requests and one byte range are honoured. Raises `FileNotFound` (404),
    `PreconditionFailed` (412), `RangeNotSatisfiable` (416).
    """
    delivery = Delivery(status, mime_type, headers, filename, last_modified, max_age, bool(no_store))
    if validate_when_requested:
        delivery.conditions = request_headers
    if status == 200:
        delivery.ranges = request_headers
    response, _ = await asyncio.get_running_loop().run_in_executor(None, delivery.read, Path(location))
    return response


def disposition(filename: str) -> str:
    """Content-Disposition for a file to be saved under a name (RFC 6266): quoted, and for other than ASCII in UTF-8."""
    if filename.isascii() and filename.isprintable() and '"' not in filename and "\\" not in filename:
        return f'attachment; filename="{filename}"'
    return f"attachment; filename*=UTF-8''{quote(filename, safe='')}"


async def file_stream(
    location: str | os.PathLike[str],
    status: int = 200,
    chunk_size: int = PIECE_BYTES,
    mime_type: str | None = None,
    headers: HeaderItems | None = None,
    filename: str | None = None,
) -> ResponseStream:
    """Answer the current request with a file, `chunk_size` bytes at a time, as fast as its reader takes them.

    Chunked unless `headers` has a Content-Length. Raises `FileNotFound` (404), and `NoRequest` outside of a request.
    """
    path, loop = Path(location), asyncio.get_running_loop()
    response = HTTPResponse(b"", status, headers, mime_type or guess_content_type(filename or path))
    if filename:
        response.headers.setdefault("content-disposition", disposition(filename))
    opened = await loop.run_in_executor(None, _open, path)
    with opened:
        stream = await Request.get_current().respond(response)
        while piece := await loop.run_in_executor(None, opened.read, chunk_size):
            await stream.send(piece)
    return stream


@dataclass(slots=True)
class Delivery:
    """What is wanted of a file. `read` is for a thread."""

    status: int = 200
    mime_type: str | None = None
    headers: HeaderItems | None = None
    filename: str | None = None
    last_modified: datetime | float | int | None = None
    max_age: float | int | None = None
    no_store: bool = False
    conditions: Headers | None = None
    ranges: Headers | None = None
    with_body: bool = True
    stream_from: float = float("inf")

    def read(self, path: Path) -> tuple[HTTPResponse, BinaryIO | None]:
        """The response, and the open file in place of a body that is longer than `stream_from`."""
        with ExitStack() as stack:
            opened = stack.enter_context(_open(path))
            status = os.fstat(opened.fileno())
            response = HTTPResponse(b"", self.status, self.headers, self.mime_type or guess_content_type(self.filename or path))
            modified = self._describe(response.headers, status)
            etag, total = response.headers["etag"], status.st_size
            if self.conditions is not None and has_changed(self.conditions, etag, modified):
                raise PreconditionFailed("The file is another one by now")
            if self.conditions is not None and is_unmodified(self.conditions, etag, modified):
                response.status, response.content_type = 304, None
                return response, None
            first, length = self._part(response, total)
            if not self.with_body:
                response.headers["content-length"] = str(length)
                return response, None
            opened.seek(first)
            if length <= self.stream_from:
                response.body = opened.read(length)
                return response, None
            response.headers["content-length"] = str(length)
            stack.pop_all()
            return response, opened

    def _describe(self, fields: Headers, status: os.stat_result) -> datetime:
        """Set the fields that say what the file is; when it was modified."""
        given = status.st_mtime if self.last_modified is None else self.last_modified
        modified = given if isinstance(given, datetime) else datetime.fromtimestamp(given, UTC)
        fields.setdefault("etag", etag_of(status))
        fields.setdefault("last-modified", http_date(modified))
        fields.setdefault("accept-ranges", "bytes")
        if self.no_store:
            fields.setdefault("cache-control", "no-store")
        elif self.max_age is not None:
            fields.setdefault("cache-control", f"public, max-age={int(self.max_age)}")
        else:
            fields.setdefault("cache-control", "no-cache")
        if self.filename is not None:
            fields.setdefault("content-disposition", disposition(self.filename))
        return modified

    def _part(self, response: HTTPResponse, total: int) -> tuple[int, int]:
        """First byte and number of bytes: a range (206), or all. A range of another version is not what the client wants."""
        fields = response.headers
        if self.ranges is not None and "range" in self.ranges:
            version = self.ranges.get("if-range")
            if version is None or version == fields["last-modified"] or (version == fields["etag"] and version[:2] != "W/"):
                chosen = parse_range(self.ranges["range"], total)
                if chosen is not None:
                    response.status = 206
                    fields["content-range"] = f"bytes {chosen[0]}-{chosen[1]}/{total}"
                    return chosen[0], chosen[1] - chosen[0] + 1
        return 0, total


@contextmanager
def missing_is_404(path: Path) -> Iterator[None]:
    """An operating system that says "not there", "not yours" or "no such name" is answered with 404; other trouble is trouble."""
    try:
        yield
    except OSError as exc:
        if exc.errno not in _MISSING:
            raise
        raise FileNotFound("File not found", extra={"path": str(path), "cause": str(exc)}) from None


def _open(path: Path) -> BinaryIO:
    with missing_is_404(path):
        opened = open(path, "rb", opener=lambda name, flags: os.open(name, flags | _NONBLOCK))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
        opened.close()
        raise FileNotFound("File not found", extra={"path": str(path), "cause": "not a regular file"})
    return opened
