"""docs/reference/metrics.md says what /metrics says, no more and no less (K10)."""

from __future__ import annotations

import re

import httpx
import pytest

from fairlead.local.plan import Service
from tests.charts.test_monitoring import DASHBOARD, OVER_OTLP
from tests.observe.load import put_under_load
from tests.observe.reference import families_read, promises

UNSEEN = {"fairlead_tls_certificate_expiry_timestamp_seconds", *OVER_OTLP}
"""What the services of `make run` do not have: they speak plain HTTP, without a collector. tests/framework/telemetry sees it."""


def scraped(text: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Type and labels of each family of a scrape; the labels of one without a series are unknown, and empty."""
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
    labels: dict[str, set[str]] = {name: set() for name in kinds}
    for series, inside in re.findall(r"^(\w+)\{(.*)\} \S+$", text, re.MULTILINE):
        name = series if series in kinds else re.sub(r"_(bucket|count|sum)$", "", series)
        labels[name] |= set(re.findall(r"(\w+)=\"", inside)) - {"le"}
    return {name: (kind, frozenset(labels[name])) for name, kind in kinds.items()}


@pytest.mark.deadline(120)
async def test_every_family_has_its_line(services: dict[str, Service]) -> None:
    """What three services under load say is what the page says, with type and labels; and nothing else is on the page."""
    await put_under_load(services, 1.0)
    found: dict[str, tuple[str, frozenset[str]]] = {}
    async with httpx.AsyncClient() as client:
        for service in services.values():
            for name, (kind, labels) in scraped((await client.get(f"{service.management_url}/metrics")).text).items():
                found[name] = (kind, labels | found.get(name, (kind, frozenset[str]()))[1])
    promised = promises()
    assert set(found) == set(promised) - UNSEEN
    for name, (kind, labels) in found.items():
        assert kind == promised[name].kind, name
        assert labels in (promised[name].labels, frozenset()), name


def test_every_panel_is_named() -> None:
    """Each line names the panels that show the family, and those only; what no panel shows is on the page alone."""
    promised = promises()
    shown: dict[str, set[str]] = {name: set() for name in promised}
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            for name in families_read(target["expr"], frozenset(promised)):
                shown[name].add(panel["title"])
    assert shown == {name: set(promise.panels) for name, promise in promised.items()}
