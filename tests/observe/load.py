"""What people do with the three services, for as long as somebody wants to look at them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping

import httpx
import websockets

from fairlead.local.plan import Service


async def put_under_load(services: Mapping[str, Service], seconds: float) -> None:
    """People who sign in, read, change prices and watch; and one client that does not know HTTP."""
    auth, catalog, feed = services["auth"], services["catalog"], services["feed"]
    for service in services.values():
        _, bad = await asyncio.open_connection("127.0.0.1", service.port)
        bad.write(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        await bad.drain()
        bad.close()
    account = {"email": f"{uuid.uuid4()}@shop.example", "password": "a password of the tests"}
    async with httpx.AsyncClient(timeout=20) as client:
        (await client.post(f"{auth.url}/v1/accounts", json=account)).raise_for_status()
        answer = await client.post(f"{auth.url}/v1/token", json={"grant_type": "password", **account})
        client.headers["authorization"] = f"Bearer {answer.raise_for_status().json()['access_token']}"
        product = {"sku": f"OBS-{uuid.uuid4().hex[:8]}", "name": "Observed", "stock": 1, "price": {"amount": 1, "currency": "EUR"}}
        url = f"{catalog.url}/v1/products"
        id = (await client.post(url, json=product)).raise_for_status().json()["id"]
        end_s = asyncio.get_running_loop().time() + seconds
        amount = 1
        while asyncio.get_running_loop().time() < end_s:
            amount += 1
            async with websockets.connect(f"ws://127.0.0.1:{feed.port}/ws/products") as page:
                await client.patch(f"{url}/{id}", json={"price": {"amount": amount}})
                await page.recv()
            await asyncio.gather(
                client.get(url), client.get(f"{auth.url}/.well-known/jwks.json"), client.get(feed.url), asyncio.sleep(0.2)
            )
