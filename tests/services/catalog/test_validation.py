"""Malformed input: each field's limits, with the exact problem details of what lies beyond (RFC 9457)."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Catalog

SKU = "Expected `str` matching regex '^[A-Za-z0-9][A-Za-z0-9._-]*$(?!\\\\n)'"
NAME = "Expected `str` matching regex '^(?=.*\\\\S)[^\\\\x00-\\\\x1f\\\\x7f-\\\\x9f]*$(?!\\\\n)'"
LARGEST = 9_007_199_254_740_991

GOOD: dict[str, Any] = {"sku": "MUG-1", "name": "Mug", "price": {"amount": 1250, "currency": "EUR"}, "stock": 3}

MALFORMED: list[tuple[dict[str, Any], str, str]] = [
    ({"sku": 1}, "body.sku", "Expected `str`, got `int`"),
    ({"sku": None}, "body.sku", "Expected `str`, got `null`"),
    ({"sku": ""}, "body.sku", SKU),
    ({"sku": "-MUG"}, "body.sku", SKU),
    ({"sku": "MUG 1"}, "body.sku", SKU),
    ({"sku": "MUG/1"}, "body.sku", SKU),
    ({"sku": "MUG-1\n"}, "body.sku", SKU),
    ({"sku": "МUG"}, "body.sku", SKU),
    ({"sku": "M" * 65}, "body.sku", "Expected `str` of length <= 64"),
    ({"name": 1}, "body.name", "Expected `str`, got `int`"),
    ({"name": None}, "body.name", "Expected `str`, got `null`"),
    ({"name": ""}, "body.name", "Expected `str` of length >= 1"),
    ({"name": " \u2003 "}, "body.name", NAME),
    ({"name": "a\nb"}, "body.name", NAME),
    ({"name": "a\n"}, "body.name", NAME),
    ({"name": "a\x00b"}, "body.name", NAME),
    ({"name": "a\x1b[31m"}, "body.name", NAME),
    ({"name": "x" * 201}, "body.name", "Expected `str` of length <= 200"),
    ({"price": None}, "body.price", "Expected `object`, got `null`"),
    ({"price": 1250}, "body.price", "Expected `object`, got `int`"),
    ({"price": {"amount": -1}}, "body.price.amount", "Expected `int` >= 0"),
    ({"price": {"amount": LARGEST + 1}}, "body.price.amount", f"Expected `int` <= {LARGEST}"),
    ({"price": {"amount": 10**40}}, "body.price.amount", f"Expected `int` <= {LARGEST}"),
    ({"price": {"amount": 12.5}}, "body.price.amount", "Expected `int`, got `float`"),
    ({"price": {"amount": 12.0}}, "body.price.amount", "Expected `int`, got `float`"),
    ({"price": {"amount": "12"}}, "body.price.amount", "Expected `int`, got `str`"),
    ({"price": {"amount": True}}, "body.price.amount", "Expected `int`, got `bool`"),
    ({"price": {"amount": None}}, "body.price.amount", "Expected `int`, got `null`"),
    ({"price": {"currency": "EUX"}}, "body.price.currency", "Invalid enum value 'EUX'"),
    ({"price": {"currency": "eur"}}, "body.price.currency", "Invalid enum value 'eur'"),
    ({"price": {"currency": "XAU"}}, "body.price.currency", "Invalid enum value 'XAU'"),
    ({"price": {"currency": 978}}, "body.price.currency", "Expected `str`, got `int`"),
    ({"price": {"tax": 19}}, "body.price", "Object contains unknown field `tax`"),
    ({"stock": -1}, "body.stock", "Expected `int` >= 0"),
    ({"stock": 2**31}, "body.stock", "Expected `int` <= 2147483647"),
    ({"stock": 1.5}, "body.stock", "Expected `int`, got `float`"),
    ({"stock": "3"}, "body.stock", "Expected `int`, got `str`"),
    ({"stock": None}, "body.stock", "Expected `int`, got `null`"),
    ({"id": "0192f0c1-0000-7000-8000-000000000001"}, "body", "Object contains unknown field `id`"),
    ({"version": 7}, "body", "Object contains unknown field `version`"),
    ({"created_at": "2026-01-01T00:00:00Z"}, "body", "Object contains unknown field `created_at`"),
    ({"owner": "me"}, "body", "Object contains unknown field `owner`"),
]


def expected(location: str, message: str) -> dict[str, Any]:
    """The problem details without the request's id."""
    return {
        "type": "about:blank",
        "title": "Unprocessable Content",
        "status": 422,
        "detail": "The request is well-formed, but its values are not valid",
        "errors": [{"location": location, "message": message}],
    }


def problem_of(response: Any) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem.pop("request_id") == response.headers["x-request-id"]
    return problem


@pytest.mark.parametrize(("members", "location", "message"), MALFORMED)
async def test_a_malformed_member(catalog: Catalog, members: dict[str, Any], location: str, message: str) -> None:
    """422 with the member's place, the same on creation and on change; the product stays as it was (SEC-A02)."""
    product = await catalog.create("MUG-0")
    path = f"/v1/products/{product['id']}"
    body = GOOD | members
    if isinstance(members.get("price"), dict):
        body["price"] = GOOD["price"] | members["price"]
    for response in (await catalog.send("POST", body=body), await catalog.send("PATCH", path, members)):
        assert response.status_code == 422
        assert problem_of(response) == expected(location, message)
    assert (await catalog.client.get(path)).json() == product


@pytest.mark.parametrize("name", ["sku", "name", "price"])
async def test_a_missing_member(catalog: Catalog, name: str) -> None:
    """What a new product needs."""
    body = {member: value for member, value in GOOD.items() if member != name}
    response = await catalog.send("POST", body=body)
    assert problem_of(response) == expected("body", f"Object missing required field `{name}`")


