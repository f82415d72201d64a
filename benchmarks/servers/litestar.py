"""Litestar on granian; it validates the body, an msgspec Struct, by itself."""

from __future__ import annotations

from typing import Any

from benchmarks.servers import granian
from benchmarks.workloads import HELLO, HTTP

TITLE = "Litestar, granian"
PACKAGES = ("litestar", "granian", "msgspec", "uvloop")
WORKLOADS = HTTP


def application() -> Any:
    """The application, made in granian's worker."""
    from litestar import Litestar, MediaType, get, post

    from benchmarks.item import Item

    async def plaintext() -> str:
        return HELLO

    async def json() -> dict[str, Any]:
        return {"message": HELLO, "id": 42, "ok": True}

    async def user(id: int, q: str) -> dict[str, Any]:
        return {"id": id, "q": q}

    async def items(data: Any) -> Any:
        return data

    items.__annotations__ = {"data": Item, "return": Item}
    return Litestar(
        [
            get("/plaintext", media_type=MediaType.TEXT)(plaintext),
            get("/json")(json),
            get("/users/{id:int}")(user),
            post("/items", status_code=200)(items),
        ],
        openapi_config=None,
        logging_config=None,
    )


def serve(port: int) -> None:
    """Run until SIGTERM."""
    granian.run(f"{__name__}:application", port)
