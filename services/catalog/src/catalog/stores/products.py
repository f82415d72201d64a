"""The table ``products``. Every change and its event are one transaction.

A change first locks the row, then compares, then writes, then adds the event: so a version is never given twice, and
the events of one product leave in the order of its versions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from uuid import UUID

import asyncpg

from catalog.domain.product import Money, NewProduct, Product, ProductPatch, apply, new_product_id
from fairlead import outbox
from fairlead.errors import Conflict, NotFound

if TYPE_CHECKING:
    from fairlead.postgres import Connection, Database

__all__ = ["STREAM", "Condition", "ProductNotFound", "ProductStore", "SkuTaken"]

STREAM: Final = "catalog:products"
"""The Redis stream of the events ``product.created``, ``product.changed`` and ``product.deleted``."""

Condition: TypeAlias = Callable[[Product], None]
"""What the client expects of the product that it changes; raises when it is not so."""


class ProductNotFound(NotFound):
    """404: there is no product with this id."""

    message = "There is no such product"


class SkuTaken(Conflict):
    """409: another product has this SKU."""

    def __init__(self, sku: str) -> None:
        super().__init__("Another product has this SKU", context={"sku": sku})


class ProductStore:
    """Products in PostgreSQL. Every method raises `ServiceUnavailable` while it is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(self, connection: Connection, new: NewProduct) -> Product:
        """Add a product, in the caller's transaction. Raises `SkuTaken`."""
        with _unique(new.sku):
            row = await connection.fetchrow(
                """
                INSERT INTO products (id, sku, name, price_amount, price_currency, stock)
                VALUES ($1, $2, $3, $4, $5, $6)
                RETURNING *
                """,
                new_product_id(),
                new.sku,
                new.name,
                new.price.amount,
                new.price.currency,
                new.stock,
            )
        product = _product(row)
        await _publish(connection, "product.created", product)
        return product

    async def get(self, product_id: UUID) -> Product:
        """One product. Raises `ProductNotFound`."""
        row = await self._database.fetchrow("SELECT * FROM products WHERE id = $1", product_id)
        return _found(row)

    async def page(self, limit: int, after: UUID | None) -> list[Product]:
        """The `limit` oldest products that are younger than the product `after`, which need not exist any more."""
        if after is None:
            rows = await self._database.fetch("SELECT * FROM products ORDER BY id LIMIT $1", limit)
        else:
            rows = await self._database.fetch("SELECT * FROM products WHERE id > $2 ORDER BY id LIMIT $1", limit, after)
        return [_product(row) for row in rows]

    async def change(self, product_id: UUID, patch: ProductPatch, condition: Condition) -> Product:
        """Merge `patch` into a product; one that changes nothing is not written. Raises `ProductNotFound`, `SkuTaken`."""
        async with self._database.transaction() as connection:
            before = await _lock(connection, product_id)
            condition(before)
            wanted = apply(patch, before)
            if wanted == before:
                return before
            with _unique(wanted.sku):
                row = await connection.fetchrow(
                    """
                    UPDATE products
                    SET sku = $2, name = $3, price_amount = $4, price_currency = $5, stock = $6,
                        version = version + 1, updated_at = clock_timestamp()
                    WHERE id = $1
                    RETURNING *
                    """,
                    product_id,
                    wanted.sku,
                    wanted.name,
                    wanted.price.amount,
                    wanted.price.currency,
                    wanted.stock,
                )
            after = _product(row)
            await _publish(connection, "product.changed", after)
        return after

    async def delete(self, product_id: UUID, condition: Condition) -> None:
        """Remove a product; its event shows it as it was last. Raises `ProductNotFound`."""
        async with self._database.transaction() as connection:
            product = await _lock(connection, product_id)
            condition(product)
            await connection.execute("DELETE FROM products WHERE id = $1", product_id)
            await _publish(connection, "product.deleted", product)


async def _lock(connection: Connection, product_id: UUID) -> Product:
    return _found(await connection.fetchrow("SELECT * FROM products WHERE id = $1 FOR UPDATE", product_id))


async def _publish(connection: Connection, event: str, product: Product) -> None:
    await outbox.write(connection, STREAM, event, {"product": product})


def _found(row: asyncpg.Record | None) -> Product:
    if row is None:
        raise ProductNotFound
    return _product(row)


def _product(row: Any) -> Product:
    return Product(
        id=row["id"],
        sku=row["sku"],
        name=row["name"],
        price=Money(row["price_amount"], row["price_currency"]),
        stock=row["stock"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


@contextmanager
def _unique(sku: str) -> Iterator[None]:
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        raise SkuTaken(sku) from error
