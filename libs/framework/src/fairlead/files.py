"""Files as responses: conditional requests, ranges, and static folders that nobody climbs out of.

A static folder is resolved once; a request's path is decoded once, then joined and resolved, and must still lie inside: `..`,
`%2F`, backslashes, NUL and symbolic links that lead out are all a plain 404.
"""

from __future__ import annotations

import asyncio
import mimetypes
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from fairlead.errors import FileNotFound, RangeNotSatisfiable
from fairlead.http import media
from fairlead.http.headers import Headers
from fairlead.request import Request
from fairlead.response import HTTPResponse
from fairlead.types import HeaderItems

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})").fullmatch


def guess_content_type(path: str | Path) -> str:
    """The media type for a file's name, with a charset for text."""
    kind, encoding = mimetypes.guess_type(str(path))
    if encoding == "gzip":
        return "application/gzip"
    if kind is None:
        return media.OCTETS
    if kind.startswith("text/") or kind in ("application/javascript", "image/svg+xml"):
        return f"{kind}; charset=utf-8"
    return kind


def etag_of(status: os.stat_result) -> str:
    """A strong entity tag from size and modification time in nanoseconds."""
    return f'"{status.st_size:x}-{status.st_mtime_ns:x}"'


def is_unmodified(headers: Headers, etag: str, modified: datetime) -> bool:
    """Whether the client's copy is still good: If-None-Match wins over If-Modified-Since (RFC 9110 §13.2.2)."""
    tags = headers.get("if-none-match")
    if tags is not None:
        return tags.strip() == "*" or etag in {tag.strip().removeprefix("W/") for tag in tags.split(",")}
    since = headers.get("if-modified-since")
    if since is None:
        return False
    try:
        moment = parsedate_to_datetime(since)
    except (TypeError, ValueError):
        return False
    return modified.replace(microsecond=0) <= (moment if moment.tzinfo else moment.replace(tzinfo=UTC))


async def validate_file(request_headers: Headers, last_modified: datetime | float | int) -> HTTPResponse | None:
    """A 304 when the client's If-Modified-Since still holds, else None."""
    if not isinstance(last_modified, datetime):
        last_modified = datetime.fromtimestamp(last_modified, UTC)
    if "if-modified-since" in request_headers and is_unmodified(request_headers, "", last_modified):
        return HTTPResponse(b"", 304)
    return None


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
    """A response with a file's content, read off the loop.

    With `request_headers` conditional requests and one byte range are honoured. Raises `FileNotFound` (404),
    `RangeNotSatisfiable` (416).
    """
    path = Path(location)
    response = HTTPResponse(b"", status, headers, mime_type or guess_content_type(filename or path))
    content, stat = await asyncio.get_running_loop().run_in_executor(None, _read, path)
    modified = datetime.fromtimestamp(stat.st_mtime, UTC)
    if isinstance(last_modified, datetime):
        modified = last_modified
    elif last_modified is not None:
        modified = datetime.fromtimestamp(last_modified, UTC)
    fields = response.headers
    etag = fields.setdefault("etag", etag_of(stat))
    fields.setdefault("last-modified", format_datetime(modified.astimezone(UTC), usegmt=True))
    fields.setdefault("accept-ranges", "bytes")
    if no_store:
        fields.setdefault("cache-control", "no-store")
    elif max_age is not None:
        fields.setdefault("cache-control", f"public, max-age={int(max_age)}")
    else:
        fields.setdefault("cache-control", "no-cache")
    if filename is not None:
        fields.setdefault("content-disposition", f"attachment; filename*=UTF-8''{quote(filename, safe='')}")
    if request_headers is not None and validate_when_requested and is_unmodified(request_headers, etag, modified):
        response.status, response.content_type = 304, None
        return response
    response.body = content
    if request_headers is not None and status == 200 and request_headers.get("if-range", etag) == etag:
        _cut(response, request_headers.get("range", ""), len(content))
    return response


def _cut(response: HTTPResponse, header: str, total: int) -> None:
    chosen = parse_range(header, total) if header else None
    if chosen is not None:
        start, end = chosen
        response.body = response.body[start : end + 1]
        response.status = 206
        response.headers["content-range"] = f"bytes {start}-{end}/{total}"


def _read(path: Path) -> tuple[bytes, os.stat_result]:
    try:
        with path.open("rb") as opened:
            return opened.read(), os.fstat(opened.fileno())
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as exc:
        raise FileNotFound("File not found", extra={"path": str(path), "cause": str(exc)}) from None


def resolve_inside(root: Path, relative: str) -> Path:
    """The file below `root` that a percent-encoded path names. Raises `FileNotFound` (404) for anything outside."""
    name = unquote(relative)
    if "\0" in name or "\\" in name:
        raise FileNotFound("File not found", relative_url=relative)
    try:
        path = (root / name.lstrip("/")).resolve()
    except (OSError, RuntimeError):
        raise FileNotFound("File not found", relative_url=relative) from None
    if not path.is_relative_to(root):
        raise FileNotFound("File not found", relative_url=relative)
    return path


def static_handler(
    location: str | os.PathLike[str], *, index: str | None = None, content_type: str | None = None, max_age: int | None = None
) -> Callable[..., Any]:
    """A handler that serves one file, or everything inside a folder. Raises `ValueError` when there is neither."""
    root = Path(location).resolve()
    if not root.exists():
        raise ValueError(f"there is no file or folder {str(location)!r} to serve")

    async def serve(request: Request[Any, Any], path: str = "") -> HTTPResponse:
        target = root if root.is_file() else resolve_inside(root, path)
        if index and target.is_dir():
            target = target / index
        return await file(target, request_headers=request.headers, mime_type=content_type, max_age=max_age)

    return serve
