"""Every rule of the values' schemas refuses what breaks it, in both Helms, and says where and what to write instead (K9)."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import IMAGE
from .helm import CHART, STACK, Helm, HelmError, merged
from .schema_faults import Fault, batches, faults, together

LINE = re.compile(r"^ *- (?:at '(?P<pointer>[^']*)'|(?P<dotted>[^:]*)): (?P<text>.*)$", re.MULTILINE)

SUBCHARTS = ("auth", "catalog", "feed")
"""Helm itself refuses what is no map there, before it looks at any schema; what is in them their own schema judges."""


def schema_of(chart: Path) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((chart / "values.schema.json").read_text())
    return schema


def said(message: str) -> dict[str, str]:
    """What Helm says of each place, by its dotted name; a place that it can't name is ""."""
    texts: dict[str, str] = defaultdict(str)
    for line in LINE.finditer(message):
        place = (line["pointer"] or "").strip("/").replace("/", ".") if line["dotted"] is None else line["dotted"]
        texts["" if place == "(root)" else place] += re.sub(r"(?<=\d),(?=\d{3})", "", line["text"]) + "\n"
    return texts


def says(texts: dict[str, str], fault: Fault) -> bool:
    """Whether the message names the place and what is wanted there."""
    place = ".".join("0" if part == "[]" else part for part in fault.place)
    text = texts[place] if fault.place or fault.path[1:] == () else "\n".join(texts.values())
    return all(re.search(rf"\b(?:{word})\b", text) for word in fault.words)


@pytest.mark.parametrize("chart", [CHART, STACK], ids=lambda chart: str(chart.name))
def test_every_rule(each_helm: Helm, chart: Path) -> None:
    """All faults that the schema knows are found, and reported at their place."""
    found = [fault for fault in faults(schema_of(chart)) if fault.path[0] not in SUBCHARTS]
    silent = []
    for group in batches(found):
        with pytest.raises(HelmError) as caught:
            each_helm.render(merged(IMAGE if chart == CHART else {}, together(group)), chart=chart)
        texts = said(str(caught.value))
        silent += [f"{fault.name}: {fault.words}" for fault in group if not says(texts, fault)]
    assert silent == []


@pytest.mark.parametrize("chart", [CHART, STACK], ids=lambda chart: str(chart.name))
def test_nothing_lies_idle(chart: Path) -> None:
    """Every definition is used, and every value that the schema names is in values.yaml."""
    text = (chart / "values.schema.json").read_text()
    schema = schema_of(chart)
    assert [name for name in schema["definitions"] if f'"#/definitions/{name}"' not in text] == []
    assert list(unknown_to(yaml.safe_load((chart / "values.yaml").read_text()), schema)) == ["global"]


def unknown_to(values: Any, schema: dict[str, Any]) -> Iterator[str]:
    """Keys that the schema has a shape for and the values do not name."""
    for name, below in schema.get("properties", {}).items():
        if name not in values:
            yield name
        elif values[name] and isinstance(values[name], dict):  # an empty map is filled by whoever needs it
            yield from unknown_to(values[name], below)
