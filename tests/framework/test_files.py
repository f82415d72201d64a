"""Files: what a client may have of them, and that it gets nothing else (P5)."""

from __future__ import annotations

import errno
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fairlead.static as module
from fairlead import App, Request, file
from fairlead.errors import FileNotFound, NoRequest, PreconditionFailed, RangeNotSatisfiable
from fairlead.files import etag_of, file_stream, guess_content_type, parse_range, validate_file
from fairlead.http.headers import Headers
from fairlead.static import StaticFiles, resolve_inside
from fairlead.testing import AsyncTestClient
from tests.framework.server.scripted import Scripted

CONTENT = bytes(range(256)) * 4
MODIFIED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def http_date(moment: datetime) -> str:
    """A moment as HTTP writes it."""
    return format_datetime(moment, usegmt=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder to serve, and beside it what must not be served."""
    root = tmp_path / "public"
    (root / "sub").mkdir(parents=True)
    (root / "data.bin").write_bytes(CONTENT)
    (root / "page.html").write_text("<p>ü</p>")
    (root / "empty.txt").touch()
    (root / "100%25 a+b.txt").write_text("odd name")
    (root / "sub" / "index.html").write_text("index of sub")
    (root / "index.html").write_text("index of root")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "public-too").mkdir()
    (tmp_path / "public-too" / "secret.txt").write_text("secret")
    (root / "out.txt").symlink_to(tmp_path / "secret.txt")
    (root / "out").symlink_to(tmp_path)
    (root / "in.txt").symlink_to(root / "page.html")
    (root / "loop").symlink_to(root / "loop")
    (root / "leads out").mkdir()
    (root / "leads out" / "index.html").symlink_to(tmp_path / "secret.txt")
    os.mkfifo(root / "fifo")
    stamp = MODIFIED.timestamp()
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.utime(path, (stamp, stamp))
    return root


def make_app(folder: Path, **options: Any) -> App:
    """`/static/…` from a folder."""
    app = App("files")
    app.static("/static", folder, **options)
    return app


# What a file is called


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a.svg", "image/svg+xml; charset=utf-8"),
        ("a.png", "image/png"),
        ("a.tar.gz", "application/gzip"),
        ("a.txt.bz2", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
    ],
)
def test_content_types(name: str, expected: str) -> None:
    """The name says the type; text has a charset; what is compressed is not what it was before."""
    assert guess_content_type(name) == expected


# Ranges


@pytest.mark.parametrize(
    ("header", "total", "expected"),
    [
        ("bytes=0-0", 10, (0, 0)),
        ("Bytes=2-", 10, (2, 9)),
        ("bytes=2-99", 10, (2, 9)),
        ("bytes=-3", 10, (7, 9)),
        ("bytes=-99", 10, (0, 9)),
        (" bytes=1-2 ", 10, (1, 2)),
        ("bytes=3-2", 10, None),
        ("bytes=-", 10, None),
        ("bytes=0-1,3-4", 10, None),
        ("lines=0-1", 10, None),
        ("bytes=+1-2", 10, None),
        ("bytes=1-2x", 10, None),
    ],
)
def test_ranges(header: str, total: int, expected: tuple[int, int] | None) -> None:
    """One range of bytes is honoured; what is malformed, of another unit, or several, is answered whole (RFC 9110 §14.2)."""
    assert parse_range(header, total) == expected


@pytest.mark.parametrize(("header", "total"), [("bytes=10-", 10), ("bytes=0-", 0), ("bytes=-0", 10), ("bytes=-5", 0)])
def test_ranges_beyond_the_file(header: str, total: int) -> None:
    """A range that lies beyond the file is 416 with the file's size (RFC 9110 §15.5.17)."""
    with pytest.raises(RangeNotSatisfiable) as refused:
        parse_range(header, total)
    assert refused.value.headers == {"Content-Range": f"bytes */{total}"}


@given(st.integers(0, 50), st.none() | st.integers(0, 50), st.none() | st.integers(0, 50))
def test_any_range_lies_within_the_file(total: int, first: int | None, last: int | None) -> None:
    """Whatever is asked for, what is given are bytes that the file has."""
    header = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    try:
        chosen = parse_range(header, total)
    except RangeNotSatisfiable:
        assert total == 0 or (first is not None and first >= total) or last == 0
        return
    if chosen is not None:
        assert 0 <= chosen[0] <= chosen[1] < total


# One file


async def test_file(folder: Path) -> None:
    """A file has its content, type, tag, date, and is asked for again each time unless said otherwise."""
    response = await file(folder / "page.html")
    assert (response.status, response.body, response.content_type) == (200, "<p>ü</p>".encode(), "text/html; charset=utf-8")
    assert response.headers.multi_items() == [
        ("etag", etag_of((folder / "page.html").stat())),
        ("last-modified", http_date(MODIFIED)),
        ("accept-ranges", "bytes"),
        ("cache-control", "no-cache"),
    ]


@pytest.mark.parametrize(
    ("options", "name", "expected"),
    [
        ({"max_age": 60.5}, "cache-control", "public, max-age=60"),
        ({"no_store": True, "max_age": 60}, "cache-control", "no-store"),
        ({"headers": {"Cache-Control": "private"}}, "cache-control", "private"),
        ({"filename": 'ü".txt'}, "content-disposition", "attachment; filename*=UTF-8''%C3%BC%22.txt"),
        ({"last_modified": 0}, "last-modified", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ({"last_modified": datetime(2026, 1, 1, tzinfo=UTC)}, "last-modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ({"headers": {"ETag": '"own"'}}, "etag", '"own"'),
    ],
)
async def test_options_of_a_file(folder: Path, options: dict[str, Any], name: str, expected: str) -> None:
    """Caching, name, date and own fields, as Sanic has them; a field that was set stays."""
    response = await file(folder / "data.bin", **options)
    assert response.headers.getall(name) == [expected]
    assert response.status == 200


async def test_type_status_and_name_of_a_file(folder: Path) -> None:
    """A type that was given wins, the name for the download decides otherwise; a status other than 200 knows no ranges."""
    assert (await file(folder / "data.bin", mime_type="a/b")).content_type == "a/b"
    assert (await file(folder / "data.bin", filename="a.png")).content_type == "image/png"
    response = await file(folder / "data.bin", 404, Headers({"range": "bytes=0-1"}))
    assert (response.status, len(response.body)) == (404, len(CONTENT))


@pytest.mark.parametrize("name", ["none", "sub", "page.html/x", "fifo", "loop", "n" * 300])
async def test_what_is_no_file(folder: Path, name: str) -> None:
    """What is missing, a folder, a FIFO (which would hold a thread for ever), or no possible name is 404, its path kept private."""
    with pytest.raises(FileNotFound) as refused:
        await file(folder / name)
    assert str(folder) not in refused.value.message
    assert refused.value.extra["path"] == str(folder / name)


async def test_trouble_of_the_system_is_no_404(folder: Path) -> None:
    """Too many open files is not "not found": a 404 could be cached."""
    held: list[socket.socket] = []
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    await file(folder / "page.html")  # the executor's thread exists
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 4, limits[1]))
    try:
        with suppress(OSError):
            while True:
                held.append(socket.socket())
        with pytest.raises(OSError, match="open files") as trouble:
            await file(folder / "page.html")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for sock in held:
            sock.close()
    assert trouble.value.errno == errno.EMFILE


# Conditions

BEFORE, AFTER = http_date(MODIFIED - timedelta(seconds=1)), http_date(MODIFIED + timedelta(seconds=1))
SAME = http_date(MODIFIED)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"if-none-match": "TAG"}, 304),
        ({"if-none-match": "W/TAG"}, 304),
        ({"if-none-match": '"x", TAG'}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"x"', "if-modified-since": AFTER}, 200),
        ({"if-modified-since": SAME}, 304),
        ({"if-modified-since": AFTER}, 304),
        ({"if-modified-since": "Fri Jan  2 03:04:05 2026"}, 304),
        ({"if-modified-since": BEFORE}, 200),
        ({"if-modified-since": "yesterday"}, 200),
        ({"if-match": "TAG"}, 200),
        ({"if-match": "*"}, 200),
        ({"if-match": '"x"'}, 412),
        ({"if-match": "W/TAG"}, 412),
        ({"if-match": "TAG", "if-none-match": "TAG"}, 304),
        ({"if-match": "TAG", "if-unmodified-since": BEFORE}, 200),
        ({"if-unmodified-since": SAME}, 200),
        ({"if-unmodified-since": BEFORE}, 412),
        ({"if-unmodified-since": "never"}, 200),
        ({"range": "bytes=0-1"}, 206),
        ({"range": "bytes=0-1,4-5"}, 200),
        ({"range": "bytes=9999-"}, 416),
        ({"range": "bytes=0-1", "if-range": "TAG"}, 206),
        ({"range": "bytes=0-1", "if-range": "W/TAG"}, 200),
        ({"range": "bytes=0-1", "if-range": '"x"'}, 200),
        ({"range": "bytes=0-1", "if-range": SAME}, 206),
        ({"range": "bytes=0-1", "if-range": AFTER}, 200),
        ({"range": "bytes=0-1", "if-none-match": "TAG"}, 304),
        ({"range": "bytes=9999-", "if-none-match": "TAG"}, 304),
    ],
)
async def test_conditions(folder: Path, fields: dict[str, str], status: int) -> None:
    """Conditions are asked in the order of RFC 9110 §13.2.2: insisting (412), then knowing (304), then a part (206, 416)."""
    tag = etag_of((folder / "data.bin").stat())
    async with AsyncTestClient(make_app(folder)) as client:
        headers = {name: value.replace("TAG", tag) for name, value in fields.items()}
        response = await client.get("/static/data.bin", headers=headers)
    assert response.status_code == status
    assert response.content == {200: CONTENT, 206: CONTENT[:2], 304: b""}.get(status, response.content)
    if status in (200, 206, 304):
        assert response.headers["etag"] == tag
    assert response.headers.get("content-range") == {206: "bytes 0-1/1024", 416: "bytes */1024"}.get(status)
    assert ("content-length" in response.headers) == (status != 304)


