"""services/*/openapi.json: current, and valid under two validators (P6, C1)."""

from __future__ import annotations

import json

import pytest

from tests.framework.openapi.validators import check

from .documents import NAMES, SERVICES, document_of


@pytest.mark.parametrize("name", NAMES)
def test_document_is_current_and_valid(name: str) -> None:
    """What is kept beside the code is what the code says: `make openapi` writes it."""
    kept = (SERVICES / name / "openapi.json").read_bytes()
    assert kept == document_of(name), "out of date: run `make openapi`"
    check(json.loads(kept))


def test_every_service_has_one() -> None:
    """A service without a document would not be noticed above."""
    assert {path.parent.name for path in SERVICES.glob("*/openapi.json")} == set(NAMES) != set()