@pytest.mark.parametrize("name", ["amount", "currency"])
async def test_half_a_price(catalog: Catalog, name: str) -> None:
    """A new product needs both halves of its price."""
    price = {member: value for member, value in GOOD["price"].items() if member != name}
    response = await catalog.send("POST", body=GOOD | {"price": price})
    assert problem_of(response) == expected("body.price", f"Object missing required field `{name}`")


@pytest.mark.parametrize(
    "members",
    [
        {"sku": "M" * 64},
        {"sku": "0"},
        {"sku": "a.B_c-9"},
        {"name": "x" * 200},
        {"name": "Bécher “Ø” 🚢 \u200d"},
        {"name": "x"},
        {"price": {"amount": 0, "currency": "KWD"}},
        {"price": {"amount": LARGEST, "currency": "JPY"}},
        {"stock": 0},
        {"stock": 2**31 - 1},
    ],
)
async def test_the_limits_themselves_are_allowed(catalog: Catalog, members: dict[str, Any]) -> None:
    """The largest, the smallest and the strangest values that are good come back as they were sent."""
    product = await catalog.create(**({"sku": "MUG-1"} | members))
    shown = (await catalog.client.get(f"/v1/products/{product['id']}")).json()
    assert {name: shown[name] for name in members} == members


@pytest.mark.parametrize("body", ["", "{", "[1,", '{"sku": "A"} x', '{"name": "\\ud800"}', "\ufeff{}", '{"a": NaN}'])
async def test_what_is_no_json(catalog: Catalog, body: str) -> None:
    """400: there is nothing to validate."""
    headers = catalog.authorization | {"Content-Type": "application/json"}
    response = await catalog.client.post("/v1/products", content=body.encode(), headers=headers)
    assert response.status_code == 400
    assert problem_of(response)["detail"].startswith("The body is no valid JSON")


async def test_bytes_that_are_no_text(catalog: Catalog) -> None:
    """Invalid UTF-8 is 400, not an error of the service."""
    headers = catalog.authorization | {"Content-Type": "application/json"}
    response = await catalog.client.post("/v1/products", content=b'{"sku": "\xff"}', headers=headers)
    assert response.status_code == 400


@pytest.mark.parametrize("body", ["[]", "null", '"MUG"', "1"])
async def test_json_that_is_no_object(catalog: Catalog, body: str) -> None:
    """422 at the body itself."""
    headers = catalog.authorization | {"Content-Type": "application/json"}
    response = await catalog.client.post("/v1/products", content=body.encode(), headers=headers)
    assert response.status_code == 422
    assert problem_of(response)["errors"][0]["location"] == "body"


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
async def test_another_media_type(catalog: Catalog, kind: str | None) -> None:
    """415: a page of another origin can't send a body of a type that needs no preflight (SEC-A03)."""
    headers = catalog.authorization | ({"Content-Type": kind} if kind else {})
    response = await catalog.client.post("/v1/products", content=b"{}", headers=headers)
    assert response.status_code == 415


async def test_deeply_nested_json(catalog: Catalog) -> None:
    """A hundred thousand brackets are a bad request, not a crash."""
    headers = catalog.authorization | {"Content-Type": "application/json"}
    response = await catalog.client.post("/v1/products", content=b"[" * 100_000, headers=headers)
    assert response.status_code in (400, 422)
    response = await catalog.client.post("/v1/products", content=b'{"price":' * 50_000, headers=headers)
    assert response.status_code in (400, 422)


async def test_a_body_beyond_the_limit(catalog: Catalog) -> None:
    """413 for what no product needs."""
    headers = catalog.authorization | {"Content-Type": "application/json"}
    body = b'{"name": "' + b"x" * catalog.app.config.REQUEST_MAX_SIZE + b'"}'
    response = await catalog.client.post("/v1/products", content=body, headers=headers)
    assert response.status_code == 413


@pytest.mark.parametrize(
    ("query", "location", "message"),
    [
        ("limit=0", "query.limit", "Expected `int` >= 1"),
        ("limit=101", "query.limit", "Expected `int` <= 100"),
        ("limit=-1", "query.limit", "Expected `int` >= 1"),
        ("limit=ten", "query.limit", "Expected `int`, got `str`"),
        ("limit=1.5", "query.limit", "Expected `int`, got `str`"),
        ("limit=", "query.limit", "Expected `int`, got `str`"),
        ("limit=1&limit=2", "query.limit", "Given more than once"),
        ("cursor=", "query.cursor", "Not a cursor of this list"),
        ("cursor=x", "query.cursor", "Not a cursor of this list"),
        ("cursor=AAAAAAAAAAAAAAAAAAAAAA%3D%3D", "query.cursor", "Not a cursor of this list"),
        ("cursor=AAAAAAAAAAAAAAAAAAAAAB", "query.cursor", "Not a cursor of this list"),
        ("cursor=AAAAAAAAAAAA!AAAAAAAAAA", "query.cursor", "Not a cursor of this list"),
        ("cursor=%00", "query.cursor", "Not a cursor of this list"),
        ("cursor=%C3%A9", "query.cursor", "Not a cursor of this list"),
        ("cursor=' OR 1=1 --", "query.cursor", "Not a cursor of this list"),
        ("offset=3", "query", "Object contains unknown field `offset`"),
    ],
)
async def test_a_malformed_query(catalog: Catalog, query: str, location: str, message: str) -> None:
    """422 with the parameter's name."""
    response = await catalog.client.get(f"/v1/products?{query}")
    assert response.status_code == 422
    assert problem_of(response) == expected(location, message)
