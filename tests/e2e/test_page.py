"""The page itself: signing in, conflicts, keyboards, money, sizes and schemes."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Route, expect

from .conftest import Shop, Visitors
from .test_live import price, row, set_price

pytestmark = pytest.mark.deadline(90)


async def test_a_reload_keeps_one_signed_in(shop: Shop, visitors: Visitors) -> None:
    """The refresh token outlives the reload, the access token does not; signing out ends both, also at auth."""
    product = await shop.add(1000)
    page = await visitors.open()
    email = await visitors.sign_up(page)
    await page.reload()
    await expect(page.locator("#email")).to_have_text(email)
    await set_price(page, product, "11")
    await expect(price(page, product)).to_have_text("€11.00")
    kept = await page.evaluate("JSON.stringify({...sessionStorage, ...localStorage}) + document.cookie")
    assert "refreshToken" in kept
    assert "access" not in kept
    async with page.expect_response("**/v1/token/revoke") as revoked:
        await page.get_by_role("button", name="Sign out").click()
    assert (await revoked.value).status == 204
    await expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_focused()
    assert await page.evaluate("sessionStorage.length + localStorage.length") == 0


async def test_a_duplicated_tab_does_not_spend_the_others_refresh_token(shop: Shop, visitors: Visitors) -> None:
    """A copy of the session in another tab is dropped: using a refresh token twice would end both sessions."""
    product = await shop.add(1000)
    page = await visitors.open()
    await visitors.sign_up(page)
    kept = await page.evaluate("JSON.stringify({...sessionStorage})")
    copy = await page.context.new_page()
    await copy.add_init_script(f"for (const [k, v] of Object.entries({kept})) sessionStorage.setItem(k, v)")
    await visitors.open_tab(copy)
    await expect(copy.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    await page.reload()
    await set_price(page, product, "12")
    await expect(price(copy, product)).to_have_text("€12.00")


async def test_an_expired_token_is_renewed_unseen(shop: Shop, visitors: Visitors) -> None:
    """A 401 leads to a refresh and the same request again; the user notices nothing."""
    product = await shop.add(1000)
    page = await visitors.open()
    await visitors.sign_up(page)
    statuses: list[int] = []

    async def refuse_once(route: Route) -> None:
        if route.request.method == "PATCH" and not statuses:
            statuses.append(401)
            await route.continue_(headers={**route.request.headers, "authorization": "Bearer expired"})
        else:
            await route.continue_()

    await page.route("**/v1/products/*", refuse_once)
    async with page.expect_response(lambda response: response.url.endswith("/v1/token")) as refreshed:
        await set_price(page, product, "13")
    assert (await refreshed.value).status == 200
    await expect(price(page, product)).to_have_text("€13.00")
    assert statuses == [401]


async def test_a_session_that_has_ended_asks_to_sign_in(shop: Shop, visitors: Visitors) -> None:
    """When the refresh token is no good either, the dialog says why it opens, and the typed price is not lost."""
    product = await shop.add(1000)
    page = await visitors.open()
    await visitors.sign_up(page)
    await page.evaluate(
        """() => {
            const key = "fairlead.session", kept = JSON.parse(sessionStorage.getItem(key));
            sessionStorage.setItem(key, JSON.stringify({...kept, refreshToken: "spent"}));
        }"""
    )
    await page.reload()
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    await row(page, product).locator(".price").click()
    field = page.get_by_label(f"New price of {product['name']}")
    await field.fill("14")
    await field.press("Enter")
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Your session has ended. Please sign in again.")
    await expect(field).to_have_value("14")


async def test_a_wrong_password_is_a_sentence(visitors: Visitors) -> None:
    """Problem details become words in the dialog, and the dialog stays."""
    page = await visitors.open()
    email = await visitors.sign_up(page)
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_role("button", name="Sign in", exact=True).click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("E-mail").fill(email)
    await dialog.get_by_label("Password").fill("not the password")
    await dialog.get_by_role("button", name="Sign in").click()
    await expect(dialog.get_by_role("alert")).not_to_be_empty()
    await expect(dialog.get_by_role("alert")).not_to_contain_text("401")
    await dialog.get_by_role("button", name="Create an account").click()
    await dialog.get_by_role("button", name="Create an account").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("already")


async def test_a_weak_password_is_said_at_its_field(visitors: Visitors) -> None:
    """A 422 of the service shows at the field that it is about."""
    page = await visitors.open()
    await page.get_by_role("button", name="Sign in", exact=True).click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Create an account").click()
    await dialog.get_by_label("E-mail").fill("eva@shop.example")
    await dialog.get_by_label("Password").fill("short")
    await dialog.get_by_role("button", name="Create an account").click()
    await expect(dialog.locator("#account-password-error")).not_to_be_empty()
    await expect(dialog.get_by_label("Password")).to_have_attribute("aria-invalid", "true")
    await expect(dialog.get_by_label("Password")).to_be_focused()


async def test_somebody_was_faster(shop: Shop, visitors: Visitors) -> None:
    """A 412 is told kindly with the current price, nothing is overwritten unseen, and saving again works."""
    product = await shop.add(1000)
    page = await visitors.open()
    await visitors.sign_up(page)

    overtaken: list[dict[str, Any]] = []

    async def overtake(route: Route) -> None:
        if route.request.method == "PATCH" and not overtaken:
            overtaken.append(await shop.price(product, 1500))
        await route.continue_()

    await page.route("**/v1/products/*", overtake)
    await row(page, product).locator(".price").click()
    field = page.get_by_label(f"New price of {product['name']}")
    await field.fill("12")
    await field.press("Enter")
    await expect(row(page, product).get_by_role("alert")).to_contain_text("it is €15.00 now")
    await expect(price(page, product)).to_have_text("€15.00")
    await expect(field).to_have_value("12")
    await field.press("Enter")
    await expect(price(page, product)).to_have_text("€12.00")


async def test_a_change_during_editing_is_announced(shop: Shop, visitors: Visitors) -> None:
    """Whoever is typing a price learns at once that somebody else has changed it."""
    product = await shop.add(1000)
    page = await visitors.open()
    await visitors.sign_up(page)
    await row(page, product).locator(".price").click()
    field = page.get_by_label(f"New price of {product['name']}")
    await field.fill("12")
    await shop.price(product, 1600)
    await expect(row(page, product).get_by_role("alert")).to_contain_text("€16.00")
    await expect(field).to_have_value("12")
    await field.press("Enter")
    await expect(price(page, product)).to_have_text("€12.00")


async def test_everything_works_from_the_keyboard(shop: Shop, visitors: Visitors) -> None:
    """Tab, Enter and Escape are enough, and focus is never lost."""
    product = await shop.add(1000)
    page = await visitors.open()
    await visitors.sign_up(page)
    button = row(page, product).locator(".price")
    await button.focus()
    await page.keyboard.press("Enter")
    field = page.get_by_label(f"New price of {product['name']}")
    await expect(field).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(field).to_have_count(0)
    await expect(button).to_be_focused()
    await page.keyboard.press("Enter")
    await page.keyboard.type("nonsense")
    await page.keyboard.press("Enter")
    await expect(row(page, product).get_by_role("alert")).to_contain_text("That is not a price")
    await expect(field).to_be_focused()
    await page.keyboard.press("Control+A")
    await page.keyboard.type("9.99")
    await page.keyboard.press("Enter")
    await expect(price(page, product)).to_have_text("€9.99")
    await expect(button).to_be_focused()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alertdialog").get_by_role("button", name="Keep it")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(row(page, product).get_by_role("button", name="Delete")).to_be_focused()
    await page.get_by_role("link", name="Skip to the products").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#products")).to_be_focused()


async def test_one_is_asked_to_sign_in_first(shop: Shop, visitors: Visitors) -> None:
    """A click on a price leads through the dialog to the editor."""
    product = await shop.add(1000)
    page = await visitors.open()
    await row(page, product).locator(".price").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text(f"Sign in to change the price of “{product['name']}”")
    await page.keyboard.press("Escape")
    await expect(page.locator(".editor")).to_have_count(0)


async def test_money_is_shown_by_its_currency(shop: Shop, visitors: Visitors) -> None:
    """Minor units become the currency's own digits in the reader's language, exactly."""
    euros, yen, dinars = await shop.add(123456), await shop.add(123456, "JPY"), await shop.add(123456, "KWD")
    cent, fortune = await shop.add(1), await shop.add(9_007_199_254_740_991)
    page = await visitors.open()
    await expect(price(page, euros)).to_have_text("€1,234.56")
    await expect(price(page, yen)).to_have_text("JP¥123,456")
    await expect(price(page, dinars)).to_have_text("KWD\u00a0123.456")
    await expect(price(page, cent)).to_have_text("€0.01")
    await expect(price(page, fortune)).to_have_text("€90,071,992,547,409.91")
    page = await visitors.open(locale="de-DE")
    await expect(price(page, euros)).to_have_text("1.234,56\u00a0€")
    for product in (euros, yen, dinars, cent, fortune):
        await shop.delete(product)


PARSED: list[tuple[str, str, int | str]] = [
    ("19.99", "EUR", 1999),
    ("19,99", "EUR", 1999),
    ("€ 1,234.5", "EUR", 123450),
    ("1.234,50 €", "EUR", 123450),
    ("1 234,50", "EUR", 123450),
    ("1,234", "EUR", 123400),
    ("1'234.05", "CHF", 123405),
    ("12 EUR", "EUR", 1200),
    ("1,000", "JPY", 1000),
    ("1.234", "KWD", 1234),
    ("0", "EUR", 0),
    ("19.999,9", "EUR", 1999990),
    ("1.2345", "EUR", "EUR has 2 decimals at most."),
    ("10.5", "JPY", "JPY has no decimals."),
    ("", "EUR", "Type a price."),
    ("abc", "EUR", "That is not a price. Digits will do, as in 19.99."),
    ("-3", "EUR", "That is not a price. Digits will do, as in 19.99."),
    ("99999999999999999", "EUR", "That is more than there is."),
]


async def test_typed_prices_are_understood(visitors: Visitors) -> None:
    """Either separator, with or without signs and thousands; what is no price is said in words, never guessed."""
    page = await visitors.open()
    results: list[Any] = await page.evaluate(
        """async (cases) => {
            const { parseMoney } = await import("/assets/money.js");
            return cases.map(([text, currency]) => { try { return parseMoney(text, currency); } catch (e) { return e.message; } });
        }""",
        [[text, currency] for text, currency, _ in PARSED],
    )
    assert results == [expected for _, _, expected in PARSED]


CONTRASTS = """() => {
    const parse = (text) => { const [r, g, b] = text.match(/[\\d.]+/g).map(Number); return [r, g, b]; };
    const luminance = (rgb) => {
        const [r, g, b] = rgb.map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const backgroundOf = (element) => {
        for (let e = element; e; e = e.parentElement) {
            const color = getComputedStyle(e).backgroundColor;
            if (!/, 0\\)$/.test(color) && color !== "transparent") return parse(color);
        }
        return [255, 255, 255];
    };
    const texts = [...document.querySelectorAll("body *")].filter((e) =>
        e.checkVisibility() && [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) &&
        !e.closest(".skip, .unseen, .sprite, .leaving, script, option"));
    return texts.map((e) => {
        const [light, dark] = [luminance(parse(getComputedStyle(e).color)), luminance(backgroundOf(e))].sort((a, b) => b - a);
        return [Math.round(((light + 0.05) / (dark + 0.05)) * 100) / 100, e.textContent.trim().slice(0, 40)];
    });
}"""


SMALL = """() => [...document.querySelectorAll("button, input, select")].filter((e) => e.checkVisibility())
    .map((e) => [e.getBoundingClientRect(), e.textContent || e.ariaLabel || e.name])
    .filter(([box]) => box.height < 36 || box.width < 36).map(([, name]) => name.trim())"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_fits_and_can_be_read(visitors: Visitors, shop: Shop, scheme: Any) -> None:
    """On a phone and on a desktop, light and dark: nothing sticks out, every text has a contrast of 4.5 (WCAG 1.4.3), and
    nothing that is pressed is smaller than 36 pixels."""
    name = "A product whose name is rather longer than anybody expected, 30 cm"
    product = await shop.add(999_999_999, stock=2, name=name)
    page = await visitors.open(color_scheme=scheme, reduced_motion="reduce")
    await visitors.sign_up(page)
    await shop.price(product, 999_999_998)
    await row(page, product).locator(".price").click()
    await page.get_by_label("New price of").fill("nonsense")
    await page.keyboard.press("Enter")
    await expect(row(page, product).get_by_role("alert")).not_to_be_empty()
    for width, height in ((360, 740), (768, 1024), (1280, 800)):
        await page.set_viewport_size({"width": width, "height": height})
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        assert [pair for pair in await page.evaluate(CONTRASTS) if pair[0] < 4.5] == []
        assert await page.evaluate(SMALL) == []
    await shop.delete(product)


async def test_everything_that_is_asked_has_a_name(visitors: Visitors) -> None:
    """Every button and every field, those of closed dialogs too, says to a screen reader what it is for."""
    page = await visitors.open()
    nameless = await page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, a")].filter((e) => !e.closest("[hidden]"))
            .filter((e) => ![e.ariaLabel, e.textContent, ...[...(e.labels ?? [])].map((l) => l.textContent)]
                .some((text) => text?.trim()))
            .map((e) => e.outerHTML)"""
    )
    assert nameless == []