async def test_conditions_can_be_ignored(folder: Path) -> None:
    """`file` without the request's headers, or told not to validate, gives the file."""
    fields = Headers({"if-none-match": "*", "if-match": '"x"'})
    assert (await file(folder / "data.bin", request_headers=fields, validate_when_requested=False)).status == 200
    with pytest.raises(PreconditionFailed):
        await file(folder / "data.bin", request_headers=fields)


async def test_weak_tag_of_the_application(folder: Path) -> None:
    """A weak tag is good for asking whether something is new, not for parts, nor for insisting (RFC 9110 §8.8.3.2)."""
    own = {"etag": 'W/"1"'}
    path = folder / "data.bin"
    assert (await file(path, headers=own, request_headers=Headers({"if-none-match": '"1"'}))).status == 304
    whole = await file(path, headers=own, request_headers=Headers({"range": "bytes=0-1", "if-range": 'W/"1"'}))
    assert whole.status == 200
    with pytest.raises(PreconditionFailed):
        await file(path, headers=own, request_headers=Headers({"if-match": 'W/"1"'}))


async def test_validate_file() -> None:
    """`validate_file` is 304 for a client that has seen this date, else None; a tag is not its matter."""
    seen = Headers({"if-modified-since": SAME, "if-none-match": '"x"'})
    answer = await validate_file(seen, MODIFIED)
    assert answer is not None
    assert answer.status == 304
    assert await validate_file(seen, MODIFIED.timestamp() + 1) is None
    assert await validate_file(Headers({"if-none-match": "*"}), MODIFIED) is None


