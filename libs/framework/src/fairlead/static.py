"""Static files: one file, or a folder that nobody climbs out of.

A folder is resolved once. The router has decoded a request's path, once; here it is joined and resolved, and must still lie inside.
`..`, an encoded slash, backslashes, NUL and symbolic links that lead out are all a plain 404. Links that lead out may be allowed,
to files and to folders separately: `follow_external_symlink_files`, `follow_external_symlink_dirs`.

A folder that is asked for without its slash is a redirect: the relative links of its page would lead beside it. The redirect is
relative itself, so that it holds behind whatever prefix a proxy has cut off, and never names a host, as `//there/` would.

Files, ranges and conditions are the business of `fairlead.files`; everything that touches the disk runs in a thread.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from fairlead.errors import FileNotFound
from fairlead.files import PIECE_BYTES, Delivery, missing_is_404
from fairlead.request import Request
from fairlead.response import HTTPResponse, html, redirect

STREAM_FROM_BYTES = 1_048_576
"""A static file with more to send than this is sent in pieces, unless `stream_large_files` says otherwise."""


@dataclass(slots=True, kw_only=True)
class StaticFiles:
    """A handler `(request, path="")` for one file, or for everything inside a folder. Raises `ValueError` when there is neither."""

    location: str | os.PathLike[str]
    index: Sequence[str] = ()
    """Names of the files that stand for their folder, the first that exists."""
    directory_view: bool = False
    content_type: str | None = None
    max_age: int | None = None
    use_modified_since: bool = True
    use_content_range: bool = True
    stream_large_files: bool | int = True
    follow_external_symlink_files: bool = False
    follow_external_symlink_dirs: bool = False
    root: Path = Path()
    is_folder: bool = False

    def __post_init__(self) -> None:
        self.root = Path(self.location).resolve()
        if not self.root.exists():
            raise ValueError(f"there is no file or folder {str(self.location)!r} to serve")
        self.is_folder = self.root.is_dir()

    @property
    def __name__(self) -> str:
        return "static"

    async def __call__(self, request: Request[Any, Any], path: str = "") -> HTTPResponse | None:
        """Answer with the file. Raises `FileNotFound` (404), `PreconditionFailed` (412), `RangeNotSatisfiable` (416)."""
        if "%2f" in request.path.lower():  # one name, or two? A proxy in front may have decided otherwise
            raise FileNotFound("File not found", relative_url=path)
        is_head = request.raw_method == b"HEAD"
        delivery = Delivery(
            mime_type=self.content_type,
            max_age=self.max_age,
            conditions=request.headers if self.use_modified_since else None,
            # RFC 9110 §14.2: ranges are defined for GET only
            ranges=request.headers if self.use_content_range and not is_head else None,
            with_body=not is_head,
            stream_from=self._stream_from(),
        )
        loop = asyncio.get_running_loop()
        response, opened = await loop.run_in_executor(None, self._answer, delivery, path, request)
        if opened is None:
            return response
        with opened:
            left = int(response.headers["content-length"])
            stream = await request.respond(response)
            while left:
                piece = await loop.run_in_executor(None, opened.read, min(left, PIECE_BYTES))
                if not piece:
                    break  # it was cut short meanwhile: the stream finds out
                left -= len(piece)
                await stream.send(piece)
        return None

    def _stream_from(self) -> float:
        if self.stream_large_files is True:
            return STREAM_FROM_BYTES
        return self.stream_large_files or float("inf")

    def _answer(self, delivery: Delivery, name: str, request: Request[Any, Any]) -> tuple[HTTPResponse, BinaryIO | None]:
        path = self._inside(name) if self.is_folder else self.root
        with missing_is_404(path):
            if not path.is_dir():
                if name.endswith("/"):  # a file has nothing below it, and relative links would lead astray
                    raise FileNotFound("File not found", relative_url=name)
                return delivery.read(path)
            index = next((index for index in self.index if (path / index).exists()), None)
            if (index is not None or self.directory_view) and not request.path.endswith("/"):
                return _with_slash(request), None
            if index is not None:
                return delivery.read(self._inside(f"{name}/{index}"))
            if self.directory_view:
                return html(self._listing(path, name, request.path)), None
        return delivery.read(path)  # a folder: 404

    def _inside(self, name: str) -> Path:
        return resolve_inside(self.root, name, files=self.follow_external_symlink_files, folders=self.follow_external_symlink_dirs)

    def _listing(self, folder: Path, name: str, url_path: str) -> str:
        """A page with what is in a folder and may be seen; names that begin with a dot may not."""
        rows: list[str] = []
        for entry in sorted(folder.iterdir(), key=lambda entry: (not entry.is_dir(), entry.name)):
            try:
                status = self._inside(f"{name}/{entry.name}").stat()
            except (FileNotFound, OSError):
                continue
            if entry.name.startswith("."):
                continue
            slash = "/" if entry.is_dir() else ""
            changed = datetime.fromtimestamp(status.st_mtime, UTC).strftime("%Y-%m-%d %H:%M")
            size = "" if slash else f"{status.st_size:,}"
            label = escape(entry.name + slash)
            rows.append(f'<tr><td><a href="./{quote(entry.name)}{slash}">{label}</a></td><td>{changed}</td><td>{size}</td></tr>')
        up = '<p><a href="../">..</a></p>' if name.strip("/") else ""
        title = escape(url_path)
        return (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><h1>{title}</h1>{up}'
            f"<table><tr><th>name</th><th>changed (UTC)</th><th>bytes</th></tr>{''.join(rows)}</table>"
        )


def _with_slash(request: Request[Any, Any]) -> HTTPResponse:
    name = request.path.rpartition("/")[2]
    query = f"?{request.query_string}" if request.query_string else ""
    return redirect(f"./{name}/{query}", status=301)


def resolve_inside(root: Path, name: str, *, files: bool = False, folders: bool = False) -> Path:
    """The file or folder below `root` (resolved) that a decoded path names. Raises `FileNotFound` (404) for anything outside.

    `files` allows links that lead to files outside, `folders` links to folders outside and what is in them.
    """
    if "\0" in name or "\\" in name or ".." in name.split("/"):
        raise FileNotFound("File not found", relative_url=name)
    asked = root / name.strip("/")
    try:
        path, parent = asked.resolve(), asked.parent.resolve()
    except RuntimeError:  # links that lead to themselves, before Python 3.13
        raise FileNotFound("File not found", relative_url=name) from None
    if path.is_relative_to(root):
        return path
    is_file = not path.is_dir()
    leads_out_itself = path.parent != parent
    allowed = (files or not leads_out_itself) if is_file else folders
    if allowed and (folders or parent.is_relative_to(root)):
        return path
    raise FileNotFound("File not found", relative_url=name)
