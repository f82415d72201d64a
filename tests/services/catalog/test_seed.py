"""The seed: an empty catalogue gets its examples once, the way that every product comes in."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest

from catalog import seed
from fairlead.postgres import Database

from .conftest import Catalog, Events


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    await database.open()
    yield database
    await database.close()


async def test_the_examples_are_there_and_published(catalog: Catalog, database: Database, events: Events) -> None:
    """Each example is a valid product, can be read, and has its event."""
    assert await seed.seed(database) == len(seed.PRODUCTS)
    shown = (await catalog.client.get("/v1/products?limit=100")).json()["items"]
    assert {product["sku"] for product in shown} == {product.sku for product in seed.PRODUCTS}
    assert len(await events.until(len(seed.PRODUCTS))) == len(seed.PRODUCTS)
    for product in shown:
        copy = {name: product[name] for name in ("name", "price", "stock")} | {"sku": f"{product['sku']}-2"}
        assert (await catalog.send("POST", body=copy)).status_code == 201


async def test_a_second_seed_adds_nothing(database: Database) -> None:
    """Nor do two at once add a product twice."""
    added = await asyncio.gather(*(seed.seed(database) for _ in range(3)))
    assert sum(added) == len(seed.PRODUCTS)
    assert await seed.seed(database) == 0
    assert await database.fetchval("SELECT count(*) FROM products") == len(seed.PRODUCTS)


async def test_a_catalogue_that_holds_anything_is_left_alone(catalog: Catalog, database: Database) -> None:
    """Whoever has deleted an example does not get it back."""
    await catalog.create()
    assert await seed.seed(database) == 0


async def test_the_command_without_a_database() -> None:
    """One line for what is missing, and for what is away; no trace."""
    for environment, said in (({}, "DATABASE_URL"), ({"DATABASE_URL": "postgresql://127.0.0.1:1/x"}, "not available")):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "catalog.seed", env=environment, stderr=asyncio.subprocess.PIPE
        )
        _, output = await process.communicate()
        assert process.returncode == 1
        [line] = output.decode().splitlines()
        assert line.startswith("catalog.seed: ")
        assert said in line


async def test_the_command(database_url: str, database: Database) -> None:
    """`python -m catalog.seed` reads DATABASE_URL alone and says what it did."""
    lines = []
    for _ in range(2):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "catalog.seed", env={"DATABASE_URL": database_url}, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        assert process.returncode == 0
        lines.append(output.decode())
    assert lines == [f"catalog: {len(seed.PRODUCTS)} products added\n", "catalog: has products already\n"]
    assert await database.fetchval("SELECT count(*) FROM products") == len(seed.PRODUCTS)
