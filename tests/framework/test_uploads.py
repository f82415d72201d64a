"""Forms and uploads as handlers see them: in memory, streamed to disk, part by part, and gone with the request."""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from fairlead import App, Request, json
from fairlead.request import current_request
from fairlead.testing import AsyncTestClient
from fairlead.uploads import PIECE_BYTES, File, Spool

BIG = b"0123456789abcdef" * 65536
"""1 MiB: past the threshold of 256 KiB."""

BOUNDARY = "multipart/form-data; boundary=b"
FIELD = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n'


@pytest.fixture
def disk() -> Iterator[list[Any]]:
    """The temporary files that were made."""
    made: list[Any] = []
    original = tempfile.TemporaryFile

    def make(*arguments: Any, **options: Any) -> Any:
        made.append(original(*arguments, **options))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "TemporaryFile", make)
        yield made


def shown(request: Request[Any, Any]) -> dict[str, Any]:
    files = {name: [[file.type, file.name, file.size, file.is_on_disk] for file in some] for name, some in request.files.items()}
    return {"form": request.form, "files": files}


def make_app(**settings: Any) -> App:
    """Every way in which a form is read."""
    app = App("uploads", config=settings)

    @app.post("/memory")
    async def memory(request: Request) -> object:
        await request.receive_form()  # on an ordinary route there is nothing to wait for
        return json(shown(request))

    @app.post("/files-first")
    async def files_first(request: Request) -> object:
        return json([len(request.files), request.form])

    @app.post("/stream", stream=True)
    async def stream(request: Request) -> object:
        await request.receive_form()
        return json(shown(request))

    @app.post("/early", stream=True)
    async def early(request: Request) -> object:
        return json(request.form)

    @app.post("/parts", stream=True)
    @app.post("/parts-in-memory", name="parts_in_memory")
    async def parts(request: Request) -> object:
        found: list[Any] = []
        async for part in request.parts():
            if part.name != "skipped":
                found.append([part.name, part.filename, await part.text() if part.filename is None else len(await part.read())])
        return json(found)

    return app


async def pieces_of(body: bytes, size: int = 50_000) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


FILES = [("a", (None, "1")), ("f", ("x.txt", b"abc", "text/plain")), ("f", ("y.bin", b"", "image/png")), ("a", (None, "ü"))]


@pytest.mark.parametrize("path", ["/memory", "/stream"])
async def test_form_and_files(path: str) -> None:
    """Fields and files by name, repeated ones too, on ordinary and on streaming routes."""
    async with AsyncTestClient(make_app()) as client:
        response = await client.post(path, files=FILES)
    assert response.json() == {
        "form": {"a": ["1", "ü"]},
        "files": {"f": [["text/plain", "x.txt", 3, False], ["image/png", "y.bin", 0, False]]},
    }


@pytest.mark.parametrize("path", ["/memory", "/stream"])
async def test_urlencoded_forms_have_no_files(path: str) -> None:
    """A urlencoded form is read by the same names."""
    async with AsyncTestClient(make_app()) as client:
        assert (await client.post(path, data={"a": "1"})).json() == {"form": {"a": ["1"]}, "files": {}}
        kind = {"content-type": "application/x-www-form-urlencoded"}
        assert (await client.post(path, content=b"", headers=kind)).json() == {"form": {}, "files": {}}
        assert (await client.post("/files-first", data={"a": "1"})).json() == [0, {"a": ["1"]}]
        assert (await client.post("/files-first", files=FILES)).json() == [1, {"a": ["1", "ü"]}]


@pytest.mark.parametrize("path", ["/memory", "/stream", "/parts", "/files-first"])
async def test_bodies_that_are_no_forms(path: str) -> None:
    """Another media type is 415; a charset or bytes that make no text are 400."""
    async with AsyncTestClient(make_app()) as client:
        assert (await client.post(path, json={})).status_code == 415
        for content in (
            FIELD + b"\xff\r\n--b--",
            FIELD.replace(b"\r\n\r\n", b"\r\nContent-Type: text/plain; charset=idna\r\n\r\n"),
        ):
            response = await client.post(path, content=content + b"\r\n--b--", headers={"content-type": BOUNDARY})
            assert response.status_code == 400
        assert (await client.post(path, content=b"x", headers={"content-type": "multipart/form-data"})).status_code == 400


async def test_empty_file_inputs() -> None:
    """A file input that the user left empty is sent as a nameless file without content: it is none."""
    empty = b'--b\r\nContent-Disposition: form-data; name="f"; filename=""\r\n\r\n\r\n--b--'
    async with AsyncTestClient(make_app()) as client:
        for path in ("/memory", "/stream"):
            response = await client.post(path, content=empty, headers={"content-type": BOUNDARY})
            assert response.json() == {"form": {}, "files": {}}


