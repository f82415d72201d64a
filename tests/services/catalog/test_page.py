"""Pages: every product once, whatever changes between two of them."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from .conftest import Catalog


async def read_all(catalog: Catalog, limit: int, between: Any = None) -> list[list[dict[str, Any]]]:
    """All pages; `between(page number)` is awaited after each."""
    pages: list[list[dict[str, Any]]] = []
    cursor = None
    while True:
        query: dict[str, Any] = {"limit": limit} | ({"cursor": cursor} if cursor else {})
        response = await catalog.client.get("/v1/products", params=query)
        assert response.status_code == 200
        page = response.json()
        assert page.keys() == {"items", "next_cursor"}
        pages.append(page["items"])
        cursor = page["next_cursor"]
        if between is not None:
            await between(len(pages))
        if cursor is None:
            return pages


async def test_an_empty_catalogue(catalog: Catalog) -> None:
    """One page without items and without a next one."""
    assert (await catalog.client.get("/v1/products")).json() == {"items": [], "next_cursor": None}


async def test_pages_hold_all_products_in_order(catalog: Catalog) -> None:
    """The oldest product comes first, each page is full but the last, and items are what reading one gives."""
    created = []
    for number in range(7):
        created.append(await catalog.create(f"MUG-{number}"))
        await asyncio.sleep(0.002)  # ids are in order from one millisecond to the next
    assert await read_all(catalog, 3) == [created[:3], created[3:6], created[6:]]


async def test_a_full_last_page_has_no_next(catalog: Catalog) -> None:
    """The number of products being a multiple of the page's size makes no empty page."""
    for number in range(4):
        await catalog.create(f"MUG-{number}")
    assert [len(page) for page in await read_all(catalog, 2)] == [2, 2]


async def test_twenty_unless_asked_for(catalog: Catalog) -> None:
    """The limit when none is given, and the largest one."""
    await asyncio.gather(*(catalog.create(f"MUG-{number}") for number in range(101)))
    assert len((await catalog.client.get("/v1/products")).json()["items"]) == 20
    assert [len(page) for page in await read_all(catalog, 100)] == [100, 1]


async def test_pages_while_products_are_added_and_removed(catalog: Catalog) -> None:
    """What exists from the first page to the last is on exactly one page, in spite of all that happens in between."""
    stays = {(await catalog.create(f"STAYS-{number}"))["id"] for number in range(20)}
    goes = [(await catalog.create(f"GOES-{number}"))["id"] for number in range(20)]

    async def change(number: int) -> None:
        await asyncio.gather(
            *(catalog.create(f"NEW-{number}-{index}") for index in range(2)),
            *(catalog.send("DELETE", f"/v1/products/{goes.pop()}") for _ in range(min(3, len(goes)))),
        )
        if number > 12:
            raise AssertionError("pages go on for ever")

    seen: list[str] = []
    for page in await read_all(catalog, 5, lambda number: change(number) if number <= 6 else asyncio.sleep(0)):
        seen += [product["id"] for product in page]
    assert len(seen) == len(set(seen))
    assert stays <= set(seen)
    assert seen == sorted(seen, key=lambda product_id: UUID(product_id).int)


async def test_a_cursor_survives_its_product(catalog: Catalog) -> None:
    """The product that a cursor names may be deleted; the next page begins behind its place."""
    created = [await catalog.create(f"MUG-{number}") for number in range(4)]
    order = sorted(created, key=lambda product: UUID(product["id"]).int)
    page = (await catalog.client.get("/v1/products?limit=2")).json()
    assert (await catalog.send("DELETE", f"/v1/products/{page['items'][-1]['id']}")).status_code == 204
    rest = await catalog.client.get("/v1/products", params={"limit": 2, "cursor": page["next_cursor"]})
    assert rest.json() == {"items": order[2:], "next_cursor": None}
