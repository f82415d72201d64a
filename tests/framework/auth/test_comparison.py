"""SEC-P06: no secret is compared with `==`, anywhere: that takes longer the more of it is right (CWE-208)."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import fairlead

LIBRARY = Path(fairlead.__file__).parent
SERVICES = LIBRARY.parents[3] / "services"
SECRET = re.compile(r"(?i)secret|token|signature|password|digest|hmac|(^|[_.])mac(_|$)|api_?key|csrf")


def compared(source: str) -> list[str]:
    """The comparisons for equality of something that is named like a secret."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and any(isinstance(operator, ast.Eq | ast.NotEq) for operator in node.ops):
            sides = [side for side in (node.left, *node.comparators) if isinstance(side, ast.Name | ast.Attribute)]
            if any(SECRET.search(ast.unparse(side)) for side in sides if not ast.unparse(side).isupper()):
                found.append(ast.unparse(node))
    return found


def test_nothing_secret_is_compared() -> None:
    """Library and services use `hmac.compare_digest`; the lengths of tokens are no secret."""
    files = [*LIBRARY.rglob("*.py"), *SERVICES.glob("*/src/**/*.py")]
    assert len(files) > 200
    assert {} == {str(file): found for file in files if (found := compared(file.read_text()))}


@pytest.mark.parametrize("source", ["token == given", "if self.secret != x: pass", "a.signature == b", "csrf_token == form"])
def test_it_would_be_found(source: str) -> None:
    """The search finds what it is for."""
    assert compared(source)
