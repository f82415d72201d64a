"""Who may do what: reading is everybody's, writing needs a good token with the right scope; pages of known origins may call."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from fairlead.auth import SigningKey

from .conftest import ORIGIN, WRITE, Catalog, Issuer, Open

NEW = {"sku": "MUG-9", "name": "Mug", "price": {"amount": 1, "currency": "EUR"}}


async def writes(catalog: Catalog, path: str, headers: dict[str, str]) -> list[httpx.Response]:
    """Each way of writing, with these headers."""
    client = catalog.client
    return [
        await client.post("/v1/products", json=NEW, headers=headers),
        await client.patch(path, json={"stock": 77}, headers=headers),
        await client.delete(path, headers=headers),
    ]


async def untouched(catalog: Catalog, product: dict[str, Any]) -> None:
    """The catalogue holds `product`, as it was, and nothing else."""
    assert (await catalog.client.get("/v1/products")).json()["items"] == [product]


async def test_reading_needs_no_token(catalog: Catalog) -> None:
    """Without a token, and with a bad one, products can be read."""
    product = await catalog.create()
    for headers in ({}, {"Authorization": "Bearer nonsense"}):
        assert (await catalog.client.get("/v1/products", headers=headers)).status_code == 200
        assert (await catalog.client.get(f"/v1/products/{product['id']}", headers=headers)).status_code == 200


async def test_writing_without_a_token(catalog: Catalog) -> None:
    """401 with a bare challenge (RFC 6750 §3, SEC-T06)."""
    product = await catalog.create()
    for response in await writes(catalog, f"/v1/products/{product['id']}", {}):
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.headers["content-type"] == "application/problem+json"
    await untouched(catalog, product)


def bad_tokens(issuer: Issuer) -> dict[str, str]:
    good = issuer.token(WRITE)
    head, payload, signature = good.split(".")
    return {
        "nonsense": "nonsense",
        "another key": issuer.token(WRITE, key=SigningKey.generate()),
        "another issuer": issuer.token(WRITE, issuer="https://auth.example.attacker.net"),
        "another audience": issuer.token(WRITE, audience="fairlead2"),
        "no signature": f"{head}.{payload}.",
        "another payload": f"{head}.{issuer.token('catalog:read').split('.')[1]}.{signature}",
        "cut off": good[:-4],
    }


async def test_writing_with_a_bad_token(catalog: Catalog, issuer: Issuer) -> None:
    """401 with `invalid_token`, whatever is wrong with it; nothing is written."""
    product = await catalog.create()
    for token in bad_tokens(issuer).values():
        for response in await writes(catalog, f"/v1/products/{product['id']}", {"Authorization": f"Bearer {token}"}):
            assert response.status_code == 401
            assert 'error="invalid_token"' in response.headers["www-authenticate"]
    await untouched(catalog, product)


@pytest.mark.parametrize("scopes", [(), ("catalog:read",), ("catalog:writer",), ("catalog",), ("CATALOG:WRITE",)])
async def test_writing_without_the_scope(catalog: Catalog, issuer: Issuer, scopes: tuple[str, ...]) -> None:
    """403 that names the scope; a scope that looks like it is another one."""
    product = await catalog.create()
    headers = {"Authorization": f"Bearer {issuer.token(*scopes)}"}
    for response in await writes(catalog, f"/v1/products/{product['id']}", headers):
        assert response.status_code == 403
        assert 'error="insufficient_scope", scope="catalog:write"' in response.headers["www-authenticate"]
    await untouched(catalog, product)


async def test_writing_with_more_scopes_than_needed(catalog: Catalog, issuer: Issuer) -> None:
    """Further scopes do no harm."""
    headers = {"Authorization": f"Bearer {issuer.token('feed:chat', WRITE)}"}
    assert (await catalog.client.post("/v1/products", json=NEW, headers=headers)).status_code == 201


async def test_a_token_anywhere_else_is_none(catalog: Catalog, issuer: Issuer) -> None:
    """A token in the query or in a cookie is not looked at (SEC-T05)."""
    token = issuer.token(WRITE)
    query = await catalog.client.post(f"/v1/products?access_token={token}", json=NEW)
    cookie = await catalog.client.post("/v1/products", json=NEW, headers={"Cookie": f"access_token={token}"})
    assert (query.status_code, cookie.status_code) == (401, 401)


async def test_a_stranger_learns_nothing_of_validation(catalog: Catalog) -> None:
    """Who may not write gets 401 for a malformed body as well."""
    response = await catalog.client.post("/v1/products", content=b"{", headers={"Content-Type": "application/json"})
    assert response.status_code == 401


async def test_without_the_issuer_reading_goes_on(open_catalog: Open) -> None:
    """While the keys can't be had, writing is 503 with Retry-After, reading is not concerned."""
    catalog = await open_catalog(auth_jwks_url="http://127.0.0.1:9/jwks")
    assert (await catalog.client.get("/v1/products")).status_code == 200
    response = await catalog.send("POST", body=NEW)
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1


async def test_pages_of_known_origins_may_call(catalog: Catalog) -> None:
    """A preflight of the shop's page is allowed, with the headers that it needs; its answers may be read, ETag included."""
    preflight = await catalog.client.options(
        "/v1/products/0192f0c1-0000-7000-8000-000000000001",
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "PATCH",
            "Access-Control-Request-Headers": "authorization, content-type, if-match",
        },
    )
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    response = await catalog.client.get("/v1/products", headers={"Origin": ORIGIN})
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert "ETag" in response.headers["access-control-expose-headers"]


async def test_pages_of_other_origins_may_not(catalog: Catalog) -> None:
    """An unknown origin is never answered with itself (SEC-A03)."""
    headers = {"Origin": f"{ORIGIN}.attacker.net", "Access-Control-Request-Method": "PATCH"}
    preflight = await catalog.client.options("/v1/products", headers=headers)
    assert preflight.status_code == 403
    assert "access-control-allow-origin" not in preflight.headers
    response = await catalog.client.get("/v1/products", headers=headers)
    assert "access-control-allow-origin" not in response.headers
