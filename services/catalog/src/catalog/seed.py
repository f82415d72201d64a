"""``python -m catalog.seed``: fill an empty catalogue with a few products, so that there is something to look at.

The products go the way of every other product, so their events are published too. A catalogue that holds anything is
left alone; two seeds at once add each product once.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from msgspec import Struct

from catalog.domain.product import Money, NewProduct
from catalog.stores.products import ProductStore, SkuTaken
from fairlead.errors import ConfigurationError, ServiceUnavailable
from fairlead.postgres import Database
from fairlead.settings import Secret, load_settings

__all__ = ["PRODUCTS", "main", "seed"]


class Settings(Struct, frozen=True):
    """The seed needs `DATABASE_URL` alone."""

    database_url: Secret


def _product(sku: str, name: str, cents: int, stock: int) -> NewProduct:
    return NewProduct(sku, name, Money(cents, "EUR"), stock)


PRODUCTS: Final[Sequence[NewProduct]] = (
    _product("LAMP-BRASS-01", "Brass anchor lamp", 8900, 14),
    _product("ROPE-HEMP-20", "Hemp rope, 20 m", 2450, 60),
    _product("MUG-ENAMEL-WH", "Enamel mug, white", 1250, 120),
    _product("BLANKET-WOOL-GR", "Wool blanket, harbour grey", 7900, 22),
    _product("COMPASS-POCKET", "Pocket compass", 3400, 35),
    _product("KNIFE-SPLICING", "Splicing knife with marlinspike", 4650, 18),
    _product("BAG-CANVAS-40", "Canvas sea bag, 40 l", 6800, 27),
    _product("CHART-NORTHSEA", "Sea chart of the North Sea, print", 2900, 48),
    _product("SOAP-SALT-3", "Salt soap, three bars", 1380, 90),
    _product("TEA-SMOKED-250", "Smoked black tea, 250 g", 1695, 75),
    _product("SWEATER-NAVY-M", "Fisherman's sweater, navy, M", 11900, 9),
    _product("BELL-BRONZE-06", "Bronze ship's bell, 15 cm", 15400, 5),
)


async def seed(database: Database) -> int:
    """Add `PRODUCTS` unless there are products already; returns how many were added."""
    store = ProductStore(database)
    if await store.page(1, after=None):
        return 0
    added = 0
    for product in PRODUCTS:
        with suppress(SkuTaken):
            async with database.transaction() as connection:
                await store.insert(connection, product)
            added += 1
    return added


async def _run(settings: Settings) -> int:
    database = Database(settings.database_url, name="catalog-seed", max_size=1)
    await database.open()
    try:
        return await seed(database)
    finally:
        await database.close()


def main() -> None:
    """Seed the catalogue that the environment names; one line and exit status 1 when that can't be done."""
    try:
        added = asyncio.run(_run(load_settings(Settings)))
    except (ConfigurationError, ServiceUnavailable) as error:
        raise SystemExit(f"catalog.seed: {error}") from None
    sys.stdout.write(f"catalog: {added} products added\n" if added else "catalog: has products already\n")


if __name__ == "__main__":
    main()
