"""granian (Rust) with a bare ASGI function on uvloop."""

from __future__ import annotations

from benchmarks.servers import uvicorn
from benchmarks.workloads import EVERYTHING

TITLE = "bare ASGI, granian (Rust)"
PACKAGES = ("granian", "uvloop")
WORKLOADS = EVERYTHING


def serve(port: int) -> None:
    """Run until SIGTERM."""
    run(f"{__name__}:application", port)


def run(factory: str, port: int, interface: str = "asgi") -> None:
    """Serve the function that `module:function` makes, in granian's own loop; for frameworks that are used with it, too."""
    from granian import Granian
    from granian.constants import Interfaces

    Granian(
        factory,
        address="127.0.0.1",
        port=port,
        interface=Interfaces(interface),
        workers=1,
        runtime_threads=1,
        log_enabled=False,
        factory=True,
    ).serve()


application = uvicorn.application
