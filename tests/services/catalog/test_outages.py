"""PostgreSQL or Redis away: the right answers meanwhile, recovery alone, no event lost."""

from __future__ import annotations

import json
from typing import Any

import asyncpg

from fairlead.testing.wire import Wire

from .conftest import Catalog, Events, Open


async def health(catalog: Catalog) -> dict[str, dict[str, Any]]:
    """The checks of the worker, run now."""
    await catalog.app.health.run()
    return catalog.app.health.report()


async def test_all_is_well(catalog: Catalog) -> None:
    """With everything there, every check passes, the revision of the schema included."""
    report = await health(catalog)
    assert {name: check["error"] for name, check in report.items() if not check["ok"]} == {}
    assert report.keys() == {"postgres", "redis", "access token keys", "migrations of catalog"}
    assert catalog.app.health.ready


async def test_without_redis_rest_goes_on_and_events_wait(open_catalog: Open, redis_url: str, events: Events) -> None:
    """Changes are made and answered; the worker stays ready and says what is missing; the events follow, in order."""
    async with Wire(redis_url) as wire:
        await wire.cut()
        catalog = await open_catalog(redis_url=wire.url)
        product = await catalog.create()
        path = f"/v1/products/{product['id']}"
        for stock in (1, 2, 3):
            assert (await catalog.send("PATCH", path, {"stock": stock + 10})).status_code == 200
        report = await health(catalog)
        assert not report["redis"]["ok"]
        assert not report["redis"]["critical"]
        assert catalog.app.health.ready
        await wire.mend()
        found = await events.until(4)
        assert [json.loads(event["product"])["version"] for event in found] == [1, 2, 3, 4]
        assert (await health(catalog))["redis"]["ok"]


async def test_without_postgresql(open_catalog: Open, database_url: str, events: Events) -> None:
    """503 with Retry-After and no word about the inside; not ready; back by itself, relay included."""
    async with Wire(database_url) as wire:
        catalog = await open_catalog(database_url=wire.url)
        product = await catalog.create()
        path = f"/v1/products/{product['id']}"
        await events.until(1)
        await wire.cut()
        for response in (
            await catalog.client.get("/v1/products"),
            await catalog.client.get(path),
            await catalog.send("POST", body={"sku": "A", "name": "A", "price": {"amount": 1, "currency": "EUR"}}),
            await catalog.send("PATCH", path, {"stock": 9}),
            await catalog.send("DELETE", path),
        ):
            assert response.status_code == 503
            assert int(response.headers["retry-after"]) >= 1
            assert response.headers["content-type"] == "application/problem+json"
            assert "127.0.0.1" not in response.text
        assert not (await health(catalog))["postgres"]["ok"]
        assert not catalog.app.health.ready
        await wire.mend()
        assert (await catalog.client.get(path)).json() == product
        assert (await catalog.send("PATCH", path, {"stock": 9})).status_code == 200
        assert (await health(catalog))["postgres"]["ok"]
        assert catalog.app.health.ready
        assert [json.loads(event["product"])["stock"] for event in await events.until(2)] == [3, 9]


async def test_starting_without_anything(open_catalog: Open, database_url: str, redis_url: str, events: Events) -> None:
    """A worker that starts while everything is away serves as soon as it is there."""
    async with Wire(database_url) as postgres, Wire(redis_url) as redis:
        await postgres.cut()
        await redis.cut()
        catalog = await open_catalog(database_url=postgres.url, redis_url=redis.url)
        assert (await catalog.client.get("/v1/products")).status_code == 503
        await health(catalog)
        assert not catalog.app.health.started
        await redis.mend()
        await postgres.mend()
        await catalog.create()
        await events.until(1)
        await health(catalog)
        assert catalog.app.health.started
        assert catalog.app.health.ready


async def test_a_change_without_its_event_is_not_made(catalog: Catalog, database_url: str) -> None:
    """Product and event are one transaction: when the event can't be written, the product is not changed either."""
    product = await catalog.create()
    path = f"/v1/products/{product['id']}"
    connection = await asyncpg.connect(database_url)
    await connection.execute("ALTER TABLE outbox ADD CHECK (event <> 'product.changed')")
    await connection.close()
    assert (await catalog.send("PATCH", path, {"stock": 50})).status_code == 500
    assert (await catalog.client.get(path)).json() == product
