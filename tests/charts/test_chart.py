"""The chart as a package: lint, one kind a file, its documentation."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from .conftest import IMAGE
from .helm import CHART, ROOT, Helm, Values, merged
from .parameter_table import parameters, with_table

TEMPLATES = sorted((CHART / "templates").rglob("*.yaml"))


def test_lint(each_helm: Helm) -> None:
    """`helm lint --strict` finds nothing."""
    assert "0 chart(s) failed" in each_helm.lint(values=IMAGE)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.stem)
def test_one_kind_a_file(template: Path) -> None:
    """A template makes one object, and its file is named after the kind."""
    kinds = re.findall(r"^kind: (\w+)$", template.read_text(), re.MULTILINE)
    if template.parent.name == "tests":
        assert template.read_text().count('include "service.test"') == 1  # a Job, by _test.tpl
    else:
        assert len(kinds) == 1
        assert kinds[0].lower() in template.stem


def test_version_is_the_librarys() -> None:
    """Chart, library and image tag are released together: `appVersion` is the tag that `make image` gives."""
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    library = tomllib.loads((ROOT / "libs" / "framework" / "pyproject.toml").read_text())["project"]["version"]
    assert about["version"] == about["appVersion"] == library


def test_readme_is_current() -> None:
    """The table is the one that values.yaml gives: `make chart-docs` writes it."""
    readme = (CHART / "README.md").read_text()
    assert with_table(readme) == readme


def test_every_value_says_what_it_does() -> None:
    """Each comment is a sentence."""
    for parameter in parameters():
        assert re.fullmatch(r"[A-Z`].*\.", parameter.text), parameter.name


def test_schema_knows_every_value() -> None:
    """Each documented value has its type in the schema, and there is none that does not exist."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    for parameter in parameters():
        node = schema
        for name in parameter.path:
            assert node["additionalProperties"] is False, parameter.name
            node = node["properties"][name]


def test_notes(helm: Helm) -> None:
    """After the installation one reads how to watch, call and check the service."""
    notes = helm.notes(IMAGE)
    assert "kubectl -n shop rollout status deployment/auth" in notes
    assert "kubectl -n shop port-forward service/auth 8000:80" in notes
    assert "helm -n shop test auth" in notes


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        ({"image": {"digest": f"sha256:{'0' * 64}"}}, "image.digest is not set"),
        ({}, "component=migration"),
        ({}, "One pod only"),
        ({}, "networkPolicy.ingress.http"),
    ],
)
def test_notes_do_not_cry_wolf(helm: Helm, values: Values, hint: str) -> None:
    """A hint is given only where it applies."""
    assert hint not in helm.notes(merged(IMAGE, values))


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        ({}, "image.digest is not set"),
        ({"migrations": {"enabled": True}}, "component=migration"),
        ({"replicas": 1}, "One pod only"),
        ({"ingress": {"enabled": True, "hosts": {"shop.example": {}}}}, "networkPolicy.ingress.http"),
    ],
)
def test_notes_say_what_is_left_to_do(helm: Helm, values: Values, hint: str) -> None:
    """A choice that a platform team would ask about is named."""
    assert hint in helm.notes(merged(IMAGE, values))
