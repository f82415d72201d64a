"""BlackSheep on granian; the body is decoded by msgspec."""

from __future__ import annotations

from typing import Any

from benchmarks.servers import granian
from benchmarks.workloads import HELLO, HTTP

TITLE = "BlackSheep, granian"
PACKAGES = ("blacksheep", "granian", "msgspec", "uvloop")
WORKLOADS = HTTP


def application() -> Any:
    """The application, made in granian's worker."""
    import msgspec
    from blacksheep import Application, Content, Request, Response
    from blacksheep.server.responses import text

    from benchmarks.item import decode, encode

    app = Application()

    def as_json(value: Any) -> Response:
        return Response(200, None, Content(b"application/json", encode(value)))

    async def plaintext(request: Any) -> Any:
        return text(HELLO)

    async def json(request: Any) -> Any:
        return as_json({"message": HELLO, "id": 42, "ok": True})

    async def user(request: Any) -> Any:
        return as_json({"id": int(request.route_values["id"]), "q": request.query["q"][0]})

    async def items(request: Any) -> Any:
        try:
            return as_json(decode(await request.read()))
        except msgspec.DecodeError:
            return Response(422)

    for handler in (plaintext, json, user, items):
        handler.__annotations__ = {"request": Request, "return": Response}
    app.router.add_get("/plaintext", plaintext)
    app.router.add_get("/json", json)
    app.router.add_get("/users/{int:id}", user)
    app.router.add_post("/items", items)
    return app


def serve(port: int) -> None:
    """Run until SIGTERM."""
    granian.run(f"{__name__}:application", port)
