"""The dashboard's and the alerts' queries, asked of a real Prometheus that scrapes the three services under load (issue 6)."""

from __future__ import annotations

import asyncio
import os
import re
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from fairlead.local.console import Console
from fairlead.local.plan import Service, read_services, with_ports
from fairlead.local.ports import free_port
from fairlead.local.stack import Stack
from tests.charts.conftest import IMAGE
from tests.charts.helm import MAJORS, Helm, binary, merged
from tests.charts.manifests import Manifests
from tests.charts.test_monitoring import DASHBOARD, RULES
from tests.observe.__main__ import PANELS, picture
from tests.observe.prometheus import ROOT, Missing, Prometheus, Target, program

NAMESPACE = "shop"
LOAD_S = 12.0
ONLY_FOR = {"outbox_": {"catalog"}, "fairlead_websocket": {"feed"}, "db_client": {"auth", "catalog", "feed"}}
"""Metrics that not every service has, by how their names begin."""


@pytest.fixture(scope="session")
def services(server_thread: Any, server_directory: Path, redis_server_url: str) -> dict[str, Service]:
    """The three of them, as `make run` starts them, on free ports."""
    try:
        program("prometheus")
    except Missing as reason:
        pytest.skip(f"queries NOT VERIFIED: {reason}")
    found = with_ports(read_services(ROOT), free_port)
    environ = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "FAIRLEAD_WORKERS")}
    console = Console([service.name for service in found])
    environ["REDIS_URL"] = redis_server_url
    server_thread.enter(Stack(found, data=server_directory / "observe", environ=environ, console=console))
    return {service.name: service for service in found}


async def put_under_load(services: dict[str, Service]) -> None:
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
        end_s = asyncio.get_running_loop().time() + LOAD_S
        amount = 1
        while asyncio.get_running_loop().time() < end_s:
            amount += 1
            async with websockets.connect(f"ws://127.0.0.1:{feed.port}/ws/products") as page:
                await client.patch(f"{url}/{id}", json={"price": {"amount": amount}})
                await page.recv()
            await asyncio.gather(
                client.get(url), client.get(f"{auth.url}/.well-known/jwks.json"), client.get(feed.url), asyncio.sleep(0.2)
            )


@pytest.fixture
async def prometheus(services: dict[str, Service], rules: list[dict[str, Any]], tmp_path: Path) -> AsyncIterator[Prometheus]:
    """One that has scraped the services under load."""
    targets = [Target(service.name, service.management_url.removeprefix("http://")) for service in services.values()]
    async with Prometheus(tmp_path / "prometheus", targets, namespace=NAMESPACE, rules=rules) as prometheus:
        await put_under_load(services)
        yield prometheus


@pytest.fixture
def rules() -> list[dict[str, Any]]:
    """The chart's alerts."""
    newest = max(MAJORS)
    chart = Manifests.parse(Helm(binary(newest), newest).render(merged(IMAGE, RULES)))
    found: list[dict[str, Any]] = chart.of("PrometheusRule")["spec"]["groups"][0]["rules"]
    return found


def _has(service: str, expression: str) -> bool:
    return all(service in owners for prefix, owners in ONLY_FOR.items() if prefix in expression)


@pytest.mark.deadline(180)
async def test_every_query_returns_data(prometheus: Prometheus, services: dict[str, Service], rules: list[dict[str, Any]]) -> None:
    """Each panel of the dashboard shows something for each service that has it; each series that an alert looks at is there; no
    alert fires on services that are well; and the picture of `make observe` has all its columns."""
    empty = []
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            for service in services:
                values = {"$namespace": NAMESPACE, "$service": service, "$__rate_interval": "10s"}
                expression = re.sub(r"\$\w+", lambda name, values=values: values[name[0]], target["expr"])
                if _has(service, expression) and not await prometheus.query(expression):
                    empty.append((panel["title"], service))
    assert empty == []
    for rule in rules:
        for selector in re.findall(r"\w+\{[^}]*\}", rule["expr"]):
            series = re.sub(r'http_response_status_code=~"5\.\."', 'http_response_status_code=~".*"', selector)
            looked_at = re.sub(r'job="[^"]*"', 'job="catalog"', re.sub(r'namespace="[^"]*"', f'namespace="{NAMESPACE}"', series))
            assert await prometheus.query(looked_at), (rule["alert"], looked_at)
    states = await prometheus.alerts()
    assert set(states) == {rule["alert"] for rule in rules}
    assert "firing" not in states.values()
    shown = await picture(prometheus, list(services))
    assert shown.splitlines()[0].split() == " ".join(PANELS).split()
    catalog = next(line for line in shown.splitlines() if line.split()[0] == "catalog").split()
    assert catalog.count("-") <= 1  # it has no websockets
