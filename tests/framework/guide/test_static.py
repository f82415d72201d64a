"""Sanic's guide, section Static files: runs on Sanic and on Fairlead (S, P5; see framework.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.framework.guide.framework import ON_SANIC, App


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file, a page, and a folder inside."""
    root = tmp_path / "root"
    (root / "inner").mkdir(parents=True)
    (root / "file.txt").write_text("content")
    (root / "index.html").write_text("<p>index</p>")
    (root / "inner" / "deep.css").write_text("body {}")
    (tmp_path / "secret.txt").write_text("secret")
    return root


def test_folder(folder: Path) -> None:
    """Every file below it, with its media type; nothing beside it."""
    app = App("folder")
    app.static("/static/", folder)
    client = app.test_client
    _, response = client.get("/static/file.txt")
    assert (response.text, response.headers["content-type"].partition(";")[0]) == ("content", "text/plain")
    assert client.get("/static/inner/deep.css")[1].headers["content-type"].startswith("text/css")
    for path in ("/static/none.txt", "/static/../secret.txt", "/static/%2e%2e/secret.txt"):
        assert client.get(path)[1].status == 404


def test_one_file(folder: Path) -> None:
    """At its own address."""
    app = App("file")
    app.static("/", folder / "index.html", name="page")
    assert app.test_client.get("/")[1].text == "<p>index</p>"


def test_names(folder: Path) -> None:
    """`url_for("static", name=…, filename=…)`."""
    app = App("names")
    app.static("/static", folder)
    app.static("/user/uploads", folder, name="uploads")
    assert app.url_for("static", name="static", filename="file.txt") == "/static/file.txt"
    assert app.url_for("static", name="uploads", filename="inner/deep.css") == "/user/uploads/inner/deep.css"
    assert app.url_for("static", filename="/file.txt") == "/static/file.txt"
    assert app.test_client.get("/user/uploads/file.txt")[1].status == 200


def test_index(folder: Path) -> None:
    """A page for the folder itself."""
    app = App("index")
    app.static("/foo/", folder, index="index.html")
    assert app.test_client.get("/foo/")[1].text == "<p>index</p>"


def test_browser(folder: Path) -> None:
    """A list of what there is, if asked for."""
    app = App("browser")
    app.static("/uploads/", folder, directory_view=True)
    _, response = app.test_client.get("/uploads/")
    assert response.status == 200
    assert "file.txt" in response.text
    assert "inner" in response.text
    assert app.test_client.get("/uploads/inner/deep.css")[1].text == "body {}"


def test_conditions_and_ranges(folder: Path) -> None:
    """304 for what the client has, 206 for a part, 416 for none; HEAD has no body."""
    app = App("conditions")
    app.static("/static", folder, use_content_range=True)
    client: Any = app.test_client
    _, response = client.get("/static/file.txt")
    modified = response.headers["last-modified"]
    assert client.get("/static/file.txt", headers={"if-modified-since": modified})[1].status == 304
    _, part = client.get("/static/file.txt", headers={"range": "bytes=0-2"})
    assert (part.status, part.text, part.headers["content-range"]) == (206, "con", "bytes 0-2/7")
    assert ON_SANIC or client.get("/static/file.txt", headers={"range": "bytes=90-99"})[1].status == 416
    _, head = client.head("/static/file.txt")
    assert (head.status, head.headers["content-length"], head.body) == (200, "7", b"")


@pytest.mark.parametrize("follow", [False, True])
def test_links(folder: Path, follow: bool) -> None:
    """Links that lead out are followed only if that is asked for, for files and for folders each; those inside always."""
    (folder / "inside.txt").symlink_to(folder / "file.txt")
    (folder / "outside.txt").symlink_to(folder.parent / "secret.txt")
    outer = folder.parent / "outer"
    outer.mkdir()
    (outer / "file.txt").write_text("outer")
    (folder / "outer").symlink_to(outer)
    app = App("links")
    app.static("/files", folder, name="files", follow_external_symlink_files=follow)
    app.static("/folders", folder, name="folders", follow_external_symlink_dirs=follow)
    client = app.test_client
    assert client.get("/files/inside.txt")[1].status == 200
    assert client.get("/files/outside.txt")[1].status == (200 if follow else 404)
    assert client.get("/files/outer/file.txt")[1].status == 404
    assert client.get("/folders/outer/file.txt")[1].status == (200 if follow else 404)
    assert client.get("/folders/outside.txt")[1].status == 404
