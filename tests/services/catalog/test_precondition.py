"""Conditional requests: the matrix of entity tags against reading and changing (RFC 9110 §13)."""

from __future__ import annotations

import asyncio

import pytest

from .conftest import Catalog


async def changed(catalog: Catalog) -> str:
    """The path of a product of version 2."""
    product = await catalog.create()
    path = f"/v1/products/{product['id']}"
    await catalog.send("PATCH", path, {"stock": 99})
    return path


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        ('"2"', 304),
        ('W/"2"', 304),
        ("*", 304),
        ('"1", "2"', 304),
        ('"1",W/"2"  ,"x"', 304),
        ('"1"', 200),
        ('"3"', 200),
        ("2", 200),
        ('""', 200),
        ('"2', 200),
        ('"a,2"', 200),
        (",", 200),
        ("", 200),
    ],
)
async def test_if_none_match(catalog: Catalog, tags: str, status: int) -> None:
    """304 without a body, and with the tag, when the client has the version; comparison is weak."""
    response = await catalog.client.get(await changed(catalog), headers={"If-None-Match": tags})
    assert response.status_code == status
    assert response.headers["etag"] == '"2"'
    assert (response.content == b"") == (status == 304)


@pytest.mark.parametrize(
    ("tags", "is_allowed"),
    [
        ('"2"', True),
        ("*", True),
        ('"1", "2"', True),
        ('"1"', False),
        ('"3"', False),
        ('W/"2"', False),
        ("2", False),
        ('"2', False),
        ("", False),
        ("*, *", False),
    ],
)
async def test_if_match(catalog: Catalog, tags: str, is_allowed: bool) -> None:
    """A change goes through only for the version that it was made for; comparison is strong; 412 names the current tag."""
    path = await changed(catalog)
    patched = await catalog.send("PATCH", path, {"stock": 5}, {"If-Match": tags})
    assert patched.status_code == (200 if is_allowed else 412)
    assert patched.headers["etag"] == ('"3"' if is_allowed else '"2"')
    path = await changed_again(catalog)
    deleted = await catalog.send("DELETE", path, headers={"If-Match": tags})
    assert deleted.status_code == (204 if is_allowed else 412)
    if not is_allowed:
        assert deleted.headers["etag"] == '"2"'
        assert deleted.json()["detail"] == "The product has changed since it was read"
        assert (await catalog.client.get(path)).status_code == 200


async def changed_again(catalog: Catalog) -> str:
    product = await catalog.create("MUG-2")
    path = f"/v1/products/{product['id']}"
    await catalog.send("PATCH", path, {"stock": 99})
    return path


async def test_tags_in_several_lines(catalog: Catalog) -> None:
    """Two If-Match lines are one list."""
    path = await changed(catalog)
    headers = [*catalog.authorization.items(), ("If-Match", '"1"'), ("If-Match", '"2"')]
    response = await catalog.client.patch(path, json={"stock": 5}, headers=headers)
    assert response.status_code == 200


async def test_if_none_match_on_a_change(catalog: Catalog) -> None:
    """ "Only if it is not this version" (§13.1.2): 412 when it is."""
    path = await changed(catalog)
    assert (await catalog.send("PATCH", path, {"stock": 5}, {"If-None-Match": "*"})).status_code == 412
    assert (await catalog.send("PATCH", path, {"stock": 5}, {"If-None-Match": '"2"'})).status_code == 412
    assert (await catalog.send("PATCH", path, {"stock": 5}, {"If-None-Match": '"1"'})).status_code == 200


async def test_a_condition_on_a_patch_that_changes_nothing(catalog: Catalog) -> None:
    """412 even then: the client has not seen what it "keeps"."""
    path = await changed(catalog)
    assert (await catalog.send("PATCH", path, {"stock": 99}, {"If-Match": '"1"'})).status_code == 412
    assert (await catalog.send("PATCH", path, {"stock": 99}, {"If-Match": '"2"'})).status_code == 200


async def test_of_changes_for_one_version_one_wins(catalog: Catalog) -> None:
    """Ten clients that read the same version: the first changes it, the others are told."""
    path = await changed(catalog)
    patches = [catalog.send("PATCH", path, {"stock": stock}, {"If-Match": '"2"'}) for stock in range(10)]
    responses = await asyncio.gather(*patches)
    assert sorted(response.status_code for response in responses) == [200] + [412] * 9
    [won] = [response for response in responses if response.status_code == 200]
    assert (await catalog.client.get(path)).json() == won.json()


async def test_a_condition_on_nothing(catalog: Catalog) -> None:
    """What is not there is 404, with a condition as without one (§13.2.1)."""
    path = await changed(catalog)
    await catalog.send("DELETE", path)
    assert (await catalog.send("PATCH", path, {"stock": 5}, {"If-Match": "*"})).status_code == 404
    assert (await catalog.send("DELETE", path, headers={"If-Match": '"2"'})).status_code == 404
    assert (await catalog.client.get(path, headers={"If-None-Match": "*"})).status_code == 404


async def test_head_shows_the_tag(catalog: Catalog) -> None:
    """HEAD is GET without the body."""
    response = await catalog.client.head(await changed(catalog))
    assert (response.status_code, response.headers["etag"], response.content) == (200, '"2"', b"")
