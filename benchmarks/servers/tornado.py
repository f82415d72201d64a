"""Tornado on uvloop."""

from __future__ import annotations

from typing import Any

from benchmarks.workloads import EVERYTHING, HELLO

TITLE = "Tornado"
PACKAGES = ("tornado", "uvloop")
WORKLOADS = EVERYTHING


def serve(port: int) -> None:
    """Run until SIGTERM."""
    import asyncio
    import logging

    import msgspec
    import uvloop
    from tornado.web import Application, RequestHandler
    from tornado.websocket import WebSocketHandler

    from benchmarks.item import decode, encode

    class Plaintext(RequestHandler):
        def get(self) -> None:
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.write(HELLO)

    class Json(RequestHandler):
        def get(self) -> None:
            self.write({"message": HELLO, "id": 42, "ok": True})

    class User(RequestHandler):
        def get(self, number: str) -> None:
            self.write({"id": int(number), "q": self.get_query_argument("q", None)})

    class Items(RequestHandler):
        def post(self) -> None:
            try:
                item = decode(self.request.body)
            except msgspec.DecodeError:
                self.set_status(422)
                return
            self.set_header("Content-Type", "application/json")
            self.write(encode(item))

    class Echo(WebSocketHandler):
        def on_message(self, message: Any) -> None:
            self.write_message(message, binary=isinstance(message, bytes))

    async def run() -> None:
        logging.getLogger("tornado.access").setLevel(logging.ERROR)
        routes = [
            ("/plaintext", Plaintext),
            ("/json", Json),
            (r"/users/(\d+)", User),
            ("/items", Items),
            ("/ws", Echo),
        ]
        Application(routes).listen(port, "127.0.0.1")
        await asyncio.Event().wait()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
