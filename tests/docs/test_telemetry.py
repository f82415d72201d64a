"""docs/telemetry.md: what it shows runs, and the settings that it names exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fairlead import App
from fairlead.config import DEFAULTS
from fairlead.telemetry.metrics import Registry
from fairlead.testing import AsyncTestClient

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "telemetry.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def run(block: str, **names: Any) -> dict[str, Any]:
    """The names that a block defines, beside those that the text before it has introduced."""
    exec(compile(block, "docs/telemetry.md", "exec"), names)
    return names


def test_no_block_is_left_out() -> None:
    """A block that is added to the page needs a test here."""
    assert [sum(word in block for block in BLOCKS) for word in ("get_logger", "log_config", "request.trace", "registry")] == [1] * 4
    assert len(BLOCKS) == 4


async def test_a_line_of_ones_own() -> None:
    """The handler logs, and answers."""
    app: App[Any, Any] = App("prices")
    run(BLOCKS[0] + "    return None\n", app=app)
    async with AsyncTestClient(app) as client:
        assert (await client.patch("/v1/products/0192f0c1-0000-7000-8000-000000000001")).status_code == 204


def test_a_configuration_of_ones_own() -> None:
    """What is given is kept for the worker, and `logging` takes it."""
    from logging.config import DictConfigurator

    config = run(BLOCKS[1])["app"].log_config
    assert DictConfigurator(config).configure_formatter(config["formatters"]["json"]) is not None


async def test_the_place_in_the_trace() -> None:
    """With a caller's trace, and without."""
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    async with AsyncTestClient(run(BLOCKS[2])["app"]) as client:
        assert (await client.get("/")).json() == {"trace": None, "send_along": ""}
        answer = (await client.get("/", headers={"traceparent": parent})).json()
    assert answer == {"trace": parent[3:35], "send_along": parent}


def test_metrics_of_ones_own() -> None:
    """Counter, gauge and histogram are there to be read."""
    registry = Registry()
    block = BLOCKS[3].replace("from fairlead.telemetry.metrics import registry", "")
    run(block, registry=registry, count_items=lambda: 3)
    snapshot = registry.snapshot()
    assert snapshot["products_sold_total"]["series"] == [(["EUR"], 1)]
    assert snapshot["basket_items"]["series"] == [([], 3)]


def test_settings_exist() -> None:
    """No setting is named that does not exist."""
    named = set(re.findall(r"`FAIRLEAD_([A-Z_]+)`", PAGE))
    assert named
    assert named <= set(DEFAULTS)
