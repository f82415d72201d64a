"""What the tests of the local stack share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short-named folder that every account of this machine may pass through, as a checkout usually is."""
    with tempfile.TemporaryDirectory(prefix="fairlead-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path
