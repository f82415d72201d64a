"""The rooms on the page: two people talk, one changes rooms, one has no websockets, one's connection is lost."""

from __future__ import annotations

import os

import pytest
from playwright.async_api import Page, expect

from .conftest import Shop, Visitors

pytestmark = pytest.mark.deadline(120)

NO_WEBSOCKETS = """
    window.WebSocket = class extends EventTarget {
        static OPEN = 1;
        readyState = 3;
        constructor() { super(); setTimeout(() => this.dispatchEvent(new Event("close"))); }
        close() {}
    };
"""


async def say(page: Page, text: str) -> None:
    """As a visitor does."""
    field = page.get_by_label("Say something")
    await field.fill(text)
    await field.press("Enter")


async def test_two_people_talk(shop: Shop, visitors: Visitors) -> None:
    """Who speaks signs in first; the other one hears it at once; both see how many are here."""
    await shop.add(1000)
    anna, bert = await visitors.open(), await visitors.open()
    await expect(anna.locator("#members")).to_have_text("2 here")
    await visitors.sign_up(anna)
    await say(anna, "Is the rope still to be had?")
    for page, who in ((anna, "You"), (bert, "")):
        item = page.locator("#said li").last
        await expect(item).to_contain_text("Is the rope still to be had?")
        await expect(item).to_contain_text(who)
    await expect(anna.get_by_label("Say something")).to_have_value("")
    await say(bert, "May I?")
    await expect(bert.get_by_role("dialog")).to_contain_text("Sign in to say something.")
    if folder := os.environ.get("SCREENSHOTS"):
        await anna.screenshot(path=f"{folder}/talk.png", full_page=True)
        await anna.set_viewport_size({"width": 390, "height": 844})
        await anna.screenshot(path=f"{folder}/talk-phone.png", full_page=True)


async def test_another_room(shop: Shop, visitors: Visitors) -> None:
    """What is said in one is not heard in another; who comes back reads what was said last."""
    await shop.add(1000)
    page = await visitors.open()
    await visitors.sign_up(page)
    await page.get_by_role("button", name="market").click()
    await say(page, "fresh fish")
    await expect(page.locator("#said li").last).to_contain_text("fresh fish")
    await page.get_by_role("button", name="workshop").click()
    await expect(page.locator("#members")).to_have_text("only you")
    await expect(page.locator("#said li")).to_have_count(0)
    await page.get_by_role("button", name="market").click()
    await expect(page.locator("#said li").last).to_contain_text("fresh fish")


async def test_signed_out_elsewhere(shop: Shop, visitors: Visitors) -> None:
    """SEC-T03: who logs out everywhere is signed out on an open page at once, and the page goes on listening."""
    await shop.add(1000)
    page, witness = await visitors.open(), await visitors.open()
    email = await visitors.sign_up(page)
    await say(page, "I am here")
    await expect(witness.locator("#said li").last).to_contain_text("I am here")
    await shop.log_out_everywhere(email)
    await page.get_by_role("button", name="Sign in", exact=True).wait_for()
    await visitors.sign_up(witness)
    await say(witness, "And I still am")
    await expect(page.locator("#said li").last).to_contain_text("And I still am")


async def test_without_websockets(shop: Shop, visitors: Visitors, browser: object) -> None:
    """Where none gets through, the page goes on by server-sent events: prices change, and one can talk (W14)."""
    product = await shop.add(1000)
    page = await visitors.open()
    await page.add_init_script(NO_WEBSOCKETS)
    await page.reload()
    await page.wait_for_selector("#connection[data-state=live]")
    await shop.price(product, 4321)
    await expect(page.locator(f".product[data-id='{product['id']}'] .price")).to_contain_text("43.21")
    await visitors.sign_up(page)
    await say(page, "over plain HTTP")
    item = page.locator("#said li").last
    await expect(item).to_contain_text("over plain HTTP")
    await expect(item).to_contain_text("You")
