"""Falcon on uvicorn; the body is decoded by msgspec, its media handler's library by choice."""

from __future__ import annotations

from typing import Any

from benchmarks.workloads import HELLO, HTTP

TITLE = "Falcon, uvicorn"
PACKAGES = ("falcon", "uvicorn", "uvloop", "httptools", "msgspec")
WORKLOADS = HTTP


def serve(port: int) -> None:
    """Run until SIGTERM."""
    import falcon
    import falcon.asgi
    import msgspec
    import uvicorn

    from benchmarks.item import decode, encode

    class Plaintext:
        async def on_get(self, request: Any, response: Any) -> None:
            response.content_type = falcon.MEDIA_TEXT
            response.text = HELLO

    class Json:
        async def on_get(self, request: Any, response: Any) -> None:
            response.data = encode({"message": HELLO, "id": 42, "ok": True})

    class User:
        async def on_get(self, request: Any, response: Any, id: int) -> None:
            response.data = encode({"id": id, "q": request.get_param("q")})

    class Items:
        async def on_post(self, request: Any, response: Any) -> None:
            try:
                response.data = encode(decode(await request.stream.read()))
            except msgspec.DecodeError:
                response.status = falcon.HTTP_422

    app = falcon.asgi.App()
    for path, resource in (("/plaintext", Plaintext()), ("/json", Json()), ("/users/{id:int}", User()), ("/items", Items())):
        app.add_route(path, resource)
    uvicorn.run(app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning")
