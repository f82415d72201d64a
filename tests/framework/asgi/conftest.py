"""`serve(app)`: one server after the other."""

from __future__ import annotations

import pytest

from tests.framework.asgi.servers import SERVERS, Serve


@pytest.fixture(params=list(SERVERS))
def server_name(request: pytest.FixtureRequest) -> str:
    """Which server it is."""
    name: str = request.param
    return name


@pytest.fixture
def serve(server_name: str) -> Serve:
    """`async with serve(app) as url`."""
    return SERVERS[server_name]
