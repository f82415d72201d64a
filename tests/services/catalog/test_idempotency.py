"""A product is added once, however often its request is sent: product, event and answer are one transaction."""

from __future__ import annotations

import asyncio
from typing import Any

from .conftest import Catalog, Events

MUG = {"sku": "MUG-1", "name": "Mug", "price": {"amount": 1250, "currency": "EUR"}, "stock": 3}
KEY = {"Idempotency-Key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}


async def test_sent_again(catalog: Catalog, events: Events) -> None:
    """The same answer, address and tag included; one product and one event."""
    first, again = [await catalog.send("POST", body=MUG, headers=KEY) for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 201)
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    assert [again.headers[name] for name in ("location", "etag")] == [first.headers[name] for name in ("location", "etag")]
    assert len((await catalog.client.get("/v1/products")).json()["items"]) == 1
    await catalog.create("MUG-2")
    assert len(await events.until(2)) == 2


async def test_ten_at_once(catalog: Catalog) -> None:
    """One is done, the others hear the answer or that it is being done."""
    responses = await asyncio.gather(*(catalog.send("POST", body=MUG, headers=KEY) for _ in range(10)))
    assert {response.status_code for response in responses} <= {201, 409}
    assert len((await catalog.client.get("/v1/products")).json()["items"]) == 1


async def test_for_another_product(catalog: Catalog) -> None:
    """422, and nothing is added."""
    await catalog.send("POST", body=MUG, headers=KEY)
    other: dict[str, Any] = MUG | {"sku": "MUG-2"}
    assert (await catalog.send("POST", body=other, headers=KEY)).status_code == 422
    assert len((await catalog.client.get("/v1/products")).json()["items"]) == 1


async def test_after_a_failure(catalog: Catalog) -> None:
    """A SKU that was taken when it was tried first may be free by then: the key is free, too."""
    taken = await catalog.create("MUG-1")
    assert (await catalog.send("POST", body=MUG, headers=KEY)).status_code == 409
    assert (await catalog.send("DELETE", f"/v1/products/{taken['id']}")).status_code == 204
    assert (await catalog.send("POST", body=MUG, headers=KEY)).status_code == 201


async def test_a_key_that_is_none(catalog: Catalog) -> None:
    """400, and nothing is added."""
    assert (await catalog.send("POST", body=MUG, headers={"Idempotency-Key": "x" * 256})).status_code == 400
