"""The three services as `make run` starts them, on free ports, and Debian's Chromium in front of them.

The stack is started once. Each test has a browser of its own on its own loop, so that nothing of one test is left in the
next; a page that reports an error, or that its own Content-Security-Policy has stopped from something, fails its test.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from fairlead.local.console import Console
from fairlead.local.plan import Service, read_services, with_ports
from fairlead.local.ports import free_port
from fairlead.local.stack import Stack
from tests.redis_server import RedisServer

expect.set_options(timeout=15_000)  # Chromium and the services may share their CPUs with much else

NAMES = ("auth", "catalog", "feed")
ROOT = Path(__file__).parents[2]
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
EXPECTED_ERRORS = ("the server responded with a status of", "WebSocket connection to", "net::ERR_")
"""What a browser logs of answers and outages that a test has caused on purpose."""


class Shop:
    """The running services, and the user of a script beside the browser."""

    def __init__(self, services: tuple[Service, ...], redis: RedisServer) -> None:
        self.auth, self.catalog, self.feed = (next(s for s in services if s.name == n) for n in NAMES)
        self.redis = redis
        self._numbers = itertools.count(1)
        self._token = ""

    async def __aenter__(self) -> Shop:
        self._client = httpx.AsyncClient(timeout=10)
        account = {"email": f"{uuid.uuid4()}@shop.example", "password": "a password of the e2e tests"}
        (await self._client.post(f"{self.auth.url}/v1/accounts", json=account)).raise_for_status()
        answer = await self._client.post(f"{self.auth.url}/v1/token", json={"grant_type": "password", **account})
        self._token = answer.raise_for_status().json()["access_token"]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def add(self, amount: int = 1000, currency: str = "EUR", **fields: Any) -> dict[str, Any]:
        """A new product, with a name of its own."""
        word = uuid.uuid4().hex[:8]
        product = {"sku": f"E2E-{word}", "name": f"Thing {word}", "stock": 20, **fields}
        added: dict[str, Any] = await self._send("POST", "", json={**product, "price": {"amount": amount, "currency": currency}})
        return added

    async def price(self, product: dict[str, Any], amount: int) -> dict[str, Any]:
        """Change a price, as somebody else would."""
        changed: dict[str, Any] = await self._send("PATCH", f"/{product['id']}", json={"price": {"amount": amount}})
        return changed

    async def delete(self, product: dict[str, Any]) -> None:
        """Delete a product, as somebody else would."""
        await self._send("DELETE", f"/{product['id']}")

    async def log_out_everywhere(self, email: str) -> None:
        """As somebody does who has signed up on the page and now sits at another machine."""
        grant = {"grant_type": "password", "email": email, "password": "a password of the e2e tests"}
        token = (await self._client.post(f"{self.auth.url}/v1/token", json=grant)).raise_for_status().json()["access_token"]
        headers = {"authorization": f"Bearer {token}"}
        (await self._client.delete(f"{self.auth.url}/v1/accounts/me/sessions", headers=headers)).raise_for_status()

    async def workers(self) -> list[dict[str, Any]]:
        """What the feed's supervisor says of its workers."""
        answer = await self._client.get(f"{self.feed.management_url}/livez", headers={"accept": "application/json"})
        workers: list[dict[str, Any]] = answer.json()["workers"]
        return workers

    async def is_ready(self) -> bool:
        """Whether the feed wants traffic."""
        return (await self._client.get(f"{self.feed.management_url}/readyz")).status_code == 200

    async def _send(self, method: str, path: str, **content: Any) -> Any:
        headers = {"authorization": f"Bearer {self._token}"}
        answer = await self._client.request(method, f"{self.catalog.url}/v1/products{path}", headers=headers, **content)
        answer.raise_for_status()
        return answer.json() if answer.content else None


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where the browser is. Without one the tests are skipped; in CI they fail, because nobody reads skips there."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        missing = "no Chromium is installed: `make browser` installs it"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


@pytest.fixture(scope="session")
def services(chromium: str, server_thread: Any, server_directory: Path) -> Iterator[tuple[tuple[Service, ...], RedisServer]]:
    """The services, ready; they stop when the run ends."""
    redis = RedisServer(server_directory / "e2e-redis")
    redis.start()
    services = with_ports(read_services(ROOT), free_port)
    # What a developer's shell says must not reach the services under test.
    environ = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "FAIRLEAD_WORKERS")}
    environ["REDIS_URL"] = redis.url
    console = Console([service.name for service in services])
    server_thread.enter(Stack(services, data=server_directory / "e2e", environ=environ, console=console))
    yield services, redis
    redis.kill()


@pytest.fixture
async def shop(services: tuple[tuple[Service, ...], RedisServer]) -> AsyncIterator[Shop]:
    """The running services."""
    async with Shop(*services) as shop:
        yield shop


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """A headless Chromium of this test's own."""
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=flags)
        yield browser
        await browser.close()


class Visitors:
    """Opens pages, each in a context of its own (two people, not two tabs), and collects what goes wrong in them."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser = browser
        self._url = url
        self.errors: list[str] = []

    async def open(self, *, state: str = "live", **options: Any) -> Page:
        """A page that shows products, and this state of its connection."""
        context = await self._browser.new_context(**{"locale": "en-GB", **options})
        return await self.open_tab(await context.new_page(), state)

    async def open_tab(self, page: Page, state: str = "live") -> Page:
        """Go there, and wait until the page shows products and this state."""
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._hear)
        await page.goto(self._url)
        await page.wait_for_selector(f"#connection[data-state={state}]")
        await page.wait_for_selector(".product[data-id]")
        return page

    async def sign_up(self, page: Page) -> str:
        """Make an account by the page's own dialog; gives the e-mail address."""
        email = f"{uuid.uuid4()}@shop.example"
        await page.get_by_role("button", name="Sign in", exact=True).click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_role("button", name="Create an account").click()
        await dialog.get_by_label("E-mail").fill(email)
        await dialog.get_by_label("Password").fill("a password of the e2e tests")
        await dialog.get_by_role("button", name="Create an account").click()
        await page.get_by_role("button", name="Sign out").wait_for()
        return email

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not any(part in message.text for part in EXPECTED_ERRORS):
            self.errors.append(message.text)


@pytest.fixture
async def visitors(browser: Browser, shop: Shop) -> AsyncIterator[Visitors]:
    """Whoever visits the page in this test."""
    visitors = Visitors(browser, shop.feed.url)
    yield visitors
    for context in browser.contexts:
        await context.close()
    assert visitors.errors == []


async def until(condition: Callable[[], Awaitable[bool]], *, pause_s: float = 0.05) -> None:
    """Wait until an async condition holds; the test's deadline ends a wait in vain."""
    while not await condition():  # noqa: ASYNC110 - what is waited for happens in other processes
        await asyncio.sleep(pause_s)
