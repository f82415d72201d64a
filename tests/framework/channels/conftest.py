"""A real Valkey of this directory's own, which tests may kill and start again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.redis_server import RedisServer


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[RedisServer]:
    """An empty server; kill and start it as you like."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()
