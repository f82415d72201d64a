"""socketify (C++, uWebSockets) with synchronous handlers, its fastest way."""

from __future__ import annotations

from typing import Any

from benchmarks.workloads import HELLO

TITLE = "socketify (C++)"
PACKAGES = ("socketify",)
WORKLOADS = ("plaintext", "json", "path", "headers", "pipelined", "websocket")


def serve(port: int) -> None:
    """Run until SIGTERM."""
    from socketify import App, AppListenOptions, CompressOptions, OpCode

    from benchmarks.item import encode

    app = App()

    def plaintext(res: Any, req: Any) -> None:
        res.write_header("Content-Type", "text/plain; charset=utf-8").end(HELLO)

    def json(res: Any, req: Any) -> None:
        res.write_header("Content-Type", "application/json").end(encode({"message": HELLO, "id": 42, "ok": True}))

    def user(res: Any, req: Any) -> None:
        answer = {"id": int(req.get_parameter(0)), "q": req.get_query("q")}
        res.write_header("Content-Type", "application/json").end(encode(answer))

    def message(ws: Any, message: Any, opcode: OpCode) -> None:
        ws.send(message, opcode)

    app.get("/plaintext", plaintext)
    app.get("/json", json)
    app.get("/users/:id", user)
    app.ws("/ws", {"compression": CompressOptions.DISABLED, "message": message})
    app.listen(AppListenOptions(port=port, host="127.0.0.1"))
    app.run()
