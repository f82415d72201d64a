"""granian (Rust) by its own interface, RSGI, which is its fastest: no framework, and fewer messages than ASGI has."""

from __future__ import annotations

from typing import Any

from benchmarks.servers import granian
from benchmarks.workloads import EVERYTHING, HELLO

TITLE = "bare RSGI, granian (Rust)"
PACKAGES = ("granian", "msgspec", "uvloop")
WORKLOADS = EVERYTHING

TEXT = [("content-type", "text/plain; charset=utf-8")]
JSON = [("content-type", "application/json")]


def application() -> Any:
    """The RSGI function, made in granian's worker."""
    import msgspec

    from benchmarks.item import decode, encode

    async def app(scope: Any, protocol: Any) -> None:
        path = scope.path
        if scope.proto == "ws":
            await _echo(protocol)
        elif path == "/plaintext":
            protocol.response_str(200, TEXT, HELLO)
        elif path == "/json":
            protocol.response_bytes(200, JSON, encode({"message": HELLO, "id": 42, "ok": True}))
        elif path.startswith("/users/"):
            query = dict(pair.split("=", 1) for pair in scope.query_string.split("&"))
            protocol.response_bytes(200, JSON, encode({"id": int(path[7:]), "q": query.get("q")}))
        elif path == "/items":
            try:
                protocol.response_bytes(200, JSON, encode(decode(await protocol())))
            except msgspec.DecodeError:
                protocol.response_empty(422, [])
        else:
            protocol.response_empty(404, [])

    return app


async def _echo(protocol: Any) -> None:
    transport = await protocol.accept()
    while (message := await transport.receive()).kind:  # 0 is the close
        await transport.send_str(message.data)
    protocol.close()


def serve(port: int) -> None:
    """Run until SIGTERM."""
    granian.run(f"{__name__}:application", port, interface="rsgi")
