"""Mounted applications are tried on the native server and, one application within another, under uvicorn."""

from __future__ import annotations

import pytest

from tests.framework.asgi.servers import SERVERS, Serve


@pytest.fixture(params=["native", "uvicorn"])
def serve(request: pytest.FixtureRequest) -> Serve:
    """`async with serve(app) as url`."""
    return SERVERS[request.param]
