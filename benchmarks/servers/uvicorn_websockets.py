"""uvicorn with a bare ASGI function and its websocket implementation `websockets`."""

from __future__ import annotations

from benchmarks.servers import uvicorn

TITLE = "bare ASGI, uvicorn, websockets (legacy)"
PACKAGES = ("uvicorn", "uvloop", "httptools", "websockets")
WORKLOADS = ("websocket",)


def serve(port: int) -> None:
    """Run until SIGTERM."""
    uvicorn.serve(port, "websockets")