async def test_form_before_it_was_received() -> None:
    """On a streaming route a form that nobody has received is the application's mistake: 500, not an empty form."""
    async with AsyncTestClient(make_app()) as client:
        assert (await client.post("/early", files=FILES)).status_code == 500


# On disk


async def test_long_files_go_to_disk(disk: list[Any]) -> None:
    """A file past the threshold is on disk, all of a request's in one temporary file, and reads back as it was sent."""
    app = App("disk")
    seen: list[Any] = []

    @app.post("/", stream=True)
    async def upload(request: Request) -> object:
        await request.receive_form()
        for name in ("f", "g"):
            file = request.files[name][0]
            pieces = [piece async for piece in file]
            kind, body, called = file
            seen.append((kind, called, body == await file.read() == b"".join(pieces) == BIG, max(map(len, pieces))))
        small = request.files["s"][0]
        seen.append([piece async for piece in small] == [b"abc"] == [await small.read()])
        return json([request.files["f"][0].is_on_disk, small.is_on_disk, repr(small)])

    files = [("f", ("f.bin", BIG)), ("s", ("s.txt", b"abc")), ("g", ("g.bin", BIG))]
    async with AsyncTestClient(app) as client:
        assert (await client.post("/", files=files)).json() == [True, False, "<File 's.txt' text/plain 3 bytes>"]
    kind = "application/octet-stream"
    assert seen == [(kind, "f.bin", True, PIECE_BYTES), (kind, "g.bin", True, PIECE_BYTES), True]
    assert [file.closed for file in disk] == [True]


async def test_threshold(disk: list[Any]) -> None:
    """A file of exactly the threshold stays in memory, one byte more goes to disk; so do files past the memory limit."""
    async with AsyncTestClient(make_app(FORM_SPOOL_SIZE=1000, FORM_MAX_MEMORY_SIZE=1500)) as client:
        files = [("f", ("a", b"x" * 1000)), ("f", ("b", b"x" * 1001)), ("f", ("c", b"x" * 500)), ("f", ("d", b"x"))]
        response = await client.post("/stream", files=files)
        assert [file[3] for file in response.json()["files"]["f"]] == [False, True, False, True]
        assert (await client.post("/stream", files=FILES)).status_code == 200
    assert len(disk) == 1


async def test_files_are_saved(tmp_path: Path) -> None:
    """`save` writes a file under a name of the handler's, from memory, from disk and from a part that is arriving."""
    app = App("saved")

    @app.post("/form", stream=True)
    async def form(request: Request) -> object:
        await request.receive_form()
        for index, file in enumerate(request.files["f"]):
            await file.save(tmp_path / f"form-{index}")
        return json(None)

    @app.post("/parts", stream=True)
    async def parts(request: Request) -> object:
        return json([await part.save(tmp_path / f"part-{part.filename}") async for part in request.parts()])

    files = [("f", ("0", BIG)), ("f", ("1", b"abc")), ("f", ("2", b""))]
    async with AsyncTestClient(app) as client:
        assert (await client.post("/form", files=files)).status_code == 200
        assert (await client.post("/parts", files=files)).json() == [len(BIG), 3, 0]
    for kind in ("form", "part"):
        assert [(tmp_path / f"{kind}-{index}").read_bytes() for index in range(3)] == [BIG, b"abc", b""]


