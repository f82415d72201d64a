"""Multipart forms for handlers: fields, files, and parts as they arrive.

An ordinary route has the whole body when its handler starts, so `request.form` and `request.files` are cut from it, in memory.
A route with `stream=True` reads the form while it comes, in one of two ways:

- `await request.receive_form()` reads it to its end. A file longer than `FORM_SPOOL_SIZE` goes to disk, and files are the same
  objects as before: `body` reads such a one back, `save` and `async for` do without holding it.
- `async for part in request.parts()` hands out one part after another, and nothing is kept.

How files get to disk. All of a request's files share one temporary file, which has no name from its beginning (so a process that
is killed leaves nothing) and is closed when the handler has ended, however it has. Two files a request at most would be a limit
on the number of open files as well. Writing is done by a thread in pieces of 256 KiB. Measured: such a piece costs the loop 45 µs
to hand over, 600 µs to write to a disk's page cache itself, and seconds when the disk is busy (CVE-2025-54121).
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import IO, TypeVar

from fairlead.errors import BadRequest, PayloadTooLarge, ServiceUnavailable
from fairlead.http.forms import CHARSETS, MultiValues, Parameters
from fairlead.http.limits import FormLimits
from fairlead.http.multipart import END_OF_PART, MultipartReader, PartHead, boundary_of

T = TypeVar("T")

PIECE_BYTES = 262_144
"""How much is read from disk, and written to it, at once."""


class Spool:
    """One request's temporary file: appended to, read back in sections. Its methods block and may be called from any thread."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._is_closed = False
        self._lock = threading.Lock()
        self.size = 0

    def append(self, data: bytes) -> None:
        """Write at the end. Raises `ServiceUnavailable` (503) when there is no room."""
        with self._lock:
            if self._is_closed:
                raise ValueError("the request is over")
            try:
                if self._file is None:
                    self._file = tempfile.TemporaryFile(prefix="fairlead-")  # noqa: SIM115 - open for as long as the request
                self._file.seek(self.size)
                self._file.write(data)
                self._file.flush()
            except OSError as exc:
                raise ServiceUnavailable("The upload can't be stored at the moment") from exc
            self.size += len(data)

    def read(self, offset: int, size: int) -> bytes:
        """A section. Raises ValueError after the request."""
        with self._lock:
            if self._is_closed or self._file is None:
                raise ValueError("an uploaded file is gone with its request: save it before the handler ends")
            self._file.seek(offset)
            return self._file.read(size)

    def close(self) -> None:
        """Let go of the file; waits for what a thread is doing with it."""
        with self._lock:
            self._is_closed = True
            if self._file is not None:
                self._file.close()


