"""``/v1/products``: create, read, change, delete, and the event of each."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from uuid import UUID, uuid4

from .conftest import Catalog, Events


async def test_a_product_is_created(catalog: Catalog) -> None:
    """201 with the product, its address and its tag; what the service adds has the promised shape."""
    before = datetime.now(UTC)
    body = {"sku": "MUG-1", "name": "Mug", "price": {"amount": 1250, "currency": "EUR"}, "stock": 3}
    response = await catalog.send("POST", body=body)
    product = response.json()
    assert response.status_code == 201
    assert response.headers["content-type"] == "application/json"
    assert response.headers["location"] == f"/v1/products/{product['id']}"
    assert response.headers["etag"] == '"1"'
    assert UUID(product["id"]).version == 7
    assert {name: product[name] for name in body} == body
    assert product["version"] == 1
    assert product["created_at"] == product["updated_at"]
    assert product["created_at"].endswith("Z")
    assert before <= datetime.fromisoformat(product["created_at"]) <= datetime.now(UTC)
    assert (await catalog.client.get(response.headers["location"])).json() == product


async def test_stock_may_be_left_out(catalog: Catalog) -> None:
    """A product without a stock has none."""
    body = {"sku": "MUG-1", "name": "Mug", "price": {"amount": 0, "currency": "JPY"}}
    assert (await catalog.send("POST", body=body)).json()["stock"] == 0


async def test_a_sku_is_taken_once(catalog: Catalog) -> None:
    """409 for the second product of a SKU, on creation and on change; nothing is written."""
    await catalog.create("MUG-1")
    other = await catalog.create("MUG-2")
    body = {"sku": "MUG-1", "name": "Other", "price": {"amount": 1, "currency": "EUR"}}
    created = await catalog.send("POST", body=body)
    changed = await catalog.send("PATCH", f"/v1/products/{other['id']}", {"sku": "MUG-1"})
    for response in (created, changed):
        assert response.status_code == 409
        assert response.headers["content-type"] == "application/problem+json"
        problem = response.json()
        assert (problem["status"], problem["title"], problem["sku"]) == (409, "Conflict", "MUG-1")
        assert problem["detail"] == "Another product has this SKU"
    assert (await catalog.client.get(f"/v1/products/{other['id']}")).json() == other


async def test_of_concurrent_creations_of_a_sku_one_wins(catalog: Catalog) -> None:
    """Twenty at once: one 201, nineteen 409."""
    body = {"sku": "MUG-1", "name": "Mug", "price": {"amount": 1, "currency": "EUR"}}
    responses = await asyncio.gather(*(catalog.send("POST", body=body) for _ in range(20)))
    assert sorted(response.status_code for response in responses) == [201] + [409] * 19


async def test_an_unknown_product(catalog: Catalog) -> None:
    """404 for an id that nobody has, and for what is no id."""
    for path in (f"/v1/products/{uuid4()}", "/v1/products/1", "/v1/products/not-an-id"):
        assert (await catalog.client.get(path)).status_code == 404
    path = f"/v1/products/{uuid4()}"
    for response in (await catalog.send("PATCH", path, {"stock": 1}), await catalog.send("DELETE", path)):
        assert response.status_code == 404
        assert response.json()["detail"] == "There is no such product"


async def test_a_patch_is_merged(catalog: Catalog) -> None:
    """Each member can be changed alone, half of a price too; the rest stays; the version grows by one."""
    product = await catalog.create()
    path = f"/v1/products/{product['id']}"
    for version, (patch, expected) in enumerate(
        [
            ({"name": "Big mug"}, {"name": "Big mug"}),
            ({"stock": 0}, {"stock": 0}),
            ({"sku": "MUG-XL"}, {"sku": "MUG-XL"}),
            ({"price": {"amount": 999}}, {"price": {"amount": 999, "currency": "EUR"}}),
            ({"price": {"currency": "USD"}}, {"price": {"amount": 999, "currency": "USD"}}),
            ({"stock": 7, "name": "Mug"}, {"stock": 7, "name": "Mug"}),
        ],
        start=2,
    ):
        response = await catalog.send("PATCH", path, patch)
        changed = response.json()
        assert response.status_code == 200
        assert response.headers["etag"] == f'"{version}"'
        assert changed == product | expected | {"version": version, "updated_at": changed["updated_at"]}
        assert changed["updated_at"] > product["updated_at"]
        product = changed
    assert (await catalog.client.get(path)).json() == product


async def test_a_merge_patch_may_say_what_it_is(catalog: Catalog) -> None:
    """`application/merge-patch+json` (RFC 7396) is taken like `application/json`."""
    product = await catalog.create()
    response = await catalog.client.patch(
        f"/v1/products/{product['id']}",
        content=b'{"stock": 8}',
        headers=catalog.authorization | {"Content-Type": "application/merge-patch+json"},
    )
    assert response.json()["stock"] == 8


async def test_a_patch_that_changes_nothing_writes_nothing(catalog: Catalog, events: Events) -> None:
    """Same version, same times, no event: the next event is that of the next real change."""
    product = await catalog.create()
    path = f"/v1/products/{product['id']}"
    for patch in ({}, {"name": product["name"]}, {"price": product["price"]}, {"price": {}}):
        response = await catalog.send("PATCH", path, patch)
        assert response.status_code == 200
        assert response.headers["etag"] == '"1"'
        assert response.json() == product
    await catalog.send("PATCH", path, {"stock": 4})
    assert [json.loads(event["product"])["version"] for event in await events.until(2)] == [1, 2]


async def test_concurrent_changes_are_all_counted(catalog: Catalog, events: Events) -> None:
    """Twenty changes at once give twenty versions, and events in their order."""
    product = await catalog.create(stock=0)
    path = f"/v1/products/{product['id']}"
    await asyncio.gather(*(catalog.send("PATCH", path, {"stock": stock}) for stock in range(1, 21)))
    assert (await catalog.client.get(path)).json()["version"] == 21
    assert [json.loads(event["product"])["version"] for event in await events.until(21)] == list(range(1, 22))


async def test_a_product_is_deleted(catalog: Catalog) -> None:
    """204 without a body, then 404; its SKU is free again."""
    product = await catalog.create()
    path = f"/v1/products/{product['id']}"
    response = await catalog.send("DELETE", path)
    assert (response.status_code, response.content) == (204, b"")
    assert (await catalog.client.get(path)).status_code == 404
    assert (await catalog.send("DELETE", path)).status_code == 404
    assert (await catalog.create())["id"] != product["id"]


async def test_each_change_has_an_event_that_shows_what_rest_shows(catalog: Catalog, events: Events) -> None:
    """created, changed, deleted: each with an id of its own and the JSON of the answer, byte for byte (C1)."""
    created = await catalog.send("POST", body={"sku": "MUG-1", "name": "Bécher “Ø” 🚢", "price": {"amount": 1, "currency": "EUR"}})
    path = created.headers["location"]
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    changed = await catalog.send("PATCH", path, {"price": {"amount": 2}}, {"traceparent": trace})
    await catalog.send("DELETE", path)
    found = await events.until(3)
    assert [event["event"] for event in found] == ["product.created", "product.changed", "product.deleted"]
    assert [event["product"] for event in found] == [created.text, changed.text, changed.text]
    assert [event["traceparent"] for event in found] == ["", trace, ""]
    assert len({UUID(event["id"]) for event in found}) == 3


async def test_a_refused_change_has_no_event(catalog: Catalog, events: Events) -> None:
    """409, 412, 422 and 404 leave nothing in the outbox."""
    product = await catalog.create()
    await catalog.create("MUG-2")
    path = f"/v1/products/{product['id']}"
    assert (await catalog.send("PATCH", path, {"sku": "MUG-2"})).status_code == 409
    assert (await catalog.send("PATCH", path, {"stock": 1}, {"If-Match": '"9"'})).status_code == 412
    assert (await catalog.send("PATCH", path, {"stock": -1})).status_code == 422
    assert (await catalog.send("DELETE", f"/v1/products/{uuid4()}")).status_code == 404
    assert (await catalog.send("DELETE", path)).status_code == 204
    names = [event["event"] for event in await events.until(3)]
    assert names == ["product.created", "product.created", "product.deleted"]
