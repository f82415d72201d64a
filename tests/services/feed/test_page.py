"""The page: what is served, how it is cached, and what the browser is told not to do."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest

from fairlead.testing import AsyncTestClient
from feed.api.page import render

ASSETS = sorted(path.name for path in (Path(str(files("feed"))) / "page" / "assets").iterdir())


def directives(policy: str) -> dict[str, list[str]]:
    return {words[0]: words[1:] for words in (directive.split() for directive in policy.split(";"))}


async def test_the_page_knows_where_the_services_are(client: AsyncTestClient) -> None:
    """Addresses and rooms come as JSON in an element; nothing else of the page depends on the settings."""
    response = await client.get("/")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    match = re.search(r'<script id="addresses" type="application/json">(.*?)</script>', response.text)
    assert match is not None
    assert json.loads(match[1]) == {
        "auth": "http://auth.example:8001",
        "catalog": "https://catalog.example",
        "rooms": ["harbour", "market", "workshop"],
    }


def test_an_address_cannot_end_its_element() -> None:
    """`<` is escaped, so that no setting becomes markup."""
    page = render("</script><script>alert(1)</script>", "https://catalog.example", ("harbour",)).decode()
    assert "<script>alert" not in page
    assert page.count("</script>") == 2


async def test_the_policy_lets_the_page_talk_to_its_services_only(client: AsyncTestClient) -> None:
    """No inline script, no foreign one, no frame around the page, and two foreign addresses for requests."""
    policy = directives((await client.get("/")).headers["content-security-policy"])
    assert policy["default-src"] == ["'none'"]
    assert policy["script-src"] == ["'self'"]
    assert policy["style-src"] == ["'self'"]
    assert policy["connect-src"] == ["'self'", "http://auth.example:8001", "https://catalog.example"]
    assert policy["frame-ancestors"] == ["'none'"]
    assert policy["base-uri"] == ["'none'"]
    assert policy["require-trusted-types-for"] == ["'script'"]


async def test_the_page_obeys_its_own_policy(client: AsyncTestClient) -> None:
    """No script or style in the markup, no address of another host in any file: no CDN, nothing to build."""
    page = (await client.get("/")).text
    assert re.findall(r"<script(?![^>]*(?:src=|application/json))", page) == []
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=", page) == []
    for name in ASSETS:
        text = (await client.get(f"/assets/{name}")).text
        assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text) == [], name
        assert re.findall(r"innerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text) == [], name


async def test_everything_that_the_page_names_is_there(client: AsyncTestClient) -> None:
    """Scripts, style and icon of the page, and the modules that scripts import."""
    page = (await client.get("/")).text
    names = set(re.findall(r'(?:src|href)="/assets/([^"]+)"', page))
    for name in ASSETS:
        names.update(re.findall(r'from "\./([^"]+)"', (await client.get(f"/assets/{name}")).text))
    assert names == set(ASSETS)


@pytest.mark.parametrize("name", ASSETS)
async def test_assets_have_their_type_and_are_cached_by_tag(client: AsyncTestClient, name: str) -> None:
    """The type is right (modules are refused otherwise), and a second visit costs a 304."""
    types = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml; charset=utf-8"}
    response = await client.get(f"/assets/{name}")
    assert response.status_code == 200
    assert response.headers["content-type"].replace("application/javascript", "text/javascript") == types[Path(name).suffix]
    assert response.headers["x-content-type-options"] == "nosniff"
    again = await client.get(f"/assets/{name}", headers={"if-none-match": response.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""


async def test_the_page_is_cached_by_tag(client: AsyncTestClient) -> None:
    """`no-cache` means: ask; the answer is 304 while the page is the same."""
    response = await client.get("/")
    assert response.headers["cache-control"] == "no-cache"
    again = await client.get("/", headers={"if-none-match": f'"other", W/{response.headers["etag"]}'})
    assert again.status_code == 304
    assert (await client.get("/", headers={"if-none-match": '"other"'})).status_code == 200


@pytest.mark.parametrize("path", ["/assets/../main.py", "/assets/%2e%2e/settings.py", "/assets/nothing.js", "/assets/"])
async def test_nothing_else_of_the_package_is_served(client: AsyncTestClient, path: str) -> None:
    """Only the folder of the assets is."""
    response = await client.get(path)
    assert response.status_code in (400, 404)
    assert "Settings" not in response.text
