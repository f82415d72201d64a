"""picows (Cython): websockets only, handled in a callback without a task."""

from __future__ import annotations

from typing import Any

TITLE = "picows (Cython)"
PACKAGES = ("picows", "uvloop")
WORKLOADS = ("websocket",)


def serve(port: int) -> None:
    """Run until SIGTERM."""
    import asyncio

    import uvloop
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

    class Echo(WSListener):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type is WSMsgType.CLOSE:
                transport.send_close(frame.get_close_code(), frame.get_close_message())
                transport.disconnect()
            else:
                transport.send(frame.msg_type, frame.get_payload_as_bytes())

    async def run() -> None:
        def accept(request: Any) -> WSListener:
            return Echo()

        server = await ws_create_server(accept, "127.0.0.1", port)
        await server.serve_forever()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
