"""The documentation pages in a browser: they render what the application describes, and load nothing from elsewhere (P6)."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Browser, expect

from fairlead import App, Query, Request, openapi
from fairlead.testing import AppServer


@pytest.mark.deadline(90)
@pytest.mark.parametrize("ui", ["swagger", "redoc"])
async def test_page_renders(ui: Any, browser: Browser) -> None:
    """The operation is shown; every request went to the page's own origin, or was stopped by the page's policy."""
    app: App[Any, Any] = App("shop")
    openapi.attach(app, title="Shop of the browser", version="1.0", ui=ui)

    async def products(request: Request[Any, Any], limit: Query[int] = 10) -> list[str]:
        """Every product there is."""
        return []

    products.__annotations__["limit"] = Query[int]
    app.add_route(products, "/products")
    asked: list[str] = []
    async with AppServer(app, live=True) as server:
        host, port = server.address
        page = await browser.new_page()
        page.on("requestfinished", lambda request: asked.append(request.url))
        await page.goto(f"http://{host}:{port}/docs")
        await expect(page.get_by_text("Shop of the browser").first).to_be_visible()
        await expect(page.get_by_text("Every product there is").first).to_be_visible()
        await page.close()
    assert asked
    assert [url for url in asked if not url.startswith((f"http://{host}:{port}/", "data:", "blob:"))] == []
