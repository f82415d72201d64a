"""Both Helms, fetched when they are missing; and the chart rendered by the newer one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .helm import MAJORS, Helm, HelmError, Values, binary, merged
from .manifests import Manifests

IMAGE: Values = {"image": {"repository": "example/auth"}}
"""The only value that has no default."""

Render = Callable[..., Manifests]
Refusal = Callable[..., str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whichever test comes first may have to fetch Helm, 70 MB."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.deadline(300))


@pytest.fixture(scope="session")
def helm() -> Helm:
    """The newest Helm."""
    newest = max(MAJORS)
    return Helm(binary(newest), newest)


@pytest.fixture(scope="session", params=sorted(MAJORS), ids=lambda major: f"helm{major}")
def each_helm(request: pytest.FixtureRequest) -> Helm:
    """Every major version of Helm in turn."""
    return Helm(binary(request.param), request.param)


@pytest.fixture(scope="session")
def render(helm: Helm) -> Render:
    """Renders the chart with the given values over the required one."""

    def rendered(*values: Values, **options: Any) -> Manifests:
        return Manifests.parse(helm.render(merged(IMAGE, *values), **options))

    return rendered


@pytest.fixture(scope="session")
def refusal(helm: Helm) -> Refusal:
    """What Helm says to values that it must refuse."""

    def refused(*values: Values, **options: Any) -> str:
        with pytest.raises(HelmError) as caught:
            helm.render(merged(IMAGE, *values), **options)
        return str(caught.value)

    return refused
