"""granian (Rust) with a bare ASGI function on uvloop."""

from __future__ import annotations

from benchmarks.servers import uvicorn
from benchmarks.workloads import EVERYTHING

TITLE = "bare ASGI, granian (Rust)"
PACKAGES = ("granian", "uvloop")
WORKLOADS = EVERYTHING


def serve(port: int) -> None:
    """Run until SIGTERM."""
    from granian import Granian
    from granian.constants import Interfaces

    Granian(
        f"{__name__}:application",
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGI,
        workers=1,
        runtime_threads=1,
        log_enabled=False,
        factory=True,
    ).serve()


application = uvicorn.application
