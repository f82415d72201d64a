"""The page of `make observe`: what it answers, and what a browser makes of it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Page, async_playwright, expect

from fairlead.local.plan import Service
from fairlead.local.ports import free_port
from fairlead.testing import AsyncTestClient
from fairlead.testing.otlp import OtlpReceiver, ReceivedSpan
from tests.charts.test_monitoring import DASHBOARD
from tests.observe.__main__ import _serving
from tests.observe.page import build_page
from tests.observe.prometheus import Prometheus

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
NAMES = ["auth", "catalog", "feed"]


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    """One that has heard of a changed price."""
    with OtlpReceiver() as receiver:
        for name, id, parent, service in (("PATCH /v1/products", "1", "", "catalog"), ("send websockets", "2", "1", "feed")):
            who = {"service.name": service}
            receiver.spans.append(ReceivedSpan(name, TRACE, id, parent, 1, 10**18, 10**18 + 5_000_000, {"url.path": "/v1"}, who))
        yield receiver


class Silent(Prometheus):
    """One that is not started: nobody may ask it."""

    def __init__(self) -> None:
        pass


async def test_traces(receiver: OtlpReceiver) -> None:
    """A list, each as a tree; a trace that nobody knows is 404."""
    async with AsyncTestClient(build_page(Silent(), receiver, NAMES)) as client:
        (summary,) = (await client.get("/traces")).json()
        assert (summary["name"], summary["services"], summary["spans"]) == ("PATCH /v1/products", ["catalog", "feed"], 2)
        trace = (await client.get(f"/traces/{TRACE}")).json()
        assert [(step["depth"], step["name"], step["seconds"]) for step in trace["steps"]] == [
            (0, "PATCH /v1/products", 0.005),
            (1, "send websockets", 0.005),
        ]
        assert (await client.get(f"/traces/{'0' * 32}")).status_code == 404


async def test_it_asks_for_what_it_offers_alone(receiver: OtlpReceiver) -> None:
    """Another service or span of time is refused before Prometheus hears of it."""
    async with AsyncTestClient(build_page(Silent(), receiver, NAMES)) as client:
        for words in ("service=else&minutes=5", "service=auth&minutes=1000000", ""):
            assert (await client.get(f"/series?expr=up&{words}")).status_code == 400


@pytest.fixture
async def browser_page() -> AsyncIterator[Page]:
    """Debian's Chromium; what the page complains of fails the test."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("the page is NOT VERIFIED in a browser: there is no chromium")
    complaints: list[str] = []
    async with (
        async_playwright() as playwright,
        await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"]) as browser,
    ):
        page = await browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        yield page
    assert complaints == []


@pytest.mark.deadline(180)
async def test_in_a_browser(
    browser_page: Page, prometheus: Prometheus, services: dict[str, Service], receiver: OtlpReceiver
) -> None:
    """Each panel of the chart's dashboard is drawn from a real Prometheus; a trace opens as a tree; a wrong query is told."""
    app = build_page(prometheus, receiver, list(services))
    port = free_port()
    async with _serving(app, port):
        await browser_page.goto(f"http://127.0.0.1:{port}/")
        await browser_page.get_by_role("button", name="catalog", exact=True).click()
        for panel in DASHBOARD["panels"]:
            if panel["type"] != "row":
                await expect(browser_page.locator(f'[data-panel="{panel["id"]}"] > *').first).to_be_visible(timeout=30_000)
        rate = browser_page.locator(".panel", has_text="Rate by route")
        await expect(rate.locator("path")).not_to_have_count(0)
        await expect(rate.locator(".legend")).to_contain_text("PATCH /v1/products/<product_id:uuid>")
        await browser_page.get_by_role("button", name="traces", exact=True).click()
        await browser_page.get_by_text("PATCH /v1/products").click()
        await expect(browser_page.locator("h2")).to_have_text("PATCH /v1/products: 5.00 ms, 2 spans")
        await expect(browser_page.locator("summary").nth(1)).to_have_text("send websockets")
    async with AsyncTestClient(app) as client:
        refused = await client.get("/series?expr=sum(&service=auth&minutes=5")
    assert (refused.status_code, "Prometheus refuses" in refused.text) == (400, True)