# Folders


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("page.html", "<p>ü</p>"),
        ("in.txt", "<p>ü</p>"),
        ("100%2525%20a+b.txt", "odd name"),
        ("sub/index.html", "index of sub"),
        ("sub//index.html", "index of sub"),
        ("empty.txt", ""),
    ],
)
async def test_what_is_inside(folder: Path, path: str, content: str) -> None:
    """What lies inside is served, names decoded once; a link that stays inside is fine."""
    async with AsyncTestClient(make_app(folder)) as client:
        response = await client.get(f"/static/{path}")
    assert (response.status_code, response.text) == (200, content)


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "%2e%2e/secret.txt",
        "..%2fsecret.txt",
        "%2E%2E%2Fsecret.txt",
        "sub/../../secret.txt",
        "sub/../page.html",
        "..\\secret.txt",
        "..%5csecret.txt",
        "%252e%252e%252fsecret.txt",
        "../public-too/secret.txt",
        "sub%2Findex.html",
        "sub%2findex.html",
        "%2fetc%2fpasswd",
        "//etc/passwd",
        "page.html%00",
        "page.html%00.png",
        "out.txt",
        "out/secret.txt",
        "out/public/page.html/../../secret.txt",
        "loop",
        "fifo",
        "sub",
        "sub/",
        "none",
        "page.html/",
        "%ff",
        "n" * 5000,
        "a/" * 2000,
    ],
)
async def test_what_is_outside(folder: Path, path: str) -> None:
    """`..`, encoded slashes, backslashes, NUL, links that lead out, folders and FIFOs are a plain 404 that names no path."""
    scripted = Scripted(make_app(folder))  # clients of good manners would resolve the dots themselves
    await scripted.send(b"GET /static/%b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % path.encode())
    await scripted.until(lambda: scripted.transport.ended)
    assert scripted.taken.startswith(b"HTTP/1.1 404 ")
    assert b"secret" not in scripted.taken.replace(b"secret.txt", b"")
    assert str(folder).encode() not in scripted.taken
    scripted.close()


@given(st.lists(st.sampled_from(["..", ".", "sub", "out", "/", "//", "%2f", "\\", "\0", "secret.txt", "~", "etc"])).map("/".join))
def test_nobody_climbs_out(name: str) -> None:
    """Whatever the name, what is found lies inside the folder, or nothing is found."""
    root = Path(__file__).resolve().parent
    with suppress(FileNotFound):
        assert resolve_inside(root, name).is_relative_to(root)


async def test_index(folder: Path) -> None:
    """With an index a folder gives its index, unless that leads out; without one it is 404."""
    async with AsyncTestClient(make_app(folder, index="index.html")) as client:
        assert (await client.get("/static/")).text == "index of root"
        for path in ("sub", "sub/"):
            assert (await client.get(f"/static/{path}", follow_redirects=True)).text == "index of sub"
        assert (await client.get("/static/leads%20out/")).status_code == 404
        assert (await client.get("/static/" + "n" * 300)).status_code == 404
    async with AsyncTestClient(make_app(folder)) as client:
        assert (await client.get("/static/")).status_code == 404


async def test_one_file_as_a_route(folder: Path) -> None:
    """`static` of a file serves that file, with the type and age that were given; other methods are 405."""
    app = App("one")
    app.static("/page", folder / "page.html", content_type="text/x-own", max_age=5)
    async with AsyncTestClient(app) as client:
        response = await client.get("/page")
        assert (response.headers["content-type"], response.headers["cache-control"]) == ("text/x-own", "public, max-age=5")
        assert (await client.post("/page")).status_code == 405


async def test_head_of_a_file(folder: Path) -> None:
    """HEAD says how long the file is without a byte of it; ranges are GET's (RFC 9110 §14.2)."""
    async with AsyncTestClient(make_app(folder)) as client:
        response = await client.head("/static/data.bin", headers={"range": "bytes=0-1"})
        assert (response.status_code, response.headers["content-length"], response.content) == (200, "1024", b"")
        assert (await client.head("/static/empty.txt")).headers["content-length"] == "0"
        tag = response.headers["etag"]
        assert (await client.head("/static/data.bin", headers={"if-none-match": tag})).status_code == 304


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Files count as large from 100 bytes on, and go in pieces of 30."""
    monkeypatch.setattr(module, "STREAM_FROM_BYTES", 100)
    monkeypatch.setattr(module, "PIECE_BYTES", 30)
    return


@pytest.mark.usefixtures("small_pieces")
async def test_large_file_is_sent_in_pieces(folder: Path) -> None:
    """A large file comes whole with its length, and so does a large part; response middleware sees its head."""
    app = make_app(folder)

    @app.on_response
    def mark(request: Request, response: Any) -> None:
        response.headers["x-kind"] = type(response).__name__

    async with AsyncTestClient(app) as client:
        response = await client.get("/static/data.bin")
        assert (response.content, response.headers["content-length"]) == (CONTENT, "1024")
        assert response.headers["x-kind"] == "ResponseStream"
        part = await client.get("/static/data.bin", headers={"range": "bytes=10-209"})
        assert (part.status_code, part.content) == (206, CONTENT[10:210])
        assert (await client.get("/static/page.html")).headers["x-kind"] == "HTTPResponse"


@pytest.mark.usefixtures("small_pieces")
async def test_file_that_is_cut_short_while_it_is_sent(folder: Path) -> None:
    """When a file becomes shorter than was announced, the connection is cut: the client must not take the part for the whole."""
    app = make_app(folder)

    @app.on_response
    def shorten(request: Request, response: Any) -> None:
        os.truncate(folder / "data.bin", 50)

    async with AsyncTestClient(app) as client:
        with pytest.raises(httpx.TransportError):
            await client.get("/static/data.bin")


def test_nothing_to_serve(tmp_path: Path) -> None:
    """A folder that does not exist is an error when it is registered."""
    with pytest.raises(ValueError, match="no file or folder"):
        StaticFiles(location=tmp_path / "none")


async def test_file_stream(tmp_path: Path) -> None:
    """A file as the response, in pieces; under another name; missing is a 404; outside of a request an error."""
    (tmp_path / "a.css").write_bytes(b"body {}")
    app = App("a")

    @app.get("/<name>")
    async def handler(request: Request[Any, Any], name: str) -> Any:
        return await file_stream(tmp_path / "a.css" if name != "none" else tmp_path / "none", 201, 2, filename=name)

    async with AsyncTestClient(app) as client:
        for name, shown in (("b.css", 'filename="b.css"'), ("ü.css", "filename*=UTF-8''%C3%BC.css")):
            response = await client.get(f"/{name}")
            assert (response.status_code, response.content) == (201, b"body {}")
            assert response.headers["content-disposition"] == f"attachment; {shown}"
            assert response.headers["content-type"] == "text/css; charset=utf-8"
        assert (await client.get("/none")).status_code == 404
    with pytest.raises(NoRequest):
        await file_stream(tmp_path / "a.css")
