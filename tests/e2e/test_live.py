"""What one does another sees: changes, viewers, and both again after every kind of outage (C1)."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from .conftest import Shop, Visitors, until

pytestmark = pytest.mark.deadline(90)

OUTAGE_MS = 20_000
"""How long a page may take to be itself again: Chromium and the services share two CPUs with other tests."""


def row(page: Page, product: dict[str, Any]) -> Locator:
    return page.locator(f'.product[data-id="{product["id"]}"]')


def price(page: Page, product: dict[str, Any]) -> Locator:
    return row(page, product).locator(".amount")


async def set_price(page: Page, product: dict[str, Any], text: str) -> None:
    """Change a price by the page's own editor."""
    await row(page, product).locator(".price").click()
    field = page.get_by_label(f"New price of {product['name']}")
    await field.fill(text)
    await field.press("Enter")
    await expect(field).to_have_count(0)


async def test_a_price_changed_in_one_browser_shows_in_the_other(shop: Shop, visitors: Visitors) -> None:
    """The job itself: two people, one signs up and changes a price over REST, the other sees it."""
    product = await shop.add(1000)
    eva, bo = await visitors.open(), await visitors.open()
    await visitors.sign_up(eva)
    await expect(price(bo, product)).to_have_text("€10.00")
    highlight = asyncio.create_task(bo.wait_for_selector(f'.product.changed[data-id="{product["id"]}"]'))
    await set_price(eva, product, "12,50")
    await highlight
    await expect(price(bo, product)).to_have_text("€12.50")
    await expect(row(bo, product).locator(".was")).to_have_text("€10.00")
    await expect(bo.locator("#log li").first).to_contain_text("€10.00 → €12.50")
    await expect(bo.locator("#spoken")).to_contain_text(f"{product['name']}: €10.00 → €12.50")
    await expect(eva.locator("#log li").first).to_contain_text("by you")
    await expect(price(eva, product)).to_have_text("€12.50")
    await expect(row(bo, product)).to_have_class("product")


async def test_products_come_and_go_on_every_page(shop: Shop, visitors: Visitors) -> None:
    """A product that is added appears, one that is deleted disappears, without a reload."""
    eva, bo = await visitors.open(), await visitors.open()
    await visitors.sign_up(eva)
    await eva.get_by_role("button", name="Add a product").first.click()
    dialog = eva.get_by_role("dialog")
    await dialog.get_by_role("button", name="Add it").click()
    await expect(dialog.get_by_text("What is it called?")).to_be_visible()
    await dialog.get_by_label("Name").fill("Sextant <b>of brass</b>")
    await dialog.get_by_label("SKU").fill("SEXTANT-1")
    await dialog.get_by_label("Price").fill("249.99")
    await dialog.get_by_label("Stock").fill("3")
    await dialog.get_by_role("button", name="Add it").click()
    added = bo.locator(".product", has_text="Sextant <b>of brass</b>")
    await expect(added).to_be_visible()
    await expect(added.locator(".amount")).to_have_text("€249.99")
    await expect(added.locator(".stock")).to_have_text("only 3 left")
    await eva.get_by_role("button", name="Delete Sextant").click()
    await eva.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
    await expect(added).to_have_count(0)
    await expect(eva.get_by_text("Sextant <b>of brass</b>", exact=True).and_(eva.locator("h3"))).to_have_count(0)


async def test_the_viewers_count_follows_the_tabs(visitors: Visitors) -> None:
    """Tabs of one browser and of another, opened and closed."""
    first = await visitors.open()
    count = first.locator("#viewers")
    await expect(count).to_have_text("1 viewer")
    second = await visitors.open_tab(await first.context.new_page())
    await expect(count).to_have_text("2 viewers")
    third = await visitors.open()
    await expect(count).to_have_text("3 viewers")
    await expect(second.locator("#viewers")).to_have_text("3 viewers")
    await second.close()
    await expect(count).to_have_text("2 viewers")
    await third.context.close()
    await expect(count).to_have_text("1 viewer")


async def test_kill_9_of_every_worker(shop: Shop, visitors: Visitors) -> None:
    """Each of the feed's workers is killed while pages are open: the pages come back by themselves, miss nothing, and
    the viewers of the dead worker are not counted for ever (K3)."""
    product = await shop.add(1000)
    pages = [await visitors.open() for _ in range(3)]
    amount = 1000
    for worker in await shop.workers():
        os.kill(worker["pid"], signal.SIGKILL)
        amount += 100
        await shop.price(product, amount)
        for page in pages:
            await expect(price(page, product)).to_have_text(f"€{amount / 100:.2f}", timeout=OUTAGE_MS)

        async def is_replaced(number: int = worker["worker"], pid: int = worker["pid"]) -> bool:
            return any(w["worker"] == number and w["pid"] != pid and w["state"] == "ready" for w in await shop.workers())

        await until(is_replaced)
    for page in pages:
        await expect(page.locator("#connection")).to_have_text("Live", timeout=OUTAGE_MS)
        await expect(page.locator("#viewers")).to_have_text("3 viewers", timeout=OUTAGE_MS)


async def test_a_restart_of_redis_is_caught_up(shop: Shop, visitors: Visitors) -> None:
    """While Redis is away the page says that it may be behind, its websocket stays, and readiness is 503; a change that
    was made meanwhile waits in the outbox and arrives when Redis is back."""
    product = await shop.add(1000)
    page = await visitors.open()
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    shop.redis.kill()
    await expect(page.locator("#connection")).to_have_text("Catching up…", timeout=OUTAGE_MS)
    await expect(page.locator("#stale")).to_be_visible()

    async def is_unready() -> bool:
        return not await shop.is_ready()

    await until(is_unready)
    await shop.price(product, 1700)
    late = await visitors.open(state="stale")
    await expect(price(late, product)).to_have_text("€17.00")
    await expect(price(page, product)).to_have_text("€10.00")
    shop.redis.start()
    await expect(price(page, product)).to_have_text("€17.00", timeout=OUTAGE_MS)
    await expect(page.locator("#connection")).to_have_text("Live", timeout=OUTAGE_MS)
    await expect(page.locator("#stale")).to_be_hidden()
    await expect(page.locator("#viewers")).to_have_text("2 viewers", timeout=OUTAGE_MS)
    await until(shop.is_ready)
    await shop.price(product, 1800)
    await expect(price(page, product)).to_have_text("€18.00")
    await expect(price(late, product)).to_have_text("€18.00")
    assert sockets == []


async def test_a_page_that_was_offline_resumes(shop: Shop, visitors: Visitors) -> None:
    """Changes made while a page had no network are there when it comes back, deletions included."""
    product, doomed = await shop.add(1000), await shop.add(2000)
    page = await visitors.open()
    await shop.price(product, 1050)
    await expect(price(page, product)).to_have_text("€10.50")
    await page.context.set_offline(True)
    await expect(page.locator("#connection")).to_have_text("Offline")
    await shop.price(product, 1100)
    await shop.delete(doomed)
    await page.context.set_offline(False)
    await expect(price(page, product)).to_have_text("€11.00", timeout=OUTAGE_MS)
    await expect(row(page, doomed)).to_have_count(0)
    await expect(page.locator("#connection")).to_have_text("Live")
