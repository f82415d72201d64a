"""Static files: listings, several index files, kinds, links (P5). What is served of a file is held by test_files.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

from fairlead import App
from fairlead.testing import AsyncTestClient


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files, a folder, a hidden file, and links of every kind."""
    root = tmp_path / "root"
    (root / "inner").mkdir(parents=True)
    (root / "b <&>.txt").write_text("content")
    (root / ".hidden").write_text("hidden")
    (root / "inner" / "default.htm").write_text("default")
    (tmp_path / "secret.txt").write_text("secret")
    (root / "outside.txt").symlink_to(tmp_path / "secret.txt")
    (root / "broken.txt").symlink_to(tmp_path / "none")
    (root / "loop").symlink_to(root / "loop")
    return root


async def test_listing(folder: Path) -> None:
    """Folders first; names escaped; hidden files, broken links and links that lead out are not there; a slash is added."""
    app = App("a")
    app.static("/files", folder, directory_view=True)
    async with AsyncTestClient(app) as client:
        page = (await client.get("/files/")).text
        assert page.index("inner/") < page.index("b &lt;&amp;&gt;.txt")
        assert 'href="./b%20%3C%26%3E.txt"' in page
        assert not [name for name in ("hidden", "outside", "broken", "loop", "../") if name in page]
        inner = await client.get("/files/inner")
        assert (inner.status_code, inner.headers["location"]) == (301, "./inner/")
        assert '<a href="../">' in (await client.get("/files/inner/")).text
        for path in ("/files/outside.txt", "/files/broken.txt", "/files/loop", "/files/none/"):
            assert (await client.get(path)).status_code == 404


async def test_several_index_files(folder: Path) -> None:
    """The first that exists; without one the listing, or a 404."""
    app = App("a")
    app.static("/page", folder, index=["index.html", "default.htm"], name="page")
    app.static("/view", folder, index=["index.html", "default.htm"], name="view", directory_view=True)
    async with AsyncTestClient(app) as client:
        assert (await client.get("/page/inner/")).text == "default"
        assert (await client.get("/page/")).status_code == 404
        assert (await client.get("/view/inner/")).text == "default"
        assert "<table>" in (await client.get("/view/")).text


@pytest.mark.parametrize("options", [{"index": "default.htm"}, {"directory_view": True}])
async def test_a_folder_without_its_slash_is_redirected(folder: Path, options: dict[str, Any]) -> None:
    """P5: else the relative links of its page lead beside it. The query is kept; the root of all is no exception."""
    app = App("a")
    (folder / "default.htm").write_text("top")
    (folder / "two words").mkdir()
    (folder / "two words" / "default.htm").write_text("words")
    app.static("/page", folder, **options)
    async with AsyncTestClient(app) as client:
        for path, location in (
            ("/page", "./page/"),
            ("/page/inner", "./inner/"),
            ("/page/inner?a=1&b=%2F", "./inner/?a=1&b=%2F"),
            ("/page/two%20words", "./two%20words/"),
        ):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["location"]) == (301, location)
            followed = await client.get(path, follow_redirects=True)
            assert (followed.status_code, followed.url.raw_path.decode()) == (
                200,
                path.replace("?", "/?") if "?" in path else f"{path}/",
            )
        assert (await client.head("/page/inner")).status_code == 301


@pytest.mark.parametrize("target", ["//inner", "///inner", "//there.example/..//inner", "/http:", "/.//inner"])
async def test_the_redirect_leads_to_no_other_host(folder: Path, target: str) -> None:
    """CWE-601: whatever the path looks like, a browser that follows stays with this host."""
    app = App("a")
    (folder / "http:").mkdir()
    app.static("/", folder, directory_view=True)
    async with AsyncTestClient(app) as client:
        answer = await client.request("GET", "http://here.example/", extensions={"target": target.encode()})
    assert answer.status_code in (301, 404)
    location = urljoin(f"http://here.example{target}", answer.headers.get("location", ""))
    assert urlsplit(location).netloc == "here.example"


async def test_a_folder_without_a_page_is_not_redirected(folder: Path) -> None:
    """Nothing is told of a folder that has neither index nor listing, nor of what is outside."""
    app = App("a")
    app.static("/page", folder, index="index.html")
    async with AsyncTestClient(app) as client:
        for path in ("/page", "/page/inner", "/page/%2e%2e/root/inner", "/page/..%2Froot"):
            assert (await client.get(path)).status_code == 404


async def test_without_ranges_and_conditions(folder: Path) -> None:
    """Both can be turned off, and large files be sent from any size on."""
    app = App("a")
    options: dict[str, Any] = {"use_content_range": False, "use_modified_since": False}
    app.static("/plain", folder, name="plain", stream_large_files=False, **options)
    app.static("/pieces", folder, name="pieces", stream_large_files=3)
    async with AsyncTestClient(app) as client:
        first = await client.get("/plain/b%20%3C%26%3E.txt")
        again = await client.get("/plain/b%20%3C%26%3E.txt", headers={"if-none-match": first.headers["etag"], "range": "bytes=0-1"})
        assert (again.status_code, again.text) == (200, "content")
        assert (await client.get("/pieces/b%20%3C%26%3E.txt")).text == "content"


def test_resource_type(folder: Path) -> None:
    """What is expected to be a file, or a folder, is one."""
    app = App("a")
    app.static("/a", folder, resource_type="dir", name="a")
    app.static("/b", folder / ".hidden", resource_type="file", name="b")
    for path, kind in ((folder, "file"), (folder / ".hidden", "dir")):
        with pytest.raises(ValueError, match="not of the type"):
            app.static("/c", path, resource_type=kind)
