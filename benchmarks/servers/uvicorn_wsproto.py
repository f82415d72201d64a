"""uvicorn with a bare ASGI function and its websocket implementation `wsproto`."""

from __future__ import annotations

from benchmarks.servers import uvicorn

TITLE = "bare ASGI, uvicorn, wsproto"
PACKAGES = ("uvicorn", "uvloop", "httptools", "wsproto")
WORKLOADS = ("websocket",)


def serve(port: int) -> None:
    """Run until SIGTERM."""
    uvicorn.serve(port, "wsproto")