@pytest.mark.parametrize("ending", ["error", "cancelled", "malformed", "too large"])
async def test_disk_is_freed_whatever_happens(ending: str, disk: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The temporary file is closed when the handler fails or is cancelled, and when the form turns out to be bad."""
    app = App("freed", config={"REQUEST_MAX_SIZE": 2 * len(BIG)})
    begun, ended = asyncio.Event(), asyncio.Event()
    loop, close = asyncio.get_running_loop(), Spool.close

    def close_and_tell(spool: Spool) -> None:
        close(spool)
        loop.call_soon_threadsafe(ended.set)

    monkeypatch.setattr(Spool, "close", close_and_tell)

    @app.post("/", stream=True)
    async def upload(request: Request) -> object:
        await request.receive_form()
        begun.set()
        if ending == "error":
            raise LookupError
        await asyncio.Event().wait()
        return None

    content = FIELD.replace(b'"a"', b'"f"; filename="x"') + BIG
    content += {"malformed": b"\r\n--b\r\nnonsense\r\n\r\n", "too large": BIG}.get(ending, b"\r\n--b--")
    async with AsyncTestClient(app) as client:
        sending = asyncio.ensure_future(client.post("/", content=pieces_of(content), headers={"content-type": BOUNDARY}))
        if ending == "cancelled":
            await begun.wait()
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            await ended.wait()  # the server hears of it in its own time
        else:
            assert (await sending).status_code == {"error": 500, "malformed": 400, "too large": 413}[ending]
    assert [file.closed for file in disk] == [True]


async def test_files_after_the_request() -> None:
    """A file on disk that outlives its request says what to do; one in memory goes on."""
    app = App("late")
    kept: list[File] = []

    @app.post("/", stream=True)
    async def upload(request: Request) -> object:
        await request.receive_form()
        kept.extend(request.files["f"])
        return json(None)

    async with AsyncTestClient(app) as client:
        await client.post("/", files=[("f", ("a", BIG)), ("f", ("b", b"abc"))])
    with pytest.raises(ValueError, match="save it"):
        await kept[0].read()
    assert kept[1].body == b"abc"


def test_spool_that_is_closed() -> None:
    """A thread that still writes when the request is over writes nothing, and nothing is left open."""
    spool = Spool()
    spool.close()
    with pytest.raises(ValueError, match="over"):
        spool.append(b"x")


async def test_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No room for an upload is 503, which says nothing of the path."""

    def fail(**options: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/secret")

    monkeypatch.setattr(tempfile, "TemporaryFile", fail)
    async with AsyncTestClient(make_app()) as client:
        response = await client.post("/stream", files={"f": BIG})
    assert response.status_code == 503
    assert "secret" not in response.text


# Part by part


@pytest.mark.parametrize("path", ["/parts", "/parts-in-memory"])
async def test_parts_as_they_come(path: str, disk: list[Any]) -> None:
    """Parts come one after another; what a handler leaves unread is passed over."""
    files = [("skipped", ("s", BIG)), ("a", (None, "1")), ("f", ("x", BIG)), ("skipped", ("s", b"x")), ("b", (None, "2"))]
    async with AsyncTestClient(make_app()) as client:
        assert (await client.post(path, files=files)).json() == [["a", None, "1"], ["f", "x", len(BIG)], ["b", None, "2"]]
        urlencoded = await client.post(path, data={"a": "1"})
    assert urlencoded.status_code == 415
    assert disk == []


async def test_parts_arrive_before_the_form_ends() -> None:
    """A part is handed out while the client is still sending."""
    app = App("live")
    names: asyncio.Queue[str] = asyncio.Queue()

    @app.post("/", stream=True)
    async def upload(request: Request) -> object:
        async for part in request.parts():
            assert current_request.get() is request
            names.put_nowait(repr(part))
        return json(None)

    async def body() -> AsyncIterator[bytes]:
        yield FIELD
        assert await names.get() == "<Part 'a' text/plain>"
        yield b"x\r\n--b--"

    async with AsyncTestClient(app) as client:
        assert (await client.post("/", content=body(), headers={"content-type": BOUNDARY})).status_code == 200


# Limits, by their settings


@pytest.mark.parametrize(
    ("settings", "path", "files"),
    [
        ({"FORM_MAX_PARTS": 3}, "/memory", FILES),
        ({"FORM_MAX_PARTS": 3}, "/stream", FILES),
        ({"FORM_MAX_PARTS": 3}, "/parts", FILES),
        ({"FORM_MAX_PART_HEADERS": 1}, "/stream", FILES),
        ({"FORM_MAX_HEADER_SIZE": 50}, "/stream", FILES),
        ({"FORM_MAX_FIELD_SIZE": 1}, "/stream", FILES),
        ({"FORM_MAX_FILE_SIZE": 2}, "/stream", FILES),
        ({"FORM_MAX_FILE_SIZE": 2}, "/memory", FILES),
        ({"FORM_MAX_MEMORY_SIZE": 5}, "/stream", [("a", (None, "123")), ("b", (None, "456"))]),
        ({"FORM_MAX_MEMORY_SIZE": 5}, "/parts", [("a", (None, "123456"))]),
        ({"REQUEST_MAX_SIZE": 100}, "/stream", FILES),
        ({"REQUEST_MAX_SIZE": 100}, "/memory", FILES),
    ],
)
async def test_settings_past_which_it_is_413(settings: dict[str, int], path: str, files: Any) -> None:
    """Every limit has a setting, and past it the answer is 413."""
    async with AsyncTestClient(make_app(**settings)) as client:
        response = await client.post(path, files=files)
    assert (response.status_code, response.headers["content-type"]) == (413, "application/problem+json")


async def test_long_urlencoded_form_on_a_stream() -> None:
    """A urlencoded form on a streaming route is held in memory, and so only up to the memory limit."""
    async with AsyncTestClient(make_app(FORM_MAX_MEMORY_SIZE=100)) as client:
        assert (await client.post("/stream", data={"a": "x" * 98})).status_code == 200
        assert (await client.post("/stream", data={"a": "x" * 99})).status_code == 413


async def test_many_small_pieces() -> None:
    """A form that drips in, byte by byte, is the same form."""
    content = FIELD + b"1\r\n--b--"
    async with AsyncTestClient(make_app()) as client:
        response = await client.post("/stream", content=pieces_of(content, 1), headers={"content-type": BOUNDARY})
    assert response.json() == {"form": {"a": ["1"]}, "files": {}}