class File:
    """An uploaded file: `type`, `body`, `name` as in Sanic, in memory or on disk.

    `name` is the last component of what the client called it; it is no path to write to, and `type` is what the client says.
    """

    __slots__ = ("_body", "_section", "headers", "name", "size", "type")

    def __init__(
        self,
        type: str,
        body: bytes | None,
        name: str,
        *,
        section: tuple[Spool, int, int] | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.type = type
        self.name = name
        self.headers = headers
        self._body = body
        self._section = section
        self.size = section[2] if section is not None else len(body or b"")

    def __repr__(self) -> str:
        return f"<File {self.name!r} {self.type} {self.size} bytes>"

    def __iter__(self) -> Iterator[str | bytes]:
        """`type, body, name = file`, as in Sanic."""
        return iter((self.type, self.body, self.name))

    @property
    def is_on_disk(self) -> bool:
        """Whether it was too long to be kept in memory."""
        return self._section is not None

    @property
    def body(self) -> bytes:
        """The content. For a file on disk this reads it, and blocks: `await file.read()` doesn't."""
        if self._section is None:
            return self._body or b""
        spool, offset, size = self._section
        return spool.read(offset, size)

    async def read(self) -> bytes:
        """The content."""
        return self.body if self._section is None else await _in_thread(lambda: self.body)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._section is None:
            yield self.body
            return
        spool, offset, size = self._section
        for start in range(offset, offset + size, PIECE_BYTES):
            length = min(PIECE_BYTES, offset + size - start)
            yield await _in_thread(lambda start=start, length=length: spool.read(start, length))  # type: ignore[misc]

    async def save(self, path: str | os.PathLike[str]) -> None:
        """Write the content to `path`, which must be a name of your own choosing. Raises OSError."""
        await _in_thread(lambda: self._copy_to(path))

    def _copy_to(self, path: str | os.PathLike[str]) -> None:
        with open(path, "wb") as target:
            if self._section is None:
                target.write(self.body)
                return
            spool, offset, size = self._section
            for start in range(offset, offset + size, PIECE_BYTES):
                target.write(spool.read(start, min(PIECE_BYTES, offset + size - start)))


class Files(MultiValues[File]):
    """Name → files. As in Sanic, `get` gives the first and `getlist` all of them."""

    __slots__ = ()


class Part:
    """A part of a form while it arrives: iterate over its pieces, or `read`, `text` or `save` it. What is left is passed over."""

    __slots__ = ("_events", "_limit", "charset", "filename", "headers", "is_over", "name", "type")

    def __init__(self, head: PartHead, events: AsyncIterator[PartHead | bytes | None], limits: FormLimits) -> None:
        self.name = head.name
        self.filename = head.filename
        self.type = head.type
        self.charset = head.charset
        self.headers = head.headers
        self.is_over = False
        self._events = events
        self._limit = limits.max_memory_bytes

    def __repr__(self) -> str:
        return f"<Part {self.name!r} {self.type}>"

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while not self.is_over:
            event = await anext(self._events)
            if event is END_OF_PART:
                self.is_over = True
            else:
                assert isinstance(event, bytes)
                yield event

    async def read(self) -> bytes:
        """The content. Raises `PayloadTooLarge` (413) past `FORM_MAX_MEMORY_SIZE`."""
        pieces: list[bytes] = []
        size = 0
        async for piece in self:
            size += len(piece)
            if size > self._limit:
                raise PayloadTooLarge(f"The form holds more than {self._limit} bytes at once")
            pieces.append(piece)
        return b"".join(pieces)

    async def text(self) -> str:
        """The content as text. Raises `BadRequest` (400) when it is none in its charset."""
        return _text(await self.read(), self.charset)

    async def save(self, path: str | os.PathLike[str]) -> int:
        """Write the content to `path`, which must be a name of your own choosing; gives the number of bytes. Raises OSError."""
        total = 0
        with open(path, "wb") as target:  # noqa: ASYNC230 - opening is short; writing is not, and is done in a thread
            async for data in _in_pieces(self):
                total += await _in_thread(lambda data=data: target.write(data))  # type: ignore[misc]
        return total


async def parts_of(source: AsyncIterator[bytes], content_type: str, limits: FormLimits) -> AsyncIterator[Part]:
    """The parts of a form in the order in which they come. Raises `BadRequest` (400) and `PayloadTooLarge` (413)."""
    events = _events(source, MultipartReader(boundary_of(content_type), limits))
    async for event in events:
        assert isinstance(event, PartHead)
        part = Part(event, events, limits)
        yield part
        async for _ in part:
            pass


async def _events(source: AsyncIterator[bytes], reader: MultipartReader) -> AsyncIterator[PartHead | bytes | None]:
    async for data in source:
        for event in reader.feed(data):
            yield event
    reader.end()


def parse_form(body: bytes, content_type: str, limits: FormLimits) -> tuple[Parameters, Files]:
    """The fields and files of a form that is in memory. Raises `BadRequest` (400) and `PayloadTooLarge` (413)."""
    reader = MultipartReader(boundary_of(content_type), limits)
    form, files = Parameters(), Files()
    head: PartHead | None = None
    pieces: list[bytes] = []
    for event in reader.feed(body):
        if isinstance(event, PartHead):
            head, pieces = event, []
        elif event is END_OF_PART:
            assert head is not None
            _add(form, files, head, b"".join(pieces))
        else:
            pieces.append(event)
    reader.end()
    return form, files


async def receive_form(
    source: AsyncIterator[bytes], content_type: str, limits: FormLimits, spool: Spool
) -> tuple[Parameters, Files]:
    """The fields and files of a form that is arriving; long files are in `spool`.

    Raises `BadRequest` (400), `PayloadTooLarge` (413), and `ServiceUnavailable` (503) when there is no room on disk.
    """
    form, files = Parameters(), Files()
    in_memory = 0
    async for part in parts_of(source, content_type, limits):
        head = PartHead(part.name, part.filename, part.type, part.charset, part.headers)
        start, held, pieces = spool.size, 0, list[bytes]()
        async for piece in part:
            pieces.append(piece)
            held += len(piece)
            is_spooled = spool.size > start
            if head.filename is None:
                if in_memory + held > limits.max_memory_bytes:
                    raise PayloadTooLarge(f"The form's fields pass {limits.max_memory_bytes} bytes")
            elif held >= PIECE_BYTES if is_spooled else held > min(limits.spool_bytes, limits.max_memory_bytes - in_memory):
                await _write(spool, pieces)
                held = 0
        if spool.size > start:
            await _write(spool, pieces)
            section = (spool, start, spool.size - start)
            files.add(head.name, File(head.type, None, head.filename or "", section=section, headers=head.headers))
        else:
            in_memory += held
            _add(form, files, head, b"".join(pieces))
    return form, files


async def _write(spool: Spool, pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    pieces.clear()
    await _in_thread(lambda: spool.append(data))


def _add(form: Parameters, files: Files, head: PartHead, body: bytes) -> None:
    if head.filename is None:
        form.add(head.name, _text(body, head.charset))
    elif head.filename or body:  # what a browser sends for a file input without a file is none
        files.add(head.name, File(head.type, body, head.filename, headers=head.headers))


def _text(body: bytes, charset: str | None) -> str:
    name = (charset or "utf-8").lower()
    if name not in CHARSETS:
        raise BadRequest(f"A field is decoded from {', '.join(sorted(CHARSETS))}")
    try:
        return body.decode(name)
    except UnicodeDecodeError:
        raise BadRequest(f"A field of the form is not {name}") from None


async def _in_pieces(source: Part) -> AsyncIterator[bytes]:
    """The same bytes in pieces of about `PIECE_BYTES`."""
    held: list[bytes] = []
    size = 0
    async for piece in source:
        held.append(piece)
        size += len(piece)
        if size >= PIECE_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


async def _in_thread(function: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, function)
